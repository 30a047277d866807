"""The query language: from what a person types to a tree of conditions.

::

    query  = both ("or" both)*
    both   = one ("and"? one)*
    one    = "not"* ( label [">" number] | field ":" value | "(" query ")" )

Neighbouring words that together name something are one label. A query is read in three
steps: tokens with their columns, names put together, and the grammar, for which parsy is
imported only when there is more than labels. The result is a tree of the classes of
:mod:`tagger.index.conditions`.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, cast

from tagger.errors import QueryError
from tagger.index.conditions import (
    STATES,
    Added,
    And,
    Below,
    Camera,
    Comparison,
    Format,
    InFolder,
    Label,
    Near,
    Not,
    Or,
    People,
    Query,
    Source,
    State,
    Taken,
)
from tagger.index.text import fold

Known = Callable[[str], Collection[str]]
"""Gives the labels that a phrase means; nothing when the phrase is no name of anything."""

KILOMETRES = {"m": 0.001, "km": 1.0, "mi": 1.609344}
MAX_DEPTH = 10  # brackets in brackets; parsy takes 45 stack frames for each
MAX_TERMS = 200  # SQLite's expressions are at most 1000 deep
MAX_NAME = 8  # words in one name
MAX_TEXT = 2000  # characters; names are folded and looked up in many pieces


def parse(text: str, known: Known, *, least: float = 0.0, today: date | None = None) -> Query:
    """Return the tree of the query ``text``; nothing but blanks is met by every photo.

    ``least`` (0…1) is the confidence asked of labels without a comparison of their own;
    ``today`` the local date. Raise QueryError, with the column, for what is no query.
    """
    if len(text) > MAX_TEXT:
        raise _error("the query is too long", MAX_TEXT + 1, "say it in fewer words")
    read = list(_tokens(text, today or date.today()))
    if len(read) > MAX_TERMS:
        raise _error("the query is too long", read[MAX_TERMS].column, "say it in fewer words")
    tokens = list(_named(read, known))
    if all(token.kind == "label" for token in tokens):
        return And(tuple(Label(token.words, bound=least) for token in tokens))
    import parsy

    try:
        found: Query = _grammar(least).parse(tokens)
    except parsy.ParseError as error:
        raise _misplaced(tokens, error.index) from None
    return found


def is_moment(text: str) -> bool:
    """Whether ``text`` is a year, month, day or moment: 2024, 2024-07, 2024-07-15T12:30."""
    shape = re.fullmatch("[0-9]{4}(-[0-9]{2}(-[0-9]{2}(T[0-9]{2}:[0-9]{2}(:[0-9]{2})?)?)?)?", text)
    try:
        datetime.fromisoformat(text + "-01-01"[len(text) - 4 :] if len(text) < 10 else text)
    except ValueError:
        return False
    return shape is not None


_ANY = And()


@dataclass(frozen=True, slots=True)
class _Token:
    """A piece of the query: what it says, and the column (from 1) it begins at.

    ``kind`` is "word" or "phrase" (which :func:`_named` makes a "label"), "condition",
    "comparison", "(", ")", "and", "or" or "not".
    """

    kind: str
    text: str
    column: int
    words: frozenset[str] = frozenset()
    condition: Query = _ANY
    bound: float = 0.0


_LEXER = re.compile(
    r"""\s+
    | (?P<bracket>[()])
    | "(?P<phrase>[^"]*)"
    | (?P<comparison>[<>]=?)\s*(?P<number>[^\s()"<>]*)
    | (?P<field>[^\W\d_]+):(?:"(?P<quoted>[^"]*)"|(?P<bare>[^\s()"]*))
    | (?P<word>[^\s()"<>]+)
    | (?P<open>")""",
    re.VERBOSE,
)


def _tokens(text: str, today: date) -> Iterator[_Token]:
    opened: list[int] = []
    for match in _LEXER.finditer(text):
        column, found = match.start() + 1, match[0]
        if found == "(":
            opened.append(column)
            if len(opened) > MAX_DEPTH:
                raise _error("there are too many brackets in brackets", column, "use fewer")
            yield _Token(found, found, column)
        elif found == ")":
            if not opened:
                raise _error("`)` closes nothing", column, "take it away, or open it with `(`")
            opened.pop()
            yield _Token(found, found, column)
        elif match["phrase"] is not None:
            if not fold(match["phrase"]):
                raise _error("there is nothing between the quotes", column, "write a label there")
            yield _Token("phrase", match["phrase"], column)
        elif match["comparison"]:
            bound = _bound(match["number"], match.start("number") + 1)
            yield _Token("comparison", match["comparison"], column, bound=bound)
        elif match["field"] and (reader := _FIELDS.get(match["field"].lower())):
            group = "bare" if match["quoted"] is None else "quoted"
            condition = reader(match[group].strip(), match.start(group) + 1, today)
            yield _Token("condition", found, column, condition=condition)
        elif match["open"]:
            raise _error("the quote is never closed", column, 'add another `"`')
        elif not found.isspace():
            kind = found.lower() if found.lower() in ("and", "or", "not") else "word"
            if found.startswith("-"):
                raise _error(f"`{found}` begins with `-`", column, "write `not` to leave out")
            yield _Token(kind, found, column)
    if opened:
        raise _error("`(` is never closed", opened[-1], "add `)`")


def _named(tokens: list[_Token], known: Known) -> Iterator[_Token]:
    """Make labels of words: of the longest run that names something, else of each one.

    A name may have `and` inside (`mortar and pestle`), and end in brackets (`crane (bird)`).
    """
    at = 0
    while at < len(tokens):
        token, end = tokens[at], at + 1
        if token.kind == "word":
            for end in _name_ends(tokens, at):
                name = " ".join(part.text for part in tokens[at:end])
                name = name.replace("( ", "(").replace(" )", ")")
                if meant := known(name):
                    break
            if not meant and ":" in name:
                field = name.partition(":")[0]
                raise _error(
                    f"there is no field `{field}`",
                    token.column,
                    f"use one of {', '.join(_FIELDS)}, or put a label in quotes",
                )
            yield replace(token, kind="label", words=frozenset({*map(fold, meant), fold(name)}))
        elif token.kind == "phrase":
            words = frozenset({*map(fold, known(token.text)), fold(token.text)})
            yield replace(token, kind="label", words=words)
        else:
            yield token
        at = end


def _name_ends(tokens: list[_Token], at: int) -> list[int]:
    """Return where a name that begins at ``at`` may end, the longest first."""
    ends = [at + 1]
    for end in range(at + 2, min(at + MAX_NAME, len(tokens)) + 1):
        kind = tokens[end - 1].kind
        inside = any(token.kind == "(" for token in tokens[at : end - 1])
        if kind == "word" or (kind == ")" and inside):
            ends.append(end)
        elif not (kind == "and" or (kind == "(" and not inside)):
            break
        if kind == ")":
            break
    return ends[::-1]


@functools.lru_cache(1)
def _grammar(least: float) -> Any:
    from parsy import forward_declaration, seq, test_item

    def token(kind: str) -> Any:
        return test_item(lambda token: token.kind == kind, kind)

    def label(token: _Token, compared: _Token | None) -> Query:
        if compared is None:
            return Label(token.words, bound=least)
        return Label(token.words, cast(Comparison, compared.text), compared.bound)

    query = forward_declaration()
    one = (
        seq(token("label"), token("comparison").optional()).combine(label)
        | token("condition").map(lambda token: token.condition)
        | token("(") >> query << token(")")
    )
    one = seq(token("not").many(), one).combine(
        lambda nots, found: Not(found) if len(nots) % 2 else found
    )
    both = one.sep_by(token("and").optional(), min=1)
    both = both.map(lambda parts: parts[0] if len(parts) == 1 else And(tuple(parts)))
    query.become(
        both.sep_by(token("or"), min=1).map(
            lambda parts: parts[0] if len(parts) == 1 else Or(tuple(parts))
        )
    )
    return query


def _misplaced(tokens: list[_Token], at: int) -> QueryError:
    if at >= len(tokens):
        last = tokens[-1]
        return _error(f"nothing follows `{last.text}`", last.column, "say what is to be found")
    token = tokens[at]
    if token.kind == "comparison":
        remedy = "write a label before it, such as dog>0.6"
        return _error(f"`{token.text}` is not behind a label", token.column, remedy)
    return _error(f"`{token.text}` comes too early", token.column, "say what is to be found before")


def _error(problem: str, column: int, remedy: str) -> QueryError:
    return QueryError(f"{problem} (column {column} of the query)", remedy)


def _bound(text: str, column: int) -> float:
    if not re.fullmatch(r"(?:[0-9]*\.)?[0-9]+", text) or float(text) > 1:
        raise _error(
            f"`{text}` is no confidence" if text else "a confidence is missing",
            column,
            "write a number from 0 to 1, such as dog>0.6",
        )
    return float(text)


def _range(value: str, column: int, today: date) -> tuple[str, str]:
    """Return the two ends of ``A..B`` or ``A`` as ISO dates; "" for an open one."""
    days = {"today": today, "yesterday": today - timedelta(1)}
    start, dots, end = value.partition("..")
    ends = []
    for text, place in ((start, column), (end if dots else start, column + len(start + dots))):
        text = text.strip()
        day = days.get(text.lower())
        moment = text.upper().replace(" ", "T") if day is None else day.isoformat()
        if not is_moment(moment) and (text or value == dots):
            raise _error(
                f"`{text or value}` is no date" if value else "a date is missing",
                place if dots else column,
                "write 2024, 2024-07, 2024-07-15, today, yesterday, or two with `..` between",
            )
        ends.append(moment)
    if all(ends) and ends[0] > ends[1] + "~":
        raise _error(f"`{value}` ends before it begins", column, "write the earlier date first")
    return ends[0], ends[1]


def _taken(value: str, column: int, today: date) -> Query:
    start, end = _range(value, column, today)
    return Taken(start or None, end or None)


def _added(value: str, column: int, today: date) -> Query:
    start, end = _range(value, column, today)
    return Added(_seconds(start), _seconds(_after(end)))


def _after(text: str) -> str:
    """Return the moment after a year, month, day or minute; "" when there is none."""
    if not text:
        return ""
    try:
        if len(text) == 4:
            return f"{date(int(text) + 1, 1, 1)}"
        if len(text) == 7:
            return f"{date.fromisoformat(text + '-28') + timedelta(4):%Y-%m}"
        step = {10: timedelta(1), 16: timedelta(minutes=1)}.get(len(text), timedelta(seconds=1))
        return (datetime.fromisoformat(text) + step).isoformat()
    except (ValueError, OverflowError):
        return ""


def _seconds(text: str) -> float | None:
    """Return a local moment in seconds since the epoch; None for an open end."""
    if not text:
        return None
    try:
        full = text + "-01-01"[len(text) - 4 :] if len(text) < 10 else text
        return datetime.fromisoformat(full).timestamp()
    except (ValueError, OverflowError, OSError):  # the year 1
        return -1e11


def _in(value: str, column: int, _: date) -> Query:
    if value.startswith(("/", "~/")):
        return Below((os.path.normpath(os.path.expanduser(value)),))
    return InFolder(_fragment(value, column, "a folder", "in:holiday"))


def _camera(value: str, column: int, _: date) -> Query:
    return Camera(_fragment(value, column, "a camera", "camera:pixel"))


def _fragment(value: str, column: int, what: str, example: str) -> str:
    if not fold(value):
        raise _error(f"{what} is missing", column, f"write, for example, {example}")
    return fold(value)


def _source(value: str, column: int, _: date) -> Query:
    return Source(_choice(value.lower(), column, ("model", "user")))


def _is(value: str, column: int, _: date) -> Query:
    return State(tuple(_choice(one, column, STATES) for one in re.split("[|,]", value.lower())))


def _choice(value: str, column: int, choices: tuple[str, ...]) -> str:
    if value not in choices:
        problem = f"`{value}` is not known here" if value else "a word is missing"
        raise _error(problem, column, f"write {', '.join(choices[:-1])} or {choices[-1]}")
    return value


def _near(value: str, column: int, _: date) -> Query:
    number = "([0-9]+(?:\\.[0-9]+)?)"
    match = re.fullmatch(f"(-?{number}), *(-?{number}), *{number} *(m|km|mi)?", value.lower())
    place = (float(match[1]), float(match[3])) if match else (0.0, 0.0)
    if match is None or abs(place[0]) > 90 or abs(place[1]) > 180:
        raise _error(
            f"`{value}` is no place with a distance" if value else "a place is missing",
            column,
            "write latitude, longitude and distance, such as near:52.5,13.4,10km",
        )
    return Near(*place, float(match[5]) * KILOMETRES[match[6] or "km"])


def _format(value: str, column: int, _: date) -> Query:
    name = _fragment(value, column, "a format", "format:heic").upper()
    return Format({"JPG": "JPEG", "HEIC": "HEIF", "TIF": "TIFF"}.get(name, name))


def _people(value: str, column: int, _: date) -> Query:
    match = re.fullmatch(r"([0-9]{1,4})|([0-9]{0,4})\.\.([0-9]{0,4})", value)
    if match is None or value == "..":
        raise _error(
            f"`{value}` is no number of people" if value else "a number is missing",
            column,
            "write people:0, people:2, people:3.. for three or more, or people:1..4",
        )
    start, end = (match[1], match[1]) if match[1] else (match[2] or "0", match[3])
    if end and int(start) > int(end):
        raise _error(f"`{value}` ends before it begins", column, "write the lower number first")
    return People(int(start), int(end) if end else None)


_FIELDS: dict[str, Callable[[str, int, date], Query]] = {
    "taken": _taken,
    "added": _added,
    "in": _in,
    "camera": _camera,
    "source": _source,
    "is": _is,
    "near": _near,
    "format": _format,
    "people": _people,
}

FIELDS_HELP: dict[str, tuple[str, str]] = {
    "taken": (
        "`taken:2025-06..2025-08`",
        "from June through August; also `taken:2025`, `taken:2025..`, `taken:today`",
    ),
    "added": ("`added:today`", "first seen then; dates as with `taken:`"),
    "in": (
        '`in:holiday`, `in:"two words"`',
        "part of the folder's path; `in:/photos/2025` is everything below it",
    ),
    "camera": ("`camera:pixel`", "part of the camera's name"),
    "source": ("`source:user`", "has a keyword of your own (or `model`)"),
    "is": ("`is:failed`", "also `tagged`, `untagged`, `waiting`, `missing`"),
    "near": (
        "`near:52.5,13.4,10km`",
        "latitude, longitude and distance in `m`, `km` or `mi`",
    ),
    "format": ("`format:heic`", "the image format"),
    "people": (
        "`people:3..`",
        "three people or more; also `people:0`, `people:1`, `people:1..4`; only photos that a"
        " detector has looked at",
    ),
}
"""An example of each field and what it finds, for ``docs/commands.md``."""
