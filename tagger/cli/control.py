"""``tagger pause``, ``tagger resume`` and ``tagger scan``."""

from __future__ import annotations

import click

from tagger.cli.common import ask_known, read_config
from tagger.system.control_socket import send_command
from tagger.text.printable import printable


@click.command("pause")
def pause_command() -> None:
    """Pause the daemon: photos wait until `tagger resume`, also after a restart."""
    _ask("pause")


@click.command("resume")
def resume_command() -> None:
    """Let a paused daemon go on."""
    _ask("resume")


@click.command("scan")
@click.argument("paths", nargs=-1, metavar="[PATH...]")
def scan_command(paths: tuple[str, ...]) -> None:
    """Have the daemon scan each PATH, a folder or photo, now (default: everything)."""
    config, _ = read_config()
    _ask("scan", paths=[ask_known(config, path) for path in paths])


def _ask(command: str, **details: list[str]) -> None:
    config, _ = read_config()
    click.echo(printable(send_command(config.state_dir, command, **details)))
