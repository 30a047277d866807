"""The processes in which photos are opened: limited, and expendable.

Image decoders have memory bugs, and photos come from strangers. Each worker may use so
much memory, may open and write no file, and is killed when a photo takes too long; what it gives up
besides is in :mod:`~tagger.decode.sandbox`. It is given each photo open, to read. What kills it
costs that photo only. What it says is taken as plain data, never unpickled: it may have been
taken over.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import logging
import math
import multiprocessing
import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from tagger.decode.descriptors import open_file
from tagger.decode.protocol import MAX_ANSWER, T, unpack, unpack_view
from tagger.decode.sandbox import (
    CENTRE,
    MAX_READY,
    QUICK,
    READY,
    SQUARE,
    START_SECONDS,
    VIEW,
    WHOLE,
    serve,
)
from tagger.errors import DecoderCrashedError, PhotoError
from tagger.records import NO_VIEWS, CropSpec, DecodedPhoto, ExtraViews
from tagger.system.paths import is_heic_name
from tagger.system.process import cores

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

MAX_WORKERS = 4
TASKS_PER_WORKER = 1000
"""A worker is replaced after so many photos: what a library leaks stays small."""
SLICE_SECONDS = 1.0
"""A wait for a process is made of such; of one that takes longer no more counts."""
LATER = 32
"""So many photos that are asked for after one that has time go before it: a new photo need not
wait, and in a long backlog it still gets its turn."""
Job = tuple[str, str | None, bytes, Callable[[bytes], Any], "Future[Any]"]
"""A path, the folder that it must be in, how the request for it begins, how the answer is read,
and what becomes of it."""


class DecodePool:
    """Decodes photos in ``workers`` processes (0: one per core, at most four).

    ``timeout`` in seconds and ``memory_mb`` are the limits for one photo; ``more`` asks for
    the end crops and ``views`` for what further networks want, see
    :func:`tagger.decode.opening.decode`. Processes start when needed.
    """

    def __init__(
        self,
        spec: CropSpec,
        *,
        workers: int = 0,
        max_pixels: int = 200_000_000,
        timeout: float = 60.0,
        memory_mb: int = 2048,
        more: bool = True,
        views: ExtraViews = NO_VIEWS,
    ) -> None:
        self._jobs: queue.PriorityQueue[tuple[float, int, Job | None]] = queue.PriorityQueue()
        self._count = itertools.count()
        self._lock = threading.Lock()
        self._closed = False
        self._size, self._views = spec.size, views
        self._workers = [
            _Worker((spec, max_pixels, more, views), memory_mb, timeout)
            for _ in range(workers or min(cores(), MAX_WORKERS))
        ]
        # Linux counts the thread that starts a process as its parent: when it ends, so does
        # the process. So each thread starts its own, and stays.
        self._threads = [
            threading.Thread(target=self._run, args=(worker,), daemon=True, name="decode")
            for worker in self._workers
        ]
        for thread in self._threads:
            thread.start()

    @property
    def workers(self) -> int:
        """How many processes decode."""
        return len(self._workers)

    @property
    def missing(self) -> list[str] | None:
        """What a process last could not do to confine itself; None when none was started yet.

        In the words of :func:`tagger.decode.sandbox.confine`.
        """
        told = [worker.missing for worker in self._workers if worker.missing is not None]
        return max(told, key=len, default=None)

    def __enter__(self) -> DecodePool:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def submit(
        self,
        path: str,
        *,
        root: str | None = None,
        later: bool = False,
        whole: bool = False,
        ends: bool = True,
    ) -> Future[DecodedPhoto]:
        """Return the future of a decoded photo. It raises PhotoError and nothing else.

        No link is followed between the folder ``root``, if one is given, and the photo.
        ``whole``: a thumbnail in the file will not do; without ``ends`` there is only the centre
        and nothing for further networks, and a thumbnail will do. With ``later`` the next LATER
        others go before it. Raise RuntimeError when the pool has been closed.
        """
        kind = CENTRE if not ends else WHOLE if whole else QUICK
        views = self._views if ends else NO_VIEWS
        return self._put(
            path, kind, lambda answer: unpack(answer, self._size, views), root=root, later=later
        )

    def view(self, path: str, side: int, *, square: bool = False) -> Future[NDArray[np.uint8]]:
        """Return the future of a picture to look at, see :func:`tagger.decode.preview.view`.

        It raises as that of :meth:`submit`, and so does this.
        """
        kind = (SQUARE if square else VIEW) + side.to_bytes(2, "big")
        return self._put(path, kind, lambda answer: unpack_view(answer, side))

    def _put(
        self,
        path: str,
        kind: bytes,
        read: Callable[[bytes], T],
        *,
        root: str | None = None,
        later: bool = False,
    ) -> Future[T]:
        result: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError("the pool of decoding processes is closed")
            number = next(self._count)
            self._jobs.put((number + LATER * later, number, (path, root, kind, read, result)))
        return result

    def close(self, timeout: float = 3.0) -> None:
        """Stop the processes, whatever they do. Futures not done are cancelled."""
        with self._lock:
            self._closed = True
        for worker in self._workers:
            worker.close()
            self._jobs.put((math.inf, next(self._count), None))
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self, worker: _Worker) -> None:
        while (job := self._jobs.get()[2]) is not None:
            path, root, kind, read, result = job
            if not self._closed and not result.cancelled():
                try:
                    answer: Any = worker.decode(path, root, kind, read)
                except PhotoError as error:
                    answer = error
                except Exception:
                    log.exception("decoding %s failed", path)
                    answer = DecoderCrashedError(f"{path} could not be decoded", "see the log")
            if self._closed:
                result.cancel()
            # Running only now, so that until the end it can be cancelled.
            if not result.set_running_or_notify_cancel():
                continue
            if isinstance(answer, PhotoError):
                result.set_exception(answer)
            else:
                result.set_result(answer)
        worker.end()


class _Worker:
    """One process at a time, replaced when it has died or is old. For one thread."""

    def __init__(
        self, settings: tuple[CropSpec, int, bool, ExtraViews], memory_mb: int, timeout: float
    ) -> None:
        self._settings = settings
        self._memory_mb = memory_mb
        self._timeout = timeout
        self._context = multiprocessing.get_context("spawn")
        self._lock = threading.Lock()
        self._closed = False
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None
        self._left = 0
        self._ffmpeg = False
        self.missing: list[str] | None = None

    def close(self) -> None:
        """Kill the process, if there is one; no other will be started. For any thread."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def decode(self, path: str, root: str | None, kind: bytes, read: Callable[[bytes], T]) -> T:
        """Return what ``read`` makes of the answer to a request of a ``kind``. Raise PhotoError."""
        if not self._ffmpeg and is_heic_name(path) and _has_ffmpeg():
            self._ffmpeg = True
            self.end()  # a process can load it only when it starts
        fd = open_file(path, root)
        try:
            try:
                answer = self._ask(path, fd, kind)
            except ConnectionError:
                # The pipe is reset when it died without having read the path.
                self.end()
                answer = self._ask(path, fd, kind)
        except (OSError, EOFError) as error:
            code = self.end()
            raise DecoderCrashedError(
                f"the process that opened {path} died (code {code})",
                "it is tried again; after three times it is left alone until it changes",
            ) from error
        finally:
            os.close(fd)
        try:
            return read(answer)
        except ValueError as error:
            self.end()
            log.error("the process that opened %s gave no proper answer: %s", path, error)
            raise DecoderCrashedError(
                f"the process that opened {path} failed ({error})",
                "report it, with the photo if you can",
            ) from error

    def _ask(self, path: str, fd: int, kind: bytes) -> bytes:
        """Return the process's answer. Raise OSError or EOFError when it died."""
        pipe = self._ready()
        self._left -= 1
        pipe.send_bytes(kind + os.fsencode(path))
        with socket.socket(fileno=os.dup(pipe.fileno())) as photos:
            socket.send_fds(photos, [b"\0"], [fd])
        if not _comes(pipe, self._timeout):
            self.end()
            raise DecoderCrashedError(
                f"{path} took more than {self._timeout:g} s to open",
                "raise `decode.timeout_seconds`, if the machine is slow",
            )
        return pipe.recv_bytes(MAX_ANSWER)

    def _ready(self) -> Connection:
        """Return the pipe to a living process. Raise OSError or EOFError without one."""
        if self._pipe is not None and self._process is not None:
            if self._left > 0 and self._process.is_alive():
                return self._pipe
            self.end()  # old, or killed while it had nothing to do
        ours, theirs = self._context.Pipe()
        process = self._context.Process(
            target=serve,
            args=(theirs, self._memory_mb, os.getpid(), self._settings, self._ffmpeg),
            name="tagger-decode",
            daemon=True,
        )
        with self._lock:
            if self._closed:
                raise EOFError
            process.start()
            self._process, self._pipe, self._left = process, ours, TASKS_PER_WORKER
        theirs.close()  # so that its death ends the pipe
        said = ours.recv_bytes(MAX_READY) if _comes(ours, START_SECONDS) else b""
        if not said.startswith(READY):
            raise EOFError
        if missing := said[len(READY) :].strip().decode("ascii", "replace"):
            log.debug("a decoding process could not %s", missing)
        self.missing = missing.split(", ") if missing else []
        return ours

    def end(self) -> int | None:
        """Kill the process, if there is one, and forget it. Return its exit code."""
        with self._lock:
            process, pipe = self._process, self._pipe
            self._process = self._pipe = None
        if pipe is not None:
            pipe.close()
        if process is None:
            return None
        # Gone by itself it has a code that says why, a moment later.
        process.join(0.2)
        process.kill()
        process.join()
        return process.exitcode


def _comes(pipe: Connection, seconds: float) -> bool:
    """Whether something comes within so many ``seconds`` in which this process runs.

    One that is stopped meanwhile, or whose machine sleeps, has those that decode stopped as well:
    that is no fault of the photo.
    """
    while seconds > 0:
        before = time.monotonic()
        if pipe.poll(min(seconds, SLICE_SECONDS)):
            return True
        seconds -= min(time.monotonic() - before, SLICE_SECONDS)
    return False


@functools.cache
def _has_ffmpeg() -> bool:
    """Whether PyAV is installed, by which FFmpeg decodes HEIC."""
    return importlib.util.find_spec("av") is not None
