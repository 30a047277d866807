"""One photo's tags on their way into files: prepared, then committed, or discarded.

:func:`prepare` reads what is there, decides where the tags go, and writes the new content
beside the old; :meth:`PreparedWrite.commit` makes it visible. In between the caller writes the
intention down, so that a crash at any moment leaves nothing that cannot be undone.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from tagger.errors import PhotoVanishedError, RefusedError
from tagger.metadata import json_sidecar, user_edits
from tagger.metadata.capture_date import taken_at
from tagger.metadata.containers import exif
from tagger.metadata.file_changes import ChangeBuilder, DesiredKeywords
from tagger.metadata.managed_file import (
    ManagedFile,
    ManagedJson,
    adopted,
    container_packet,
    read_photo,
    readable,
    stripped,
    undone,
    users_packet,
)
from tagger.metadata.options import Provenance, WriteOptions
from tagger.metadata.prepared_write import FileChange, PreparedWrite
from tagger.metadata.recovery import recover
from tagger.metadata.refusals import naming
from tagger.metadata.safe_write import undo
from tagger.metadata.safe_write.replace import MAX_READ, MAX_SIDECAR, Original, read_original
from tagger.metadata.sidecar_path import sidecars_of
from tagger.metadata.tag_owner import TagOwner, named_in, named_in_json, settle
from tagger.metadata.targets import (
    ByExiftool,
    Embedded,
    Target,
    XmpSidecar,
    embedding_place,
    exiftool_format,
    is_raw_name,
)
from tagger.metadata.xmp.keywords import (
    KeywordPath,
    merged,
    user_paths,
    user_words,
    with_parents,
    without,
)
from tagger.metadata.xmp.packet import remembering
from tagger.paths import sidecar_paths
from tagger.records import Candidate, FileStat, JournalEntry, Keyword
from tagger.system.beneath import Beneath
from tagger.system.files import leads_out


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
    own: str = "",
    patient: bool = False,
    whose: TagOwner | None = None,
) -> PreparedWrite:
    """Get a photo's ``keywords`` ready to be written where ``options`` say.

    Without keywords, everything of ours is taken away. ``previous`` is the photo's journal,
    ``tombstones`` labels that must not be written, ``digest`` that of the photo's bytes,
    ``same_picture`` false when the picture is another one than when we last wrote. ``own`` is
    a keyword to be written as the user's: it goes to where ours go, and stays when they go.
    ``patient``: a sidecar that was emptied just now is not written to yet. ``whose`` tells what
    of the files at its name may be another photo's.

    Raise PhotoVanishedError, RefusedError (not even a sidecar can be written), or
    WriteFailedError.
    """
    with naming(candidate.path), remembering():
        writer = _Writer(
            candidate, options, provenance, previous, digest, same_picture, whose or TagOwner()
        )
        writer.patient = patient
        return writer.prepare(keywords, tombstones, own)


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
        whose: TagOwner,
    ) -> None:
        self.path = candidate.path
        self.options = options
        self.same_picture = same_picture
        self.patient = False
        if leads_out(self.path, candidate.root):
            raise PhotoVanishedError(f"a folder above {self.path} is a link now", "nothing to do")
        self.below = Beneath(candidate.root)
        embedded = [e for e in (*previous, *whose.others) if e.target == "embed"]
        embeds = options.target == "embed" and not is_raw_name(self.path)
        self.photo, self.inside = read_photo(
            self.path,
            candidate.stat,
            self.below,
            whole=embeds or any(entry.file == self.path for entry in embedded),
        )
        self.sidecars = sidecars_of(self.path, self.below)
        read = [readable(file, self.below, MAX_SIDECAR) for file in self.sidecars.others]
        self.others = {one.path: one for one in read if one is not None}
        self.whose = whose
        settled = settle(self.path, previous, whose, self.photo, self.below)
        self.journal, self.foreign = settled.journal, settled.foreign
        self.parts = ChangeBuilder(
            self.photo, self.below, options, provenance, self.journal, digest
        )

    def prepare(
        self, keywords: Sequence[Keyword], stones: Collection[str], own: str
    ) -> PreparedWrite:
        held = self._take_apart(keywords)
        json_file = sidecar_paths(self.path)[2]
        beside = self._json(json_file)
        deleted = frozenset().union(beside.deleted, *(one.deleted for one in held.values()))
        written = {label: word for e in self.journal.values() for label, word in e.tags.items()}
        kept = without(keywords, deleted | frozenset(stones), written)
        users, words = self._users(held, beside, keywords)
        if own:
            users, words = merged([*users, (own,)]), (*words, own)
        made = PreparedWrite(
            self.path,
            self.photo.stat,
            deleted=tuple(sorted(deleted)),
            user_keywords=with_parents(users),
            taken_at=self._taken_at(held),
            read={file: FileStat.of(one.stat) for file, one in self.others.items()},
        )
        try:
            if self.options.read_only or self.options.target == "none":
                made.parts = [
                    FileChange(entry) for entry in self.journal.values() if self._stays(entry)
                ]
            else:
                self._plan(made, held, DesiredKeywords(kept, users, words, own), json_file, beside)
        except BaseException:
            made.discard()
            raise
        return made

    def _stays(self, entry: JournalEntry) -> bool:
        """Whether something of ours is still in a file that is not written to."""
        return not self.options.others or recover(entry, self.below.root) == "after"

    def _take_apart(self, keywords: Sequence[Keyword]) -> dict[str, ManagedFile]:
        """Return the XMP files that matter: the photo if it is written to, and its sidecars."""
        held: dict[str, ManagedFile] = {}
        for file, entry in self.journal.items():
            if entry.target == "embed" and file == self.path:
                held[file] = self._held(self._own_place(entry), self.photo, entry, keywords)
            elif entry.target == XmpSidecar.target:
                with naming(file):
                    original = read_original(file, self.below, MAX_SIDECAR)
                    held[file] = self._held(XmpSidecar(file), original, entry, keywords)
        if self.path not in held and container_packet(self.photo.data) is not None:
            place = Embedded(self.path)
            held[self.path] = self._held(place, self.photo, None, keywords)
        sidecar = self.sidecars.file
        if sidecar not in held:
            with contextlib.suppress(RefusedError):  # writing would say what is wrong
                if (original := read_original(sidecar, self.below, MAX_SIDECAR)) is not None:
                    held[sidecar] = self._held(XmpSidecar(sidecar), original, None, keywords)
        return held

    def _own_place(self, entry: JournalEntry) -> Target:
        if exiftool_format(self.photo.data):
            return ByExiftool(self.path)
        return Embedded(
            self.path, write_exif=self.options.exif, ours=tuple(entry.added.get(exif.PROPERTY, ()))
        )

    def _held(
        self,
        place: Target,
        original: Original | None,
        entry: JournalEntry | None,
        keywords: Sequence[Keyword],
    ) -> ManagedFile:
        data = original.data if original is not None else None
        if data is None:
            return ManagedFile(place, original, entry, None)
        if original is not None and isinstance(place, XmpSidecar) and user_edits.is_empty(original):
            return self._empty(place, original, entry)
        packet = place.packet_in(data)
        if entry is None:
            entry = adopted(place, packet, keywords)
            try:
                return self._changed(place, original, entry, packet, keywords)
            except RefusedError:
                return ManagedFile(place, original, None, data)  # nothing is known to be ours
        if not entry.added:
            return ManagedFile(place, original, None, data)
        now = undo.digest(data)
        foreign = place.file in self.foreign
        if now == entry.before and not foreign:
            # Restored from a backup, or taken away by hand together with all we wrote. But one
            # that puts it back again and again is not written against.
            if entry.reason in (user_edits.PUT_BACK, user_edits.OVERWRITTEN):
                return ManagedFile(place, original, entry, data, left=user_edits.OVERWRITTEN)
            return ManagedFile(place, original, None, data, reason=user_edits.PUT_BACK)
        if now == entry.after:
            base = undone(data, entry)
            if base is not None or entry.created:
                # What is another photo's is written anew in any case.
                return ManagedFile(place, original, None if foreign else entry, base)
        return self._changed(place, original, entry, packet, keywords)

    def _changed(
        self,
        place: Target,
        original: Original | None,
        entry: JournalEntry | None,
        packet: bytes | None,
        keywords: Sequence[Keyword],
    ) -> ManagedFile:
        """Take a file apart that somebody changed since we wrote it."""
        data = original.data if original is not None else None
        if entry is None or data is None:
            return ManagedFile(place, original, None, data)
        own = place.file not in self.foreign
        replaced = self._replaced(entry)
        if replaced and (found := adopted(place, packet, keywords)) is not None:
            entry = replace(found, created=entry.created)
        if place.file != self.path and self.whose.digests and (named := named_in(packet)):
            own = named in self.whose.digests
            if not own:
                # Whoever put another's file here: with nothing but ours in it, it is ours.
                found = adopted(place, packet, keywords)
                entry = replace(found, created=entry.created) if found is not None else entry
        judged = own and self.same_picture and not replaced
        if user_edits.is_overwritten(entry, packet):
            left = user_edits.OVERWRITTEN if judged else ""
            return ManagedFile(place, original, entry if left else None, data, left=left)
        deleted = user_edits.deleted_labels(entry, packet) if judged else frozenset[str]()
        base = stripped(place, data, packet, entry)
        return ManagedFile(place, original, entry if own else None, base, deleted)

    def _replaced(self, entry: JournalEntry) -> bool:
        """Whether another tagger wrote to a file that is not as we left it."""
        return self.options.others or entry.reason == user_edits.ANOTHER

    def _empty(self, place: Target, original: Original, entry: JournalEntry | None) -> ManagedFile:
        """Take an XMP sidecar apart that has nothing in it: written to unless more may come."""
        if self.patient and user_edits.is_fresh(original):
            return ManagedFile(place, original, entry, original.data, left=user_edits.WAITS)
        created = entry is not None and entry.created
        return ManagedFile(place, original, None, None if created else original.data)

    def _json(self, file: str) -> ManagedJson:
        """Return the JSON sidecar taken apart; nothing in it: none that can be read."""
        entry = self.journal.get(file)
        if entry is None and self.options.target != json_sidecar.TARGET:
            return ManagedJson()
        with naming(file):
            original = read_original(file, self.below, MAX_SIDECAR)
        if original is None:
            return ManagedJson()
        if entry is not None and user_edits.is_empty(original):
            fresh = self.patient and user_edits.is_fresh(original)
            return ManagedJson(left=user_edits.WAITS if fresh else "")
        try:
            found = json_sidecar.parse(original.data)
        except RefusedError:
            return ManagedJson()
        now = undo.digest(original.data)
        named = named_in_json(original.data) if self.whose.digests else b""
        if entry is not None and now != entry.after and named and named not in self.whose.digests:
            self.journal.pop(file)  # it is another photo's: what in it looks like ours is
            entry = None
        if entry is not None and file in self.foreign and now != entry.after:
            if user_edits.is_json_overwritten(entry, found):
                self.journal.pop(file)
            entry = None
        if entry is not None and now != entry.after and self._replaced(entry):
            self.journal.pop(file)
            entry = None
        ours = self.parts.own_labels(found, file)
        if entry is None or not entry.tags or not self.same_picture or file in self.foreign:
            return ManagedJson(found, ours)
        if now == entry.after:
            return ManagedJson(found, ours)
        if now == entry.before:
            if entry.reason in (user_edits.PUT_BACK, user_edits.OVERWRITTEN):
                return ManagedJson(found, left=user_edits.OVERWRITTEN)
            return ManagedJson(found, ours, reason=user_edits.PUT_BACK)
        if user_edits.is_json_overwritten(entry, found):
            return ManagedJson(found, left=user_edits.OVERWRITTEN)
        return ManagedJson(found, ours, user_edits.deleted_in_json(entry, found))

    def _users(
        self,
        held: Mapping[str, ManagedFile],
        beside: ManagedJson,
        keywords: Sequence[Keyword],
    ) -> tuple[tuple[KeywordPath, ...], tuple[str, ...]]:
        """Return the user's own keywords, wherever they are, as paths and as plain words."""
        packets: list[bytes | None] = [users_packet(p, keywords) for p in self.inside.packets]
        if self.path in held:
            one = held[self.path]
            packets[:1] = [one.place.packet_in(one.base)]
        paths, words = list[KeywordPath](), list[str]()
        for packet in packets:
            paths += user_paths(packet)
            words += user_words(packet)
        paths += user_paths(None, self.inside.iptc)
        words += user_words(None, self.inside.iptc)
        for packet in self._beside(held, keywords):
            paths += user_paths(packet)
            words += user_words(packet)
        paths += json_sidecar.paths_in(beside.found, beside.ours)
        return merged(paths), tuple(words)

    def _beside(
        self, held: Mapping[str, ManagedFile], keywords: Sequence[Keyword]
    ) -> Iterator[bytes | None]:
        """Yield what of the XMP sidecars is the user's."""
        if self.sidecars.file in held:
            yield held[self.sidecars.file].base
        for file, one in self.others.items():
            yield held[file].base if file in held else users_packet(one.data, keywords)

    def _taken_at(self, held: Mapping[str, ManagedFile]) -> str | None:
        main = held[self.sidecars.file].data if self.sidecars.file in held else None
        others = [one.data for one in self.others.values()]
        return taken_at(self.inside, [data for data in (main, *others) if data])

    # Where to

    def _plan(
        self,
        made: PreparedWrite,
        held: dict[str, ManagedFile],
        wanted: DesiredKeywords,
        json_file: str,
        beside: ManagedJson,
    ) -> None:
        main = ""
        if self.options.target == json_sidecar.TARGET:
            main = json_file
            if not self._left(made, main, beside.left, wanted):
                if beside.left == user_edits.OVERWRITTEN:
                    self.journal.pop(main, None)  # what is in it is not ours
                with naming(main):
                    part = self.parts.of_json(json_file, wanted.keywords, wanted.own)
                _note(part, beside.reason)
                made.parts.append(part)
        elif wanted.keywords or wanted.own or self.sidecars.file in held:
            if self.options.target == "embed" and (wanted.keywords or wanted.own):
                try:
                    one = self._embedding(held, wanted.keywords)
                    if not self._left(made, self.path, one.left, wanted):
                        part = self.parts.of_xmp(one, wanted)
                        _note(part, one.reason)
                        made.parts.append(part)
                    main = self.path
                except RefusedError as error:
                    made.reason = error.message
            if not main:
                main = self.sidecars.file
                with naming(main):
                    if main not in held:
                        original = read_original(main, self.below, MAX_SIDECAR)
                        held[main] = self._held(XmpSidecar(main), original, None, wanted.keywords)
                    if not self._left(made, main, held[main].left, wanted):
                        part = self.parts.of_xmp(held[main], wanted)
                        _note(part, made.reason or held[main].reason)
                        made.parts.append(part)
        for file, entry in self.journal.items():
            if file != main:
                try:
                    made.parts.append(self._withdrawn(file, entry, held))
                except RefusedError as error:
                    made.parts.append(FileChange(entry))
                    made.reason = made.reason or f"tags stay in {file}: {error.message}"

    def _left(self, made: PreparedWrite, file: str, why: str, wanted: DesiredKeywords) -> bool:
        """Leave a file as it is, if there is a reason ``why``; return whether there is."""
        if not why or wanted.own or not wanted.keywords:
            return False
        made.reason, made.waits = made.reason or why, why == user_edits.WAITS
        entry = self.journal.get(file)
        if entry is not None and not made.waits:
            entry = replace(entry, reason=why)
        made.parts.append(FileChange(entry))
        return True

    def _embedding(
        self, held: Mapping[str, ManagedFile], keywords: Sequence[Keyword]
    ) -> ManagedFile:
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
            write_exif=self.options.exif,
            by_exiftool=self.options.exiftool,
            ours=tuple(entry.added.get(exif.PROPERTY, ())) if entry is not None else (),
        )
        if one is None:
            return self._held(place, self.photo, None, keywords)
        one.place = place
        return one

    def _withdrawn(
        self, file: str, entry: JournalEntry, held: Mapping[str, ManagedFile]
    ) -> FileChange:
        """Take what is ours out of a file that is no longer written to."""
        if entry.target == json_sidecar.TARGET:
            return self.parts.of_json(file, ())
        if file not in held:
            return FileChange(None)
        one = held[file]
        return self.parts.of(one, one.base, {}, (), 0)


def _note(part: FileChange, reason: str) -> None:
    """Let the journal say why a file is written to as it is."""
    if part.entry is not None and reason:
        part.entry = replace(part.entry, reason=reason)
        part.intent = part.intent and replace(part.intent, reason=reason)
