"""``tagger service install``, ``show`` and ``uninstall``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

import click

from tagger.cli.common import read_config
from tagger.cli.speech import agreed, in_words, note, say, stored_text
from tagger.errors import ConfigError
from tagger.pipeline.preflight import check_config
from tagger.service.plan import Plan, apply, plan_install, plan_uninstall
from tagger.service.units import ServiceError
from tagger.text.messages import gettext
from tagger.text.printable import printable

user_option = click.option(
    "--user", is_flag=True, help="A service of yours, not of the system: needs no root."
)
run_as_option = click.option(
    "--run-as",
    metavar="ACCOUNT",
    help="Account of the system's service. Default: the owner of the folders, if they have one.",
)
network_option = click.option(
    "--network",
    is_flag=True,
    help="Let it use the network, to download weights. For the page and metrics it may anyway.",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.group("service")
def service_command() -> None:
    """Run tagger as a systemd service, from the start of the machine on."""


@service_command.command("install")
@user_option
@run_as_option
@network_option
@yes_option
def install(user: bool, run_as: str | None, network: bool, yes: bool) -> int | None:
    """Make tagger a service with the present config, and start it.

    Run it again when the folders in the config have changed, or tagger has moved.
    """
    plan = _install_plan(user, run_as, network)
    if not _carried_out(plan, user, yes):
        return 1
    ctl = "systemctl --user" if user else "systemctl"
    click.echo(gettext("Done."), nl=not plan.after)
    if plan.after:
        click.echo(" " + gettext("`%(command)s` tells how it is.", command=f"{ctl} status tagger"))
    return None


@service_command.command("show")
@user_option
@run_as_option
@network_option
def show(user: bool, run_as: str | None, network: bool) -> None:
    """Print the files that `install` would write and the commands it would run."""
    plan = _install_plan(user, run_as, network)
    for command in plan.before:
        click.echo(f"$ {' '.join(command.words)}\n")
    for file in plan.files:
        text = file.text if file.text is not None else f"({gettext('to be deleted')})\n"
        click.echo(f"==> {file.path} <==\n{text}")
    for command in plan.after:
        click.echo(f"$ {' '.join(command.words)}")
    _notes(plan.notes)


@service_command.command("uninstall")
@user_option
@yes_option
def uninstall(user: bool, yes: bool) -> int | None:
    """Stop the service and take it away. Photos, config and index stay."""
    if not _carried_out(plan_uninstall(user=user), user, yes):
        return 1
    say("Done. Photos and tags stay as they are.")
    try:
        config, path = read_config()
    except ConfigError as error:
        why = printable(in_words(error))
        say("Where the config and the index are is not known: %(why)s", why=why)
        return None
    say(
        "The config is %(path)s, the index and the weights are in %(state)s.",
        path=path,
        state=config.state_dir,
    )
    say("To take all tags away: %(command)s", command=f"tagger --config {path} untag --all")
    return None


def _install_plan(user: bool, run_as: str | None, network: bool) -> Plan:
    config, path = read_config()
    check_config(config, path, watches=True)
    return plan_install(config, path, user=user, run_as=run_as, network=network)


def _carried_out(plan: Plan, user: bool, yes: bool) -> bool:
    """Say what is to be done, ask unless ``yes``, and do it; return whether it was done."""
    if not user and os.geteuid() != 0:
        raise ServiceError(
            "a service of the system is installed and removed by root",
            f"run `sudo {sys.argv[0]} ...`, or add --user for a service of yours",
        )
    if user and os.geteuid() == 0 and os.environ.get("SUDO_USER"):
        raise ServiceError(
            "with sudo, --user would mean the user root", "run it again without sudo"
        )
    _tell(plan)
    if not yes and not _agreed():
        return False
    _notes(apply(plan))
    return True


def _tell(plan: Plan) -> None:
    say("This will be done:")
    for command in plan.before:
        click.echo("  " + gettext("run %(command)s", command=" ".join(command.words)))
    for file in plan.files:
        if file.text is None:
            click.echo("  " + gettext("delete %(file)s", file=file.path))
            continue
        how = gettext("new") if file.now is None else gettext("replaced")
        how = gettext("as it is") if file.now == file.text else how
        click.echo("  " + gettext("write %(file)s (%(how)s)", file=file.path, how=how))
        if file.path.endswith(".conf"):
            settings = [line for line in file.text.splitlines() if line[:1] not in ("", "#", "[")]
            click.echo("".join(f"    {printable(line)}\n" for line in settings), nl=False)
    for command in plan.after:
        click.echo("  " + gettext("run %(command)s", command=" ".join(command.words)))
    _notes(plan.notes)


def _notes(texts: Iterable[str]) -> None:
    for text in texts:
        note(stored_text(text))


def _agreed() -> bool:
    """Ask; without anybody to answer it is a no."""
    try:
        yes = agreed(gettext("Go on?"))
    except click.Abort:
        yes = False
        click.echo("")
    if not yes:
        say("Nothing was changed. --yes does it without asking.")
    return yes
