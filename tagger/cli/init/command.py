"""``tagger init``: a config file for folders, and for the photo programs that look at them."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import click

from tagger.cli.common import ask_path, named_config
from tagger.cli.speech import in_words, note, say, stored_text
from tagger.cli.terminal import is_terminal
from tagger.config import photo_programs
from tagger.config.example import example_config
from tagger.config.loader import config_places, load_config
from tagger.config.schema import default_state_dir
from tagger.errors import ConfigError, TaggerError
from tagger.system.paths import is_inside
from tagger.text.messages import gettext

_NAMES = [one.name for one in photo_programs.PROGRAMS]
_TARGETS = ["sidecar-xmp", "sidecar-json", "embed", "none"]
_FIRST = 12
"""Photos that are tagged at the end."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What was answered: the folders, the values of the config by key, and what to do at the end.

    ``page``: where the page is to be seen. ``password``: that of the page, in plain text, if
    it was made here.
    """

    folders: list[str]
    used: list[photo_programs.PhotoProgram]
    language: str
    page: str
    service: bool
    password: str = ""


@click.command("init")
@click.argument("folders", nargs=-1, metavar="[FOLDER...]")
@click.option(
    "--program",
    "programs",
    multiple=True,
    type=click.Choice(_NAMES),
    help="A photo program that shall show the tags; may be given several times. By it the other"
    " two are chosen.",
)
@click.option("--target", type=click.Choice(_TARGETS), help="Where tags go: `write.target`.")
@click.option(
    "--sidecar-name",
    type=click.Choice(["auto", "long", "short"]),
    help="How new sidecars are called: `write.sidecar_name`.",
)
@click.option("--language", metavar="CODE", help="Language of the tags: `labels.language`.")
@click.option(
    "--page",
    type=click.Choice(["none", "local", "network"]),
    help="Show the web page: not, on this machine, or to your network with a password.",
)
@click.option("--service/--no-service", default=None, help="Make it a service of yours.")
@click.option(
    "--first", type=click.IntRange(0), metavar="N", help="Tag the first N photos at the end."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Replace a config file that exists.")
def init_command(folders: tuple[str, ...], **given: Any) -> None:
    """Write a config file, with every key explained, and tag the first photos.

    On a terminal it asks what no option says: which folders to watch, of those found on this
    machine; which photo programs you use; in which language tags shall be; whether to show the
    web page, and whether to run as a service. At the end the first photos are tagged, and the
    page's address is printed as a link and a QR code. With --yes it does so without asking, for
    the folders found. Elsewhere, as in a script, it writes the config for FOLDER and nothing more.

    It goes to the file named by --config, else to ~/.config/tagger/config.yaml. For a file in
    /etc, of a service of the system, the state directory is /var/lib/tagger.
    """
    from tagger.service.units import STATE

    place = os.path.abspath(named_config() or config_places(os.environ)[0])
    asks = not given["yes"] and is_terminal(sys.stdin) and is_terminal(sys.stdout)
    wanted = _wanted(folders)
    if not (wanted or asks or given["yes"]):
        raise click.UsageError(gettext("missing argument: name the folders that hold your photos"))
    if os.path.exists(place) and not given["force"]:
        raise ConfigError(
            f"there is a config file at {place} already", "edit it, or replace it with --force"
        )
    system = is_inside(place, "/etc")
    state_dir = STATE if system else None
    languages = _languages(state_dir)
    if given["language"] is not None and given["language"] not in languages:
        raise ConfigError(
            f"there are no tags in the language {given['language']!r}",
            f"take {' or '.join(languages)}",
        )
    answers = _answers(wanted, given, asks, languages)
    chosen = {
        "write.target": given["target"] or photo_programs.fitting_target(answers.used),
        "write.sidecar_name": given["sidecar_name"]
        or photo_programs.fitting_sidecar_name(answers.used),
        "labels.language": answers.language,
        **_page_settings(answers),
    }
    _write(place, example_config(answers.folders, state_dir=state_dir, chosen=chosen))
    say("Wrote %(file)s.", file=place)
    if answers.used or asks:
        _tell(answers.used, chosen)
    conversation = asks or given["yes"]
    first = given["first"] if given["first"] is not None else (_FIRST if conversation else 0)
    _begin(place, answers, first, system=system)


def _answers(
    wanted: list[str], given: dict[str, Any], asks: bool, languages: Sequence[str]
) -> Answers:
    """Return what is given, and ask for the rest, or take what would be offered."""
    from tagger.cli.init import questions

    if not wanted:
        wanted = questions.folders(asks=asks)
    used = [photo_programs.program(name) for name in given["programs"]]
    if asks and not (used or given["target"]):
        used = questions.programs()
    language = given["language"] or (questions.tag_language(languages) if asks else "en")
    offered = "local" if given["yes"] else "none"
    page = given["page"] or (questions.page() if asks else offered)
    password = questions.page_password(asks=asks) if page == "network" else ""
    service = given["service"]
    if service is None:
        service = questions.service() if asks else False
    return Answers(wanted, used, language, page, service, password)


def _page_settings(answers: Answers) -> dict[str, Any]:
    if answers.page != "network":
        return {"web.enabled": True} if answers.page == "local" else {}
    from tagger.web.auth.passwords import make_hash

    made = make_hash(answers.password)
    return {"web.enabled": True, "web.listen": "0.0.0.0:5000", "web.password": made}


def _begin(place: str, answers: Answers, first: int, *, system: bool) -> None:
    """Make the service, tag the first photos, and say where the page is."""
    from tagger.cli.init.first_photos import tag_first
    from tagger.cli.init.page_address import tell_page

    command = f"tagger --config {shlex.quote(place)}"
    runs = answers.service and _made_service(place, system=system)
    if first:
        tag_first(place, first, runs=runs)
    if not runs:
        then = "service install" if system else "run"
        say("Start tagging with: %(command)s", command=f"{command} {then}")
    if answers.page != "none":
        tell_page(place, answers.password, runs=runs)


def _made_service(place: str, *, system: bool) -> bool:
    """Make it a service and start it; return whether it runs. What hinders that is said."""
    from tagger.service.plan import apply, plan_install

    try:
        plan = plan_install(load_config(place), place, user=not system)
        problems = apply(plan)
    except TaggerError as error:
        note(in_words(error))
        return False
    for said in (*plan.notes, *problems):
        note(stored_text(said))
    return bool(plan.after) and not problems


def _wanted(folders: Sequence[str]) -> list[str]:
    """Return the folders as absolute paths. Raise ConfigError where there is none."""
    wanted = [ask_path(os.path.expanduser(folder)) for folder in folders]
    for folder in wanted:
        if not os.path.isdir(folder):
            raise ConfigError(f"there is no folder {folder}", "name folders that exist")
    return wanted


def _write(place: str, text: str) -> None:
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(
            f"cannot write {place}: {error.strerror}", "name another file with --config"
        ) from error


def _languages(state_dir: str | None) -> tuple[str, ...]:
    """Return the languages that tags may be in, those of the user's own among them."""
    from tagger.labels.vocabulary import own_vocabulary

    known = own_vocabulary(state_dir or default_state_dir(os.environ)).languages
    return tuple(sorted({"en", *known}))


def _tell(used: Sequence[photo_programs.PhotoProgram], chosen: dict[str, Any]) -> None:
    """Say what was chosen, and what is to be set in the programs."""
    for key, value in chosen.items():
        if key != "web.password":
            click.echo(f"  {key}: {value}")
    for one in used:
        if one.advice:
            say("For %(program)s: %(advice)s.", program=one.title, advice=gettext(one.advice))
