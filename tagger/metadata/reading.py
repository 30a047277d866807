"""Taking files apart: what in them is the user's, and what is ours.

What is ours is known from the journal; in a file the journal does not know (another tagger
wrote it, or the index is lost), from our provenance in its XMP.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tagger.errors import (
    MetadataError,
    PhotoChangedError,
    PhotoVanishedError,
    RefusedError,
)
from tagger.metadata import container, json_sidecar, patch, xmp
from tagger.metadata.dates import taken_at
from tagger.metadata.inside import Inside, inside, inside_file
from tagger.metadata.keywords import (
    KeywordPath,
    merged,
    user_paths,
    with_parents,
)
from tagger.metadata.packet import remembering
from tagger.metadata.places import XmpPlace, XmpSidecar, sidecars_of
from tagger.metadata.safefile import MAX_READ, MAX_SIDECAR, Original, opened, read_original
from tagger.metadata.source import Source
from tagger.metadata.spliced import proved
from tagger.paths import sidecar_paths
from tagger.records import FileStat, JournalEntry, Keyword
from tagger.system.beneath import Beneath
from tagger.system.files import no_descriptors, photo_stat

_TOOLKIT = b'x:xmptk="tagger '
"""In the head of a packet that no other program has written since tagger made it."""
MAX_HEAD = 400


@dataclass(slots=True)
class Held:
    """An XMP file taken apart: ``base`` is what it would be without anything of ours.

    ``entry`` tells what of ours is in it, ``deleted`` which labels of ours the user took out.
    ``left``: why nothing is written to it now, see :mod:`~tagger.metadata.edited`; ``reason``
    is for the journal, if it is written.
    """

    place: XmpPlace
    original: Original | None
    entry: JournalEntry | None
    base: bytes | None
    deleted: frozenset[str] = frozenset()
    left: str = ""
    reason: str = ""

    @property
    def data(self) -> bytes | None:
        return self.original.data if self.original is not None else None


@dataclass(frozen=True, slots=True)
class HeldJson:
    """The JSON sidecar taken apart: ``ours`` are the labels in it that are ours.

    The rest as for :class:`Held`.
    """

    found: dict[str, Any] = field(default_factory=dict)
    ours: tuple[str, ...] = ()
    deleted: frozenset[str] = frozenset()
    left: str = ""
    reason: str = ""


def read_photo(
    path: str, expected: FileStat, below: Beneath, *, whole: bool
) -> tuple[Original, Inside]:
    """Return a photo, and what it holds beside its picture.

    Its bytes are read only if the ``whole`` of it may be written to, or our provenance is in
    it, and it is not too large: a batch of photos of 100 MB fits into no small memory.
    """
    st = photo_stat(path)
    if not st.same_version(expected):
        raise PhotoChangedError(f"{path} changed while it was tagged", "it is looked at again")
    if st.size > MAX_READ:
        return _beginning(path, below)
    if not whole:
        photo, found = _beginning(path, below)
        if found.packet is None or not _has_ours(found.packet):
            return photo, found
    read = read_original(path, below)
    if read is None:
        raise PhotoVanishedError(f"{path} is gone", "nothing to do")
    return read, inside(Source(read.data))


def _beginning(path: str, below: Beneath) -> tuple[Original, Inside]:
    """Return a photo without its bytes, and what it holds."""
    try:
        with opened(path, below) as (fd, st):
            return Original(path, b"", st), inside(Source(fd))
    except FileNotFoundError as error:
        raise PhotoVanishedError(f"{path} is gone", "nothing to do") from error


def _has_ours(packet: bytes) -> bool:
    try:
        return xmp.parse(packet).has_ours()
    except RefusedError:
        return False


def readable(path: str, below: Beneath, most: int = MAX_READ) -> Original | None:
    try:
        return read_original(path, below, most)
    except MetadataError as error:
        if no_descriptors(error):
            raise  # it is there, and says something
        return None


def opened_container(data: bytes) -> container.Container | None:
    try:
        return container.open_container(data)
    except RefusedError:
        return None


def container_packet(data: bytes) -> bytes | None:
    """Return the XMP packet of a JPEG, PNG or WebP; None without one."""
    opened = opened_container(data)
    return opened.packet if opened is not None else None


def texts_of(packet: bytes | None, name: str) -> tuple[str, ...]:
    if packet is None:
        return ()
    if name in xmp.PROVENANCE_PROPERTIES:
        return ()
    try:
        return xmp.parse(packet).texts(name)
    except RefusedError:
        return ()


def undone(data: bytes, entry: JournalEntry) -> bytes | None:
    """Return the file as it was before we ever wrote to it; None when that is not known."""
    if entry.created:
        return None
    try:
        base = patch.decode(entry.undo).apply(data)
    except ValueError:
        return None
    return base if patch.digest(base) == entry.before else None


def stripped(
    place: XmpPlace, data: bytes, packet: bytes | None, entry: JournalEntry
) -> bytes | None:
    """Return a file that somebody changed since, without what of ours is still in it.

    Raise RefusedError when that cannot be done with certainty.
    """
    rest = packet
    if packet is not None:
        rest = xmp.remove(packet, entry.added)
        if xmp.parse(rest).is_bare() and _packet_is_ours(entry):
            rest = None
    if rest is None and not entry.created and isinstance(place, XmpSidecar):
        return data if packet is None else b""
    return proved(place.with_packet(data, rest, ()))


def _packet_is_ours(entry: JournalEntry) -> bool:
    if entry.created:
        return True
    try:
        return bool(patch.decode(entry.undo).flags & patch.PACKET_CREATED)
    except ValueError:
        return False


def adopted(
    place: XmpPlace, packet: bytes | None, keywords: Sequence[Keyword]
) -> JournalEntry | None:
    """Return what our provenance in a packet tells of a file that the journal doesn't know."""
    if packet is None:
        return None
    try:
        parsed = xmp.parse(packet)
    except RefusedError:
        return None
    names = frozenset(parsed.labels())
    if not parsed.has_ours() or not names:
        return None
    tags = {keyword.name: keyword.tag for keyword in keywords}
    added = {
        xmp.SUBJECT: tuple(v for v in parsed.texts(xmp.SUBJECT) if v in names),
        xmp.HIERARCHICAL: _made_of(parsed.texts(xmp.HIERARCHICAL), "|", names, parsed.prefix()),
        xmp.TAGS_LIST: _made_of(parsed.texts(xmp.TAGS_LIST), "/", names, parsed.prefix()),
    }
    return JournalEntry(
        target=place.target,
        file=place.file,
        added=added,
        tags={tags.get(name, name): name for name in names},
        created=isinstance(place, XmpSidecar) and _TOOLKIT in packet[:MAX_HEAD],
        before=b"",
        after=b"",
        undo=b"",
    )


def _made_of(
    values: Iterable[str], mark: str, names: frozenset[str], prefix: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the hierarchies whose levels, below the prefix if there is one, are all ``names``."""
    found, above = [], len(prefix)
    for value in values:
        steps = value.split(mark)
        if above and len(steps) > above and tuple(steps[:above]) == prefix:
            steps = steps[above:]
        if names >= {*steps}:
            found.append(value)
    return tuple(found)


def users_packet(packet: bytes, keywords: Sequence[Keyword] = ()) -> bytes:
    """Return a packet without what our provenance in it names: what is left is the user's."""
    place = XmpSidecar("")
    entry = adopted(place, packet, keywords)
    if entry is None:
        return packet
    try:
        return xmp.remove(packet, entry.added)
    except RefusedError:
        return packet


@remembering()
def read_keywords(path: str, root: str) -> tuple[KeywordPath, ...]:
    """Return the user's keywords in a photo of the folder ``root`` and its sidecars.

    Everything above them comes with them.

    For photos beside which nothing can be written. Unreadable ones have none.
    """
    found = inside_file(path, root)
    packets = [*found.packets, *_packets_beside(path, Beneath(root))]
    paths: list[KeywordPath] = []
    for packet in packets:
        paths += user_paths(users_packet(packet))
    paths += user_paths(None, found.iptc)
    return with_parents(merged(paths))


def read_taken_at(path: str, root: str) -> str | None:
    """Return when a picture was taken, as its file and its sidecars tell; for photos beside
    which nothing can be written."""
    return taken_at(inside_file(path, root), _packets_beside(path, Beneath(root)))


def _packets_beside(path: str, below: Beneath) -> list[bytes]:
    """Return what is in the XMP sidecars of a photo."""
    places = sidecars_of(path, below)
    found = (readable(file, below, MAX_SIDECAR) for file in (places.file, *places.others))
    return [original.data for original in found if original is not None]


@remembering()
def read_tags(path: str, root: str) -> tuple[tuple[KeywordPath, float | None], ...]:
    """Return the keywords in a photo's sidecars and in the photo, with everything above them.

    Each comes with its confidence if it is ours, else None. For an index that is lost: of a
    photo only the metadata is read.
    """
    paths: list[KeywordPath] = []
    ours: dict[str, float] = {}
    below = Beneath(root)
    json_file = readable(sidecar_paths(path)[-1], below, MAX_SIDECAR)
    if json_file is not None:
        with contextlib.suppress(RefusedError):
            found = json_sidecar.parse(json_file.data)
            paths += json_sidecar.paths_in(found, ())
            ours |= json_sidecar.confidences(found)
    held = inside_file(path, root)
    for packet in [*_packets_beside(path, below), *held.packets]:
        paths += user_paths(packet)
        with contextlib.suppress(RefusedError):
            for word, confidence in xmp.parse(packet).labels().items():
                with contextlib.suppress(ValueError):
                    ours[word] = float(confidence)
    every = with_parents(merged([*paths, *user_paths(None, held.iptc)]))
    return tuple((one, ours.get(one[-1])) for one in every)


def recover(entry: JournalEntry, root: str) -> str:
    """Return what became of a write intended in ``root``: "before", "after", or "foreign".

    "foreign": somebody changed the file since, and something of ours is in it.
    """
    try:
        prior = patch.decode(entry.undo).prior
    except ValueError:
        prior = entry.before
    original = readable(entry.file, Beneath(root))
    data = original.data if original is not None else b""
    now = patch.digest(data) if original is not None else b""
    if now == entry.after:
        return "after"
    if now == prior:
        return "before"
    # A write that never happened must not make the journal believe that tags were deleted.
    return "foreign" if _holds(data, entry) else "before"


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
        for name in xmp.KEYWORD_PROPERTIES
    )
