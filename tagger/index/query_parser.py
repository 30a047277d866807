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
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, cast

from tagger.errors import QueryError
from tagger.index.conditions import And, Comparison, Label, Not, Or, Query
from tagger.index.folding import fold
from tagger.index.query_fields import FIELDS, error_at

Known = Callable[[str], Collection[str]]
"""Gives the labels that a phrase means; nothing when the phrase is no name of anything."""
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
        raise error_at("the query is too long", MAX_TEXT + 1, "say it in fewer words")
    read = list(_tokens(text, today or date.today()))
    if len(read) > MAX_TERMS:
        raise error_at("the query is too long", read[MAX_TERMS].column, "say it in fewer words")
    tokens = list(_named(read, known))
    if all(token.kind == "label" for token in tokens):
        return And(tuple(Label(token.words, bound=least) for token in tokens))
    import parsy

    try:
        found: Query = _grammar(least).parse(tokens)
    except parsy.ParseError as error:
        raise _misplaced(tokens, error.index) from None
    return found


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
                raise error_at("there are too many brackets in brackets", column, "use fewer")
            yield _Token(found, found, column)
        elif found == ")":
            if not opened:
                raise error_at("`)` closes nothing", column, "take it away, or open it with `(`")
            opened.pop()
            yield _Token(found, found, column)
        elif match["phrase"] is not None:
            if not fold(match["phrase"]):
                raise error_at("there is nothing between the quotes", column, "write a label there")
            yield _Token("phrase", match["phrase"], column)
        elif match["comparison"]:
            bound = _bound(match["number"], match.start("number") + 1)
            yield _Token("comparison", match["comparison"], column, bound=bound)
        elif match["field"] and (reader := FIELDS.get(match["field"].lower())):
            group = "bare" if match["quoted"] is None else "quoted"
            condition = reader(match[group].strip(), match.start(group) + 1, today)
            yield _Token("condition", found, column, condition=condition)
        elif match["open"]:
            raise error_at("the quote is never closed", column, 'add another `"`')
        elif not found.isspace():
            kind = found.lower() if found.lower() in ("and", "or", "not") else "word"
            if found.startswith("-"):
                raise error_at(f"`{found}` begins with `-`", column, "write `not` to leave out")
            yield _Token(kind, found, column)
    if opened:
        raise error_at("`(` is never closed", opened[-1], "add `)`")


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
                raise error_at(
                    f"there is no field `{field}`",
                    token.column,
                    f"use one of {', '.join(FIELDS)}, or put a label in quotes",
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
        return error_at(f"nothing follows `{last.text}`", last.column, "say what is to be found")
    token = tokens[at]
    if token.kind == "comparison":
        remedy = "write a label before it, such as dog>0.6"
        return error_at(f"`{token.text}` is not behind a label", token.column, remedy)
    return error_at(
        f"`{token.text}` comes too early", token.column, "say what is to be found before"
    )


def _bound(text: str, column: int) -> float:
    if not re.fullmatch(r"(?:[0-9]*\.)?[0-9]+", text) or float(text) > 1:
        raise error_at(
            f"`{text}` is no confidence" if text else "a confidence is missing",
            column,
            "write a number from 0 to 1, such as dog>0.6",
        )
    return float(text)
