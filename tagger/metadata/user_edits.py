"""What another program did to a file that we wrote to: only a deletion is the user's wish.

A deletion is believed of a program that knew the tag. Many write a file's keywords from a
database of their own, which does not hold what came into the file after their import. So each
property is compared with how we left it, and those that changed are judged:

* a label is there if it is a value, or a level of one, in any of them, or in a copy (IPTC) that
  changed with them: some programs lose keywords in one property and not in another;
* the program knew a tag if one that came with it, or later, is in what it rewrote, or in an
  earlier rewrite of its, or if darktable imported the photo after we wrote it, see
  :mod:`~tagger.metadata.program_knowledge`.

What a program wrote over that it did not know is overwritten: the file is left alone, and these
tags are in the index only. Of the others there, a deletion is believed as before.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tagger.errors import RefusedError
from tagger.metadata import json_sidecar
from tagger.metadata.program_knowledge import (
    IMPORTED,
    KNOWS,
    LOST,
    SINCE,
    WRITTEN,
    Seen,
    WordTimes,
    imported_until,
    known_until,
    program_of,
    shown_until,
)
from tagger.metadata.safe_write import undo
from tagger.metadata.safe_write.original import Original
from tagger.metadata.xmp import packet as xmp_packet
from tagger.metadata.xmp import properties
from tagger.metadata.xmp.keywords import PATHS, YOURS, is_internal
from tagger.metadata.xmp.packet import Packet, key
from tagger.metadata.xmp.properties import steps_of
from tagger.records import OVERWRITTEN, JournalEntry

WAITS = "an empty file may be half written: it is looked at again soon"
YOUNG_SECONDS = 60.0

_JUDGED = (*properties.KEYWORD_PROPERTIES, properties.LAST_KEYWORDS)
_COPIED = tuple(name for name in properties.COPY_PROPERTIES if name not in _JUDGED)
_IPTC, _COPIES, _DROPPED = "iptc", "copies", "dropped"
"""In :attr:`JournalEntry.seen`, beside the digest of each property: that of the IPTC keywords in
the same file, copies of ours in the photo's IPTC, and the user's keywords taken out here."""
_DIGEST_LETTERS = 12


def is_empty(original: Original) -> bool:
    """Whether a file has nothing in it."""
    return not original.data.strip(b"\0 \t\r\n")


def is_fresh(original: Original) -> bool:
    """Whether a file was changed just now: more may come."""
    changed = max(original.stat.st_mtime, original.stat.st_ctime)
    return abs(time.time() - changed) < YOUNG_SECONDS


@dataclass(frozen=True, slots=True)
class Edits:
    """What another program did: ``deleted`` labels of ours; ``overwritten``: it knew none of them.

    ``lost`` are those of our words that it wrote over without having known them, and ``dropped``
    the user's keywords that were copied into this file and taken out of it; both as
    :func:`~tagger.metadata.xmp.packet.key` gives them. ``kept`` are the properties that hold
    what we put there. ``seen`` is for the journal.
    """

    deleted: frozenset[str] = frozenset()
    overwritten: bool = False
    lost: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    seen: Seen | None = None


def judge(
    entry: JournalEntry, packet: bytes | None, photo_mtime: float = 0.0, iptc: Sequence[str] = ()
) -> Edits:
    """Return what another program did to the XMP ``packet`` of a file that ``entry`` describes.

    ``photo_mtime`` is the photo's own, in seconds, ``iptc`` the IPTC keywords in this file. Raise
    RefusedError for a packet that cannot be read.
    """
    if packet is None:
        return Edits(overwritten=True)
    parsed = xmp_packet.parse(packet)
    changed = frozenset(name for name in _JUDGED if _has_changed(entry, parsed, name))
    kept = frozenset(_JUDGED) - changed
    there = {key(step) for name in changed for step in _steps(parsed.texts(name), name)}
    words = {key(word) for word in entry.tags.values()}
    lost = frozenset(entry.seen.get(LOST, ()))
    if entry.reason == OVERWRITTEN and not lost:
        # Single words that come to such a file are its owner's.
        return Edits(overwritten=not words or not words <= there, kept=kept)
    known = known_until(entry.seen)
    imported = imported_until(entry, parsed, photo_mtime)
    if not changed:
        if imported is not None:
            known[IMPORTED] = max(imported, known.get(IMPORTED, imported))
        edits = Edits(lost=lost, dropped=dropped_in(entry.seen), kept=kept)
        return _judged(entry, packet, edits, known)
    program = program_of(parsed, changed)
    copied = _copied(entry, parsed, iptc)
    shown = [shown_until(entry, parsed, changed, copied), imported, known.get(program)]
    moments = [moment for moment in shown if moment is not None]
    if not moments:
        # Where the index was lost, what our provenance names was not written by a stranger.
        return Edits(overwritten=bool(entry.after) or not parsed.has_ours(), kept=kept)
    known[program] = until = max(moments)
    there |= {key(step) for name, values in copied.items() for step in _steps(values, name)}
    carried = {key(step) for name in changed for step in _steps(entry.added.get(name, ()), name)}
    if properties.SUBJECT in changed:
        carried |= {*entry.seen.get(YOURS, ())} if entry.seen else words
    lacking, times = carried - there, WordTimes.of(entry.seen)
    lost = (lost - there) | {word for word in lacking & words if times[word] > until}
    lacking -= lost
    deleted = frozenset(label for label, word in entry.tags.items() if key(word) in lacking)
    mirrored = frozenset(key(word) for word in entry.added.get(properties.SUBJECT, ())) - words
    dropped = (mirrored & lacking) | (dropped_in(entry.seen) - there)
    edits = Edits(deleted, lost=frozenset(lost), dropped=dropped, kept=kept)
    return _judged(entry, packet, edits, known)


def _judged(entry: JournalEntry, packet: bytes, edits: Edits, known: Mapping[str, float]) -> Edits:
    """Return ``edits`` with what the journal is to know; ``known``: see :func:`known_until`."""
    told = {
        _DROPPED: tuple(sorted(edits.dropped)),
        KNOWS: tuple(f"{program}\n{until:.3f}" for program, until in sorted(known.items())),
    }
    seen = {name: values for name, values in {**entry.seen, **told}.items() if name != LOST}
    if edits.lost:
        # The file is left as it is: what comes next is compared with that.
        stays = {name: seen[name] for name in (PATHS, YOURS) if name in seen}
        seen = {**stays, **as_left(packet, seen), LOST: tuple(sorted(edits.lost))}
    return replace(edits, seen=seen)


def overwritten_labels(entry: JournalEntry) -> tuple[str, ...]:
    """Return the labels that another program wrote over in a file that is left to it."""
    if entry.reason != OVERWRITTEN:
        return ()
    lost = entry.seen.get(LOST)
    return tuple(label for label, word in entry.tags.items() if not lost or key(word) in lost)


def as_left(packet: bytes | None, before: Seen, now: float = 0.0) -> dict[str, tuple[str, ...]]:
    """Return, for the journal, how a packet was left; ``before`` is what it knew until now.

    ``now`` is when it was written, in seconds; 0: it was not, and the moment stays.
    """
    names = (KNOWS, _DROPPED, WRITTEN, SINCE, _IPTC, _COPIES)
    seen = {name: before[name] for name in names if before.get(name)}
    seen.setdefault(_IPTC, ("",))
    if now or WRITTEN not in seen:
        seen[WRITTEN] = (str(int(now or time.time())),)
    if packet is not None:
        parsed = xmp_packet.parse(packet)
        left = {name: _digest(parsed.texts(name), name) for name in (*_JUDGED, *_COPIED)}
        seen |= {name: (digest,) for name, digest in left.items() if digest}
        if imports := parsed.texts(properties.IMPORTED):
            seen[IMPORTED] = imports
    return seen


def iptc_as_left(iptc: Sequence[str], copies: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return, for the journal, which IPTC keywords are in a file as it is left.

    ``copies`` are those of the photo that another program copied from ours. They stay copies
    when our tag is gone: tagger never writes IPTC.
    """
    return {_IPTC: (_digest(iptc, _IPTC),), _COPIES: tuple(sorted(map(key, copies)))}


def copies_in(journal: Iterable[Seen]) -> frozenset[str]:
    """Return the copies in IPTC that a photo's journal knows of, by their keys."""
    return frozenset(word for seen in journal for word in seen.get(_COPIES, ()))


def dropped_in(seen: Seen) -> frozenset[str]:
    """Return the user's keywords that another program took out of the file, by their keys."""
    return frozenset(seen.get(_DROPPED, ()))


def _steps(values: Iterable[str], name: str) -> list[str]:
    return [step for value in values for step in steps_of(name, value)]


def _digest(values: Iterable[str], name: str) -> str:
    """Return what tells the values of a property from others, but for other programs' own."""
    paths = (steps_of(name, value) for value in values)
    joined = sorted({"\n".join(map(key, path)) for path in paths if not is_internal(path)})
    text = "\0".join(joined).encode("utf-8", "surrogatepass")
    return undo.digest(text).hex()[:_DIGEST_LETTERS] if text else ""


def _has_changed(entry: JournalEntry, parsed: Packet, name: str) -> bool:
    """Whether a property is not as we left it, but for what is internal to other programs."""
    values = parsed.texts(name)
    if WRITTEN in entry.seen:
        return _digest(values, name) != "".join(entry.seen.get(name, ()))
    there = {key(value) for value in values}
    if name == properties.LAST_KEYWORDS:
        return bool(there)
    expected = {key(value) for value in entry.added.get(name, ())}
    if name == properties.SUBJECT and not entry.after:  # known by our provenance only
        expected |= {key(word) for word in entry.tags.values()}
    return not there >= expected


def _copied(entry: JournalEntry, parsed: Packet, iptc: Sequence[str]) -> dict[str, list[str]]:
    """Return the values of each property of copies that is not as it was when we wrote.

    What stood there before tells nothing of the last edit: many programs never touch IPTC.
    """
    if _IPTC not in entry.seen:
        return {}
    found = {name: [*parsed.texts(name)] for name in _COPIED} | {_IPTC: [*iptc]}
    return {
        name: values
        for name, values in found.items()
        if _digest(values, name) != "".join(entry.seen.get(name, ()))
    }


def is_json_overwritten(entry: JournalEntry, found: dict[str, Any]) -> bool:
    """Whether a parsed JSON sidecar that we wrote to is one that does not know our labels."""
    words = {key(word) for word in entry.added.get(json_sidecar.PROPERTY, ())}
    there = {key(word) for word in json_sidecar.labels_in(found)}
    if entry.reason == OVERWRITTEN:
        return not words or not words <= there
    if json_sidecar.is_ours(found):
        return False
    return 2 * len(words & there) < max(len(words), 1)


def deleted_in_json(entry: JournalEntry, found: dict[str, Any]) -> frozenset[str]:
    """Return which labels of ours are no longer in a parsed JSON sidecar."""
    there = set(json_sidecar.labels_in(found))
    return frozenset(label for label, word in entry.tags.items() if word not in there)


def knows(entry: JournalEntry, data: bytes) -> bool:
    """Whether a sidecar is one that has what ``entry`` tells of, whoever wrote to it since."""
    try:
        if entry.target == json_sidecar.TARGET:
            return not is_json_overwritten(entry, json_sidecar.parse(data))
        return not judge(entry, data).overwritten
    except RefusedError:
        return False
