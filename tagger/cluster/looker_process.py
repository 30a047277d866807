"""A worker's hold on the process that looks at photos: started, replaced when it dies.

Whatever a photo does to that process costs the process, and no worker. Photos that it had when it
died are looked at one by one in the next one; who is alone with it twice when it dies is to blame.
A worker that is switched off says nothing, so no photo is blamed for that.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import logging
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import IO, Any

from tagger.cluster.looker import read_frame, write_frame
from tagger.cluster.messages import PhotoRequest, pack_request
from tagger.errors import DecoderCrashedError, ModelError
from tagger.pipeline.seen_bytes import pack_answer
from tagger.text.parsing import parse_json

log = logging.getLogger(__name__)

BLAMED = 2
"""A photo that was alone with so many processes when they died is not tried again now."""
STARTS = 3
"""So many processes in a row may die before they are ready."""
START_SECONDS = 300.0
"""One that takes longer to be ready is killed."""
COMMAND = (sys.executable, "-P", "-m", "tagger.cluster.looker")


class LookerProcess:
    """Looks at photos in a process of its own. For any thread.

    ``settings`` are values of JSON for :mod:`tagger.cluster.looker`. :attr:`broken` is why no
    process can be started any more; empty while one can.
    """

    def __init__(self, settings: Mapping[str, Any], *, command: Sequence[str] = COMMAND) -> None:
        self._settings, self._command = json.dumps(settings).encode("ascii"), command
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: deque[_Asked] = deque()
        self._doubtful: deque[_Asked] = deque()
        self._sent: dict[int, _Asked] = {}
        self._process: subprocess.Popen[bytes] | None = None
        self._input: IO[bytes] | None = None
        self._closed = False
        self.broken = ""

    def start(self) -> None:
        """Start the process, and wait until it is ready. Raise ModelError."""
        process = self._started()
        threading.Thread(target=self._run, args=(process,), name="looker", daemon=True).start()

    @property
    def pid(self) -> int | None:
        """The number of the process; None while there is none."""
        process = self._process
        return process.pid if process is not None else None

    def submit(self, photo: PhotoRequest, readers: int = 0) -> Future[bytes]:
        """Return the future of the answer, see :mod:`tagger.pipeline.seen_bytes`.

        It raises RuntimeError when no process can be started any more, or it was closed.
        """
        asked = _Asked(next(self._numbers), photo, readers)
        with self._lock:
            if self._closed or self.broken:
                asked.future.set_exception(RuntimeError(self.broken or "it was closed"))
            else:
                self._waiting.append(asked)
                self._send()
        return asked.future

    def close(self) -> None:
        """End the process; what it has not answered fails."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()
            self._fail("it was closed")

    def _started(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        with self._lock:
            self._process = process
            if self._closed:
                process.kill()
        assert process.stdin is not None and process.stdout is not None
        limit = threading.Timer(START_SECONDS, process.kill)
        limit.daemon = True
        limit.start()
        try:
            write_frame(process.stdin, 0, self._settings)
            frame = read_frame(process.stdout)
        except (OSError, ValueError):
            frame = None
        finally:
            limit.cancel()
        if frame is None:
            code = _ended(process)
            raise ModelError(
                f"the process that looks at photos ended before it was ready (code {code})",
                "see the log of the worker",
            )
        said = parse_json(frame[1])
        if "error" in said:
            _ended(process)
            raise ModelError(*map(str, said["error"]))
        return process

    def _run(self, process: subprocess.Popen[bytes]) -> None:
        """Take answers, and replace the process when it dies, until it is closed."""
        while True:
            with self._lock:
                self._input = process.stdin
                self._send()
            self._read(process)
            code = _ended(process)
            with self._lock:
                self._process = self._input = None
                if self._closed:
                    return
                self._blame(code)
            for left in reversed(range(STARTS)):
                try:
                    process = self._started()
                    break
                except ModelError as error:
                    log.error("%s", error)
                    if not left:
                        with self._lock:
                            self.broken = str(error)
                            self._fail(self.broken)
                        return

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with contextlib.suppress(OSError, ValueError):
            while (frame := read_frame(process.stdout)) is not None:
                with self._lock:
                    asked = self._sent.pop(frame[0], None)
                    self._send()
                if asked is not None and not asked.future.done():
                    asked.future.set_result(frame[1])

    def _send(self) -> None:
        """Send what waits: a doubtful photo alone, else all. The lock is held."""
        while self._input is not None:
            if self._doubtful:
                if self._sent:
                    return
                asked = self._doubtful.popleft()
                asked.alone = True
            elif self._waiting and not any(one.alone for one in self._sent.values()):
                asked = self._waiting.popleft()
            else:
                return
            self._sent[asked.number] = asked
            try:
                write_frame(self._input, asked.number, pack_request([asked.photo], asked.readers))
            except (OSError, ValueError):
                return  # it has died, which the reader sees as well

    def _blame(self, code: int) -> None:
        """Have the photos that it had looked at alone, or give up the one that was. Lock held."""
        for asked in self._sent.values():
            asked.blamed += asked.alone
            if asked.blamed < BLAMED:
                put = self._doubtful.appendleft if asked.alone else self._doubtful.append
                put(asked)
                continue
            path = asked.photo.known_as
            log.error("%s ended %d processes that looked at it", path, asked.blamed)
            error = DecoderCrashedError(
                f"the process that looked at {path} died (code {code})",
                "it is tried again; after three times it is left alone until it changes",
            )
            if not asked.future.done():
                asked.future.set_result(pack_answer(error))
        self._sent.clear()

    def _fail(self, reason: str) -> None:
        """Have all that waits fail. The lock is held."""
        for asked in (*self._sent.values(), *self._doubtful, *self._waiting):
            asked.future.set_exception(RuntimeError(reason))
        self._sent.clear()
        self._doubtful.clear()
        self._waiting.clear()


@dataclass(slots=True, eq=False)
class _Asked:
    """A photo that was asked for; ``blamed`` for so many processes that it was ``alone`` with."""

    number: int
    photo: PhotoRequest
    readers: int
    future: Future[bytes] = field(default_factory=Future)
    alone: bool = False
    blamed: int = 0


def _ended(process: subprocess.Popen[bytes]) -> int:
    """End a process, and return its exit code."""
    assert process.stdin is not None and process.stdout is not None
    try:
        process.wait(0.5)  # gone by itself it has a code that says why
    except subprocess.TimeoutExpired:
        process.kill()
    code = process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):  # what was not written yet has nobody to go to
            pipe.close()
    return code
