"""One photo's tags on their way into files: prepared, then committed, or discarded.

:func:`prepare` reads what is there, decides where the tags go, and writes the new content
beside the old; :meth:`PreparedWrite.commit` makes it visible. In between the caller writes the
intention down, so that a crash at any moment leaves nothing that cannot be undone.

What is ours is known from the journal; in a file the journal does not know (another tagger
wrote it, or the index is lost), from our provenance in its XMP.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tagger.errors import MetadataError, PhotoVanishedError, RefusedError, TaggerError
from tagger.files import photo_stat, sidecar_stat
from tagger.metadata import container, exif, json_sidecar, patch, xmp
from tagger.metadata.keywords import (
    KeywordPath,
    find_packet,
    merged,
    user_paths,
    wanted_values,
    with_parents,
    without,
)
from tagger.metadata.places import (
    ByExiftool,
    Embedded,
    XmpPlace,
    XmpSidecar,
    embedding_place,
    exiftool_format,
    sidecar_file,
)
from tagger.metadata.safefile import Original, Staged, clean_strays, read_original, stage
from tagger.photo import Candidate, FileStat, JournalEntry, Keyword, WriteReceipt, sidecar_paths

__all__ = [
    "PreparedWrite",
    "Provenance",
    "WriteOptions",
    "clean_strays",
    "prepare",
    "read_keywords",
    "recover",
]

MAX_READ = 128 << 20
"""Larger photos are not read for keywords, nor written to."""


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How to write, from the config; ``read_only`` is that of the photo's folder."""

    target: str = "sidecar-xmp"
    preserve_mtime: bool = True
    exif: str = "never"
    exiftool: bool = False
    provenance: bool = True
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which network found the tags, and which program wrote them."""

    model: str
    software: str


@dataclass(slots=True)
class _Part:
    """One file's part in a write. ``entry`` None: nothing of ours is in it afterwards.

    ``intent`` is what to write down before the file changes.
    """

    entry: JournalEntry | None
    intent: JournalEntry | None = None
    staged: Staged | None = None


@dataclass(slots=True)
class PreparedWrite:
    """A write that is ready. Exactly one of :meth:`commit` and :meth:`discard` is called.

    ``deleted`` are labels of ours that the user took out of the file, ``user_keywords`` the
    user's own keywords as paths with everything above them, ``reason`` says why tags are
    not in the photo although they should be.
    """

    path: str
    photo: os.stat_result
    parts: list[_Part] = field(default_factory=list)
    deleted: tuple[str, ...] = ()
    user_keywords: tuple[KeywordPath, ...] = ()
    reason: str = ""

    @property
    def intents(self) -> tuple[JournalEntry, ...]:
        """What the files that change will hold, to be written down before they do."""
        return tuple(part.intent for part in self.parts if part.intent is not None)

    @property
    def entries(self) -> tuple[JournalEntry, ...]:
        """What of ours is in which file afterwards."""
        return tuple(part.entry for part in self.parts if part.entry is not None)

    def commit(self) -> WriteReceipt:
        """Make the new content visible, durably; return what is there then.

        Raise PhotoVanishedError when photo or sidecar have changed since they were read,
        WriteFailedError when the disk or the rights refuse.
        """
        try:
            now = photo_stat(self.path)
            if not now.same_version(FileStat.of(self.photo)):
                raise PhotoVanishedError(
                    f"{self.path} changed while it was tagged", "it is looked at again"
                )
            for part in self.parts:
                if part.staged is not None:
                    part.staged.commit()
        finally:
            self.discard()
        inside = [intent.after for intent in self.intents if intent.file == self.path]
        return WriteReceipt(
            self.entries,
            photo_stat(self.path) if inside else now,
            sidecar_stat(self.path),
            inside[0] if inside else None,
        )

    def discard(self) -> None:
        """Remove what was written beside the files; they stay as they are."""
        for part in self.parts:
            if part.staged is not None and not part.staged.done:
                part.staged.discard()


@dataclass(slots=True)
class _Held:
    """An XMP file taken apart: ``base`` is what it would be without anything of ours.

    ``entry`` tells what of ours is in it, ``deleted`` which labels of ours the user took out.
    """

    place: XmpPlace
    original: Original | None
    entry: JournalEntry | None
    base: bytes | None
    deleted: frozenset[str] = frozenset()

    @property
    def data(self) -> bytes | None:
        return self.original.data if self.original is not None else None


def prepare(
    candidate: Candidate,
    keywords: Sequence[Keyword],
    options: WriteOptions,
    provenance: Provenance,
    *,
    previous: Sequence[JournalEntry] = (),
    tombstones: Collection[str] = frozenset(),
    digest: bytes = b"",
    same_picture: bool = True,
) -> PreparedWrite:
    """Get a photo's ``keywords`` ready to be written where ``options`` say.

    Without keywords, everything of ours is taken away. ``previous`` is the photo's journal,
    ``tombstones`` labels that must not be written, ``digest`` that of the photo's bytes,
    ``same_picture`` false when the picture is another one than when we last wrote.

    Raise PhotoVanishedError, RefusedError (not even a sidecar can be written), or
    WriteFailedError.
    """
    with _naming(candidate.path):
        writer = _Writer(candidate, options, provenance, previous, digest, same_picture)
        return writer.prepare(keywords, tombstones)


@contextmanager
def _naming(file: str) -> Iterator[None]:
    """Let a refusal name the file that it is about."""
    try:
        yield
    except RefusedError as error:
        if error.remedy:
            raise  # it is named already
        message = f"{file} is not written to: {error.message}"
        raise RefusedError(message, "repair it, or take it away") from error


class _Writer:
    """Prepares one photo's write."""

    def __init__(
        self,
        candidate: Candidate,
        options: WriteOptions,
        provenance: Provenance,
        previous: Sequence[JournalEntry],
        digest: bytes,
        same_picture: bool,
    ) -> None:
        self.path = candidate.path
        self.options = options
        self.provenance = provenance
        self.digest = digest
        self.same_picture = same_picture
        self.journal = {entry.file: entry for entry in previous}
        self.photo = _read_photo(self.path, candidate.stat)

    def prepare(self, keywords: Sequence[Keyword], stones: Collection[str]) -> PreparedWrite:
        held = self._take_apart(keywords)
        json_file = sidecar_paths(self.path)[2]
        found, json_deleted = self._json(json_file)
        deleted = frozenset().union(json_deleted, *(one.deleted for one in held.values()))
        words = {label: word for e in self.journal.values() for label, word in e.tags.items()}
        kept = without(keywords, deleted | frozenset(stones), words)
        users = self._users(held, found, json_file)
        made = PreparedWrite(
            self.path,
            self.photo.stat,
            deleted=tuple(sorted(deleted)),
            user_keywords=with_parents(users),
        )
        try:
            if self.options.read_only or self.options.target == "none":
                made.parts = [_Part(entry) for entry in self.journal.values()]
            else:
                self._plan(made, held, kept, users, json_file)
        except BaseException:
            made.discard()
            raise
        return made

    def _take_apart(self, keywords: Sequence[Keyword]) -> dict[str, _Held]:
        """Return the XMP files that matter: the photo if it is written to, and its sidecars."""
        held: dict[str, _Held] = {}
        for file, entry in self.journal.items():
            if entry.target == "embed" and file == self.path:
                held[file] = self._held(self._own_place(entry), self.photo, entry, keywords)
            elif entry.target == XmpSidecar.target:
                with _naming(file):
                    original = read_original(file)
                    held[file] = self._held(XmpSidecar(file), original, entry, keywords)
        if self.path not in held and container_packet(self.photo.data) is not None:
            place = Embedded(self.path, with_exif=False)
            held[self.path] = self._held(place, self.photo, None, keywords)
        sidecar = sidecar_file(self.path)
        if sidecar not in held and (original := _readable(sidecar)) is not None:
            held[sidecar] = self._held(XmpSidecar(sidecar), original, None, keywords)
        return held

    def _own_place(self, entry: JournalEntry) -> XmpPlace:
        if exiftool_format(self.photo.data):
            return ByExiftool(self.path)
        with_exif = self.options.exif == "if-absent"
        return Embedded(
            self.path, with_exif=with_exif, ours=tuple(entry.added.get(exif.PROPERTY, ()))
        )

    def _held(
        self,
        place: XmpPlace,
        original: Original | None,
        entry: JournalEntry | None,
        keywords: Sequence[Keyword],
    ) -> _Held:
        data = original.data if original is not None else None
        if data is None:
            return _Held(place, original, entry, None)
        packet = place.packet_in(data)
        if entry is None:
            entry = _adopted(place, packet, keywords)
        if entry is None or not entry.added:
            return _Held(place, original, None, data)
        now = patch.digest(data)
        if now == entry.before:
            # Restored from a backup, or taken away by hand together with all we wrote.
            return _Held(place, original, None, data)
        if now == entry.after:
            base = _undone(data, entry)
            if base is not None or entry.created:
                return _Held(place, original, entry, base)
        deleted = frozenset[str]()
        if self.same_picture:
            there = {word.casefold() for word in _subjects(packet)}
            deleted = frozenset(
                label for label, word in entry.tags.items() if word.casefold() not in there
            )
        return _Held(place, original, entry, _stripped(place, data, packet, entry), deleted)

    def _json(self, file: str) -> tuple[dict[str, Any], frozenset[str]]:
        """Return the JSON sidecar (empty: none that can be read), and the labels deleted."""
        entry = self.journal.get(file)
        if entry is None and self.options.target != json_sidecar.TARGET:
            return {}, frozenset()
        original = read_original(file)
        if original is None:
            return {}, frozenset()
        try:
            found = json_sidecar.parse(original.data, file)
        except RefusedError:
            return {}, frozenset()
        if entry is None or not entry.tags or patch.digest(original.data) == entry.after:
            return found, frozenset()
        there = set(json_sidecar.labels_in(found))
        return found, frozenset(label for label, word in entry.tags.items() if word not in there)

    def _users(
        self, held: Mapping[str, _Held], found: dict[str, Any], json_file: str
    ) -> tuple[KeywordPath, ...]:
        """Return the user's own keywords, wherever they are."""
        paths: list[KeywordPath] = []
        if self.path in held:
            one = held[self.path]
            opened = _opened(self.photo.data)
            iptc = opened.iptc if opened is not None else ()
            paths += user_paths(one.place.packet_in(one.base), iptc)
        else:
            paths += photo_keywords(self.photo.data)
        xmp_file = sidecar_file(self.path)
        if xmp_file in held:
            paths += user_paths(held[xmp_file].base)
        entry = self.journal.get(json_file)
        paths += json_sidecar.paths_in(found, entry.added.get("labels", ()) if entry else ())
        return merged(paths)

    # Where to

    def _plan(
        self,
        made: PreparedWrite,
        held: dict[str, _Held],
        keywords: tuple[Keyword, ...],
        users: tuple[KeywordPath, ...],
        json_file: str,
    ) -> None:
        main = ""
        if self.options.target == json_sidecar.TARGET:
            main = json_file
            made.parts.append(self._json_part(json_file, keywords))
        else:
            if self.options.target == "embed" and keywords:
                try:
                    made.parts.append(
                        self._xmp_part(self._embedding(held, keywords), keywords, users)
                    )
                    main = self.path
                except RefusedError as error:
                    made.reason = error.message
            if not main:
                main = sidecar_file(self.path)
                with _naming(main):
                    if main not in held:
                        held[main] = _Held(XmpSidecar(main), read_original(main), None, None)
                        held[main].base = held[main].data
                    part = self._xmp_part(held[main], keywords, users)
                if part.entry is not None and made.reason:
                    part.entry = replace(part.entry, reason=made.reason)
                    part.intent = part.intent and replace(part.intent, reason=made.reason)
                made.parts.append(part)
        for file, entry in self.journal.items():
            if file != main:
                made.parts.append(self._withdrawn(file, entry, held))

    def _embedding(self, held: Mapping[str, _Held], keywords: Sequence[Keyword]) -> _Held:
        """Return the photo as the place to write to; raise RefusedError if it is none."""
        st = self.photo.stat
        if st.st_size > MAX_READ:
            raise RefusedError("it is larger than 128 MB")
        if st.st_nlink > 1:
            raise RefusedError(f"it has {st.st_nlink} hard links")
        if not st.st_mode & 0o222:
            raise RefusedError("it is write-protected")
        one = held.get(self.path)
        entry = one.entry if one is not None else None
        place = embedding_place(
            self.path,
            self.photo.data,
            with_exif=self.options.exif == "if-absent",
            by_exiftool=self.options.exiftool,
            ours=tuple(entry.added.get(exif.PROPERTY, ())) if entry is not None else (),
        )
        if one is None:
            return self._held(place, self.photo, None, keywords)
        one.place = place
        return one

    # What in it

    def _xmp_part(
        self, held: _Held, keywords: tuple[Keyword, ...], users: tuple[KeywordPath, ...]
    ) -> _Part:
        place, data = held.place, held.data
        origin = (self.provenance.model, self.provenance.software)
        values = wanted_values(keywords, users, origin if self.options.provenance else None)
        base_packet = place.packet_in(held.base)
        flags = patch.PACKET_CREATED if base_packet is None else 0
        if not keywords:
            return self._part(held, held.base, {}, (), flags)
        if held.entry is not None and self._satisfied(held, values):
            there = {name: _values(place.packet_in(data), name) for name in values}
            added = {
                name: tuple(v for v in mine if v in there.get(name, ()))
                for name, mine in held.entry.added.items()
            }
            return self._part(held, data, added, keywords, flags)
        packet, added = xmp.add(base_packet, values, self.provenance.software)
        if not any(name in xmp.KEYWORD_PROPERTIES for name in added):
            return self._part(held, held.base, {}, (), flags)  # the user has it all already
        if base_packet is not None:
            packet = xmp.resize(packet, len(base_packet))
        names = tuple(keyword.name for keyword in keywords)
        new = place.with_packet(held.base, packet, names)
        if place.exif_names(new, names) and not place.exif_names(held.base, names):
            added = {**added, exif.PROPERTY: names}
        return self._part(held, new, added, keywords, flags)

    def _satisfied(self, held: _Held, values: Mapping[str, Sequence[str]]) -> bool:
        """Whether another program's edit left everything as we want it: nothing is written."""
        entry, packet = held.entry, held.place.packet_in(held.data)
        assert entry is not None
        if packet is None or self.options.exif == "if-absent" or exif.PROPERTY in entry.added:
            return False
        try:
            parsed = xmp.parse(packet)
            for name in xmp.KEYWORD_PROPERTIES:
                there = {value.casefold() for value in parsed.values(name)}
                wanted = {xmp.clean(value).casefold() for value in values[name]}
                ours = {value.casefold() for value in entry.added.get(name, ())}
                if not wanted <= there or (ours & there) - wanted:
                    return False
        except RefusedError:
            return False
        return parsed.has_ours() == self.options.provenance

    def _json_part(self, file: str, keywords: tuple[Keyword, ...]) -> _Part:
        original, entry = read_original(file), self.journal.get(file)
        data = original.data if original is not None else None
        found = json_sidecar.parse(data, file)
        ours = tuple(entry.added.get("labels", ())) if entry is not None else ()
        if entry is None and found.get("software", "").startswith("tagger "):
            ours = json_sidecar.labels_in(found)  # the index was lost
        base = json_sidecar.without(found, ours) if data is not None else None
        held = _Held(XmpSidecar(file), original, entry, base)
        if not keywords:
            return self._part(held, base, {}, (), 0, json_sidecar.TARGET)
        new, names = json_sidecar.build(
            json_sidecar.parse(base, file),
            keywords,
            photo=self.path,
            digest=self.digest,
            model=self.provenance.model,
            software=self.provenance.software,
        )
        added = {json_sidecar.PROPERTY: names}
        return self._part(held, new, added, keywords, 0, json_sidecar.TARGET)

    def _withdrawn(self, file: str, entry: JournalEntry, held: Mapping[str, _Held]) -> _Part:
        """Take what is ours out of a file that is no longer written to; keep it if refused."""
        try:
            if entry.target == json_sidecar.TARGET:
                return self._json_part(file, ())
            if file not in held:
                return _Part(None)
            one = held[file]
            return self._part(one, one.base, {}, (), 0)
        except TaggerError:
            return _Part(entry)

    def _part(
        self,
        held: _Held,
        new: bytes | None,
        added: Mapping[str, tuple[str, ...]],
        keywords: Iterable[Keyword],
        flags: int,
        target: str = "",
    ) -> _Part:
        """Return the part of a file that shall hold ``new``; stage it when it differs."""
        data, file = held.data, held.place.file
        after = patch.digest(new) if new is not None else b""
        now = patch.digest(data) if data is not None else b""
        entry: JournalEntry | None = None
        if added:
            entry = JournalEntry(
                target=target or held.place.target,
                file=file,
                added=dict(added),
                tags={keyword.tag: keyword.name for keyword in keywords},
                created=held.base is None,
                before=patch.digest(held.base) if held.base is not None else b"",
                after=after,
                undo=patch.encode(new or b"", held.base or b"", flags=flags, prior=now),
            )
        if new == data:
            return _Part(entry)
        staged = stage(
            file,
            new,
            held.original,
            like=self.photo.stat,
            keep_mtime=file == self.path and self.options.preserve_mtime,
        )
        gone = JournalEntry(
            target=target or held.place.target,
            file=file,
            added={},
            tags={},
            created=False,
            before=now,
            after=after,
            undo=patch.encode(b"", b"", prior=now),
        )
        return _Part(entry, entry or gone, staged)


def _read_photo(path: str, expected: FileStat) -> Original:
    st = photo_stat(path)
    if not st.same_version(expected):
        raise PhotoVanishedError(f"{path} changed while it was tagged", "it is looked at again")
    if st.size > MAX_READ:
        return Original(path, b"", os.lstat(path))
    found = read_original(path)
    if found is None:
        raise PhotoVanishedError(f"{path} is gone", "nothing to do")
    return found


def _readable(path: str) -> Original | None:
    try:
        return read_original(path)
    except MetadataError:
        return None  # for reading only: writing would say what is wrong


def _opened(data: bytes) -> container.Container | None:
    try:
        return container.open_container(data)
    except RefusedError:
        return None


def container_packet(data: bytes) -> bytes | None:
    """Return the XMP packet of a JPEG, PNG or WebP; None without one."""
    opened = _opened(data)
    return opened.packet if opened is not None else None


def photo_keywords(data: bytes) -> tuple[KeywordPath, ...]:
    """Return the keywords inside a photo of any format, ours among them."""
    opened = _opened(data)
    if opened is not None:
        return user_paths(opened.packet, opened.iptc)
    return user_paths(find_packet(data))


def _values(packet: bytes | None, name: str) -> tuple[str, ...]:
    if packet is None:
        return ()
    if name in xmp.PROVENANCE_PROPERTIES:
        return ()
    try:
        return xmp.parse(packet).texts(name)
    except RefusedError:
        return ()


def _subjects(packet: bytes | None) -> tuple[str, ...]:
    return _values(packet, xmp.SUBJECT)


def _undone(data: bytes, entry: JournalEntry) -> bytes | None:
    """Return the file as it was before we ever wrote to it; None when that is not known."""
    if entry.created:
        return None
    try:
        base = patch.decode(entry.undo).apply(data)
    except ValueError:
        return None
    return base if patch.digest(base) == entry.before else None


def _stripped(
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
    return place.with_packet(data, rest, ())


def _packet_is_ours(entry: JournalEntry) -> bool:
    if entry.created:
        return True
    try:
        return bool(patch.decode(entry.undo).flags & patch.PACKET_CREATED)
    except ValueError:
        return False


def _adopted(
    place: XmpPlace, packet: bytes | None, keywords: Sequence[Keyword]
) -> JournalEntry | None:
    """Return what our provenance in a packet tells of a file that the journal doesn't know."""
    if packet is None:
        return None
    try:
        parsed = xmp.parse(packet)
    except RefusedError:
        return None
    names = parsed.labels()
    if not parsed.has_ours() or not names:
        return None
    tags = {keyword.name: keyword.tag for keyword in keywords}
    added = {
        xmp.SUBJECT: tuple(v for v in parsed.texts(xmp.SUBJECT) if v in names),
        xmp.HIERARCHICAL: _ending_in(parsed.texts(xmp.HIERARCHICAL), "|", names),
        xmp.TAGS_LIST: _ending_in(parsed.texts(xmp.TAGS_LIST), "/", names),
    }
    return JournalEntry(
        target=place.target,
        file=place.file,
        added=added,
        tags={tags.get(name, name): name for name in names},
        created=False,
        before=b"",
        after=b"",
        undo=b"",
    )


def _ending_in(values: Iterable[str], mark: str, names: Collection[str]) -> tuple[str, ...]:
    return tuple(value for value in values if value.rsplit(mark, 1)[-1] in names)


def read_keywords(path: str) -> tuple[KeywordPath, ...]:
    """Return the keywords in a photo and its XMP sidecar, with everything above them.

    For photos beside which nothing can be written. Unreadable ones have none.
    """
    paths: list[KeywordPath] = []
    photo = _readable(path)
    if photo is not None and len(photo.data) <= MAX_READ:
        paths += photo_keywords(photo.data)
    sidecar = _readable(sidecar_file(path))
    if sidecar is not None:
        paths += user_paths(sidecar.data)
    return with_parents(merged(paths))


def recover(entry: JournalEntry) -> str:
    """Return what became of an intended write: "before", "after", or "foreign".

    "foreign": the file is neither as it was nor as we wanted it; somebody changed it since.
    """
    try:
        prior = patch.decode(entry.undo).prior
    except ValueError:
        prior = entry.before
    try:
        original = read_original(entry.file)
    except TaggerError:
        return "foreign"
    now = patch.digest(original.data) if original is not None else b""
    if now == entry.after:
        return "after"
    return "before" if now == prior else "foreign"
