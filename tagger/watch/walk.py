"""Walks through a root: which folders are entered, and which files are photos of ours."""

from __future__ import annotations

import errno
import fnmatch
import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tagger.config.schema import WatchRoot
from tagger.system.files import stats_of
from tagger.system.path_spelling import same_letters
from tagger.system.paths import (
    is_inside,
    is_photo_name,
    is_sidecar_name,
    sidecar_names,
    spellings,
)

IGNORED_FOLDERS = frozenset(
    (
        # Synology, QNAP and other NAS systems
        *("@eadir", "@tmp", "@sharebin", "@sharesnap", "@recycle", "@recently-snapshot"),
        *("@__thumb", "#recycle", "#snapshot", "~snapshot", "~trash"),
        # Windows and DOS
        *("$recycle.bin", "recycler", "recycled", "system volume information"),
        # macOS and netatalk
        *("network trash folder", "temporary items", "thevolumesettingsfolder"),
        # Android, Linux
        *("lost.dir", "lost+found"),
    )
)
"""Thumbnails, recycle bins and snapshots that systems keep beside the photos, in lower case."""
IGNORED_SUFFIXES = (".part", ".partial", ".crdownload", ".filepart", ".tmp", ".download")
PACKAGE_SUFFIXES = (
    # Apple Photos, iPhoto, Aperture, Photo Booth, iMovie, Final Cut
    *(".photoslibrary", ".photolibrary", ".migratedphotolibrary", ".aplibrary"),
    *(".migratedaplibrary", ".photoboothlibrary", ".imovielibrary", ".fcpbundle"),
    # Adobe Lightroom: previews, smart previews, the cloud library, a catalogue's data
    *(".lrdata", ".lrlibrary", ".lrcat-data"),
    # disk images, Time Machine
    *(".sparsebundle", ".backupdb"),
)
"""Suffixes, in lower case, of folders that one program uses as a file: not to be written into."""
IGNORED_PREFIXES = (".", "~syncthing~", "~$")
_NOT_WALKED = IGNORED_SUFFIXES + PACKAGE_SUFFIXES


def is_ignored_folder(name: str) -> bool:
    """Whether a folder of this name, in any case, is never walked into."""
    lower = name.lower()
    return lower in IGNORED_FOLDERS or lower.startswith(".") or lower.endswith(_NOT_WALKED)


class WalkRules:
    """Which files and folders below a root are looked at.

    ``elsewhere`` holds folders, relative to the root, that other roots watch. Paths
    are those below ``root.path``, as the user wrote it.
    """

    def __init__(self, root: WatchRoot, elsewhere: frozenset[str] = frozenset()) -> None:
        self.root = root
        self.elsewhere = elsewhere
        patterns = [
            fnmatch.translate(same_letters(form))
            for given in root.ignore
            for form in {given.strip("/"), given.strip("/").removeprefix("**/")}
            if form
        ]
        self._ignored = re.compile("|".join(patterns)).match if patterns else None

    def relative(self, path: str) -> str:
        """Return ``path`` relative to the root ("" for the root itself)."""
        return path[len(self.root.path.rstrip(os.sep)) + 1 :]

    def _is_ignored(self, relative: str, name: str) -> bool:
        if self._ignored is None:
            return False
        # macOS writes "é" as two characters, a pattern is typed with one.
        name, relative = same_letters(name), same_letters(relative)
        return bool(self._ignored(name) or self._ignored(relative))

    def enters(self, relative: str, name: str) -> bool:
        """Whether the folder ``relative`` (its last part ``name``) is walked into."""
        if not self.root.recursive or is_ignored_folder(name):
            return False
        return relative not in self.elsewhere and not self._is_ignored(relative, name)

    def takes(self, relative: str, name: str) -> bool:
        """Whether the file ``relative`` in a folder that is walked is a photo of ours."""
        if not is_photo_name(name) or name.lower().startswith(IGNORED_PREFIXES):
            return False
        return not self._is_ignored(relative, name)

    def owns(self, path: str) -> bool:
        """Whether ``path`` lies in this root and in no root inside it."""
        if not is_inside(path, self.root.path):
            return False
        relative = self.relative(path)
        return not any(is_inside(relative, other) for other in self.elsewhere)

    def wants_folder(self, path: str) -> bool:
        """Whether a scan of the root would walk into the folder ``path``."""
        if not is_inside(path, self.root.path):
            return False
        relative = self.relative(path)
        parts = relative.split(os.sep) if relative else []
        return all(self.enters(os.sep.join(parts[: n + 1]), name) for n, name in enumerate(parts))

    def wants(self, path: str) -> bool:
        """Whether a scan of the root would take the file ``path``."""
        folder, name = os.path.split(path)
        return self.wants_folder(folder) and self.takes(self.relative(path), name)


@dataclass(frozen=True, slots=True)
class Seen:
    """A photo that a walk has seen; ``sidecars`` are the stats of those that it has."""

    path: str
    stat: os.stat_result
    sidecars: tuple[os.stat_result, ...]


@dataclass(slots=True)
class WalkReport:
    """What a walk could not read, and where it crossed into another file system.

    ``complain`` is called with what cannot be read.
    """

    complain: Callable[[str, OSError], object] = lambda path, error: None
    unreadable: list[str] = field(default_factory=list)
    crossings: dict[str, int] = field(default_factory=dict)
    folders: int = 0

    def failed(self, path: str, error: OSError) -> None:
        """Note that ``path`` cannot be read, unless it went away meanwhile."""
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            self.unreadable.append(path)
            self.complain(path, error)


def walk(
    rules: WalkRules, top: str, report: WalkReport, answered: Callable[[], None] = lambda: None
) -> Iterator[Seen]:
    """Yield every photo that ``rules`` want in the folder ``top`` and below.

    Links are never followed, so there are no loops. Folders that cannot be read are noted in
    ``report``. ``answered`` is called whenever the disk has answered, except for what is yielded.
    """
    try:
        device = os.stat(top).st_dev
    except OSError as error:
        report.failed(top, error)
        return
    stack: list[tuple[str, int]] = [(top, device)]
    while stack:
        folder, device = stack.pop()
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError as error:
            report.failed(folder, error)
            continue
        report.folders += 1
        answered()
        prefix = rules.relative(folder)
        prefix = prefix + os.sep if prefix else ""
        folders, photos = _sort(rules, prefix, entries, report, answered)
        names = {entry.name for entry in entries if is_sidecar_name(entry.name)}
        del entries
        for entry in folders:
            try:
                inside = entry.stat(follow_symlinks=False).st_dev
            except OSError as error:
                report.failed(entry.path, error)
                continue
            if inside != device:
                report.crossings[entry.path] = inside
            answered()
            stack.append((entry.path, inside))
        for entry in photos:
            try:
                found = entry.stat(follow_symlinks=False)
            except OSError:
                continue  # it went away; the index is asked for those
            if stat.S_ISREG(found.st_mode):
                yield Seen(entry.path, found, _sidecars_among(entry.path, names))


def _sort(
    rules: WalkRules,
    prefix: str,
    entries: Sequence[os.DirEntry[str]],
    report: WalkReport,
    answered: Callable[[], None],
) -> tuple[list[os.DirEntry[str]], list[os.DirEntry[str]]]:
    folders, photos = [], []
    for entry in entries:
        name = entry.name
        if rules.takes(prefix + name, name):
            photos.append(entry)
        try:
            is_folder = entry.is_dir(follow_symlinks=False)
        except OSError as error:
            report.failed(entry.path, error)
            continue
        answered()  # where its kind is not listed, the disk was asked
        if is_folder:
            if rules.enters(prefix + name, name):
                folders.append(entry)
            if photos and photos[-1] is entry:
                photos.pop()
    # In the order of the inodes a spinning disk reads them in one sweep.
    photos.sort(key=os.DirEntry.inode)
    folders.sort(key=lambda entry: entry.name, reverse=True)
    return folders, photos


def _sidecars_among(path: str, names: set[str]) -> tuple[os.stat_result, ...]:
    """Return the stats of a photo's sidecars, if ``names`` of its folder are there."""
    if not names:
        return ()
    folder, name = os.path.split(path)
    present = (
        next((spelled for spelled in spellings(sidecar) if spelled in names), None)
        for sidecar in sidecar_names(name)
    )
    return stats_of(os.path.join(folder, name) for name in present if name is not None)
