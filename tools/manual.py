"""Makes the manual pages, ``data/share/man/man1/``, from the commands' own help.

The marks are those of man(7). An installation by pip puts the pages into ``share/man`` beside its
``bin``, where man finds them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import partial

import click

from tagger.cli import COMMANDS, cli
from tagger.cli.speech import anew
from tagger.index.query_fields import FIELDS_HELP

FOLDER = "data/share/man/man1"

FILES = """\
.SH FILES
.TP
.I ~/.config/tagger/config.yaml
The config of a user; written by
.BR "tagger init" .
.TP
.I /etc/tagger/config.yaml
The config of the system's service.
.TP
.I ~/.local/state/tagger/index.sqlite3
The index: tags, and how to take each away again.
.SH EXIT STATUS
0 when all went well, also when nothing was found; 1 when
.B tagger doctor
finds something wrong; 2 after a mistake that is said in one line; 70 after an error that nobody
foresaw; 78 when the config lets
.B tagger run
do nothing; 130 after Ctrl-C.
.SH ENVIRONMENT
.TP
.B TAGGER_CONFIG
The config file to use.
.TP
.BR LC_ALL ", " LC_MESSAGES ", " LANG ", " LANGUAGE
The language of what is said: English, Chinese, German, French, Spanish or Japanese.
"""


def pages() -> dict[str, Callable[[], str]]:
    """Return each page, and what makes its text."""
    found: dict[str, Callable[[], str]] = {f"{FOLDER}/tagger.1": main_page}
    for name in COMMANDS:
        found[f"{FOLDER}/tagger-{name}.1"] = partial(command_page, name)
    return found


def main_page() -> str:
    """Return the page ``tagger(1)``."""
    summary = inspect.cleandoc(cli.help or "")
    lines = [
        *_head("tagger", summary),
        ".SH SYNOPSIS",
        ".B tagger",
        "[OPTIONS] COMMAND [ARGS]...",
        ".SH DESCRIPTION",
        "tagger watches folders, recognises what is in each new photo on this machine alone, and",
        "writes tags where photo programs read them. Begin with",
        '.BR "tagger init" .',
        ".SH OPTIONS",
        *_options(cli, click.Context(cli, info_name="tagger")),
        ".SH COMMANDS",
    ]
    for name, (_, text) in COMMANDS.items():
        lines += [".TP", f".BR tagger-{_plain(name)} (1)", _plain(text)]
    return "\n".join(lines) + "\n" + FILES + "\n".join(_see_also(["tagger-init", "tagger-query"]))


def command_page(name: str) -> str:
    """Return the page of a command."""
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    lines = [*_head(f"tagger-{name}", COMMANDS[name][1]), ".SH SYNOPSIS"]
    lines += [*_usage(command, f"tagger {name}"), ".SH DESCRIPTION", *_text(command)]
    context = click.Context(command, info_name=f"tagger {name}")
    if options := list(_options(command, context)):
        lines += [".SH OPTIONS", *options]
    if isinstance(command, click.Group):
        lines.append(".SH COMMANDS")
        for inner in command.list_commands(context):
            lines += _inner(command, context, f"tagger {name}", inner)
    if name == "query":
        lines.append(".SH FIELDS")
        for example, meaning in FIELDS_HELP.values():
            lines += [
                ".TP",
                f".B {_plain(example.replace('`', ''))}",
                _plain(meaning.replace("`", "")),
            ]
    return "\n".join([*lines, *_see_also(["tagger"])])


def _inner(group: click.Group, context: click.Context, name: str, inner: str) -> Iterator[str]:
    command = group.get_command(context, inner)
    assert command is not None
    yield f".SS {_plain(f'{name} {inner}')}"
    yield from _usage(command, f"{name} {inner}")
    yield ".PP"
    yield from _text(command)
    yield from _options(command, click.Context(command, info_name=f"{name} {inner}"))


def _head(name: str, summary: str) -> list[str]:
    plain = summary.splitlines()[0].rstrip(".")
    return [
        '.\\" Made by `make generate` from the help of the commands.',
        f'.TH {name.upper()} 1 "" tagger "tagger\'s manual"',
        ".SH NAME",
        f"{_plain(name)} \\- {_plain(plain[:1].lower() + plain[1:])}",
    ]


def _usage(command: click.Command, name: str) -> Iterator[str]:
    yield f".B {_plain(name)}"
    yield _plain(" ".join(command.collect_usage_pieces(click.Context(command, info_name=name))))


def _text(command: click.Command) -> Iterator[str]:
    for number, paragraph in enumerate(inspect.cleandoc(command.help or "").split("\n\n")):
        if number:
            yield ".PP"
        if paragraph.startswith("\b"):
            yield ".nf"
            yield from map(_plain, paragraph.removeprefix("\b\n").splitlines())
            yield ".fi"
        else:
            yield from map(_plain, paragraph.splitlines())


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in anew(command).get_params(context):
        if isinstance(parameter, click.Option):
            record = parameter.get_help_record(context)
            if record is not None:
                yield from (".TP", f".B {_plain(record[0])}", _plain(" ".join(record[1].split())))


def _see_also(names: list[str]) -> list[str]:
    links = ", ".join(f"\\fB{_plain(name)}\\fR(1)" for name in names)
    return [".SH SEE ALSO", f"{links}; \\fBtagger help\\fR lists the documentation.", ""]


def _plain(text: str) -> str:
    """Return text as man(7) shows it as it is: no sign in it means anything."""
    escaped = (
        text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\`")
    )
    return f"\\&{escaped}" if escaped.startswith(".") else escaped
