"""``tagger web``."""

from __future__ import annotations

import dataclasses
import os
import signal
import sys

import click

from tagger.cli.common import config_or_default, leave_folder, named_config
from tagger.cli.speech import say
from tagger.config.edit import with_value
from tagger.config.loader import find_config
from tagger.errors import ConfigError
from tagger.system.files import replace_atomically
from tagger.system.logs import set_up_logging
from tagger.system.process import keep_private, raise_descriptors
from tagger.text.messages import gettext


@click.group("web", invoke_without_command=True)
@click.option("--listen", metavar="ADDRESS:PORT", help="Instead of `web.listen`.")
@click.pass_context
def web_command(ctx: click.Context, listen: str | None) -> None:
    """Show the page: drop pictures to see what is in them, and look through the library.

    With or without a daemon, until stopped. The page of a daemon (`web.enabled`) can do more.
    """
    if ctx.invoked_subcommand is not None:
        return
    from tagger.web.server import WebServer

    config = config_or_default()
    if listen:
        config = dataclasses.replace(config, web=dataclasses.replace(config.web, listen=listen))
    leave_folder()
    set_up_logging(config.log.level, config.log.format)
    keep_private()
    raise_descriptors()
    with WebServer(config) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop())
        say("the page is at %(url)s (Ctrl-C ends it)", url=server.url)
        server.run()


@web_command.command("password")
@click.option("--write", is_flag=True, help="Set it in the config file.")
def password_command(write: bool) -> None:
    """Make of a password what the config is to hold, so that the page asks for it.

    The password is asked for, or read from standard input: its first line.
    """
    from tagger.web.auth.passwords import make_hash

    path = find_config(named_config(), os.environ) if write else ""
    if sys.stdin.isatty():
        password = click.prompt(
            gettext("Password"), hide_input=True, confirmation_prompt=True, err=True
        )
    else:
        password = sys.stdin.readline().rstrip("\r\n")
    made = make_hash(password)
    if not write:
        click.echo(f"web:\n  password: {made}")
        return
    _write(path, made)
    say("%(path)s has the password. A daemon that runs takes it up with SIGHUP.", path=path)


def _write(path: str, made: str) -> None:
    """Set the hash in the config file at ``path``. Raise ConfigError when that cannot be done."""
    path = os.path.realpath(path)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            text, st = file.read(), os.fstat(file.fileno())
        new = with_value(text, path, "web", "password", made)
        # Nobody else reads the hash meanwhile.
        replace_atomically(path, new.encode(), mode=0o600, like=st, unique=True)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}",
            "leave out --write, and put the line that is printed into it",
        ) from error
