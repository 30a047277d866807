"""``tagger help``: the documentation, and the help of a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from typing import NamedTuple

import click

from tagger.cli import COMMANDS
from tagger.cli.speech import say
from tagger.cli.terminal import is_terminal
from tagger.text.messages import gettext
from tagger.text.spelling import nearest

TOPICS = os.path.join(os.path.dirname(__file__), "topics.txt")
"""The documents of ``docs/``, each after a form feed and its name. Made by `make generate`."""


class Topic(NamedTuple):
    """One document: its name, its title and its text in Markdown."""

    name: str
    title: str
    text: str


def topics() -> list[Topic]:
    """Return all documents, by name."""
    with open(TOPICS, encoding="utf-8") as file:
        parts = file.read().split("\f")[1:]
    found = (part.partition("\n")[::2] for part in parts)
    return [Topic(name, text.partition("\n")[0].lstrip("# "), text) for name, text in found]


@click.command("help")
@click.argument("topic", nargs=-1, metavar="[TOPIC]")
def help_command(topic: tuple[str, ...]) -> None:
    """Show what the documentation says of TOPIC, or the help of a command.

    Without TOPIC it lists all topics. They are in English.
    """
    known = {one.name: one for one in topics()}
    if not topic:
        _list(known.values())
        return
    name = topic[0].lower().removesuffix(".md")
    if len(topic) == 1 and name in known:
        _show(known[name].text)
        if _command((name,)) is not None:
            say("See also: %(command)s", command=f"tagger {name} --help")
        return
    command = _command(topic)
    if command is None:
        hint = gettext("see `tagger help`")
        if near := nearest(name, [*known, *COMMANDS]):
            hint = gettext("did you mean %(word)s?", word=near)
        unknown = gettext("there is no topic or command %(name)r", name=" ".join(topic))
        raise click.UsageError(f"{unknown}; {hint}")
    click.echo(command.get_help())


def _list(known: Collection[Topic]) -> None:
    say("Topics of `tagger help TOPIC`:")
    width = max(len(one.name) for one in known)
    for one in known:
        click.echo(f"  {one.name:<{width}}  {one.title}")
    say("Commands, each with `tagger help COMMAND`:")
    click.echo("  " + ", ".join(COMMANDS))


def _command(words: tuple[str, ...]) -> click.Context | None:
    """Return the context of a command, or of one below it; None when there is none."""
    found = click.get_current_context().find_root()
    for word in words:
        group = found.command
        inner = group.get_command(found, word) if isinstance(group, click.Group) else None
        if inner is None:
            return None
        found = inner.context_class(inner, parent=found, info_name=word)
    return found


def _show(text: str) -> None:
    """Print Markdown; on a terminal laid out, and by pages when it is long."""
    if not is_terminal(sys.stdout):
        click.echo(text.rstrip("\n"))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    console = Console()
    laid_out = Markdown(text, hyperlinks=False)
    if text.count("\n") > console.height:
        with console.pager(styles=True):
            console.print(laid_out)
    else:
        console.print(laid_out)
