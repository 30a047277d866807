"""``tagger failures`` and ``tagger retry``."""

from __future__ import annotations

import click

from tagger.cli.common import ask_known, config_or_default, json_option, print_json, when_done
from tagger.cli.speech import say, stored_text
from tagger.errors import StateError
from tagger.index.reader import open_reader
from tagger.index.store import Store
from tagger.library.serialize import failure_json
from tagger.system.humanize import moment
from tagger.system.state_dir import daemon_runs
from tagger.text.messages import gettext, ngettext
from tagger.text.printable import printable


@click.command("failures")
@json_option
def failures_command(as_json: bool) -> None:
    """List the photos that could not be tagged, with the reason and the next try."""
    with open_reader(config_or_default().state_dir) as reader:
        failures = reader.failures()
    if as_json:
        print_json([failure_json(failure) for failure in failures])
        return
    for failure in failures:
        again = gettext("when the file changes")
        if failure.retry_at is not None:
            again = gettext("at %(moment)s", moment=moment(failure.retry_at))
        times = ngettext("%(n)s try", "%(n)s tries", failure.tries)
        click.echo(f"{printable(failure.path)}\n  {stored_text(failure.reason)}")
        click.echo("  " + gettext("%(tries)s; tried again %(when)s", tries=times, when=again))


@click.command("retry")
@click.argument("photos", nargs=-1, metavar="[PHOTO...]")
@click.option("--all", "everything", is_flag=True, help="Classify every photo anew.")
def retry_command(photos: tuple[str, ...], everything: bool) -> None:
    """Try failed photos again; with PHOTO, these, even if they are tagged already."""
    from tagger.library.edit import TagEditor

    config = config_or_default()
    with open_reader(config.state_dir) as reader:
        known = reader.paths()
    wanted = known if everything else [ask_known(config, photo) for photo in photos]
    if unknown := sorted(set(wanted) - set(known)):
        raise StateError(
            f"{unknown[0]} is not in the index",
            "see whether its folder is watched (`tagger status`)",
        )
    with Store(config.state_dir) as store:
        number = TagEditor(config, store).retry_all(wanted) if wanted else store.retry()
    when = when_done(daemon_runs(config.state_dir))
    say("%(n)s photo(s) will be tried again %(when)s.", n=number, when=when)
