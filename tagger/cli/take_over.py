"""``tagger take-over``."""

from __future__ import annotations

import contextlib

import click

from tagger.cli.common import ask_known, read_config
from tagger.errors import ConfigError, StateError
from tagger.index.store import Store
from tagger.library.take_over import take_over
from tagger.records import ANOTHER_TAGGER
from tagger.system.control_socket import send_command
from tagger.system.state_dir import daemon_runs
from tagger.text.messages import gettext, number
from tagger.text.printable import printable


@click.command("take-over")
@click.argument("folders", nargs=-1, metavar="[FOLDER...]")
def take_over_command(folders: tuple[str, ...]) -> None:
    """Write the tags in each FOLDER (default: all that are watched), though another tagger does.

    Of several taggers on one folder only one writes tags to its files; the others keep theirs in
    the index. The other one notices within seconds, and writes there no more.
    """
    config, path = read_config()
    if config.write.target == "none":
        raise ConfigError(
            f"{path} lets no tags be written to files", "see `write.target` in the config"
        )
    wanted = [ask_known(config, folder) for folder in folders]
    wanted = wanted or [root.path for root in config.watch if not root.read_only]
    with Store(config.state_dir) as store:
        for folder in wanted:
            take_over(config, folder)
            count = store.write_anew(folder, ANOTHER_TAGGER)
            said = gettext("this tagger writes the tags of %(n)s photo(s)", n=number(count))
            click.echo(f"{printable(folder)}: {said}")
    if daemon_runs(config.state_dir):
        with contextlib.suppress(StateError):  # it looks itself, a little later
            send_command(config.state_dir, "scan", paths=wanted)
