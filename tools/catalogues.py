"""The catalogues of messages: collects what the source says, keeps each language's file with it.

``tagger/text/catalogues/<language>/LC_MESSAGES/messages.po`` is written by translators. ``make
generate`` adds new messages to it, without a translation, and takes those away that nothing says
any more; of it the ``.mo`` beside it is made, which Python reads, and a script for the page.
A test fails while a message has no translation.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import click
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from tagger.cli import COMMANDS, cli
from tagger.text.error_texts import CONTEXT
from tagger.text.messages import CATALOGUES, DOMAIN, ENGLISH, LANGUAGES
from tools.wordings import wordings

PROJECT = Path(__file__).resolve().parents[1]
SOURCE = PROJECT / "tagger"
KEYWORDS: dict[str, tuple[int, ...] | None] = {"gettext": None, "_": None, "ngettext": (1, 2)}
METHODS: dict[str, tuple[str, dict[str, object]]] = {
    ".js": ("javascript", {"parse_template_string": True}),
    ".html": ("jinja2.ext:babel_extract", {"newstyle_gettext": "true"}),
}
"""How Babel finds the messages of a file, by its suffix; in Python it misses those in f-strings."""

MessageId = str | tuple[str, str]
"""A message in English, or both forms of one that depends on a number."""

CLICK: tuple[MessageId, ...] = (
    "Aborted!",
    "Missing command.",
    "Options",
    ("Got unexpected extra argument ({args})", "Got unexpected extra arguments ({args})"),
    "default: {default}",
    "%(prog)s, version %(version)s",
    "Show this message and exit.",
    ("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)"),
    "Missing argument",
    "Missing option",
    "Missing parameter",
    "Invalid value for {param_hint}: {message}",
    "Invalid value: {message}",
    "Error: {message}",
    "Try '{command} {option}' for help.",
    "No such option {name!r}.",
    "No such command {name!r}.",
    "Usage:",
    "Option {name!r} does not take a value.",
    "Choose from:\n\t{choices}",
    ("{value!r} is not {choice}.", "{value!r} is not one of {choices}."),
    "{value} is not in the range {range}.",
    "{value!r} is not a valid {number_type}.",
    "Repeat for confirmation",
    "Error: The two entered values do not match.",
    "Error: invalid input",
)
"""Messages of click, which looks for them in our catalogues; see ``tagger/cli/speech.py``."""


@cache
def messages() -> dict[MessageId, tuple[str, ...]]:
    """Return every message of the source, with the files that it is in."""
    found: dict[MessageId, set[str]] = {}
    for path in sorted(SOURCE.rglob("*")):
        if path.parent.name != "catalogues":
            for key in _messages_of(path):
                found.setdefault(key, set()).add(str(path.relative_to(PROJECT)))
    for text in _helps():
        found.setdefault(text, set()).add("tagger/cli/__init__.py")
    for key in CLICK:
        found.setdefault(key, set()).add("click")
    return {key: tuple(sorted(files)) for key, files in found.items()}


def _messages_of(path: Path) -> Iterator[MessageId]:
    if path.suffix == ".py":
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                yield from _said(node.func.id, node.args)
    elif path.suffix in METHODS:
        method, options = METHODS[path.suffix]
        with path.open("rb") as file:
            for _, message, _, _ in extract(method, file, KEYWORDS, options=options):
                yield message if isinstance(message, str) else (message[0], message[1])


def _said(function: str, arguments: list[ast.expr]) -> Iterator[MessageId]:
    texts = [one.value for one in arguments if isinstance(one, ast.Constant)]
    if function == "ngettext":
        one, many = texts[:2]
        yield str(one), str(many)
    elif function in ("gettext", "noop", "say") and texts:
        yield str(texts[0])


def _helps() -> Iterator[str]:
    """Yield the texts of the help pages."""
    yield from (text for _, text in COMMANDS.values())
    yield from _help_of(cli)


def _help_of(command: click.Command) -> Iterator[str]:
    if command.help:
        yield inspect.cleandoc(command.help)
    for parameter in command.params:
        if isinstance(parameter, click.Option) and parameter.help:
            yield parameter.help
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from _help_of(inner)


def languages() -> tuple[str, ...]:
    """Return the languages that have a catalogue."""
    return tuple(code for code in LANGUAGES if code != ENGLISH)


def place(language: str, suffix: str = "po") -> Path:
    """Return the file of a catalogue."""
    return Path(CATALOGUES) / language / "LC_MESSAGES" / f"{DOMAIN}.{suffix}"


class PlainCatalog(Catalog):
    """One whose header is the same whenever, and by whomever, it is made."""

    @property
    def mime_headers(self) -> list[tuple[str, str]]:
        return [
            ("Project-Id-Version", "tagger"),
            ("Language", str(self.locale_identifier)),
            ("Plural-Forms", self.plural_forms),
            ("MIME-Version", "1.0"),
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Transfer-Encoding", "8bit"),
        ]


def catalogue(language: str) -> PlainCatalog:
    """Return the catalogue of a language with exactly the messages of the source."""
    known = Catalog(locale=language)
    if place(language).exists():
        with place(language).open("rb") as file:
            known = read_po(file, locale=language)
    made = PlainCatalog(
        locale=language,
        fuzzy=False,
        header_comment=f"# What tagger says, in {LANGUAGES[language]}; see CONTRIBUTING.md.",
    )
    for key, files in messages().items():
        old = known.get(key)
        text = old.string if old is not None and old.id == key else ""
        made.add(key, text, locations=[(name, 1) for name in files], flags=_flags(key))
    for wording, file in errors().items():
        old = known.get(wording, CONTEXT)
        text = old.string if old is not None else ""
        made.add(wording, text, locations=[(file, 1)], flags=_flags(wording), context=CONTEXT)
    return made


@cache
def errors() -> dict[str, str]:
    """Return the wordings that are translated, with a file that each is in.

    They are those of the source that one of the catalogues has.
    """
    chosen: set[str] = set()
    for language in languages():
        if place(language).exists():
            with place(language).open("rb") as file:
                chosen.update(str(one.id) for one in read_po(file) if one.context == CONTEXT)
    return {wording: file for wording, file in wordings().items() if wording in chosen}


def _flags(key: MessageId) -> tuple[str, ...]:
    return ("python-format",) if "%(" in str(key) else ()


def po_file(language: str) -> str:
    """Return the text of a catalogue for translators."""
    out = io.BytesIO()
    write_po(out, catalogue(language), width=100, include_lineno=False, sort_output=True)
    return out.getvalue().decode()


def mo_file(language: str) -> bytes:
    """Return the bytes of a catalogue as Python's gettext reads it."""
    out = io.BytesIO()
    write_mo(out, catalogue(language))
    return out.getvalue()


def script(language: str) -> str:
    """Return the script that gives the page's scripts their messages in a language."""
    said: dict[str, object] = {}
    for message in catalogue(language):
        if not any(name.startswith("tagger/web/static/") for name, _ in message.locations):
            continue
        said[_first(message)] = message.string
    body = json.dumps(said, ensure_ascii=False, indent=1, sort_keys=True)
    head = '"use strict";\n// Made by `make generate`; see tools/catalogues.py.\n'
    return f"{head}window.catalogue = {body};\n"


def _first(message: Message) -> str:
    return message.id if isinstance(message.id, str) else str(message.id[0])


def generated() -> dict[str, Callable[[], str | bytes]]:
    """Return each generated file, and what makes its content."""
    found: dict[str, Callable[[], str | bytes]] = {}
    for one in languages():
        po = place(one).relative_to(PROJECT)
        found[str(po)] = partial(po_file, one)
        found[str(po.with_suffix(".mo"))] = partial(mo_file, one)
        found[f"tagger/web/static/catalogues/{one}.js"] = partial(script, one)
    return found
