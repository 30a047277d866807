"""A file that may hold our keywords and the user's: what is in it, and it without ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tagger.errors import MetadataError, PhotoChangedError, PhotoVanishedError, RefusedError
from tagger.metadata.containers import splice
from tagger.metadata.containers.bounded_reader import Source
from tagger.metadata.containers.reader import Inside, inside
from tagger.metadata.safe_write import undo
from tagger.metadata.safe_write.content import proved
from tagger.metadata.safe_write.original import MAX_READ, Original, opened, read_original
from tagger.metadata.targets import Target, XmpSidecar
from tagger.metadata.user_edits import Edits
from tagger.metadata.xmp import edit, properties
from tagger.metadata.xmp import packet as xmp_packet
from tagger.metadata.xmp.packet import Packet
from tagger.records import FileStat, JournalEntry, Keyword
from tagger.system.files import no_descriptors, photo_stat
from tagger.system.open_beneath import Beneath


@dataclass(slots=True)
class ManagedFile:
    """A file taken apart: ``base`` is what it would be without anything of ours.

    ``entry`` tells what of ours is in it, ``edits`` what another program did. ``left``: why
    nothing is written to it now, see :mod:`~tagger.metadata.user_edits`; ``refusal``: why nothing
    ever is; ``reason`` is for the journal, if it is written, and ``seen`` what that knows of the
    file by now. ``description`` is what a sidecar of ours repeats of its photo.
    """

    place: Target
    original: Original | None
    entry: JournalEntry | None
    base: bytes | None
    edits: Edits = field(default_factory=Edits)
    left: str = ""
    reason: str = ""
    refusal: str = ""
    seen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    description: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def data(self) -> bytes | None:
        return self.original.data if self.original is not None else None

    @property
    def is_older(self) -> bool:
        """Whether the sidecar is of a tagger that did not repeat what the photo says of itself."""
        return self.entry is not None and self.entry.created and not self.entry.seen

    @property
    def repeated(self) -> dict[str, tuple[str, ...]]:
        """What we repeated of the photo when we wrote."""
        added = self.entry.added if self.entry is not None else {}
        return {name: one for name, one in added.items() if one and properties.is_described(name)}

    @property
    def has_other_description(self) -> bool:
        """Whether the photo says something else of itself by now than a sidecar of ours does."""
        return isinstance(self.place, XmpSidecar) and self.repeated != self.description

    def standing_description(self) -> dict[str, tuple[str, ...]]:
        """Return what we repeated of the photo, as far as no other program has changed it."""
        packet = self.place.packet_in(self.data)
        return {name: one for name, one in self.repeated.items() if texts_of(packet, name) == one}


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
        parsed = xmp_packet.understood(found.packet)
        if parsed is None or not parsed.has_ours():
            return photo, found
    read = read_original(path, below)
    if read is None:
        raise PhotoVanishedError(f"{path} is gone", "nothing to do")
    return read, inside(Source(read.data))


def readable(path: str, below: Beneath, most: int = MAX_READ) -> Original | None:
    try:
        return read_original(path, below, most)
    except MetadataError as error:
        if no_descriptors(error):
            raise  # it is there, and says something
        return None


def container_packet(data: bytes) -> bytes | None:
    """Return the XMP packet of a JPEG, PNG or WebP; None without one."""
    try:
        opened = splice.open_container(data)
    except RefusedError:
        return None
    return opened.packet if opened is not None else None


def texts_of(packet: bytes | None, name: str) -> tuple[str, ...]:
    if name in properties.PROVENANCE_PROPERTIES:
        return ()
    parsed = xmp_packet.understood(packet)
    return parsed.texts(name) if parsed is not None else ()


def undone(data: bytes, entry: JournalEntry) -> bytes | None:
    """Return the file as it was before we ever wrote to it; None when that is not known."""
    if entry.created:
        return None
    try:
        base = undo.decode(entry.undo).apply(data)
    except ValueError:
        return None
    return base if undo.digest(base) == entry.before else None


def stripped(
    place: Target,
    data: bytes,
    packet: bytes | None,
    entry: JournalEntry,
    added: Mapping[str, tuple[str, ...]],
) -> bytes | None:
    """Return a file that somebody changed since, without what of ``added`` is still in it.

    Raise RefusedError when that cannot be done with certainty.
    """
    rest = packet
    if packet is not None:
        rest = edit.remove(packet, added)
        if xmp_packet.parse(rest).is_bare() and _packet_is_ours(entry):
            rest = None
    if rest == packet and (isinstance(place, XmpSidecar) or not any(added.values())):
        return data
    if rest is None and not entry.created and isinstance(place, XmpSidecar):
        return b""
    return proved(place.with_packet(data, rest, ()))


def _packet_is_ours(entry: JournalEntry) -> bool:
    if entry.created:
        return True
    try:
        return bool(undo.decode(entry.undo).flags & undo.PACKET_CREATED)
    except ValueError:
        return False


def adopted(
    place: Target, packet: bytes | None, keywords: Sequence[Keyword]
) -> JournalEntry | None:
    """Return what our provenance in a packet tells of a file that the journal doesn't know."""
    parsed = xmp_packet.understood(packet)
    if parsed is None or not (names := frozenset(parsed.labels())):
        return None
    tags = {keyword.name: keyword.tag for keyword in keywords}
    return JournalEntry(
        target=place.target,
        file=place.file,
        added=_named_by_us(parsed, names),
        tags={tags.get(name, name): name for name in names},
        created=isinstance(place, XmpSidecar) and parsed.is_as_made(),
        before=b"",
        after=b"",
        undo=b"",
    )


def _named_by_us(parsed: Packet, names: frozenset[str]) -> dict[str, tuple[str, ...]]:
    """Return the keywords whose levels, below the prefix if there is one, are all ``names``."""
    prefix, added = parsed.prefix(), dict[str, tuple[str, ...]]()
    for name in properties.KEYWORD_PROPERTIES:
        mark, found = properties.MARKS.get(name), []
        for value in parsed.texts(name):
            steps = value.split(mark) if mark else [value]
            if len(steps) > len(prefix) and tuple(steps[: len(prefix)]) == prefix:
                steps = steps[len(prefix) :]
            if names >= {*steps}:
                found.append(value)
        added[name] = tuple(found)
    return added


def users_packet(packet: bytes) -> bytes:
    """Return a packet without what our provenance in it names: what is left is the user's."""
    entry = adopted(XmpSidecar(""), packet, ())
    if entry is None:
        return packet
    try:
        return edit.remove(packet, entry.added)
    except RefusedError:
        return packet


def _beginning(path: str, below: Beneath) -> tuple[Original, Inside]:
    """Return a photo without its bytes, and what it holds."""
    try:
        with opened(path, below) as (fd, st):
            return Original(path, b"", st), inside(Source(fd))
    except FileNotFoundError as error:
        raise PhotoVanishedError(f"{path} is gone", "nothing to do") from error
