"""What became of a write that a crash interrupted."""

from __future__ import annotations

from tagger.errors import RefusedError
from tagger.metadata import json_sidecar
from tagger.metadata.containers.bounded_reader import Source
from tagger.metadata.containers.reader import inside
from tagger.metadata.managed_file import readable, texts_of
from tagger.metadata.safe_write import undo
from tagger.metadata.xmp import properties
from tagger.records import JournalEntry
from tagger.system.open_beneath import Beneath


def recover(entry: JournalEntry, root: str) -> str:
    """Return what became of a write intended in ``root``: "before", "after", or "foreign".

    "foreign": somebody changed the file since, and something of ours is in it.
    """
    try:
        prior = undo.decode(entry.undo).prior
    except ValueError:
        prior = entry.before
    original = readable(entry.file, Beneath(root))
    now = undo.digest(original.data) if original is not None else b""
    if now == entry.after:
        return "after"
    if now == prior:
        return "before"
    # A write that never happened must not make the journal believe that tags were deleted.
    return "foreign" if original is not None and _holds(original.data, entry) else "before"


def _holds(data: bytes, entry: JournalEntry) -> bool:
    """Whether any of the values that we meant to add is in a file."""
    if entry.target == json_sidecar.TARGET:
        try:
            there = json_sidecar.labels_in(json_sidecar.parse(data))
        except RefusedError:
            return False
        return bool(set(there) & set(entry.added.get(json_sidecar.PROPERTY, ())))
    found = inside(Source(data))
    packet = found.packet if found.known else data
    return any(
        set(texts_of(packet, name)) & set(entry.added.get(name, ()))
        for name in properties.KEYWORD_PROPERTIES
    )
