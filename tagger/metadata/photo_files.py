"""One photo's files, each read and taken apart once: the photo and its sidecars, XMP and JSON."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tagger.errors import PhotoVanishedError, RefusedError
from tagger.metadata import json_sidecar, user_edits
from tagger.metadata.capture_date import taken_at
from tagger.metadata.containers import exif
from tagger.metadata.managed_file import (
    ManagedFile,
    adopted,
    container_packet,
    read_photo,
    readable,
    stripped,
    undone,
    users_packet,
)
from tagger.metadata.options import WriteOptions
from tagger.metadata.photo_description import description_of, rating_of_exif
from tagger.metadata.safe_write import undo
from tagger.metadata.safe_write.original import MAX_SIDECAR, Original, naming, read_original
from tagger.metadata.sidecar_path import sidecars_of
from tagger.metadata.tag_owner import TagOwner, named_in, named_in_json, settle
from tagger.metadata.targets import (
    ByExiftool,
    Embedded,
    JsonSidecar,
    Target,
    XmpSidecar,
    exiftool_format,
)
from tagger.metadata.xmp import packet as xmp_packet
from tagger.metadata.xmp.keywords import KeywordPath, OwnKeywords, merged, user_paths, user_words
from tagger.records import (
    ANOTHER_TAGGER,
    OVERWRITTEN,
    PUT_BACK,
    Candidate,
    FileStat,
    JournalEntry,
    Keyword,
)
from tagger.system.files import leads_out
from tagger.system.open_beneath import Beneath
from tagger.system.paths import is_raw_name, sidecar_paths


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a photo before its files are read; see :func:`~.prepare.prepare`."""

    previous: Sequence[JournalEntry] = ()
    whose: TagOwner = field(default_factory=TagOwner)
    same_picture: bool = True
    patient: bool = False


class PhotoFiles:
    """A photo and the files beside it. Raise PhotoVanishedError, PhotoChangedError, RefusedError.

    ``held`` are the files that have, or may get, something of ours, by their paths; ``journal``
    tells what was put into which.
    """

    def __init__(
        self, candidate: Candidate, keywords: Sequence[Keyword], options: WriteOptions, known: Known
    ) -> None:
        self.path = candidate.path
        if leads_out(self.path, candidate.root):
            raise PhotoVanishedError(f"a folder above {self.path} is a link now", "nothing to do")
        self.below = Beneath(candidate.root)
        self._keywords, self._options, self._known = keywords, options, known
        embeds = options.target == "embed" and not is_raw_name(self.path)
        entries = (*known.previous, *known.whose.others)
        has_ours = any(one.target == "embed" and one.file == self.path for one in entries)
        self.photo, self.inside = read_photo(
            self.path, candidate.stat, self.below, whole=embeds or has_ours
        )
        self.sidecars = sidecars_of(self.path, self.below, options.sidecar_name)
        read = (readable(file, self.below, MAX_SIDECAR) for file in self.sidecars.others)
        self._others = {one.path: one for one in read if one is not None}
        self.journal, self._foreign = settle(known.previous, known.whose, self.photo, self.below)
        self._absent = set[str]()
        self.json_file = sidecar_paths(self.path)[2]
        self.held = {one.place.file: one for one in self._take_apart()}
        ours = dict(self.journal)
        for file, one in self.held.items():
            if file not in ours and one.entry is not None:
                ours[file] = one.entry
            elif one.left == OVERWRITTEN and not one.edits.lost:
                ours.pop(file, None)
        self._ours = OwnKeywords.of(ours.values())
        for one in self.held.values():
            self._note_iptc(one)

    # What they say

    @property
    def deleted(self) -> frozenset[str]:
        """Labels of ours that the user took out of any file."""
        return frozenset().union(*(one.edits.deleted for one in self.held.values()))

    @property
    def read_stats(self) -> dict[str, FileStat]:
        """The stats of sidecars that are only read."""
        return {file: FileStat.of(one.stat) for file, one in self._others.items()}

    def users(self) -> tuple[tuple[KeywordPath, ...], tuple[str, ...]]:
        """Return the user's own keywords, wherever they are, as paths and as plain words."""
        copies = {*self.copies}
        iptc = [word for word in self.inside.iptc if word not in copies]
        paths, words = [*user_paths(None, iptc)], iptc
        for packet in self._users_packets():
            paths += user_paths(packet)
            words += user_words(packet)
        if (beside := self.held.get(self.json_file)) is not None:
            with contextlib.suppress(RefusedError):
                paths += json_sidecar.paths_in(json_sidecar.parse(beside.base))
        own = self._ours
        plain = user_words(None, [word for word in words if not own.has_copy((word,))])
        return merged(path for path in paths if not own.has_copy(path)), plain

    @property
    def copies(self) -> tuple[str, ...]:
        """What of the photo's IPTC keywords another program copied from ours, now or before."""
        copied = user_edits.copies_in(entry.seen for entry in self.journal.values())
        return tuple(
            word
            for word in self.inside.iptc
            if self._ours.has_copy((word,)) or xmp_packet.key(word) in copied
        )

    def taken_at(self) -> str | None:
        """Return when the picture was taken, as the files tell."""
        main = self.held.get(self.sidecars.file)
        first = main.data if main is not None else None
        return taken_at(self.inside, [first or b"", *(one.data for one in self._others.values())])

    def _users_packets(self) -> Iterator[bytes | None]:
        """Yield what of the photo's and its sidecars' XMP is the user's."""
        photo, main = self.held.get(self.path), self.held.get(self.sidecars.file)
        for number, packet in enumerate(self.inside.packets):
            if number or photo is None:
                yield users_packet(packet)
        if photo is not None:
            yield photo.place.packet_in(photo.base)
        if main is not None:
            yield main.base
        for file, one in self._others.items():
            held = self.held.get(file)
            yield held.base if held is not None else users_packet(one.data)

    # How they are taken apart

    def take_apart(self, place: Target) -> ManagedFile:
        """Return the photo, or a sidecar, that was not among ``held``."""
        original: Original | None = self.photo
        if place.file != self.path:
            is_absent = place.file in self._absent
            original = None if is_absent else read_original(place.file, self.below, MAX_SIDECAR)
        one = self._xmp(place, original, None)
        self._note_iptc(one)
        return one

    def _note_iptc(self, one: ManagedFile) -> None:
        """Have the journal know of the photo's IPTC as it is now."""
        iptc = self.inside.iptc if one.place.file == self.path else ()
        one.seen = {**one.seen, **user_edits.iptc_as_left(iptc, self.copies)}

    def _take_apart(self) -> Iterator[ManagedFile]:
        found = set[str]()
        for file, entry in self.journal.items():
            if entry.target == "embed" and file == self.path:
                yield self._xmp(self._own_place(entry), self.photo, entry)
            elif entry.target == XmpSidecar.target:
                with naming(file):
                    original = read_original(file, self.below, MAX_SIDECAR)
                    yield self._xmp(XmpSidecar(file), original, entry)
            else:
                continue
            found.add(file)
        if self.path not in found and container_packet(self.photo.data) is not None:
            yield self._xmp(Embedded(self.path), self.photo, None)
        sidecar = self.sidecars.file
        if sidecar not in found:
            with contextlib.suppress(RefusedError):  # writing would say what is wrong
                if (original := read_original(sidecar, self.below, MAX_SIDECAR)) is not None:
                    yield self._xmp(XmpSidecar(sidecar), original, None)
                else:
                    self._absent.add(sidecar)
        beside = self.journal.get(self.json_file)
        if beside is not None or self._options.target == json_sidecar.TARGET:
            with naming(self.json_file):
                yield self._json(beside, read_original(self.json_file, self.below, MAX_SIDECAR))

    def _own_place(self, entry: JournalEntry) -> Target:
        if exiftool_format(self.photo.data):
            return ByExiftool(self.path)
        ours = tuple(entry.added.get(exif.PROPERTY, ()))
        return Embedded(self.path, write_exif=self._options.exif, ours=ours)

    def _xmp(
        self, place: Target, original: Original | None, entry: JournalEntry | None
    ) -> ManagedFile:
        seen = entry.seen if entry is not None else {}
        if original is None:
            return self._described(ManagedFile(place, None, entry, None, seen=seen))
        data = original.data
        if isinstance(place, XmpSidecar) and user_edits.is_empty(original):
            return self._described(self._empty(place, original, entry))
        packet = place.packet_in(data)
        if entry is None:
            entry = self._adopted(place, packet)
            try:
                return self._changed(place, original, entry, packet)
            except RefusedError:
                return ManagedFile(place, original, None, data)  # nothing is known to be ours
        if not entry.added:
            return ManagedFile(place, original, None, data)
        now = undo.digest(data)
        is_foreign = place.file in self._foreign
        if now == entry.before and not is_foreign:
            # Restored from a backup, or taken away by hand together with all we wrote. But one
            # that puts it back again and again is not written against.
            if entry.reason in (PUT_BACK, OVERWRITTEN):
                return ManagedFile(place, original, entry, data, left=OVERWRITTEN)
            return ManagedFile(place, original, None, data, reason=PUT_BACK, seen=seen)
        if now == entry.after:
            base = undone(data, entry)
            if base is not None or entry.created:
                # What is another photo's is written anew in any case.
                known = None if is_foreign else entry
                edits = user_edits.Edits(dropped=user_edits.dropped_in(seen))
                return self._described(ManagedFile(place, original, known, base, edits, seen=seen))
        return self._changed(place, original, entry, packet)

    def _changed(
        self, place: Target, original: Original, entry: JournalEntry | None, packet: bytes | None
    ) -> ManagedFile:
        """Take a file apart that somebody changed since we wrote it."""
        data = original.data
        if entry is None:
            return self._described(ManagedFile(place, original, None, data))
        replaced, digests = self._replaced(entry), self._known.whose.digests
        named = named_in(packet) if place.file != self.path and digests else b""
        own = named in digests if named else place.file not in self._foreign
        if replaced or (named and not own):
            # Whoever put another's file here: with nothing but ours in it, it is ours.
            found = adopted(place, packet, self._keywords)
            entry = replace(found, created=entry.created) if found is not None else entry
        judged = own and self._known.same_picture and not replaced
        iptc = self.inside.iptc if place.file == self.path else ()
        edits = user_edits.judge(entry, packet, self.photo.stat.st_mtime, iptc)
        if edits.overwritten:
            kept = {name: entry.added.get(name, ()) for name in edits.kept}
            rest = stripped(place, data, packet, entry, kept)
            if not judged:
                return ManagedFile(place, original, None, rest)
            return ManagedFile(place, original, entry, rest, left=OVERWRITTEN)
        if not judged:
            edits = user_edits.Edits()
        ours = OwnKeywords.of([entry])
        copies = ours.copies_in(packet) if packet is not None and own else {}
        base = stripped(place, data, packet, entry, _joined(entry, copies))
        seen = edits.seen if edits.seen is not None else entry.seen
        one = ManagedFile(place, original, entry if own else None, base, edits, seen=seen)
        if edits.lost:
            tags = {label: word for label, word in entry.tags.items() if label not in edits.deleted}
            one.entry, one.left = replace(entry, tags=tags), OVERWRITTEN
        return self._described(one, is_changed=own)

    def _adopted(self, place: Target, packet: bytes | None) -> JournalEntry | None:
        entry = adopted(place, packet, self._keywords)
        if entry is None or not entry.created or packet is None:
            return entry
        parsed = xmp_packet.parse(packet)
        said = description_of(self.inside).items()
        same = {name: values for name, values in said if parsed.texts(name) == values}
        return replace(entry, added={**entry.added, **same})

    def _described(self, one: ManagedFile, *, is_changed: bool = False) -> ManagedFile:
        """Let XMP of ours say of the photo what it would otherwise hide.

        ``is_changed``: another program wrote to it. What that took out stays out.
        """
        is_ours = one.place.packet_in(one.base) is None and not is_changed
        if not isinstance(one.place, XmpSidecar):
            one.description = one.standing_description()
            if is_ours or one.description:
                one.description = rating_of_exif(self.inside) or one.description
        elif is_ours or one.is_older:
            one.description = description_of(self.inside)
        else:
            one.description = one.standing_description()
        return one

    def _replaced(self, entry: JournalEntry) -> bool:
        """Whether another tagger wrote to a file that is not as we left it."""
        return self._options.others or entry.reason == ANOTHER_TAGGER

    def _empty(
        self, place: XmpSidecar, original: Original, entry: JournalEntry | None
    ) -> ManagedFile:
        """Take an XMP sidecar apart that has nothing in it: written to unless more may come."""
        if self._known.patient and user_edits.is_fresh(original):
            return ManagedFile(place, original, entry, original.data, left=user_edits.WAITS)
        created = entry is not None and entry.created
        seen = entry.seen if entry is not None else {}
        return ManagedFile(place, original, None, None if created else original.data, seen=seen)

    def _json(self, entry: JournalEntry | None, original: Original | None) -> ManagedFile:
        place = JsonSidecar(self.json_file)
        if original is None:
            return ManagedFile(place, None, entry, None)
        data = original.data
        if entry is not None and user_edits.is_empty(original):
            waits = self._known.patient and user_edits.is_fresh(original)
            return ManagedFile(place, original, entry, None, left=user_edits.WAITS if waits else "")
        try:
            found = json_sidecar.parse(data)
        except RefusedError as error:
            return ManagedFile(place, original, entry, data, refusal=error.message)
        now = undo.digest(data)
        is_foreign = place.file in self._foreign
        if entry is not None and now != entry.after and self._is_anothers(entry, data, found):
            del self.journal[place.file]
            entry = None
        ours = json_sidecar.ours_in(found)
        if entry is not None:
            ours = entry.added.get(json_sidecar.PROPERTY, ())
        base = json_sidecar.without(found, ours) if ours else data
        if entry is None:
            return ManagedFile(place, original, None, base)
        if now == entry.after:
            base = None if entry.created else undone(data, entry) or base
            return ManagedFile(place, original, entry, base)
        if not entry.tags or not self._known.same_picture or is_foreign:
            return ManagedFile(place, original, entry, base)
        if now == entry.before and entry.reason not in (PUT_BACK, OVERWRITTEN):
            return ManagedFile(place, original, entry, base, reason=PUT_BACK)
        if now == entry.before or user_edits.is_json_overwritten(entry, found):
            return ManagedFile(place, original, entry, data, left=OVERWRITTEN)
        edits = user_edits.Edits(user_edits.deleted_in_json(entry, found))
        return ManagedFile(place, original, entry, base, edits)

    def _is_anothers(self, entry: JournalEntry, data: bytes, found: dict[str, Any]) -> bool:
        """Whether a JSON sidecar, changed since, is another photo's or another tagger's."""
        digests = self._known.whose.digests
        named = named_in_json(data) if digests else b""
        if named and named not in digests:
            return True
        overwritten = entry.file in self._foreign and user_edits.is_json_overwritten(entry, found)
        return overwritten or self._replaced(entry)


def _joined(
    entry: JournalEntry, copies: Mapping[str, tuple[str, ...]]
) -> Mapping[str, tuple[str, ...]]:
    """Return what was added to a file, and the copies of it that another program made there."""
    joined = dict(entry.added)
    for name, values in copies.items():
        ours = entry.added.get(name, ())
        joined[name] = (*ours, *(value for value in values if value not in ours))
    return joined
