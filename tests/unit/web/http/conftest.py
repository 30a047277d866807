"""A server that is turned by hand, and its clients."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from tagger.web.http import connection as phases
from tagger.web.http.server import Limits, Serving
from tests.conftest import wait_until

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Site:
    """A server that is turned by hand, and its application."""

    def __init__(self, connections: int = 8, asks: Callable | None = None) -> None:
        self.clock, self.asked, self.bodies = Clock(), 0, []
        self.answer = b"hello"
        self.go_on = threading.Event()
        self.go_on.set()
        listening = socket.socket()
        listening.bind(("127.0.0.1", 0))
        self.address = listening.getsockname()
        self.serving = Serving(
            listening,
            self._application,
            Limits(threads=2, connections=connections, max_body=1_000_000),
            asks=asks,
            clock=self.clock,
        )
        self.clients: list[socket.socket] = []

    @property
    def connections(self) -> int:
        return len(self.serving._server.active_channels)

    def _application(self, environ, start):
        self.asked += 1
        self.environ = environ
        self.bodies.append(environ["wsgi.input"].read())
        if environ["PATH_INFO"] == "/wait":
            assert self.go_on.wait(30)
        if environ["PATH_INFO"] == "/file":
            start("200 OK", [])
            return environ["wsgi.file_wrapper"](open(phases.__file__, "rb"))
        start("200 OK", [("Content-Length", str(len(self.answer)))])
        return [self.answer]

    def client(self, data: bytes = b"") -> socket.socket:
        """Return a connection that the server has taken, on which ``data`` was sent."""
        before = self.connections
        one = socket.create_connection(self.address, timeout=20)
        self.clients.append(one)
        self.until(lambda: self.connections != before or before >= 8)
        if data:
            one.sendall(data)
        return one

    def turn(self, times: int = 5) -> None:
        for _ in range(times):
            self.serving.turn(0.01)

    def until(self, condition: Callable[[], object]) -> object:
        def met() -> object:
            self.serving.turn(0.01)
            return condition()

        return wait_until(met, 30)

    def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.turn()

    def read(self, one: socket.socket) -> bytes:
        """Return the answer that comes to a client, or what does before the end."""
        one.setblocking(False)
        got = b""

        def whole() -> bool:
            nonlocal got
            with contextlib.suppress(BlockingIOError):
                while some := one.recv(65536):
                    got += some
                return True
            head, end, body = got.partition(b"\r\n\r\n")
            length = re.search(rb"Content-Length: (\d+)", head)
            return bool(end) and (length is None or len(body) >= int(length[1]))

        self.until(whole)
        return got

    def is_open(self, one: socket.socket) -> bool:
        self.turn()
        one.setblocking(False)
        try:
            while one.recv(65536):
                pass
            return False
        except BlockingIOError:
            return True
        except OSError:
            return False


@pytest.fixture
def made() -> Iterator[Callable[..., Site]]:
    sites: list[Site] = []

    def make(*arguments, **more) -> Site:
        sites.append(Site(*arguments, **more))
        return sites[-1]

    yield make
    for site in sites:
        site.go_on.set()
        for one in site.clients:
            one.close()
        site.serving.close()
