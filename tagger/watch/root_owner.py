"""Decides which of several taggers writes tags into a watched folder: two would undo each other.

The second line of a folder's marker names the writer: ``writer ID MACHINE PLACE HOST``. ID is in
the file ``writer.json`` of that tagger's state directory; MACHINE is a digest of its machine-id,
``-`` where it has none of its own, as in a container; PLACE is a digest of that (else of the host
name) and of the state directory's path. The nearest marker upwards of a photo that has such a
line decides.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import logging
import os
import re
import socket
import stat
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tagger.system.files import open_untrusted, replace_atomically
from tagger.system.open_beneath import Folder, held, open_regular
from tagger.system.paths import is_inside
from tagger.text.parsing import parse_json
from tagger.watch.interfaces import RootClaims
from tagger.watch.root_identity import MARKER, MARKER_TEXT

log = logging.getLogger(__name__)

ID_NAME = "writer.json"
KNOWN_SECONDS = 0.5
"""How long the answer for a folder is used again."""
MOST_KNOWN = 4096
_LONGEST = 1024
_LOCK_TRIES, _LOCK_STEP = 20, 0.05
_LINE = re.compile(r"writer ([0-9a-f]{32}) ([0-9a-f]{16}|-) ([0-9a-f]{16}) ([\w.-]{1,64})", re.A)
_CONTAINERS = ("/.dockerenv", "/run/.containerenv")
_IN_CONTAINERS = ("container", "KUBERNETES_SERVICE_HOST")


@dataclass(frozen=True, slots=True)
class Mark:
    """A tagger, as named in a marker."""

    id: str
    machine: str
    place: str
    host: str

    def line(self) -> str:
        """Return the line of a marker that names this one."""
        return f"writer {self.id} {self.machine} {self.place} {self.host}"


def is_same(mark: Mark, own: Mark) -> bool:
    """Whether a marker names this very installation.

    Its state directory may have been moved on this machine, or made anew at its place.
    """
    if mark.id == own.id:
        return "-" in (mark.machine, own.machine) or mark.machine == own.machine
    return mark.place == own.place


class RootOwners:
    """Which tagger writes where, for the installation of ``state_dir``. Thread-safe."""

    def __init__(self, state_dir: str, machine: str | None = None) -> None:
        self._state_dir = state_dir
        self._machine = _machine() if machine is None else machine
        self._known: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def foreign(self, folder: str, root: str) -> str:
        """Return why no tags are written in ``folder`` of the watched folder ``root``.

        Empty: they are. Otherwise it names the other tagger and what to do.
        """
        now = time.monotonic()
        known = self._known.get(folder)
        if known is None or now >= known[0]:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            known = self._known[folder] = (now + KNOWN_SECONDS, self._foreign(folder, root))
        return known[1]

    def claim(self, root: str, *, take_over: bool = False) -> str:
        """Become the writer of ``root``, unless another is (``take_over``: even then).

        Return as :meth:`foreign`. Where no marker can be written this changes nothing.
        """
        with self._lock:
            own = self.own(make=True)
            found = _nearest(root, root)
            refused = "" if found is None or take_over else self._refusal(found, own, root)
            here = read_writer(root)
            if not refused and here != own:
                try:
                    _stamp(root, own, take_over=take_over)
                except OSError as error:
                    log.debug("the marker of %r does not name its writer: %s", root, error)
            with _known_lock:
                for writers in _all.values():
                    writers._known.clear()
            self._known.clear()
            return self._foreign(root, root)

    def own(self, *, make: bool = False) -> Mark:
        """Return the mark of this installation; ``make`` it an identifier if it has none."""
        place = os.path.realpath(self._state_dir)
        identifier = self._identifier(place, make=make)
        name = socket.gethostname()
        # Two containers have the same path for their state, and different names.
        digest = _digest(self._machine, name if self._machine == "-" else "", place)
        host = re.sub(r"[^A-Za-z0-9_.-]", "-", name)[:64] or "unknown"
        return Mark(identifier, self._machine, digest, host)

    def _identifier(self, place: str, *, make: bool) -> str:
        path = os.path.join(self._state_dir, ID_NAME)
        stored = _read_id(path)
        if stored is not None:
            identifier, was = stored
            if was == place or not make:
                return identifier
            before = _read_id(os.path.join(was, ID_NAME))
            if before is None or before[0] != identifier:
                _save_id(path, identifier, place)  # the state directory was moved
                return identifier
        elif not make:
            return "0" * 32
        identifier = uuid.uuid4().hex  # new, or a copy beside the original
        _save_id(path, identifier, place)
        return identifier

    def _foreign(self, folder: str, root: str) -> str:
        found = _nearest(folder, root)
        return "" if found is None else self._refusal(found, self.own(), root)

    def _refusal(self, mark: Mark, own: Mark, root: str) -> str:
        if is_same(mark, own):
            return ""
        remedy = f"`tagger take-over {root}` lets this one write instead"
        if mark.id == own.id:
            return (
                f"not written to: this tagger's own state, when it was on another machine"
                f" ({mark.host}), writes the tags here; if it has moved, {remedy}"
            )
        return f"not written to: another tagger (on {mark.host}) writes the tags here; {remedy}"


class OwnerClaims(RootClaims):
    """Claims the roots of one daemon.

    ``wanted``: tags are to be written at all. ``take_over``: each root is taken over once.
    ``anew`` has the tags of a root's photos written again. Outlives reloads of the config.
    """

    def __init__(
        self, writers: RootOwners, anew: Callable[[str], object], *, take_over: bool = False
    ) -> None:
        self.wanted = True
        self._writers, self._anew, self._take_over = writers, anew, take_over
        self._taken: set[str] = set()
        self._logged: dict[str, str] = {}

    def claim(self, root: str) -> str:
        """Become the writer of ``root`` if nobody else is; return why not. It is logged once."""
        if not self.wanted:
            return ""
        take_over = self._take_over and root not in self._taken
        before = self._writers.foreign(root, root) if take_over else ""
        now = self._writers.claim(root, take_over=take_over)
        if take_over and not now:
            self._taken.add(root)
            if before:
                self.regained(root)
        if now and now != self._logged.get(root):
            log.warning("%r is %s", root, now)
        self._logged[root] = now
        return now

    def foreign(self, root: str) -> str:
        return self._writers.foreign(root, root) if self.wanted else ""

    def regained(self, root: str) -> None:
        log.info("this tagger writes the tags in %r from now on", root)
        self._anew(root)


_all: dict[str, RootOwners] = {}
_known_lock = threading.Lock()


def writers_of(state_dir: str) -> RootOwners:
    """Return the one :class:`RootOwners` of a state directory in this process."""
    with _known_lock:
        if state_dir not in _all:
            _all[state_dir] = RootOwners(state_dir)
        return _all[state_dir]


def read_writer(root: str, folder: str | None = None) -> Mark | None:
    """Return whom the marker in ``folder`` (None: ``root``), inside ``root``, names as writer."""
    try:
        with held(open_regular(root, os.path.join(folder or root, MARKER))) as fd:
            return _parse(os.read(fd, _LONGEST))
    except OSError:
        return None


def _parse(data: bytes) -> Mark | None:
    lines = data.decode("utf-8", "replace").split("\n")[1:3]
    found = next(filter(None, map(_LINE.fullmatch, lines)), None)
    return Mark(*found.groups()) if found is not None else None


def _nearest(folder: str, root: str) -> Mark | None:
    """Return the writer that the nearest marker names, from ``folder`` upwards."""
    while is_inside(folder, root):
        if (mark := read_writer(root, folder)) is not None:
            return mark
        if folder == root or os.path.dirname(folder) == folder:
            break
        folder = os.path.dirname(folder)
    try:
        above = os.path.realpath(root)
    except OSError:
        return None
    while (above := os.path.dirname(above)) and (mark := _trusted(above)) is None:
        if os.path.dirname(above) == above:
            return None
    return mark


def _trusted(folder: str) -> Mark | None:
    """Return the writer that a marker above a watched folder names.

    Anybody may put a file into /tmp: it counts if it is root's, our own, or that folder's owner's.
    """
    try:
        with held(open_untrusted(os.path.join(folder, MARKER))) as fd:
            found, owner = os.fstat(fd), os.stat(folder).st_uid
            trusted = found.st_uid in (0, os.geteuid(), owner) and stat.S_ISREG(found.st_mode)
            return _parse(os.read(fd, _LONGEST)) if trusted else None
    except OSError:
        return None


def _stamp(root: str, own: Mark, *, take_over: bool) -> None:
    """Let the marker of ``root`` name us, unless it names another meanwhile. Raise OSError."""
    with Folder(root, root) as folder:
        try:
            fd = folder.open(MARKER, os.O_RDWR | os.O_NONBLOCK)
        except PermissionError:
            if not take_over:
                raise
            fd = _made_anew(folder)
        with held(fd):
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                raise OSError(errno.EPERM, "it is no file of tagger's", MARKER)
            with _locked(fd):
                data = os.pread(fd, _LONGEST, 0)
                now = _parse(data)
                if now is not None and not take_over and not is_same(now, own):
                    return  # it was quicker
                first = data.partition(b"\n")[0]
                # At no moment is there a marker without its identifier.
                text = first + f"\n{own.line()}\n{MARKER_TEXT}\n".encode()
                os.pwrite(fd, text, 0)
                os.ftruncate(fd, len(text))
                with contextlib.suppress(OSError):  # it is made again if it is lost
                    os.fsync(fd)


def _made_anew(folder: Folder) -> int:
    """Replace a marker that belongs to another user by one of our own, with the same text."""
    with held(folder.open(MARKER)) as fd:
        data = os.read(fd, _LONGEST)
    folder.unlink(MARKER)
    fd = folder.open(MARKER, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
    os.pwrite(fd, data, 0)
    return fd


@contextlib.contextmanager
def _locked(fd: int) -> Iterator[None]:
    """Hold the file, where there are locks; a stranger's lock is not waited for without end."""
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            time.sleep(_LOCK_STEP)
        except OSError:
            break
    yield  # closing the file ends the lock


def _read_id(path: str) -> tuple[str, str] | None:
    try:
        with open(path, encoding="utf-8") as file:
            stored = parse_json(file.read(_LONGEST * 8))
        identifier, place = str(stored["id"]), str(stored["place"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return (identifier, place) if re.fullmatch("[0-9a-f]{32}", identifier) else None


def _save_id(path: str, identifier: str, place: str) -> None:
    text = json.dumps({"id": identifier, "place": place}) + "\n"
    try:
        replace_atomically(path, text.encode("ascii"))
    except OSError as error:
        log.warning("cannot write %s (%s); it is made anew at the next start", path, error.strerror)


def _machine() -> str:
    """Return a digest of machine-id(5), or "-" without one that tells this machine from others."""
    # An image may bring a machine-id, which all its containers have.
    if any(map(os.environ.get, _IN_CONTAINERS)) or any(map(os.path.exists, _CONTAINERS)):
        return "-"
    try:
        with open("/etc/machine-id", encoding="ascii") as file:
            text = file.read(64).strip()
    except (OSError, ValueError):
        return "-"
    return _digest(text) if re.fullmatch("[0-9a-f]{32}", text) else "-"


def _digest(*parts: str) -> str:
    # Never the machine-id itself: machine-id(5) asks to keep it to oneself.
    text = "\0".join(("tagger writer", *parts))
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()
