"""``tagger completion``, and the labels that a shell completes in a query.

click does the rest: the shell calls ``tagger`` with ``_TAGGER_COMPLETE`` in its environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from tagger.text.messages import of_environment

if TYPE_CHECKING:
    from tagger.labels.vocabulary import Vocabulary

VARIABLE = "_TAGGER_COMPLETE"
_PLAIN = re.compile(r"[\w.-]+")
_LONGEST = 4
"""The words of the longest label that are looked back at."""


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the script that has a shell complete commands, options and labels."""
    from click.shell_completion import get_completion_class

    from tagger.cli import cli

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(cli, {}, "tagger", VARIABLE).source(), nl=False)


def complete_query(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return what the word of a query that is being typed may become.

    Names in the tree, in the language of the tags and in that of the locale come first; where none
    of them goes on so, those in all other languages.
    """
    from tagger.cli.common import config_or_default, vocabulary
    from tagger.config.schema import Config
    from tagger.errors import TaggerError
    from tagger.text.printable import printable

    root = ctx.find_root()
    if not isinstance(root.obj, str):  # no command has been called
        root.obj = root.params.get("config_path")
    try:
        with ctx.scope(cleanup=False):
            config = config_or_default()
        known = vocabulary(config)
    except TaggerError:
        config = Config()
        known = vocabulary(config)
    before = [str(word) for word in ctx.params.get("words") or ()]
    here = {config.labels.language, of_environment(os.environ)}
    near = [name for node in known.nodes.values() for name in node.names.values()]
    for names in (near + _names(known, here), _names(known, known.languages)):
        found = sorted(set(next_words(names, known.roots(), before, incomplete)))
        # The shell shows them as they are.
        if found := [name for name in found if name == printable(name)]:
            return found
    return []


def _names(known: Vocabulary, languages: Iterable[str]) -> list[str]:
    return [known.name(label, code) for code in languages for label in known.nodes]


def next_words(
    names: Iterable[str], first: Iterable[str], before: Sequence[str], incomplete: str
) -> Iterator[str]:
    """Yield how the word ``incomplete`` after the words ``before`` may go on.

    Names of several words are given word by word, because shells do not agree on how to quote
    them; within a quotation as a whole. ``first`` is what is offered when nothing is typed yet.
    """
    typed = incomplete.casefold()
    for name in names if typed else first:
        if name.casefold().startswith(typed):
            yield from [name] if " " in typed else _plain(name)
    names = list(names)
    for count in range(1, min(_LONGEST, len(before)) + 1):
        lead = " ".join(before[-count:]).casefold() + " "
        for name in names:
            if name.casefold().startswith(lead + typed):
                yield from _plain(name[len(lead) :])


def _plain(rest: str) -> Iterator[str]:
    """Yield the first word of ``rest`` if it means nothing to a shell."""
    word = rest.split(" ", maxsplit=1)[0]
    if _PLAIN.fullmatch(word):
        yield word
