"""Whose tags a file beside a photo holds: this photo's, or those of another that had its name.

Photos change names, with and without their sidecars. What we wrote into a file says for which
photo: the digest of its bytes before we ever wrote to it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from tagger.errors import MetadataError, RefusedError
from tagger.metadata import json_sidecar, user_edits
from tagger.metadata.managed_file import container_packet, texts_of
from tagger.metadata.safe_write import undo
from tagger.metadata.safe_write.original import MAX_SIDECAR, Original, read_original
from tagger.metadata.xmp import properties
from tagger.metadata.xmp.packet import key, understood
from tagger.records import JournalEntry
from tagger.system.open_beneath import Beneath

_PREFIX = "xxh3-128:"


def digest_text(digest: bytes) -> str:
    """Return the digest of a photo as files name it; empty without one."""
    return _PREFIX + digest.hex() if digest else ""


@dataclass(frozen=True, slots=True)
class TagOwner:
    """What is known of the files at a photo's name.

    ``others`` are journal entries of another photo that had the name before. ``digests`` are
    those that the photo itself has, or had; none: nothing is asked. ``moved``: the photo came
    from another name, or is a copy, so that its journal may be of files that stayed behind.
    """

    others: Sequence[JournalEntry] = ()
    digests: Collection[bytes] = ()
    moved: bool = False


def settle(
    previous: Sequence[JournalEntry], whose: TagOwner, photo: Original, below: Beneath
) -> tuple[dict[str, JournalEntry], set[str]]:
    """Decide for each file, by what is in it, which entry tells what of ours it holds.

    ``previous`` are those of the ``photo``, of files as they would be called at its present name.
    Return the entries by the file, and which of the files hold what another photo was given.
    """
    journal, foreign = {entry.file: entry for entry in previous}, set[str]()
    others = {entry.file: entry for entry in whose.others}
    if not others and not whose.moved:
        return journal, foreign
    for file in {*journal, *others}:
        own, other = journal.get(file), others.get(file)
        if file == photo.path:
            if own is None and other is not None and _is_made_of(photo.data, other):
                journal[file] = other
                foreign.add(file)
            continue
        chosen, is_foreign = _choose(file, own, other, whose, below)
        journal.pop(file, None)
        if chosen is not None:
            journal[file] = chosen
        if is_foreign:
            foreign.add(file)
    return journal, foreign


def _choose(
    file: str, own: JournalEntry | None, other: JournalEntry | None, whose: TagOwner, below: Beneath
) -> tuple[JournalEntry | None, bool]:
    try:
        original = read_original(file, below, MAX_SIDECAR)
    except MetadataError:
        return own or other, True
    if original is None:
        return None, False
    now = undo.digest(original.data)
    for entry in (own, other):
        if entry is not None and entry.after == now:
            return entry, entry is other
    entry = own or other
    is_json = entry is not None and entry.target == json_sidecar.TARGET
    named = named_in_json(original.data) if is_json else named_in(original.data)
    if named:
        return (own, False) if named in whose.digests else (other, True)
    if own is not None and other is not None and not user_edits.knows(own, original.data):
        return other, True
    return entry, True


def still_held(entries: Sequence[JournalEntry], root: str) -> tuple[JournalEntry, ...]:
    """Return the entries of files that do hold what they tell, for a photo that was moved or copied
    and is not written to: a sidecar at its new name may never have had our tags."""
    return tuple(entry for entry in entries if entry.target == "embed" or _is_held(entry, root))


def _is_held(entry: JournalEntry, root: str) -> bool:
    try:
        original = read_original(entry.file, Beneath(root), MAX_SIDECAR)
    except MetadataError:
        return True  # nobody knows
    if original is None:
        return False
    return entry.after == undo.digest(original.data) or user_edits.knows(entry, original.data)


def _is_made_of(data: bytes, entry: JournalEntry) -> bool:
    """Whether a photo with another picture is the old one, edited: all of our words are in it."""
    words = entry.added.get(properties.SUBJECT, ())
    there = {*map(key, texts_of(container_packet(data), properties.SUBJECT))}
    return bool(words) and there >= {*map(key, words)}


def named_in(packet: bytes | None) -> bytes:
    """Return the digest of the photo that our provenance in a packet names; empty without one."""
    parsed = understood(packet)
    texts = parsed.texts(properties.PHOTO) if parsed is not None else ()
    return _digest(texts[0]) if len(texts) == 1 else b""


def named_in_json(data: bytes) -> bytes:
    """As :func:`named_in`, for a JSON sidecar of ours."""
    try:
        found = json_sidecar.parse(data)
    except RefusedError:
        return b""
    return _digest(str(found.get("hash", ""))) if json_sidecar.is_ours(found) else b""


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text.removeprefix(_PREFIX)) if text.startswith(_PREFIX) else b""
    except ValueError:
        return b""
