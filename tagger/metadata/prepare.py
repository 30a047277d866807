"""One photo's tags on their way into files: prepared, then committed, or discarded.

:func:`prepare` reads what is there, decides where the tags go, and writes the new content
beside the old; :meth:`PreparedWrite.commit` makes it visible. In between the caller writes the
intention down, so that a crash at any moment leaves nothing that cannot be undone.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from tagger.errors import RefusedError
from tagger.metadata import json_sidecar, user_edits
from tagger.metadata.containers import exif
from tagger.metadata.file_changes import ChangeBuilder, DesiredKeywords
from tagger.metadata.managed_file import ManagedFile
from tagger.metadata.options import Provenance, WriteOptions
from tagger.metadata.photo_files import Known, PhotoFiles
from tagger.metadata.prepared_write import FileChange, PreparedWrite
from tagger.metadata.program_knowledge import LOST
from tagger.metadata.recovery import recover
from tagger.metadata.safe_write.original import MAX_READ, naming
from tagger.metadata.tag_owner import TagOwner
from tagger.metadata.targets import XmpSidecar, embedding_place
from tagger.metadata.xmp import packet as xmp_packet
from tagger.metadata.xmp.keywords import KeywordPath, merged, with_parents, without
from tagger.metadata.xmp.packet import remembering
from tagger.records import Candidate, JournalEntry, Keyword


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
    of the files at its name may be another photo's. Raise PhotoVanishedError, RefusedError (not
    even a sidecar can be written), or WriteFailedError.
    """
    known = Known(previous, whose or TagOwner(), same_picture, patient)
    with naming(candidate.path), remembering():
        files = PhotoFiles(candidate, keywords, options, known)
        written = {label: word for e in files.journal.values() for label, word in e.tags.items()}
        kept = without(keywords, files.deleted | frozenset(tombstones), written)
        names = {keyword.name for keyword in kept}
        users, words = files.users()
        if own:
            users, words = merged([*users, (own,)]), (*words, own)
        made = PreparedWrite(
            candidate.path,
            files.photo.stat,
            deleted=tuple(sorted(files.deleted)),
            user_keywords=_with_parents(users, kept),
            taken_at=files.taken_at(),
            read=files.read_stats,
            copies=tuple(word for word in files.copies if word not in names),
        )
        try:
            if options.read_only or options.target == "none":
                made.parts = [
                    FileChange(entry)
                    for entry in files.journal.values()
                    if not options.others or recover(entry, candidate.root) == "after"
                ]
            else:
                builder = ChangeBuilder(files.photo, files.below, options, provenance, digest)
                desired = DesiredKeywords(kept, users, words, own)
                _Plan(made, files, builder, desired, options).run()
        except BaseException:
            made.discard()
            raise
    return made


def _with_parents(
    users: Sequence[KeywordPath], keywords: Sequence[Keyword]
) -> tuple[KeywordPath, ...]:
    """Return the user's keywords and what is above them, but for what is there as ours."""
    own, ours = {*users}, {keyword.path for keyword in keywords}
    return tuple(path for path in with_parents(users) if path in own or path not in ours)


@dataclass(slots=True)
class _Plan:
    """Decides which of a photo's files get the keywords, and takes them out of the others."""

    made: PreparedWrite
    files: PhotoFiles
    builder: ChangeBuilder
    wanted: DesiredKeywords
    options: WriteOptions
    done: set[str] = field(default_factory=set)

    def run(self) -> None:
        files, wanted = self.files, self.wanted
        has_something = bool(wanted.keywords or wanted.own)
        if self.options.target == json_sidecar.TARGET:
            self._put(files.held[files.json_file])
        elif has_something or files.sidecars.file in files.held:
            if self.options.target == "embed" and has_something and self._embed():
                self._put_beside()
            else:
                self._put(self._sidecar())
        for file, entry in files.journal.items():
            if file not in self.done:
                self.made.parts.append(self._withdrawn(file, entry))

    def _put(self, held: ManagedFile) -> None:
        """Put the keywords into a file, unless it is left alone."""
        self.done.add(held.place.file)
        if not self._is_left(held):
            with naming(held.place.file):
                self._add(self.builder.with_keywords(held, self.wanted), held.reason)

    def _add(self, change: FileChange, reason: str) -> None:
        """Take a change into the write; the journal says why a file is written to as it is."""
        if change.entry is not None and (why := self.made.reason or reason):
            change.entry = replace(change.entry, reason=why)
            change.intent = change.intent and replace(change.intent, reason=why)
        self.made.parts.append(change)

    def _embed(self) -> bool:
        """Put the keywords into the photo; return whether they are, or it is left alone."""
        try:
            held = self._photo()
            if not self._is_left(held):
                self._add(self.builder.with_keywords(held, self.wanted), held.reason)
        except RefusedError as error:
            self.made.reason = error.message
            return False
        self.done.add(self.files.path)
        return True

    def _put_beside(self) -> None:
        """Put the keywords into another program's sidecar, too: it is read before the photo."""
        held = self.files.held.get(self.files.sidecars.file)
        if held is None or held.base is None:
            return
        try:
            self._put(held)
        except RefusedError as error:
            self.made.reason = self.made.reason or error.message
            self.made.parts.append(FileChange(self.files.journal.get(held.place.file)))

    def _sidecar(self) -> ManagedFile:
        file = self.files.sidecars.file
        with naming(file):
            return self.files.held.get(file) or self.files.take_apart(XmpSidecar(file))

    def _photo(self) -> ManagedFile:
        """Return the photo as the place to write to; raise RefusedError if it is none."""
        photo = self.files.photo
        if photo.stat.st_size > MAX_READ:
            raise RefusedError("it is larger than 128 MB")
        if photo.stat.st_nlink > 1:
            raise RefusedError(f"it has {photo.stat.st_nlink} hard links")
        if not photo.stat.st_mode & 0o222:
            raise RefusedError("it is write-protected")
        held = self.files.held.get(photo.path)
        entry = held.entry if held is not None else None
        place = embedding_place(
            photo.path,
            photo.data,
            write_exif=self.options.exif,
            by_exiftool=self.options.exiftool,
            ours=tuple(entry.added.get(exif.PROPERTY, ())) if entry is not None else (),
        )
        if held is None:
            return self.files.take_apart(place)
        held.place = place
        return held

    def _is_left(self, held: ManagedFile) -> bool:
        """Whether a file is left as it is, for a reason that the journal is told."""
        why, made, lost = held.left, self.made, held.edits.lost
        if not why or self.wanted.own or not self.wanted.keywords:
            return False
        if lost and not any(xmp_packet.key(one.name) in lost for one in self.wanted.keywords):
            return False  # what another program did not know is not given any more
        made.reason, made.waits = made.reason or why, why == user_edits.WAITS
        entry = self.files.journal.get(held.place.file)
        if lost:
            entry = _with_lost(held, self.wanted.keywords)
        if entry is not None and not made.waits:
            entry = replace(entry, reason=why)
        made.parts.append(FileChange(entry))
        return True

    def _withdrawn(self, file: str, entry: JournalEntry) -> FileChange:
        """Take what is ours out of a file that is no longer written to."""
        held = self.files.held.get(file)
        if held is None:
            return FileChange(None)
        try:
            return self.builder.without_ours(held)
        except RefusedError as error:
            self.made.reason = self.made.reason or f"tags stay in {file}: {error.message}"
            return FileChange(entry)


def _with_lost(held: ManagedFile, keywords: Sequence[Keyword]) -> JournalEntry | None:
    """Return what the journal says of a file that is left to another program.

    New ``keywords`` do not come into it either: they are in the index only, as what was lost.
    """
    if (entry := held.entry) is None:
        return None
    new = {one.tag: one.name for one in keywords if one.tag not in entry.tags}
    lost = held.edits.lost | {*map(xmp_packet.key, new.values())}
    seen = {**held.seen, LOST: tuple(sorted(lost))}
    return replace(entry, tags={**entry.tags, **new}, seen=seen)
