"""Searches: text to a query, and pages of what it finds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from tagger.config.schema import Config
from tagger.errors import StateError
from tagger.index.conditions import STATES, And, Like, Query, Sql, State, Taken, rewritten
from tagger.index.folding import fold
from tagger.index.query_parser import parse
from tagger.index.reader import Found, Reader
from tagger.labels.vocabulary import Vocabulary
from tagger.library.serialize import located

if TYPE_CHECKING:
    from tagger.index.rows import PhotoRow
    from tagger.index.store import Store

PAGE = 60
"""Photos in one page."""
_EVERY_STATE = State(STATES)


class ById(NamedTuple):
    """The photo with one id."""

    photo_id: int

    def sql(self) -> Sql:
        return "p.id = ?", (self.photo_id,)


class ByIds(NamedTuple):
    """The photos with these ids."""

    photo_ids: tuple[int, ...]

    def sql(self) -> Sql:
        return "p.id IN (SELECT value FROM json_each(?))", (json.dumps(self.photo_ids),)


class After(NamedTuple):
    """The photos that come after another one, newest first and then by path."""

    photo_id: int

    def sql(self) -> Sql:
        # A photo never yet opened has no moment, and so comes last.
        moment = "coalesce((SELECT sort_at FROM photos WHERE id = ?), '')"
        own = "coalesce(p.sort_at, '')"
        path = "(SELECT path FROM photos WHERE id = ?)"
        return (
            f"({own} < {moment} OR ({own} = {moment} AND p.path > {path}))",
            (self.photo_id,) * 3,
        )


class Page(NamedTuple):
    """Some photos, and whether there are more after the last of them."""

    photos: tuple[Found, ...]
    more: bool


def search(
    reader: Reader, config: Config, known: Vocabulary, text: str, *, after: int = 0, limit: int
) -> Page:
    """Return at most ``limit`` photos that ``text`` finds, those after the photo ``after`` (id).

    Raise QueryError for what is no query.
    """
    parts: list[Query] = [parsed(reader, config, known, text)]
    if after:
        parts.append(After(after))
        last = find_one(reader, after)
        # The walk through the newest begins there; but what waits may have no moment yet.
        if last is not None and last.row.facts.taken_at and "is:" not in text.lower():
            parts.append(Taken(None, last.row.facts.taken_at))
    found = list(reader.find(And(tuple(parts)), limit=limit + 1))
    return Page(tuple(found[:limit]), len(found) > limit)


def parsed(reader: Reader, config: Config, known: Vocabulary, text: str) -> Query:
    """Return the query ``text``; raise as :func:`search`."""
    query = parse(text, known_names(reader, config, lambda: known))
    return with_likeness(located(query, config), reader, config)


def with_likeness(query: Query, reader: Reader, config: Config) -> Query:
    """Return ``query`` with the photos looked up that are like others (`like:`)."""

    def looked_up(one: Query) -> Query:
        if not isinstance(one, Like):
            return one
        from tagger.library.similar import LIKE, LIKE_LEAST, make_file, most_alike
        from tagger.system.known_paths import known_path

        row = reader.photo(known_path(one.path, [root.path for root in config.watch]))
        if row is None:
            return one._replace(found=())
        make_file(config.state_dir)
        found = most_alike(reader, config.state_dir, row.id, LIKE)
        alike = (number for number, score in found if score >= LIKE_LEAST)
        return one._replace(found=(row.id, *alike))

    return rewritten(query, looked_up)


def find_one(reader: Reader, photo_id: int) -> Found | None:
    """Return the photo with an id, in whatever state, and its tags."""
    return next(reader.find(And((ById(photo_id), _EVERY_STATE))), None)


def photo_known(index: Reader | Store, path: str) -> PhotoRow:
    """Return the row of a photo. Raise StateError when it is not in the index."""
    row = index.photo(path)
    if row is None:
        raise StateError(
            f"{path} is not in the index", "see whether its folder is watched (`tagger status`)"
        )
    return row


def by_ids(reader: Reader, photo_ids: tuple[int, ...]) -> list[Found]:
    """Return those of the photos with these ids that are there and tagged, or untagged."""
    return list(reader.find(ByIds(photo_ids)))


def known_names(
    reader: Reader, config: Config, vocabulary: Callable[[], Vocabulary]
) -> Callable[[str], set[str]]:
    """Return a function that gives the labels a phrase names, also the user's keywords.

    ``vocabulary`` is asked when a phrase is.
    """

    def meant(phrase: str) -> set[str]:
        labels = labels_meant(phrase, vocabulary(), config)
        return labels or ({phrase} if reader.has_word(phrase) else set())

    return meant


def labels_meant(phrase: str, known: Vocabulary, config: Config) -> set[str]:
    """Return the labels a phrase means: by name, synonym or new name, and all below them."""
    heads = set(known.resolve(phrase, language=config.labels.language))
    heads |= {
        label
        for old, new in config.labels.rename.items()
        if fold(new) == fold(phrase)
        for label in known.resolve(old, language=config.labels.language)
    }
    return {label for head in heads for label in known.below(head)}
