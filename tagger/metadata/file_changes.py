"""What goes into each file: its new content, its entry in the journal, and the undo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tagger.errors import RefusedError
from tagger.metadata import json_sidecar
from tagger.metadata.containers import exif
from tagger.metadata.managed_file import ManagedFile, texts_of, undone
from tagger.metadata.options import Provenance, WriteOptions
from tagger.metadata.prepared_write import FileChange
from tagger.metadata.safe_write import undo as patch
from tagger.metadata.safe_write.content import Content, proved, same
from tagger.metadata.safe_write.replace import MAX_SIDECAR, Original, Staged, read_original, stage
from tagger.metadata.tag_owner import digest_text
from tagger.metadata.targets import XmpSidecar
from tagger.metadata.xmp import edit
from tagger.metadata.xmp import packet as xmp_packet
from tagger.metadata.xmp.keywords import KeywordPath, wanted_values
from tagger.records import JournalEntry, Keyword
from tagger.system.beneath import Beneath


@dataclass(frozen=True, slots=True)
class DesiredKeywords:
    """What shall be in the files: our keywords, and the user's as paths and as plain words.

    ``own`` is one more of the user's, to be written for him: it is no part of the journal.
    """

    keywords: tuple[Keyword, ...]
    users: tuple[KeywordPath, ...]
    words: tuple[str, ...]
    own: str = ""


class ChangeBuilder:
    """Makes the parts of one photo's write."""

    def __init__(
        self,
        photo: Original,
        below: Beneath,
        options: WriteOptions,
        provenance: Provenance,
        journal: Mapping[str, JournalEntry],
        digest: bytes,
    ) -> None:
        self._photo = photo
        self._below = below
        self._options = options
        self._provenance = provenance
        self._journal = journal
        self._digest = digest

    def of_xmp(self, held: ManagedFile, wanted: DesiredKeywords) -> FileChange:
        """Return the part of an XMP file. Raise RefusedError, WriteFailedError."""
        if wanted.own:
            held = self._with_own(held, wanted.own)
        place, data, keywords = held.place, held.data, wanted.keywords
        said = self._provenance
        origin = (said.model, said.software, digest_text(said.photo))
        values = wanted_values(
            keywords, wanted.users, wanted.words, origin if self._options.provenance else None
        )
        base_packet = place.packet_in(held.base)
        flags = patch.PACKET_CREATED if base_packet is None else 0
        if not keywords:
            return self.of(held, held.base, {}, (), flags)
        if held.entry is not None and self._satisfied(held, values):
            there = {name: texts_of(place.packet_in(data), name) for name in values}
            added = {
                name: tuple(v for v in mine if v in there.get(name, ()))
                for name, mine in held.entry.added.items()
            }
            return self.of(held, data, added, keywords, flags)
        packet, added = edit.add(base_packet, values, self._provenance.software)
        if not any(name in xmp_packet.KEYWORD_PROPERTIES for name in added):
            return self.of(held, held.base, {}, (), flags)  # the user has it all already
        if base_packet is not None:
            packet = edit.resize(packet, len(base_packet))
        names = edit.distinct(values[xmp_packet.SUBJECT])
        new = place.with_packet(held.base, packet, names)
        written = place.exif_names(new, names)
        if written and not place.exif_names(held.base, names):
            added = {**added, exif.PROPERTY: written}
        return self.of(held, new, added, keywords, flags)

    def _with_own(self, held: ManagedFile, word: str) -> ManagedFile:
        """Let what the file would be without us hold a keyword of the user's."""
        values = dict.fromkeys(xmp_packet.KEYWORD_PROPERTIES, (word,))
        packet, _ = edit.add(held.place.packet_in(held.base), values, self._provenance.software)
        base = proved(held.place.with_packet(held.base, packet, ()))
        return replace(held, entry=None, base=base)  # it is to be written in any case

    def _satisfied(self, held: ManagedFile, values: Mapping[str, Sequence[str]]) -> bool:
        """Whether another program's edit left everything as we want it: nothing is written."""
        entry, packet = held.entry, held.place.packet_in(held.data)
        assert entry is not None
        if packet is None or self._options.exif != "never" or exif.PROPERTY in entry.added:
            return False
        try:
            parsed = xmp_packet.parse(packet)
            for name in xmp_packet.KEYWORD_PROPERTIES:
                there = {xmp_packet.key(value) for value in parsed.values(name)}
                wanted = {xmp_packet.key(value) for value in values[name]} - {""}
                ours = {xmp_packet.key(value) for value in entry.added.get(name, ())}
                if not wanted <= there or (ours & there) - wanted:
                    return False
        except RefusedError:
            return False
        return parsed.has_ours() == self._options.provenance

    def of_json(self, file: str, keywords: tuple[Keyword, ...], own: str = "") -> FileChange:
        """Return the part of the JSON sidecar ``file``; ``own`` as in :class:`DesiredKeywords`.

        Raise RefusedError, WriteFailedError.
        """
        original, entry = read_original(file, self._below, MAX_SIDECAR), self._journal.get(file)
        data = original.data if original is not None else None
        if entry is not None and data is not None and not data.strip():
            data = None  # it was ours, and somebody emptied it
        found = json_sidecar.parse(data)
        ours = self.own_labels(found, file)
        base = json_sidecar.without(found, ours) if ours else data
        if entry is not None and data is not None and patch.digest(data) == entry.after:
            base = None if entry.created else undone(data, entry) or base
        if own:
            base = json_sidecar.with_label(base, own, photo=self._photo.path)
        held = ManagedFile(XmpSidecar(file), original, entry, base)
        if not keywords:
            return self.of(held, base, {}, (), 0, json_sidecar.TARGET)
        new, names = json_sidecar.build(
            json_sidecar.parse(base),
            keywords,
            photo=self._photo.path,
            digest=self._digest,
            model=self._provenance.model,
            software=self._provenance.software,
        )
        added = {json_sidecar.PROPERTY: names}
        return self.of(held, new, added, keywords, 0, json_sidecar.TARGET)

    def own_labels(self, found: dict[str, Any], file: str) -> tuple[str, ...]:
        """Return which labels in a JSON sidecar are ours."""
        entry = self._journal.get(file)
        if entry is not None:
            return tuple(entry.added.get(json_sidecar.PROPERTY, ()))
        return json_sidecar.ours_in(found)  # the index was lost

    def of(
        self,
        held: ManagedFile,
        new: Content | None,
        added: Mapping[str, tuple[str, ...]],
        keywords: Iterable[Keyword],
        flags: int,
        target: str = "",
    ) -> FileChange:
        """Return the part of a file that shall hold ``new``; stage it when it differs."""
        data, file = held.data, held.place.file
        now = self._digest_of(data)
        undo = patch.encode(new or b"", held.base or b"", flags=flags, prior=now)
        staged: Staged | None = None
        if not same(new, data):
            staged = stage(
                file,
                new,
                held.original,
                self._below,
                like=self._photo.stat,
                keep_mtime=file == self._photo.path and self._options.preserve_mtime,
            )
        after = self._digest_of(new) if staged is not None else now
        entry: JournalEntry | None = None
        if added:
            entry = JournalEntry(
                target=target or held.place.target,
                file=file,
                added=dict(added),
                tags={keyword.tag: keyword.name for keyword in keywords},
                created=held.base is None,
                before=self._digest_of(held.base),
                after=after,
                undo=undo,
            )
        if staged is None:
            return FileChange(entry)
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
        return FileChange(entry, entry or gone, staged)

    def _digest_of(self, data: Content | None) -> bytes:
        """Return the digest of a file's bytes, empty for no file; the photo's is known."""
        if data is None:
            return b""
        if data and data is self._photo.data and self._digest:
            return self._digest
        return patch.digest(data)
