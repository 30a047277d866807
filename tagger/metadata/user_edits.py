"""What another program did to a file that we wrote to: only a deletion is the user's wish.

A deletion is believed of a program that knew our tags. Many write a file's keywords from a
database of their own, which does not hold what came into the file after their import. So each
property is compared with how we left it, and those that changed are judged:

* a label is there if it is a value, or a level of one, in any of them;
* the program knew our tags if some of them are in what it rewrote, if it kept them in an earlier
  rewrite, or if darktable imported the photo after we wrote.

A file of a program that did not know them is overwritten: it is left alone, and our tags are in
the index only.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tagger.errors import RefusedError
from tagger.metadata import json_sidecar
from tagger.metadata.safe_write import undo
from tagger.metadata.safe_write.original import Original
from tagger.metadata.xmp import packet as xmp_packet
from tagger.metadata.xmp import properties
from tagger.metadata.xmp.keywords import PATHS, YOURS, is_internal
from tagger.metadata.xmp.packet import Packet, key
from tagger.metadata.xmp.properties import steps_of
from tagger.records import JournalEntry

OVERWRITTEN = (
    "another program wrote the file anew, without our tags: they are in the index only, until"
    " `tagger restore` lets them be written again"
)
"""The ``reason`` in the journal of a file that is left to the other program."""
PUT_BACK = "written again after the file was put back as it was before"
WAITS = "an empty file may be half written: it is looked at again soon"
YOUNG_SECONDS = 60.0

_JUDGED = (*properties.KEYWORD_PROPERTIES, properties.LAST_KEYWORDS)
_IMPORTED, _WRITTEN, _KNOWS, _DROPPED = "imported", "written", "knows", "dropped"
"""In :attr:`JournalEntry.seen`, beside the digest of each property: darktable's imports, when we
wrote, the programs that have shown to know our tags, the user's keywords taken out here."""
_YEAR_1_TO_1970 = 62_135_596_800
_TOOLKIT = re.compile(rb"""xmptk\s*=\s*["']([^"']*)""")
_MAX_HEAD = 400
_DIGEST_LETTERS = 12


def is_empty(original: Original | None) -> bool:
    """Whether there is a file with nothing in it."""
    return original is not None and not original.data.strip(b"\0 \t\r\n")


def is_fresh(original: Original) -> bool:
    """Whether a file was changed just now: more may come."""
    changed = max(original.stat.st_mtime, original.stat.st_ctime)
    return abs(time.time() - changed) < YOUNG_SECONDS


@dataclass(frozen=True, slots=True)
class Edits:
    """What another program did: ``deleted`` labels of ours; ``overwritten``: it did not know them.

    ``dropped`` are the user's keywords, as :func:`~tagger.metadata.xmp.packet.key` gives them,
    that were copied into this file and taken out of it. ``kept`` are the properties that hold
    what we put there. ``seen`` is for the journal.
    """

    deleted: frozenset[str] = frozenset()
    overwritten: bool = False
    dropped: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    seen: Mapping[str, tuple[str, ...]] | None = None


def judge(entry: JournalEntry, packet: bytes | None, photo_mtime: float = 0.0) -> Edits:
    """Return what another program did to the XMP ``packet`` of a file that ``entry`` describes.

    ``photo_mtime`` is the photo's own, in seconds. Raise RefusedError for a packet that cannot be
    read.
    """
    if packet is None:
        return Edits(overwritten=True)
    parsed = xmp_packet.parse(packet)
    changed = frozenset(name for name in _JUDGED if _has_changed(entry, parsed, name))
    kept = frozenset(_JUDGED) - changed
    there = {key(step) for name in changed for step in _steps(parsed.texts(name), name)}
    words = {key(word) for word in entry.tags.values()}
    if entry.reason == OVERWRITTEN:
        # Single words that come to such a file are its owner's.
        return Edits(overwritten=not words or not words <= there, kept=kept)
    if not changed:
        return Edits(kept=kept, seen=entry.seen)
    program = _program(parsed, changed)
    shown = _shows_ours(entry, parsed, changed) or _imported(entry, parsed, photo_mtime)
    if not shown and program not in entry.seen.get(_KNOWS, ()):
        # Where the index was lost, what our provenance names was not written by a stranger.
        return Edits(overwritten=bool(entry.after) or not parsed.has_ours(), kept=kept)
    carried = {key(step) for name in changed for step in _steps(entry.added.get(name, ()), name)}
    if properties.SUBJECT in changed:
        carried |= {*entry.seen.get(YOURS, ())} if entry.seen else words
    lacking = carried - there
    deleted = frozenset(label for label, word in entry.tags.items() if key(word) in lacking)
    mirrored = frozenset(key(word) for word in entry.added.get(properties.SUBJECT, ())) - words
    dropped = (mirrored & lacking) | (dropped_in(entry.seen) - there)
    known = {*entry.seen.get(_KNOWS, ()), *([program] if shown else [])}
    seen = {**entry.seen, _DROPPED: tuple(sorted(dropped)), _KNOWS: tuple(sorted(known))}
    return Edits(deleted, dropped=dropped, kept=kept, seen=seen)


def as_left(
    packet: bytes | None, before: Mapping[str, tuple[str, ...]] | None = None, now: float = 0.0
) -> dict[str, tuple[str, ...]]:
    """Return, for the journal, how a packet was left; ``before`` is what it knew until now.

    ``now`` is when it was written, in seconds; 0: it was not, and the moment stays.
    """
    known = before or {}
    seen = {name: known[name] for name in (_KNOWS, _DROPPED, _WRITTEN) if known.get(name)}
    if now or _WRITTEN not in seen:
        seen[_WRITTEN] = (str(int(now or time.time())),)
    if packet is not None:
        parsed = xmp_packet.parse(packet)
        left = {name: _digest(parsed.texts(name), name) for name in _JUDGED}
        seen |= {name: (digest,) for name, digest in left.items() if digest}
        if imports := parsed.texts(properties.IMPORTED):
            seen[_IMPORTED] = imports
    return seen


def dropped_in(seen: Mapping[str, tuple[str, ...]] | None) -> frozenset[str]:
    """Return the user's keywords that another program took out of the file, by their keys."""
    return frozenset((seen or {}).get(_DROPPED, ()))


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
    if _WRITTEN in entry.seen:
        return _digest(values, name) != "".join(entry.seen.get(name, ()))
    there = {key(value) for value in values}
    if name == properties.LAST_KEYWORDS:
        return bool(there)
    expected = {key(value) for value in entry.added.get(name, ())}
    if name == properties.SUBJECT and not entry.after:  # known by our provenance only
        expected |= {key(word) for word in entry.tags.values()}
    return not there >= expected


def _program(parsed: Packet, changed: frozenset[str]) -> str:
    """Return a name for the program that wrote what changed, the same for each of its writes."""
    if properties.LAST_KEYWORDS in changed:
        return properties.LAST_KEYWORDS  # digiKam, Windows
    if changed == {properties.TAGS_LIST}:
        return properties.TAGS_LIST  # Immich
    if parsed.texts(properties.IMPORTED) and properties.TAGS_LIST not in changed:
        return properties.IMPORTED  # darktable
    toolkit = _TOOLKIT.search(parsed.data[:_MAX_HEAD])
    return toolkit[1].decode("utf-8", "replace") if toolkit is not None else "another"


def _shows_ours(entry: JournalEntry, parsed: Packet, changed: frozenset[str]) -> bool:
    """Whether some of ours are in what a program rewrote, so that it must have known them.

    A single word may be the user's own: beside hierarchies only half of ours tell.
    """
    theirs = set(entry.seen.get(YOURS, ()))
    words = {key(word) for word in entry.tags.values()} - theirs
    paths = [tuple(map(key, path)) for path in _our_paths(entry, words)]
    ours = {path[:n] for path in paths for n in range(2, len(path))} | {*paths}
    values = [
        tuple(map(key, steps_of(name, value)))
        for name in changed - {properties.SUBJECT}
        for value in parsed.texts(name)
    ]
    # A keyword below one of ours, too, is of one who saw that.
    found = {value[:n] for value in values for n in range(2, len(value) + 1)} | {*values}
    if any("\n".join(path) not in theirs for path in ours & found):
        return True
    if properties.SUBJECT not in changed:
        return False
    there = {key(word) for word in parsed.texts(properties.SUBJECT)}
    made_anew = properties.LABELS in entry.added and not parsed.has_ours()
    if made_anew or changed & {properties.HIERARCHICAL, properties.TAGS_LIST}:
        return bool(words) and 2 * len(words & there) >= len(words)
    return bool(words & there)


def _our_paths(entry: JournalEntry, words: set[str]) -> list[tuple[str, ...]]:
    if PATHS in entry.seen:
        return [tuple(value.split("\n")) for value in entry.seen[PATHS]]
    names = (properties.HIERARCHICAL, properties.TAGS_LIST)
    every = [steps_of(name, value) for name in names for value in entry.added.get(name, ())]
    return [path for path in every if path and key(path[-1]) in words]


def _imported(entry: JournalEntry, parsed: Packet, photo_mtime: float) -> bool:
    """Whether darktable imported the photo after we wrote, and with it our tags.

    An import that the file did not tell of then is later, unless the clock says that it was of
    this very photo and before. (One older than the photo's date says nothing: the file was
    copied, or the clocks differ.)
    """
    written = "".join(entry.seen.get(_WRITTEN, ()))
    known = {*entry.seen.get(_IMPORTED, ())}
    for stamp in {*parsed.texts(properties.IMPORTED)} - known if written else ():
        try:
            when = int(stamp) / 1e6 - _YEAR_1_TO_1970
        except (ValueError, OverflowError):
            continue
        if not photo_mtime <= when < int(written):
            return True
    return False


def is_json_overwritten(entry: JournalEntry, found: Mapping[str, Any]) -> bool:
    """Whether a parsed JSON sidecar that we wrote to is one that does not know our labels."""
    words = {key(word) for word in entry.added.get(json_sidecar.PROPERTY, ())}
    there = {key(word) for word in json_sidecar.labels_in(dict(found))}
    if entry.reason == OVERWRITTEN:
        return not words or not words <= there
    if str(found.get("software", "")).startswith("tagger "):
        return False
    return 2 * len(words & there) < max(len(words), 1)


def deleted_in_json(entry: JournalEntry, found: Mapping[str, Any]) -> frozenset[str]:
    """Return which labels of ours are no longer in a parsed JSON sidecar."""
    there = set(json_sidecar.labels_in(dict(found)))
    return frozenset(label for label, word in entry.tags.items() if word not in there)


def knows(entry: JournalEntry, data: bytes) -> bool:
    """Whether a sidecar is one that has what ``entry`` tells of, whoever wrote to it since."""
    try:
        if entry.target == json_sidecar.TARGET:
            return not is_json_overwritten(entry, json_sidecar.parse(data))
        return not judge(entry, data).overwritten
    except RefusedError:
        return False
