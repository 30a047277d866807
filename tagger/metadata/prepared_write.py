"""A write that is ready: what it changes, and how it becomes visible or is forgotten."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from tagger.errors import PhotoChangedError
from tagger.metadata.safe_write.replace import Staged
from tagger.metadata.xmp.keywords import KeywordPath
from tagger.records import FileStat, JournalEntry, WriteReceipt
from tagger.system.files import photo_stat
from tagger.system.paths import sidecar_paths


@dataclass(slots=True)
class FileChange:
    """One file's part in a write. ``entry`` None: nothing of ours is in it afterwards.
    ``intent`` is what to write down before the file changes."""

    entry: JournalEntry | None
    intent: JournalEntry | None = None
    staged: Staged | None = None


@dataclass(slots=True)
class PreparedWrite:
    """A write that is ready. Exactly one of :meth:`commit` and :meth:`discard` is called.

    ``deleted`` are labels of ours that the user took out of the file, ``user_keywords`` the
    user's own keywords as paths with everything above them, ``reason`` says why tags are
    not in the photo although they should be, or not in its file. ``waits``: it is to be looked
    at again soon. ``taken_at``: when the picture was taken, as its file and sidecars tell.
    ``read`` are the stats of sidecars that were only read. ``copies`` are keywords of ours, not to
    be there any more, that another program copied into the photo's IPTC, where they stay.
    """

    path: str
    photo: os.stat_result
    parts: list[FileChange] = field(default_factory=list)
    deleted: tuple[str, ...] = ()
    user_keywords: tuple[KeywordPath, ...] = ()
    reason: str = ""
    waits: bool = False
    taken_at: str | None = None
    read: dict[str, FileStat] = field(default_factory=dict)
    copies: tuple[str, ...] = ()

    @property
    def intents(self) -> tuple[JournalEntry, ...]:
        """What the files that change will hold, to be written down before they do."""
        return tuple(part.intent for part in self.parts if part.intent is not None)

    @property
    def entries(self) -> tuple[JournalEntry, ...]:
        """What of ours is in which file afterwards."""
        return tuple(part.entry for part in self.parts if part.entry is not None)

    def sync(self) -> None:
        """Let the new content reach the disk. Raise WriteFailedError; then discard it."""
        for one in self._staged():
            one.sync()

    def sync_folders(self, known: set[tuple[int, int]]) -> None:
        """Let new names reach the disk, but in ``known`` folders (device, inode); add theirs."""
        for one in self._staged():
            found = os.fstat(one.folder.fd)
            if one.done and (key := (found.st_dev, found.st_ino)) not in known:
                one.sync_folder()
                known.add(key)

    def commit(self, *, sync_folders: bool = True) -> WriteReceipt:
        """Make the new content visible, durably; return what is there then.

        Without ``sync_folders`` it is durable only with :meth:`sync_folders`.
        Raise PhotoChangedError when photo or sidecar have changed since they were read,
        WriteFailedError when the disk or the rights refuse.
        """
        try:
            now = photo_stat(self.path)
            if not now.same_version(FileStat.of(self.photo)):
                raise PhotoChangedError(
                    f"{self.path} changed while it was tagged", "it is looked at again"
                )
            for one in self._staged():
                one.commit(sync_folder=sync_folders)
        finally:
            self.discard()
        inside = (intent.after for intent in self.intents if intent.file == self.path)
        # Not of what is there now: others may have changed that, which the next look must see.
        placed = {
            # A second name that is about to go changes the ctime: not known yet.
            one.path: FileStat.of(one.placed, keeps_ctime=one.placed.st_nlink == 1)
            for one in self._staged()
            if one.placed
        }
        return WriteReceipt(
            self.entries,
            placed.get(self.path, now),
            self._sidecar(placed),
            next(inside, None),
        )

    def _sidecar(self, placed: Mapping[str, FileStat]) -> FileStat | None:
        """Return the stat of the sidecars, together: of those ``placed`` as they were then, of
        others as they were read."""
        found = []
        for place in sidecar_paths(self.path):
            if (known := placed.get(place) or self.read.get(place)) is not None:
                found.append(known)
                continue
            with contextlib.suppress(OSError):
                found.append(FileStat.of(os.lstat(place)))
        return FileStat.together(found)

    @property
    def changed(self) -> bool:
        """Whether any file has its new content by now."""
        return any(one.done for one in self._staged())

    def _staged(self) -> list[Staged]:
        return [part.staged for part in self.parts if part.staged is not None]

    def discard(self) -> None:
        """Remove what was written beside the files; they stay as they are."""
        for one in self._staged():
            one.discard()
