"""Decides whether a folder is really there, or its disk is away.

An unmounted disk leaves an empty folder. Were that taken for a deletion, a whole library would be
forgotten. Each root therefore has

- a *marker*, the file ``.tagger-root`` with an identifier of its own, written once
  where the folder may be written to, and
- its *place*: which file system was mounted where (type, mount point, device, id).

Both are remembered in ``roots.json`` in the state directory. The marker is the strong
evidence: where it is, the folder is there, whatever its device number (a USB disk on
another port). Without it, see :func:`judge`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import stat
import threading
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass

from tagger.system.files import CANARY_PREFIX, replace_atomically
from tagger.system.mounts import Mounts
from tagger.system.open_beneath import Folder, held, open_regular
from tagger.text.json_records import read_record
from tagger.text.parsing import parse_json

log = logging.getLogger(__name__)

MARKER = ".tagger-root"
_STRAYS = (CANARY_PREFIX, MARKER + "-")
_MARKER_HEAD = "tagger root "
MARKER_TEXT = "This file shows tagger that this folder is really here (its disk mounted). Keep it."


@dataclass(frozen=True, slots=True)
class Place:
    """The file system a root is on. ``fsid`` is that of statvfs(3), 0 when there is none."""

    fstype: str
    mountpoint: str
    device: int
    fsid: int


@dataclass(frozen=True, slots=True)
class RootRecord:
    """What is remembered of a root.

    ``marker`` is the identifier in its marker, ``None`` when none could be written.
    ``crossings`` are the folders below it where other file systems were mounted; ``foreign`` says
    that, and why, another tagger writes the tags there.
    """

    marker: str | None
    place: Place
    crossings: tuple[str, ...] = ()
    foreign: str = ""


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of a root just now.

    ``marker`` is the identifier found in it; it is ``empty`` when it holds nothing else.
    ``identity`` is the device and inode number of the folder.
    """

    place: Place
    marker: str | None
    empty: bool
    identity: tuple[int, int]


def judge(record: RootRecord | None, sight: Sight, knows: Callable[[], bool]) -> str:
    """Return why the folder seen is not the folder remembered, and what to do; empty: it is.

    ``knows`` says whether any photo below it is in the index; with none, nothing can be
    lost and the folder is taken as it is.

    With the right marker it is there. Without, it is there when the very same file
    system is still mounted at the same place (somebody recreated the folder), or when it
    never had a marker and a file system of the same type is mounted at the same place. An
    empty folder without a marker never is.
    """
    if record is not None and record.marker is not None:
        if sight.marker == record.marker or not knows():
            return ""
        if sight.empty and sight.marker is None:
            return _EMPTY
        if sight.place == record.place:
            return ""
        if sight.marker is not None:
            return "another disk is mounted here (its marker differs)"
        return f"its disk is not mounted (the marker {MARKER} is gone)"
    if (record is None and sight.marker is not None) or not knows():
        return ""
    if sight.empty:
        return _EMPTY
    # A marker found here does not count: it may be an old one, in the mount point itself.
    now = (sight.place.fstype, sight.place.mountpoint)
    if record is None or (record.place.fstype, record.place.mountpoint) == now:
        return ""
    return f"its disk is not mounted (it was {record.place.fstype} at {record.place.mountpoint})"


_EMPTY = "the folder is empty, but photos in it are known: is it mounted?"


def look_at_root(path: str, mounts: Mounts) -> Sight:
    """Return what is seen of the folder ``path``.

    Raise OSError when it is not there, is no folder, or cannot be listed.
    """
    with Folder(path, path) as folder:
        st = os.fstat(folder.fd)
        empty = all(name == MARKER or name.startswith(_STRAYS) for name in folder.names())
    mount = mounts.of(os.path.realpath(path))
    fsid = os.statvfs(path).f_fsid
    place = Place(mount.fstype, mount.mountpoint, st.st_dev, fsid)
    return Sight(place, read_marker(path), empty, (st.st_dev, st.st_ino))


def read_marker(root: str) -> str | None:
    """Return the identifier in the marker of ``root``, ``None`` without a sound marker."""
    try:
        with held(open_regular(root, os.path.join(root, MARKER))) as fd:
            text = os.read(fd, 200).decode("utf-8", "replace")
    except OSError:
        return None
    first = text.partition("\n")[0]
    return first.removeprefix(_MARKER_HEAD) if first.startswith(_MARKER_HEAD) else None


def write_marker(root: str) -> str | None:
    """Put a new marker into ``root`` and return its identifier; ``None`` if that fails.

    It is written in its place, for some folders let files be made but not renamed or deleted. A
    process that is killed meanwhile leaves an unsound one, which the next writes anew.
    """
    remove_strays(root)
    identifier = uuid.uuid4().hex
    try:
        with Folder(root, root) as folder:
            flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK
            with held(folder.open(MARKER, flags, 0o644)) as fd:
                found = os.fstat(fd)
                if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                    return None  # another program's
                os.ftruncate(fd, 0)
                os.write(fd, f"{_MARKER_HEAD}{identifier}\n{MARKER_TEXT}\n".encode())
                with contextlib.suppress(OSError):  # it is made again if it is lost
                    os.fsync(fd)
    except OSError as error:
        log.debug("no marker could be written to %r: %s", root, error)
        return None
    return read_marker(root)


def remove_strays(root: str) -> None:
    """Remove what a killed daemon may have left in ``root``: canaries, unfinished markers."""
    try:
        with Folder(root, root) as folder:
            for name in folder.names():
                if name.startswith(_STRAYS):
                    folder.unlink(name)
    except OSError as error:
        log.debug("strays in %r could not be removed: %s", root, error)


class RootMemory:
    """What is remembered of the roots, in ``roots.json`` of ``state_dir``; thread-safe.

    A file that cannot be written (disk full) is tried again with the next record; until then
    memory serves.
    """

    def __init__(self, state_dir: str) -> None:
        self._path = os.path.join(state_dir, "roots.json")
        self._lock = threading.Lock()
        self._records = _load(self._path)
        self._unsaved = False

    def roots(self) -> list[str]:
        """Return all roots, past and present, that anything is remembered of."""
        with self._lock:
            return list(self._records)

    def get(self, root: str) -> RootRecord | None:
        with self._lock:
            return self._records.get(root)

    def put(self, root: str, record: RootRecord) -> None:
        """Remember ``record``; nothing is written when it is known already."""
        with self._lock:
            if self._records.get(root) == record and not self._unsaved:
                return
            self._records[root] = record
            self._unsaved = not _save(self._path, self._records, quiet=self._unsaved)


def _load(path: str) -> dict[str, RootRecord]:
    try:
        with open(path, encoding="utf-8") as file:
            stored = parse_json(file.read())
        return {root: read_record(RootRecord, value) for root, value in stored.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        log.warning("%s cannot be read and is started afresh: %s", path, error)
        return {}


def _save(path: str, records: dict[str, RootRecord], *, quiet: bool) -> bool:
    # ASCII with escapes: names that are not UTF-8 survive as surrogates.
    text = json.dumps({root: asdict(r) for root, r in records.items()}, indent=1)
    try:
        replace_atomically(path, f"{text}\n".encode("ascii"))
    except OSError as error:
        level = logging.DEBUG if quiet else logging.WARNING
        log.log(level, "cannot write %s (%s); tried again later", path, error.strerror)
        return False
    return True
