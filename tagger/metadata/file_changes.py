"""What goes into each file: its new content, its entry in the journal, and the undo."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tagger.errors import RefusedError
from tagger.metadata import json_sidecar
from tagger.metadata.containers import exif
from tagger.metadata.managed_file import ManagedFile, texts_of
from tagger.metadata.options import Provenance, WriteOptions
from tagger.metadata.prepared_write import FileChange
from tagger.metadata.program_knowledge import word_times
from tagger.metadata.safe_write import undo
from tagger.metadata.safe_write.content import Content, proved, same
from tagger.metadata.safe_write.original import Original
from tagger.metadata.safe_write.replace import Staged, stage
from tagger.metadata.tag_owner import digest_text
from tagger.metadata.targets import JsonSidecar
from tagger.metadata.user_edits import as_left
from tagger.metadata.xmp import edit, properties
from tagger.metadata.xmp.keywords import PATHS, YOURS, KeywordPath, seen_keywords, wanted_values
from tagger.metadata.xmp.packet import key, parse
from tagger.records import JournalEntry, Keyword
from tagger.system.open_beneath import Beneath


@dataclass(frozen=True, slots=True)
class DesiredKeywords:
    """What shall be in the files: our keywords, and the user's as paths and as plain words.

    ``own`` is one more of the user's, to be written for him: it is no part of the journal.
    """

    keywords: tuple[Keyword, ...]
    users: tuple[KeywordPath, ...]
    words: tuple[str, ...]
    own: str = ""

    def without(self, dropped: Collection[str]) -> DesiredKeywords:
        """Return it without keywords of the user's, given as :func:`key` does."""
        users = tuple(path for path in self.users if key(path[-1]) not in dropped)
        words = tuple(word for word in self.words if key(word) not in dropped)
        return replace(self, users=users, words=words)


@dataclass(frozen=True, slots=True)
class ChangeBuilder:
    """Makes the changes of one photo's files; ``digest`` is that of the photo's bytes.
    Its methods raise RefusedError and WriteFailedError."""

    photo: Original
    below: Beneath
    options: WriteOptions
    provenance: Provenance
    digest: bytes

    def with_keywords(self, held: ManagedFile, wanted: DesiredKeywords) -> FileChange:
        """Return the change that puts keywords into a file in place of those that we put there."""
        if isinstance(held.place, JsonSidecar):
            return self._json(held, wanted)
        return self._xmp(held, wanted)

    def without_ours(self, held: ManagedFile) -> FileChange:
        """Return the change that takes what is ours out of a file."""
        if held.refusal:
            raise RefusedError(held.refusal)
        return self._change(held, held.base, {}, ())

    def _xmp(self, held: ManagedFile, wanted: DesiredKeywords) -> FileChange:
        if wanted.own:
            held = self._with_own(held, wanted.own)
        wanted = wanted.without(held.edits.dropped)
        place, data, keywords = held.place, held.data, wanted.keywords
        said = self.provenance
        origin = (said.model, said.software, digest_text(said.photo))
        values = wanted_values(
            keywords, wanted.users, wanted.words, origin if self.options.provenance else None
        )
        base_packet = place.packet_in(held.base)
        flags = undo.PACKET_CREATED if base_packet is None else 0
        if not keywords:
            return self._change(held, held.base, {}, (), flags)
        seen = {name: values for name, values in held.seen.items() if name != YOURS}
        tags = held.entry.tags if held.entry is not None else {}
        seen |= word_times(held.seen, tags, (one.name for one in keywords), time.time())
        seen |= seen_keywords(keywords, wanted.users, wanted.words)
        held = replace(held, seen=seen)
        if held.entry is not None and self._is_satisfied(held, values):
            there = {name: texts_of(place.packet_in(data), name) for name in held.entry.added}
            added = {
                name: tuple(v for v in mine if v in there.get(name, ()))
                for name, mine in held.entry.added.items()
            }
            return self._change(held, data, added, keywords, flags)
        packet, added = edit.add(base_packet, {**values, **held.description}, said.software)
        if not any(name in properties.KEYWORD_PROPERTIES for name in added):
            return self._change(held, held.base, {}, (), flags)  # the user has it all already
        if base_packet is not None:
            packet = edit.resize(packet, len(base_packet))
        names = edit.missing(values[properties.SUBJECT])
        new = self._of_another_size(held, packet, names)
        written = place.exif_names(new, names)
        if written and not place.exif_names(held.base, names):
            added = {**added, exif.PROPERTY: written}
        return self._change(held, new, added, keywords, flags)

    def _of_another_size(
        self, held: ManagedFile, packet: bytes, names: tuple[str, ...]
    ) -> Content | None:
        """Return the file with a packet; where its date stays its size does not.

        Many programs tell by both whether a file was changed.
        """
        new = held.place.with_packet(held.base, packet, names)
        if held.place.file != self.photo.path or not self.options.preserve_mtime:
            return new
        sizes = {len(one) for one in (held.data, held.base) if one is not None}
        for more in (2, 4, 6):
            if new is None or len(new) not in sizes or same(new, held.data):
                break
            longer = edit.resize(packet, len(packet) + more)
            longer = longer if len(longer) > len(packet) else packet + b"\n" * more
            new = held.place.with_packet(held.base, longer, names)
        return new

    def _with_own(self, held: ManagedFile, word: str) -> ManagedFile:
        """Let what the file would be without us hold a keyword of the user's."""
        values = dict.fromkeys(properties.KEYWORD_PROPERTIES, (word,))
        packet, _ = edit.add(held.place.packet_in(held.base), values, self.provenance.software)
        base = proved(held.place.with_packet(held.base, packet, ()))
        return replace(held, entry=None, base=base)  # it is to be written in any case

    def _is_satisfied(self, held: ManagedFile, values: Mapping[str, Sequence[str]]) -> bool:
        """Whether another program's edit left everything as we want it: nothing is written.

        digiKam leaves the levels above a keyword out of dc:subject. They are in the hierarchies.
        """
        entry, packet = held.entry, held.place.packet_in(held.data)
        assert entry is not None
        if packet is None or self.options.exif != "never" or exif.PROPERTY in entry.added:
            return False
        try:
            parsed = parse(packet)
            levels = {
                key(step)
                for value in parsed.values(properties.HIERARCHICAL)
                for step in value.split("|")[:-1]
            }
            for name in properties.KEYWORD_PROPERTIES:
                there = {key(value) for value in parsed.values(name)}
                wanted = {key(value) for value in values[name]} - {""}
                ours = {key(value) for value in entry.added.get(name, ())}
                lacking = wanted - there - (levels if name == properties.SUBJECT else set())
                if lacking or (ours & there) - wanted:
                    return False
        except RefusedError:
            return False
        if not all(parsed.texts(name) for name in held.description):
            return False
        told = held.description.items() if held.place.file == self.photo.path else ()
        if any(parsed.texts(name) != values for name, values in told):
            return False  # the photo's own rating is another one by now
        if undo.digest(held.data or b"") == entry.after and held.has_other_description:
            return False
        return parsed.has_ours() == self.options.provenance

    def _json(self, held: ManagedFile, wanted: DesiredKeywords) -> FileChange:
        if held.refusal:
            raise RefusedError(held.refusal)
        if wanted.own:
            base = json_sidecar.with_label(held.base, wanted.own, photo=self.photo.path)
            held = replace(held, base=base)
        if not wanted.keywords:
            return self._change(held, held.base, {}, ())
        new, names = json_sidecar.build(
            json_sidecar.parse(held.base),
            wanted.keywords,
            photo=self.photo.path,
            digest=self.digest,
            model=self.provenance.model,
            software=self.provenance.software,
        )
        return self._change(held, new, {json_sidecar.PROPERTY: names}, wanted.keywords)

    def _change(
        self,
        held: ManagedFile,
        new: Content | None,
        added: Mapping[str, tuple[str, ...]],
        keywords: Iterable[Keyword],
        flags: int = 0,
    ) -> FileChange:
        """Return the change of a file that shall hold ``new``; stage it when it differs."""
        data, file, target = held.data, held.place.file, held.place.target
        now = self._digest_of(data)
        reverse = undo.encode(new or b"", held.base or b"", flags=flags, prior=now)
        staged: Staged | None = None
        if not same(new, data):
            staged = stage(
                file,
                new,
                held.original,
                self.below,
                like=self.photo.stat,
                keep_mtime=file == self.photo.path and self.options.preserve_mtime,
            )
        after = self._digest_of(new) if staged is not None else now
        entry: JournalEntry | None = None
        if added:
            entry = JournalEntry(
                target=target,
                file=file,
                added=dict(added),
                tags={keyword.tag: keyword.name for keyword in keywords},
                created=held.base is None,
                before=self._digest_of(held.base),
                after=after,
                undo=reverse,
                seen=self._seen(held, new, is_written=staged is not None),
            )
        if staged is None:
            return FileChange(entry)
        gone = JournalEntry(
            target=target,
            file=file,
            added={},
            tags={},
            created=False,
            before=now,
            after=after,
            undo=undo.encode(b"", b"", prior=now),
        )
        return FileChange(entry, entry or gone, staged)

    def _seen(
        self, held: ManagedFile, new: Content | None, *, is_written: bool
    ) -> dict[str, tuple[str, ...]]:
        """Return what the journal is to know of a file as it is left."""
        if isinstance(held.place, JsonSidecar):
            return {}
        left = as_left(held.place.packet_in(new), held.seen, time.time() if is_written else 0.0)
        return {**{name: held.seen[name] for name in (PATHS, YOURS) if name in held.seen}, **left}

    def _digest_of(self, data: Content | None) -> bytes:
        """Return the digest of a file's bytes, empty for no file; the photo's is known."""
        if data is None:
            return b""
        if data and data is self.photo.data and self.digest:
            return self.digest
        return undo.digest(data)
