"""Which of our tags another program has shown to know, by when each came into the file.

A program that has one of our tags in what it rewrote has read the file since that tag came there,
and knows all that stood there then; of those that came later it says nothing. What is known of
that is in :attr:`JournalEntry.seen`.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from tagger.metadata.xmp import properties
from tagger.metadata.xmp.keywords import PATHS, YOURS
from tagger.metadata.xmp.packet import MAX_HEAD, Packet, key
from tagger.metadata.xmp.properties import MARKS, steps_of
from tagger.records import JournalEntry

WRITTEN, SINCE, KNOWS, LOST, IMPORTED = "written", "since", "knows", "lost", "imported"
"""In :attr:`JournalEntry.seen`: when we wrote last, when each word came, up to when each program
has shown to know them, words that one wrote over without having known them, darktable's imports."""
_YEAR_1_TO_1970 = 62_135_596_800
_TOOLKIT = re.compile(rb"""xmptk\s*=\s*["']([^"']*)""")
_EXIV2 = "Exiv2"
_LEAST_STEP = 0.001
"""Seconds between two of our writes, whatever the clock says."""

Seen = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class WordTimes:
    """When each of our words came into a file, in seconds: ``first``, but for those in ``later``.

    Words are as :func:`~tagger.metadata.xmp.packet.key` gives them.
    """

    first: float = 0.0
    later: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, seen: Seen) -> WordTimes:
        """Return what a journal knows; one of an older tagger knows only of its last write."""
        first, *later = seen.get(SINCE) or seen.get(WRITTEN) or ("0",)
        pairs = (text.partition("\n") for text in later)
        return cls(float(first), {word: float(when) for when, _, word in pairs})

    def __getitem__(self, word: str) -> float:
        return self.later.get(word, self.first)

    @property
    def moments(self) -> list[float]:
        """When words came, in order."""
        return sorted({self.first, *self.later.values()})

    def with_words(self, before: Collection[str], words: Iterable[str], now: float) -> WordTimes:
        """Return it for a file that had the words ``before``, and gets ``words`` now."""
        if not before or not self.first:
            return WordTimes(now)
        when = max(now, self.moments[-1] + _LEAST_STEP)
        times = {word: self[word] if word in before else when for word in words}
        return WordTimes(self.first, {w: t for w, t in times.items() if t != self.first})

    def as_texts(self) -> tuple[str, ...]:
        """Return it for the journal."""
        later = (f"{when:.3f}\n{word}" for word, when in sorted(self.later.items()))
        return (f"{self.first:.3f}", *later)


def word_times(seen: Seen, tags: Mapping[str, str], words: Iterable[str], now: float) -> Seen:
    """Return, for the journal of a file that gets ``words`` now, when each of its words came.

    ``seen`` and ``tags`` are of the journal until now.
    """
    paths = (path.split("\n") for path in seen.get(PATHS, ()))
    before = {key(word) for path in paths for word in path} or {*map(key, tags.values())}
    times = WordTimes.of(seen).with_words(before, map(key, words), now)
    return {SINCE: times.as_texts()}


def known_until(seen: Seen) -> dict[str, float]:
    """Return up to when each program has shown to know our words."""
    pairs = (text.partition("\n") for text in seen.get(KNOWS, ()))
    first = WordTimes.of(seen).first
    return {program: float(when) if when else first for program, _, when in pairs}


def program_of(parsed: Packet, changed: Collection[str]) -> str:
    """Return a name for the program that wrote what changed, the same for each of its writes."""
    toolkit = _TOOLKIT.search(parsed.data[:MAX_HEAD])
    name = toolkit[1].decode("utf-8", "replace") if toolkit is not None else ""
    if properties.LAST_KEYWORDS in changed:
        return properties.LAST_KEYWORDS  # digiKam, Windows
    if {properties.SUBJECT, properties.TAGS_LIST} <= {*changed} and _EXIV2 in name:
        return properties.LAST_KEYWORDS  # digiKam, where there is no keyword any more
    if {*changed} == {properties.TAGS_LIST}:
        return properties.TAGS_LIST  # Immich
    if parsed.texts(properties.IMPORTED) and properties.TAGS_LIST not in changed:
        return properties.IMPORTED  # darktable
    return " ".join(name.split()) or "another"


def shown_until(
    entry: JournalEntry, parsed: Packet, changed: Collection[str], copied: Mapping[str, list[str]]
) -> float | None:
    """Return when the latest of our words came that a program has shown to know; None: none.

    ``changed`` are the properties that it rewrote, ``copied`` the values of others where it put
    copies. A single word may be the user's own: beside hierarchies only half of ours tell.
    """
    theirs = set(entry.seen.get(YOURS, ()))
    words = {key(word) for word in entry.tags.values()} - theirs
    times = WordTimes.of(entry.seen)
    moments = {
        max(times[word] for word in path)
        for path in _paths_of_ours(entry, words) & _paths_in(parsed, changed, copied)
        if "\n".join(path) not in theirs
    }
    if properties.SUBJECT in changed:
        there = {key(word) for word in parsed.texts(properties.SUBJECT)}
        flat = [word for name, all_ in copied.items() if name not in MARKS for word in all_]
        there |= {*map(key, flat)}
        made_anew = properties.LABELS in entry.added and not parsed.has_ours()
        rewritten = made_anew or bool({*changed} & {properties.HIERARCHICAL, properties.TAGS_LIST})
        for moment in times.moments:
            came = {word for word in words if times[word] == moment}
            until = {word for word in words if times[word] <= moment}
            half = all(2 * len(some & there) >= len(some) for some in (came, until))
            if (came and half) if rewritten else (came & there):
                moments.add(moment)
    return max(moments, default=None)


def imported_until(entry: JournalEntry, parsed: Packet, photo_mtime: float) -> float | None:
    """Return when the latest of our words came that darktable's import took with it; None: none.

    An import that the file did not tell of when we wrote is later, unless the clock says that it
    was of this very photo and before. (One older than the photo's date says nothing: the file was
    copied, or the clocks differ.)
    """
    if not entry.seen.get(WRITTEN):
        return None
    moments = WordTimes.of(entry.seen).moments
    found = set[float]()
    for stamp in {*parsed.texts(properties.IMPORTED)} - {*entry.seen.get(IMPORTED, ())}:
        with contextlib.suppress(ValueError, OverflowError):
            when = int(stamp) / 1e6 - _YEAR_1_TO_1970
            found |= {moment for moment in moments if not photo_mtime <= when < int(moment)}
    return max(found, default=None)


def _paths_of_ours(entry: JournalEntry, words: set[str]) -> set[tuple[str, ...]]:
    """Return our hierarchies and their beginnings of two levels and more."""
    if PATHS in entry.seen:
        every = [tuple(value.split("\n")) for value in entry.seen[PATHS]]
    else:
        names = (properties.HIERARCHICAL, properties.TAGS_LIST)
        made = [steps_of(name, value) for name in names for value in entry.added.get(name, ())]
        every = [path for path in made if path and key(path[-1]) in words]
    paths = [tuple(map(key, path)) for path in every]
    return {path[:n] for path in paths for n in range(2, len(path))} | {*paths}


def _paths_in(
    parsed: Packet, changed: Collection[str], copied: Mapping[str, list[str]]
) -> set[tuple[str, ...]]:
    """Return what a program wrote as hierarchies, and their beginnings.

    A keyword below one of ours, too, is of one who saw that.
    """
    written = {name: [*parsed.texts(name)] for name in changed if name != properties.SUBJECT}
    written |= {name: values for name, values in copied.items() if name in MARKS}
    values = [
        tuple(map(key, steps_of(name, value))) for name, all_ in written.items() for value in all_
    ]
    return {value[:n] for value in values for n in range(2, len(value) + 1)} | {*values}
