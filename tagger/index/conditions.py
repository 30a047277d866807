"""The conditions that a query is made of, each with its SQL on a row ``p`` of ``photos``.

NamedTuples, because a dozen dataclasses take 10 ms to make whenever the program starts.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, Protocol

from tagger.index.folding import path_range
from tagger.system.path_spelling import same_letters
from tagger.text.unicode import well_formed

Sql = tuple[str, tuple[Any, ...]]
"""A condition and the values of its parameters, in order."""

Comparison = Literal[">", ">=", "<", "<="]

EARTH_RADIUS_KM = 6371.0088  # mean radius R1 of the IUGG
STATES = ("tagged", "untagged", "waiting", "failed", "missing")


class Query(Protocol):
    """A condition that photos meet or not."""

    def sql(self) -> Sql:
        """Return the condition on a row ``p`` of ``photos``; NULL counts as not met."""


class And(NamedTuple):
    """All of ``parts``; none at all is met by every photo."""

    parts: tuple[Query, ...] = ()

    def sql(self) -> Sql:
        return _joined(" AND ", self.parts) if self.parts else ("TRUE", ())


class Or(NamedTuple):
    """At least one of ``parts``."""

    parts: tuple[Query, ...]

    def sql(self) -> Sql:
        return _joined(" OR ", self.parts)


class Not(NamedTuple):
    """Everything but ``part``."""

    part: Query

    def sql(self) -> Sql:
        condition, values = self.part.sql()
        return f"({condition}) IS NOT TRUE", values


def walk(query: Query) -> Iterator[Query]:
    """Yield ``query`` and every condition in it."""
    yield query
    parts = query.parts if isinstance(query, And | Or) else ()
    for part in (query.part,) if isinstance(query, Not) else parts:
        yield from walk(part)


def rewritten(query: Query, change: Callable[[Query], Query]) -> Query:
    """Return ``query`` with each condition but And, Or and Not as ``change`` makes it."""
    if isinstance(query, And | Or):
        return query._replace(parts=tuple(rewritten(part, change) for part in query.parts))
    if isinstance(query, Not):
        return Not(rewritten(query.part, change))
    return change(query)


class Label(NamedTuple):
    """Photos with one of the folded ``words``.

    ``bound`` is in 0…1. ``>`` and ``>=`` ask for one tag of such a confidence, ``<`` and
    ``<=`` for photos whose most confident one is no higher.
    """

    words: frozenset[str]
    comparison: Comparison = ">="
    bound: float = 0.0

    def sql(self) -> Sql:
        words = json.dumps(sorted(self.words))  # one parameter, however many words

        def having(comparison: str) -> str:
            named = (
                "name_id IN (SELECT id FROM names WHERE word IN (SELECT value FROM json_each(?)))"
            )
            return (
                f"p.id IN (SELECT photo_id FROM tags WHERE {named} AND confidence {comparison} ?)"  # noqa: S608
            )

        return compared(having, words, self.comparison, self.bound)


class Taken(NamedTuple):
    """Taken from ``since`` to ``until``, both included, either open.

    They are ISO dates or moments of the camera's local time, or beginnings of such. A
    photo that does not tell when it was taken has its file's time.
    """

    since: str | None
    until: str | None

    def sql(self) -> Sql:
        # "~" sorts after digits, "T" and ":"
        until = None if self.until is None else self.until + "~"
        return _between("p.sort_at", self.since, until)


class Added(NamedTuple):
    """First seen from ``since`` to before ``until``, in seconds since the epoch; either open."""

    since: float | None
    until: float | None

    def sql(self) -> Sql:
        return _between("p.seen_at", self.since, self.until)


class Below(NamedTuple):
    """Somewhere below one of the absolute paths ``folders``.

    Names that are the same letters to the eye are the same (Unicode's canonical equivalence:
    macOS writes "é" as two characters, others as one).
    """

    folders: tuple[str, ...]

    def sql(self) -> Sql:
        return _joined(" OR ", tuple(map(_Below, self.folders))) if self.folders else ("FALSE", ())


class _Below(NamedTuple):
    folder: str

    def sql(self) -> Sql:
        folder = self.folder.rstrip(os.sep) + os.sep
        if folder.isascii() or well_formed(folder) != folder:  # or not UTF-8: just these bytes
            return _starting(_path_bytes(folder))
        # What is plain of it, by the index; the rest cannot be compared by bytes.
        within, values = _starting(_path_bytes(folder[: _plain_length(folder)]))
        return f"({within} AND below(p.path, ?))", (*values, same_letters(folder))


class InFolder(NamedTuple):
    """With ``fragment`` somewhere in the path of the folder, whatever its case."""

    fragment: str

    def sql(self) -> Sql:
        return "in_folder(p.path, ?)", (well_formed(self.fragment),)


class Camera(NamedTuple):
    """With ``fragment`` in the name of the camera, whatever its case."""

    fragment: str

    def sql(self) -> Sql:
        return "has_text(p.camera, ?)", (well_formed(self.fragment),)


class Kind(NamedTuple):
    """Whose file says that it is of this ``kind``, one of ``PHOTO_KINDS``."""

    kind: str

    def sql(self) -> Sql:
        return "ifnull(instr(p.kinds, ?), 0) > 0", (f"|{self.kind}|",)


class Source(NamedTuple):
    """With at least one tag of the ``source`` model, user, rule or taught."""

    source: str

    def sql(self) -> Sql:
        named = "name_id IN (SELECT id FROM names WHERE source = ?)"
        return f"p.id IN (SELECT photo_id FROM tags WHERE {named})", (self.source,)  # noqa: S608


PARTED = "instr(path, CAST('/.tagger-parted-' AS BLOB)) > 0"
REMEMBERED = f"status = 'missing' AND ({PARTED} OR (size IS NULL AND content_hash IS NULL))"
"""Rows of no photo: one that lost its name to another, and a name whose photo has moved away.

They keep what was decided and written until the photo is found again, and are never shown.
"""


class State(NamedTuple):
    """In one of ``states``."""

    states: tuple[str, ...]

    def sql(self) -> Sql:
        # "+" keeps from the index, which is slow for the states that most photos are in.
        plus = "+" if {"tagged", "untagged"} & {*self.states} else ""
        found = f"{plus}p.status IN ({', '.join('?' * len(self.states))})"
        return (f"({found} AND NOT ({REMEMBERED}))" if "missing" in self.states else found), (
            self.states
        )


class InGroup(NamedTuple):
    """In a group of a ``kind`` ("picture", "series" or "stack") with others that are there.

    With ``photo_id`` only in the group of that photo, with ``path`` in that of the photo there.
    """

    kind: str
    photo_id: int | None = None
    path: str | None = None

    def sql(self) -> Sql:
        one: Sql = ("TRUE", ())
        if self.photo_id is not None:
            one = ("g.photo_id = ?", (self.photo_id,))
        elif self.path is not None:
            named = "(SELECT id FROM photos WHERE path = ?)"
            one = (f"g.photo_id = {named}", (_path_bytes(self.path),))
        groups = f"SELECT g.{self.kind} FROM groups g WHERE g.{self.kind} IS NOT NULL AND {one[0]}"  # noqa: S608
        together = (
            f"SELECT g.{self.kind} FROM groups g JOIN photos x ON x.id = g.photo_id"  # noqa: S608
            f" WHERE g.{self.kind} IN ({groups}) AND x.status IN ('tagged', 'untagged')"
            f" GROUP BY g.{self.kind} HAVING count(*) > 1"
        )
        return (
            f"p.id IN (SELECT photo_id FROM groups WHERE {self.kind} IN ({together}))",  # noqa: S608
            one[1],
        )


class Like(NamedTuple):
    """Photos that look like the one at ``path``: ``found``, which are looked for by features.

    None: they were not looked for yet; then the same picture is meant.
    """

    path: str
    found: tuple[int, ...] | None = None

    def sql(self) -> Sql:
        if self.found is None:
            return InGroup("picture", path=self.path).sql()
        return "p.id IN (SELECT value FROM json_each(?))", (json.dumps(self.found),)


class Near(NamedTuple):
    """Taken within ``radius`` kilometres of a place in degrees, north and east positive."""

    latitude: float
    longitude: float
    radius: float

    def sql(self) -> Sql:
        # The box around the circle first: it is quick.
        angle = self.radius / EARTH_RADIUS_KM
        reach = math.degrees(angle) + 1e-9
        south, north = self.latitude - reach, self.latitude + reach
        box, values = "p.latitude BETWEEN ? AND ?", [south, north]
        if south > -90 and north < 90:  # no pole inside
            # The meridians that touch the circle.
            ratio = math.sin(angle) / math.cos(math.radians(self.latitude))
            width = math.degrees(math.asin(min(1.0, ratio))) + 1e-9
            west, east = self.longitude - width, self.longitude + width
            if west >= -180 and east <= 180:
                box += " AND p.longitude BETWEEN ? AND ?"
                values += [west, east]
        circle = " AND distance_km(p.latitude, p.longitude, ?, ?) <= ?"
        return f"({box}{circle})", (*values, self.latitude, self.longitude, self.radius)


class Format(NamedTuple):
    """Of the image format ``name``, as Pillow calls it."""

    name: str

    def sql(self) -> Sql:
        return "upper(p.format) = ?", (well_formed(self.name),)


class People(NamedTuple):
    """In which a detector saw from ``least`` to ``most`` people (None: any number above)."""

    least: int
    most: int | None

    def sql(self) -> Sql:
        end = None if self.most is None else self.most + 1
        number, values = _between("people", self.least, end)
        return f"p.id IN (SELECT photo_id FROM predictions WHERE {number})", values  # noqa: S608


def compared(having: Callable[[str], str], names: str, comparison: Comparison, bound: float) -> Sql:
    """Return the condition for photos whose most confident tag of ``names`` compares so.

    ``having`` gives the condition, of the parameters names and bound, for photos with a tag
    whose confidence is ``>`` or ``>=`` the bound.
    """
    if comparison in (">", ">="):
        return having(comparison), (names, bound)
    above = ">=" if comparison == "<" else ">"
    return f"({having('>=')} AND NOT {having(above)})", (names, 0.0, names, bound)


def _plain_length(folder: str) -> int:
    """Return how much of an absolute path, up to a slash, is ASCII, whose bytes are its letters."""
    at = next(at for at, letter in enumerate(folder) if not letter.isascii())
    return folder.rindex(os.sep, 0, at) + 1


def _starting(prefix: bytes) -> Sql:
    return _between("p.path", *path_range(prefix))


def _joined(word: str, parts: tuple[Query, ...]) -> Sql:
    conditions = [part.sql() for part in parts]
    values = tuple(value for _, some in conditions for value in some)
    return "(" + word.join(condition for condition, _ in conditions) + ")", values


def _between(column: str, start: Any, end: Any) -> Sql:
    """Return the condition ``start <= column < end``, either None for open."""
    tests = [(f"{column} >= ?", start), (f"{column} < ?", end)]
    used = [(test, value) for test, value in tests if value is not None]
    return " AND ".join(test for test, _ in used) or "TRUE", tuple(value for _, value in used)


def _path_bytes(path: str) -> bytes:
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:  # surrogates that no path has: finds nothing
        return path.encode("utf-8", "replace")
