"""``tagger web``."""

from __future__ import annotations

import dataclasses
import signal
from types import FrameType

import click

from tagger.cli.common import config_or_default
from tagger.logs import set_up_logging


@click.command("web")
@click.option("--listen", metavar="ADDRESS:PORT", help="Instead of `web.listen`.")
@click.pass_context
def web_command(ctx: click.Context, listen: str | None) -> None:
    """Show the page: drop pictures to see what is in them, and look through the library.

    With or without a daemon, until stopped. Nothing is changed, and uploads are not kept.
    """
    from tagger.web.server import WebServer

    config = config_or_default(ctx)
    if listen:
        config = dataclasses.replace(config, web=dataclasses.replace(config.web, listen=listen))
    set_up_logging(config.log)
    with WebServer(config) as server:

        def stop(number: int, frame: FrameType | None) -> None:
            del number, frame
            server.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        click.echo(f"the page is at {server.url} (Ctrl-C ends it)")
        server.run()
