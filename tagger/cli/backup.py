"""``tagger backup``."""

from __future__ import annotations

import os

import click

from tagger.cli.common import ask_path, read_config
from tagger.index.reader import open_reader
from tagger.text.messages import ngettext
from tagger.text.printable import printable


@click.command("backup")
@click.argument("file", metavar="FILE")
@click.option("--force", is_flag=True, help="Replace a FILE that exists.")
def backup_command(file: str, force: bool) -> None:
    """Copy the index to FILE, of one moment, while the daemon runs or not.

    To go back to it, stop the daemon and put FILE in place of index.sqlite3 in the state
    directory.
    """
    config, _ = read_config()
    target = ask_path(os.path.expanduser(file))
    with open_reader(config.state_dir) as reader:
        photos = reader.backup(target, replace=force)
    click.echo(printable(target) + ": " + ngettext("%(n)s photo", "%(n)s photos", photos))
