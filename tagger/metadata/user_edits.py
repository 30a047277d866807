"""What another program did to a file that we wrote to: only a deletion is the user's wish.

A deletion is believed of one who knew our tags: what it left of ours in the file shows that. A
file that it emptied, cut off, or made anew from what it knows itself says nothing of them.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tagger.errors import RefusedError
from tagger.metadata import json_sidecar
from tagger.metadata.safe_write.replace import Original
from tagger.metadata.xmp import packet as xmp_packet
from tagger.records import JournalEntry

OVERWRITTEN = (
    "another program wrote the file anew, without our tags: they are in the index only, until"
    " `tagger restore` lets them be written again"
)
"""The ``reason`` in the journal of a file that is left to the other program."""
PUT_BACK = "written again after the file was put back as it was before"
ANOTHER = "another tagger may have written here meanwhile"
WAITS = "an empty file may be half written: it is looked at again soon"
YOUNG_SECONDS = 60.0


def is_empty(original: Original | None) -> bool:
    """Whether there is a file with nothing in it."""
    return original is not None and not original.data.strip(b"\0 \t\r\n")


def is_fresh(original: Original) -> bool:
    """Whether a file was changed just now: more may come."""
    changed = max(original.stat.st_mtime, original.stat.st_ctime)
    return abs(time.time() - changed) < YOUNG_SECONDS


def is_overwritten(entry: JournalEntry, packet: bytes | None) -> bool:
    """Whether the packet of a file that we wrote to is one that does not know our tags.

    One that does has our provenance still, or one of our paths, or half of our words. Raise
    RefusedError for a packet that cannot be read.
    """
    parsed = xmp_packet.parse(packet) if packet is not None else None
    if parsed is None:
        return True
    if parsed.has_ours():
        return False
    marks = {xmp_packet.HIERARCHICAL: "|", xmp_packet.TAGS_LIST: "/"}
    there = {xmp_packet.key(word) for word in parsed.texts(xmp_packet.SUBJECT)}
    paths_survive = False
    for name, mark in marks.items():
        values = {xmp_packet.key(value) for value in parsed.texts(name)}
        there |= {xmp_packet.key(step) for value in values for step in value.split(mark)}
        ours = {xmp_packet.key(value) for value in entry.added.get(name, ()) if mark in value}
        paths_survive |= bool(ours & values)
    words = _keys(entry.added.get(xmp_packet.SUBJECT, ()))
    if entry.reason == OVERWRITTEN:
        # Single words that come to such a file are its owner's.
        return not words or not words <= there
    return not paths_survive and 2 * len(words & there) < max(len(words), 1)


def is_json_overwritten(entry: JournalEntry, found: Mapping[str, Any]) -> bool:
    """As :func:`is_overwritten`, for a parsed JSON sidecar."""
    words = _keys(entry.added.get(json_sidecar.PROPERTY, ()))
    there = _keys(json_sidecar.labels_in(dict(found)))
    if entry.reason == OVERWRITTEN:
        return not words or not words <= there
    if str(found.get("software", "")).startswith("tagger "):
        return False
    return 2 * len(words & there) < max(len(words), 1)


def deleted_labels(entry: JournalEntry, packet: bytes | None) -> frozenset[str]:
    """Return which labels of ours are no longer among the plain keywords of a packet."""
    try:
        words = xmp_packet.parse(packet).texts(xmp_packet.SUBJECT) if packet is not None else ()
    except RefusedError:
        return frozenset()
    return _lacking(entry, _keys(words))


def deleted_in_json(entry: JournalEntry, found: Mapping[str, Any]) -> frozenset[str]:
    """Return which labels of ours are no longer in a parsed JSON sidecar."""
    there = set(json_sidecar.labels_in(dict(found)))
    return frozenset(label for label, word in entry.tags.items() if word not in there)


def _lacking(entry: JournalEntry, there: Collection[str]) -> frozenset[str]:
    return frozenset(
        label for label, word in entry.tags.items() if xmp_packet.key(word) not in there
    )


def _keys(words: Iterable[str]) -> set[str]:
    return {xmp_packet.key(word) for word in words}
