"""``tagger pause``, ``tagger resume`` and ``tagger scan``."""

from __future__ import annotations

import click

from tagger.cli.common import ask_known, read_config
from tagger.system.control_socket import send_command
from tagger.text.printable import printable


@click.command("pause")
@click.pass_context
def pause_command(ctx: click.Context) -> None:
    """Pause the daemon: photos wait until `tagger resume`, also after a restart."""
    _ask(ctx, "pause")


@click.command("resume")
@click.pass_context
def resume_command(ctx: click.Context) -> None:
    """Let a paused daemon go on."""
    _ask(ctx, "resume")


@click.command("scan")
@click.argument("paths", nargs=-1, metavar="[PATH...]")
@click.pass_context
def scan_command(ctx: click.Context, paths: tuple[str, ...]) -> None:
    """Have the daemon scan each PATH, a folder or photo, now (default: everything)."""
    config, _ = read_config(ctx)
    _ask(ctx, "scan", paths=[ask_known(config, path) for path in paths])


def _ask(ctx: click.Context, command: str, **details: list[str]) -> None:
    config, _ = read_config(ctx)
    click.echo(printable(send_command(config.state_dir, command, **details)))
