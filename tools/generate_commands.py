"""Makes ``docs/commands.md``: each command from its help, and the language of queries."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from tagger.cli import COMMANDS, cli
from tagger.index.query_fields import FIELDS_HELP

HEAD = """\
# Commands and queries

This page is made from the commands' own help by `make generate`. Options before the command:
`--config FILE`, `--debug`, `--version`. No match prints nothing and is exit 0; a mistake is exit 2
(of the config, for `tagger run`: 78) and one line that says what to do, see
[errors.md](errors.md). `tagger --debug ...` shows where in the code one arose.
"""

QUERIES = """\
## The language of queries

| query | finds |
|---|---|
| `dog beach`, `dog and beach` | both |
| `dog or cat` | either; `and` binds more tightly |
| `not person` | photos without it |
| `"sports car"`, `golden retriever` | one label of several words |
| `(dog or cat) beach` | brackets group |
| `dog>0.6` | by confidence: `>`, `>=`, `<`, `<=` |
"""

AFTER = """
Photos that are missing, failed or waiting are left out unless `is:` names their state. In a
shell, put queries with `<`, `>`, `(`, `)` or `"` in single quotes.
"""


def document() -> str:
    """Return the text of ``docs/commands.md``."""
    rows = [f"| {example} | {meaning} |" for example, meaning in FIELDS_HELP.values()]
    commands = [line for name in COMMANDS for line in _command(_of(cli, name), f"tagger {name}")]
    return "\n".join([HEAD, QUERIES + "\n".join(rows), AFTER, "## The commands", *commands]) + "\n"


def _of(group: click.Group, name: str) -> click.Command:
    command = group.get_command(click.Context(group), name)
    assert command is not None
    return command


def _command(command: click.Command, name: str) -> Iterator[str]:
    context = click.Context(command, info_name=name)
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    yield f"\n### {name}\n"
    yield f"```text\n{usage}\n```\n"
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        text, raw = paragraph.removeprefix("\b\n"), paragraph.startswith("\b")
        yield f"```text\n{text}\n```\n" if raw else f"{text}\n"
    options = [
        record
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option) and "--help" not in parameter.opts
        if (record := parameter.get_help_record(context)) is not None
    ]
    if options:
        yield "| option | meaning |\n|---|---|"
        for option, meaning in options:
            yield f"| `{option.replace('|', chr(92) + '|')}` | {' '.join(meaning.split())} |"
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            yield from _command(_of(command, inner), f"{name} {inner}")
