"""The server: lets connections in, ends those whose time is up, and answers in some threads."""

from __future__ import annotations

import errno
import logging
import math
import resource
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from tagger.web.http.connection import RECEIVE_BYTES, Asks, Connection
from tagger.web.http.request import HEAD_BYTES, Parser

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

log = logging.getLogger(__name__)

NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
PAUSE_SECONDS = 1.0
"""For which nobody is let in when there is no descriptor for it."""
END_SECONDS = 3.0
TELL_SECONDS = 600.0
"""How often it is logged at most that connections were dropped."""

logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # it tells of each task that waits


class _Server(TcpWSGIServer):  # type: ignore[misc]
    """Lets connections in, and ends those whose time is up."""

    def __init__(
        self, *arguments: Any, asks: Asks | None, clock: Callable[[], float], **more: Any
    ) -> None:
        self.asks, self.clock = asks, clock
        self._again_at, self._told_at = -math.inf, -math.inf
        super().__init__(*arguments, **more)
        self.most = self.adj.connection_limit

    def readable(self) -> bool:
        return self.accepting and self.clock() >= self._again_at

    def handle_accept(self) -> None:
        try:
            pair = self.accept()
        except OSError as error:
            if error.errno in NO_DESCRIPTORS:
                self._again_at = self.clock() + PAUSE_SECONDS
                self._drop(f"nobody is let in just now: {error.strerror}")
            return
        if pair is None:
            return
        sock, address = pair
        if len(self.active_channels) >= self.most and not self._drop("there are too many"):
            sock.close()
            return
        try:
            self.set_socket_options(sock)
            self.channel_class(self, sock, address, self.adj, map=self._map)
        except OSError:
            sock.close()  # it has left already

    def turn_seconds(self, most: float | None) -> float | None:
        """Return how long the next turn may wait, ``most`` (None: for ever) at most."""
        now = self.clock()
        first = min((one.ends_at() for one in self.active_channels.values()), default=math.inf)
        if self._again_at > now:
            first = min(first, self._again_at)
        left = math.inf if most is None else most
        left = min(left, max(0.0, first - now) + 0.01)
        return None if left == math.inf else left

    def end_overdue(self) -> None:
        """Close the connections whose time is up."""
        now = self.clock()
        for one in list(self.active_channels.values()):
            if one.ends_at() <= now:
                one.handle_close()

    def _drop(self, why: str) -> bool:
        """Close one connection; return whether there is one that may be."""
        now = self.clock()
        if now >= self._told_at + TELL_SECONDS:
            self._told_at = now
            log.warning("connections of clients are dropped: %s (%d)", why, self.most)
        idle = [one for one in self.active_channels.values() if not one.works]
        if not idle:
            return False
        of = Counter(one.network for one in self.active_channels.values())
        min(idle, key=lambda one: (-of[one.network], one.ends_at())).handle_close()
        return True


class Limits(NamedTuple):
    """How much a server does at once: threads that answer, connections, bytes of a body.

    There are fewer ``connections`` where the process may open few files.
    """

    threads: int
    connections: int
    max_body: int


class Serving:
    """Answers at ``listening``, a bound socket, with ``application``, within ``limits``.

    ``asks`` is asked before a body of more than SMALL_BODY bytes is read. ``clock`` is monotonic
    seconds.
    """

    def __init__(
        self,
        listening: socket.socket,
        application: WSGIApplication,
        limits: Limits,
        *,
        asks: Asks | None = None,
        parser: type[Parser] = Parser,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._map: dict[int, Any] = {}
        adjustments = Adjustments(
            sockets=[listening],
            threads=limits.threads,
            ident=None,
            max_request_body_size=limits.max_body,
            max_request_header_size=HEAD_BYTES,
            connection_limit=min(limits.connections, _most_connections()),
            # Of a photo's megabytes waitress would read, and write away, 8 kB at a time.
            recv_bytes=RECEIVE_BYTES,
            log_socket_errors=False,
            clear_untrusted_proxy_headers=False,  # tagger.web.auth.trusted_proxies does that
        )
        self._dispatcher = ThreadedTaskDispatcher()
        self._dispatcher.set_thread_count(limits.threads)
        self._server = _Server(
            application,
            self._map,
            True,
            listening,
            dispatcher=self._dispatcher,
            adj=adjustments,
            bind_socket=False,
            sockinfo=(listening.family, listening.type, listening.proto, listening.getsockname()),
            asks=asks,
            clock=clock,
        )
        self._server.channel_class = type("_Of", (Connection,), {"parser_class": parser})

    def turn(self, seconds: float | None) -> None:
        """Wait for something to do, ``seconds`` at most (None: for ever), and do it."""
        timeout = self._server.turn_seconds(seconds)
        wasyncore.loop(timeout=timeout, map=self._map, use_poll=True, count=1)
        self._server.end_overdue()

    def wake(self) -> None:
        """Have :meth:`turn` return. For any thread, and for signal handlers."""
        self._server.pull_trigger()

    def close(self) -> None:
        """Give up the port and all connections; what is being answered has some seconds left."""
        self._dispatcher.shutdown(timeout=END_SECONDS)
        wasyncore.close_all(self._map)


class ServingThread:
    """A thread in which ``serving`` answers until it is closed."""

    def __init__(self, serving: Serving, name: str) -> None:
        self._serving, self._closing = serving, False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._closing:
            try:
                self._serving.turn(None)
            except Exception:  # whatever it is: who asks for figures is answered again
                log.exception("the server of %s failed, and goes on", self._thread.name)
                time.sleep(PAUSE_SECONDS)

    def close(self) -> None:
        """Stop, and close it."""
        self._closing = True
        self._serving.wake()
        self._thread.join()
        self._serving.close()


def _most_connections() -> int:
    """Return how many leave most descriptors to the rest of the process; one may take three."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(4, (soft - 64) // 9) if soft != resource.RLIM_INFINITY else 1_000_000
