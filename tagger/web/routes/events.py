"""What happens, told to a page as it happens: server-sent events.

See https://html.spec.whatwg.org/multipage/server-sent-events.html. A stream takes a thread of
the server, so there are few, and each ends by itself; the browser comes again. Nobody looks at
anything while nobody listens.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from werkzeug.wsgi import ClosingIterator

from tagger.errors import SlowQueryError, StateError
from tagger.index.conditions import And, Query
from tagger.index.connection import index_path
from tagger.library.search import ByIds
from tagger.system.state_dir import STATUS_NAME, daemon_runs
from tagger.text.error_texts import all_in_language
from tagger.text.messages import language, speaking
from tagger.web.errors import WebError
from tagger.web.language import for_page
from tagger.web.library import gallery_photo_json
from tagger.web.services import Services

log = logging.getLogger(__name__)

CLIENTS = 5
"""Streams at once. The server has eight threads besides those that classify."""

STREAM_SECONDS = 25.0
AGAIN_SECONDS = 1.0
"""When the browser comes again after the end of a stream."""

LOOK_SECONDS = 1.0
BURST_SECONDS = 0.25
"""Photos that are tagged one after the other are told together."""
RUNS_SECONDS = 5.0
"""How often it is asked whether the daemon runs; everything else is seen by its files."""

AT_ONCE = 100
"""New photos that are told at a time."""
WAITING = 500
"""New photos that wait to be tagged, of which that is told."""

_DONE = ("tagged", "untagged")
_TOLD = ("problem", "notice", "paused_reason")
"""What the daemon says of itself; a page gets it in its reader's language, as ``said``."""


class EventStream:
    """Gives streams, ``clients`` at once. ``clock`` is monotonic seconds. For any thread."""

    def __init__(
        self,
        services: Services,
        *,
        clients: int = CLIENTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._services, self._clock = services, clock
        self._free = threading.BoundedSemaphore(clients)

    def stream(self, query: Query, after: int | None, seconds: float) -> ClosingIterator:
        """Return a stream of the status, and of photos that ``query`` finds and that are new.

        New are those with an id above ``after`` (None: those from now on). It ends after
        ``seconds``; 0: when the present is told. It must be closed, whether it was begun or not,
        which lets another client have its turn. Raise WebError when there are too many.
        """
        if not self._free.acquire(blocking=False):
            raise WebError(
                "too many pages are open that show what happens",
                "close one of them; this one tries again by itself",
                status=503,
                retry_after=int(STREAM_SECONDS),
            )
        room = ExitStack()
        room.callback(self._free.release)
        stream = _Stream(self._services, query, after, seconds, self._clock)
        return ClosingIterator(stream.events(room), room.close)


@dataclass
class _Stream:
    """What one client is told."""

    services: Services
    query: Query
    last: int | None
    seconds: float
    clock: Callable[[], float]
    woken: threading.Event = field(default_factory=threading.Event)
    waiting: set[int] = field(default_factory=set)
    runs: bool = False
    runs_at: float = -RUNS_SECONDS
    # That of the request, whose thread goes on to others; None: nobody is shown it.
    reader_speaks: str | None = field(default_factory=lambda: language() if for_page() else None)

    def events(self, room: ExitStack) -> Iterator[bytes]:
        """Yield the events, and close ``room`` at the end."""
        manager, closing = self.services.manager, self.services.closing
        ends_at = self.clock() + self.seconds
        seen: object = None
        status: dict[str, Any] | None = None
        with room:
            if manager is not None:
                room.callback(manager.listen(lambda outcome: self.woken.set()))
            yield b"retry: %d\n\n" % (AGAIN_SECONDS * 1000)
            while True:
                self.woken.clear()
                now = self._version()
                if now != seen:
                    seen = now
                    yield from self._arrived()
                    if (new := self._status()) is not None and new != status:
                        status = new
                        yield self._event("status", status)
                if closing.is_set() or self.clock() >= ends_at:
                    return
                if self.woken.wait(LOOK_SECONDS):
                    closing.wait(BURST_SECONDS)
                else:
                    yield b":\n\n"  # by this the server finds out that nobody is there any more

    def _version(self) -> object:
        """Return what changes whenever the index or the daemon's status do."""
        state_dir, manager = self.services.config.state_dir, self.services.manager
        if manager is None and self.clock() >= self.runs_at + RUNS_SECONDS:
            self.runs_at, self.runs = self.clock(), daemon_runs(state_dir)
        index = index_path(state_dir)
        told = manager.status if manager else None
        return (
            self.runs,
            told or _file_version(os.path.join(state_dir, STATUS_NAME)),
            *map(_file_version, (index, index + "-wal")),
        )

    def _arrived(self) -> list[bytes]:
        """Return what is to be told of photos that are new, and tagged."""
        try:
            with self.services.reader() as reader:
                if self.last is None:
                    self.last = reader.newest_id()
                ready = {
                    number for number, state in reader.states_of(self.waiting) if state in _DONE
                }
                self.waiting -= ready
                while rows := reader.states_after(self.last, AT_ONCE):
                    self.last = rows[-1][0]
                    ready |= {number for number, state in rows if state in _DONE}
                    self.waiting |= {number for number, state in rows if state == "waiting"}
                self.waiting = set(sorted(self.waiting)[-WAITING:])
                newest = sorted(ready)[-AT_ONCE:]
                found = reader.find(And((self.query, ByIds(tuple(newest)))))
                return [self._event("photo", gallery_photo_json(one)) for one in found]
        except (StateError, SlowQueryError, sqlite3.OperationalError) as error:
            log.debug("new photos are not told: %s", error)
            return []

    def _status(self) -> dict[str, Any] | None:
        try:
            status = self.services.status()
        except (StateError, sqlite3.OperationalError) as error:
            log.debug("the status is not told: %s", error)  # when it can be read again
            return None
        if self.reader_speaks is None:
            return status
        with speaking(self.reader_speaks):
            return status | {"said": {name: all_in_language(status[name] or "") for name in _TOLD}}

    def _event(self, name: str, data: dict[str, Any]) -> bytes:
        # What the browser sends when it comes again: what still waits is looked at once more.
        last = self.last or 0
        seen = min([last, *(number - 1 for number in self.waiting if number > last - AT_ONCE)])
        text = f"event: {name}\nid: {seen}\ndata: {json.dumps(data)}\n\n"
        return text.encode("ascii")


def _file_version(path: str) -> tuple[int, ...]:
    try:
        st = os.stat(path)
    except OSError:
        return ()
    return st.st_size, st.st_mtime_ns, st.st_ino
