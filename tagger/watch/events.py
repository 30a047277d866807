"""Events of the file system, by watchdog: hints where to look, to be checked against the disk.

What watchdog 7.1 does not do by itself, and this module does: opened and
closed-without-writing events are not subscribed to (while the folders are watched anew after an
overflow they cause themselves, without end); an overflow of the kernel's queue is noticed and
passed on; the queue of hints is bounded; it is noticed when one of its threads ends.
"""

from __future__ import annotations

import enum
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from tagger.config.schema import WatchRoot
from tagger.system.files import CANARY_PREFIX
from tagger.system.paths import OWN_PREFIX, is_inside, is_photo_name, is_sidecar_name

_OVERFLOW_LOGGERS = ("watchdog.observers.inotify_c", "watchdog.observers.inotify")
# Modified events come by the thousand while a file grows; its closing says the same.
_EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent,
    FileClosedEvent,
    FileMovedEvent,
    FileDeletedEvent,
    DirCreatedEvent,
    DirMovedEvent,
    DirDeletedEvent,
]

TURN_SECONDS = 30.0
"""How long a root waits for another one to be set up: the disk of that one may not answer."""


class Kind(enum.Enum):
    """What a hint asks for."""

    LOOK = "look at this file"
    REQUESTED = "somebody asked for this file: look whether it is there, and deliver it again"
    LATER = "look at this file when we are surely done with it ourselves"
    SIDECAR = "look at the photo of this sidecar, later"
    VANISHED = "this file may be gone"
    TREE = "look at everything in this folder"
    TREE_VANISHED = "this folder may be gone"
    CANARY = "our own canary file was seen"
    SCAN = "somebody asked for a full scan"
    DOUBT = "more happened than was kept: scan"
    LOST = "events were lost: watch anew, and scan"


@dataclass(frozen=True, slots=True)
class Hint:
    """Something that may have changed."""

    kind: Kind
    path: str = ""


class HintQueue:
    """Hints waiting to be followed, each once; bounded and thread-safe.

    ``wake`` is set whenever there is something new. More than ``limit`` hints become a
    single DOUBT.
    """

    def __init__(self, wake: threading.Event, *, limit: int = 10_000) -> None:
        self._wake = wake
        self._limit = limit
        self._lock = threading.Lock()
        self._hints: dict[Hint, None] = {}

    def put(self, hint: Hint) -> None:
        """Add a hint; the later of two equal ones is dropped."""
        with self._lock:
            if len(self._hints) >= self._limit and hint not in self._hints:
                kept = [h for h in self._hints if h.kind in (Kind.CANARY, Kind.LOST)]
                self._hints = dict.fromkeys([*kept, Hint(Kind.DOUBT)])
            self._hints[hint] = None
        self._wake.set()

    def take(self) -> list[Hint]:
        """Return the hints that came since the last time, in their order."""
        if not self._hints:
            return []
        with self._lock:
            hints, self._hints = self._hints, {}
        return list(hints)


class EventSource(Protocol):
    """Where the hints for one root come from."""

    def start(self) -> None:
        """Begin; raise OSError when the folder cannot be watched."""

    def __iter__(self) -> Iterator[Hint]:
        """Yield the hints that came since the last time, and end."""

    def alive(self) -> bool:
        """Whether hints can still come."""

    def stop(self) -> None:
        """End, and release what the system gave."""


EventSourceFactory = Callable[[WatchRoot, threading.Event], EventSource]
"""Makes the source for a root; it sets the event whenever there is a new hint."""


class WatchdogSource:
    """The events of one root, from watchdog."""

    # watchdog's threads can be told from each other only by who started them.
    _starting = threading.Lock()

    def __init__(self, root: WatchRoot, wake: threading.Event) -> None:
        self._root = root
        self._queue = HintQueue(wake)
        self._threads: list[threading.Thread] = []
        self._stop: Callable[[], None] = lambda: None

    def start(self) -> None:
        # inotify would watch a root that is a link instead of the folder behind it.
        real = os.path.realpath(self._root.path)
        handler = _Handler(self._queue, self._root.path, real)
        if not self._starting.acquire(timeout=TURN_SECONDS):
            raise OSError(None, "another folder takes long to be watched")
        try:
            before = set(threading.enumerate())
            observer = Observer()
            try:
                # Named as str, so watchdog decodes names with os.fsdecode (surrogates).
                recursive = self._root.recursive
                observer.schedule(handler, real, recursive=recursive, event_filter=_EVENTS)
                observer.start()
            except BaseException:
                observer.stop()
                raise
            self._threads = [
                thread
                for thread in threading.enumerate()
                if thread not in before and type(thread).__module__.startswith("watchdog")
            ]
        finally:
            self._starting.release()
        self._stop = observer.stop
        _overflows.add(self._queue)

    def __iter__(self) -> Iterator[Hint]:
        return iter(self._queue.take())

    def alive(self) -> bool:
        return bool(self._threads) and all(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Stop watching; waits at most a second for watchdog's threads."""
        _overflows.discard(self._queue)
        self._stop()
        for thread in self._threads:
            thread.join(0.25)
        self._threads = []


class _Handler(FileSystemEventHandler):
    """Turns watchdog's events into hints; runs in watchdog's thread."""

    def __init__(self, queue: HintQueue, root: str, real: str) -> None:
        self._queue, self._root, self._real = queue, root, real

    def dispatch(self, event: FileSystemEvent) -> None:
        source, target = self._below_root(event.src_path), self._below_root(event.dest_path)
        kind = event.event_type
        left, arrived = "", source
        if kind == "deleted":
            left, arrived = source, ""
        elif kind == "moved":
            left, arrived = source, target
        if event.is_directory:
            if left:
                self._queue.put(Hint(Kind.TREE_VANISHED, left))
            if arrived and kind in ("created", "moved"):  # not for each file written in it
                self._queue.put(Hint(Kind.TREE, arrived))
            return
        self._put(Kind.VANISHED, left)
        ours = os.path.basename(left).startswith(OWN_PREFIX)
        self._put(Kind.LATER if ours else Kind.LOOK, arrived)

    def _below_root(self, path: str | bytes) -> str:
        path = os.fsdecode(path or "")
        if self._real == self._root or not is_inside(path, self._real):
            return path
        return self._root + path[len(self._real) :]

    def _put(self, kind: Kind, path: str) -> None:
        """Put the hint ``kind`` of a photo; that of a sidecar, or of a canary, is another one."""
        name = os.path.basename(path)
        if name.startswith(CANARY_PREFIX) and kind is not Kind.VANISHED:
            kind = Kind.CANARY
        elif name.startswith("."):
            return
        elif is_sidecar_name(name):
            kind = Kind.SIDECAR
        elif not is_photo_name(name):
            return
        self._queue.put(Hint(kind, path))


class _OverflowFilter(logging.Filter):
    """Notices that the kernel's queue overflowed: watchdog only writes it to its log."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._queues: weakref.WeakSet[HintQueue] = weakref.WeakSet()

    def add(self, queue: HintQueue) -> None:
        with self._lock:
            self._queues.add(queue)
            for name in _OVERFLOW_LOGGERS:
                logger = logging.getLogger(name)
                # Its own level, so that a quieter root logger does not hide the record.
                logger.setLevel(logging.WARNING)
                logger.addFilter(self)

    def discard(self, queue: HintQueue) -> None:
        with self._lock:
            self._queues.discard(queue)

    def filter(self, record: logging.LogRecord) -> bool:
        """Put LOST into every queue, and keep the record out of the log."""
        if "overflow" not in str(record.msg):
            return True
        with self._lock:
            queues = list(self._queues)
        for queue in queues:
            queue.put(Hint(Kind.LOST))
        return False


_overflows = _OverflowFilter()
