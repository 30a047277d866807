"""A web server on loopback that can be told to misbehave."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

RESNET18 = "resnet18-f37072fd.pth"
HASHED_AS_RESNET18 = b"not the weights 000000004b132db9"
"""Not weights at all, but found by trial so that its SHA-256 begins with f37072fd."""


class FileServer:
    """What is served, how, and what was asked for.

    ``files`` maps a path ("/name") to its bytes, ``redirects`` to another address.
    ``ranges``: whether ``Range`` is understood. ``cut`` ends the connection after so many
    bytes of a body; ``hold`` waits there until ``release`` is set (-1: before the status
    line), and sets ``holding`` meanwhile. ``asked`` has each request's path and Range.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.ranges = True
        self.tell_length = True
        self.cut: int | None = None
        self.hold: int | None = None
        self.holding, self.release = threading.Event(), threading.Event()
        self.asked: list[tuple[str, str | None]] = []
        self.url = ""

    def wait(self) -> None:
        """Hold the answer back until the test releases it."""
        self.holding.set()
        self.release.wait(30)


@contextmanager
def serving() -> Iterator[FileServer]:
    """Run a server on a free port of 127.0.0.1; stop it at the end."""
    files = FileServer()

    class Handler(_Handler):
        served = files

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    files.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield files
    finally:
        files.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served: FileServer

    def do_GET(self) -> None:
        served = self.served
        wanted = self.headers.get("Range")
        served.asked.append((self.path, wanted))
        if served.hold == -1:
            served.wait()
        if self.path in served.redirects:
            self._head(302, Location=served.redirects[self.path])
            return
        if self.path not in served.files:
            self._head(404)
            return
        body = served.files[self.path]
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and served.ranges else 0
        if start and start >= len(body):
            self._head(416)
            return
        length = {"Content-Length": str(len(body) - start)} if served.tell_length else {}
        self._head(206 if start else 200, **length)
        end = len(body) if served.cut is None else start + served.cut
        if served.hold is not None and served.hold >= 0:
            self.wfile.write(body[start : start + served.hold])
            self.wfile.flush()
            served.wait()
            start += served.hold
        self.wfile.write(body[start:end])

    def _head(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
