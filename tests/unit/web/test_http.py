"""The server: what clients that are slow, silent, greedy or malformed can do, which is little."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from tagger.web.http import connection as phases
from tagger.web.http.request import SMALL_BODY, Refusal
from tagger.web.http.server import PAUSE_SECONDS, Limits, Serving
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

    def _application(self, environ, start):
        self.asked += 1
        self.environ = environ
        self.bodies.append(environ["wsgi.input"].read())
        if environ["PATH_INFO"] == "/wait":
            assert self.go_on.wait(30)
        if environ["PATH_INFO"] == "/file":
            start("200 OK", [])
            return environ["wsgi.file_wrapper"](open(__file__, "rb"))
        start("200 OK", [("Content-Length", str(len(self.answer)))])
        return [self.answer]

    def client(self, data: bytes = b"") -> socket.socket:
        """Return a connection that the server has taken, on which ``data`` was sent."""
        before = self.serving.connections
        one = socket.create_connection(self.address, timeout=20)
        self.clients.append(one)
        self.until(lambda: self.serving.connections != before or before >= 8)
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


def test_a_request_is_answered_and_the_connection_kept(made):
    site = made()
    one = site.client(GET)
    assert site.read(one).endswith(b"hello")
    one.setblocking(True)
    one.sendall(GET)
    assert site.read(one).endswith(b"hello")


@pytest.mark.parametrize("beginning", [b"", b"GET", GET[:-2], b"\r\n\r\n"])
def test_a_head_has_a_time_however_it_trickles(made, beginning):
    site = made()
    one = site.client(beginning)
    for _ in range(int(phases.HEAD_SECONDS) - 1):
        site.later(1)
        with contextlib.suppress(OSError):
            one.setblocking(True)
            one.sendall(b"\r\n" if beginning == b"\r\n\r\n" else b"" if not beginning else b"a")
    assert site.is_open(one)
    site.later(2)
    assert not site.is_open(one)


def test_an_idle_connection_ends_later(made):
    site = made()
    one = site.client(GET)
    assert site.read(one)
    site.later(phases.HEAD_SECONDS + 1)
    assert site.is_open(one)
    site.later(phases.IDLE_SECONDS)
    assert not site.is_open(one)


def test_a_body_has_a_time_that_its_bytes_put_off(made):
    site = made()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n"
    slow, fair = site.client(head), site.client(head)
    for _ in range(10):
        site.later(phases.PATIENCE_SECONDS / 8)
        for one, size in ((slow, 1), (fair, 80_000)):
            with contextlib.suppress(OSError):
                one.setblocking(True)
                one.sendall(b"a" * size)
        site.turn(20)
    assert not site.is_open(slow)
    assert site.is_open(fair)


def test_an_answer_that_nobody_reads_has_a_time(made):
    site = made()
    site.answer = b"a" * 8_000_000
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect(site.address)
    site.clients.append(one)
    one.sendall(GET)
    [connection] = site.until(lambda: list(site.serving._server.active_channels.values()))
    site.until(lambda: connection.total_outbufs_len and not connection.works)
    site.later(phases.PATIENCE_SECONDS - 5)
    assert site.serving.connections == 1
    site.later(phases.LONGEST_SECONDS)
    site.until(lambda: site.serving.connections == 0)


def test_pipelined_requests_are_answered_one_after_the_other(made):
    """However many were sent: one at a time is parsed, and has a file open."""
    site = made()
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect(site.address)
    site.clients.append(one)
    before = len(os.listdir("/proc/self/fd"))
    one.sendall(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n" * 1500)
    site.until(lambda: site.asked)
    site.turn(200)
    assert len(os.listdir("/proc/self/fd")) <= before + 4
    assert 0 < site.asked < 1500
    reader = one.makefile("rb")
    got = 0
    one.settimeout(30)
    stopping = threading.Event()

    def serve() -> None:
        while not stopping.is_set():
            site.serving.turn(0.05)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        while got < 1500:
            got += reader.readline().startswith(b"HTTP/1.1 200")
    finally:
        stopping.set()
        thread.join()
    assert site.asked == 1500


def test_of_too_many_the_one_goes_whose_time_is_up_first(made):
    site = made(connections=8)
    silent = []
    for _ in range(8):
        silent.append(site.client())
        site.clock.now += 0.5
    silent[0].sendall(GET)  # it rests now, and may for longer
    assert site.read(silent[0])
    new = site.client(GET)
    assert site.read(new).endswith(b"hello")
    assert site.serving.connections == 8
    assert not site.is_open(silent[1])
    assert site.is_open(silent[2])


def test_one_that_is_answered_is_not_dropped(made):
    site = made(connections=8)
    site.go_on.clear()
    busy = site.client(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    site.until(lambda: site.asked == 1)
    many = [site.client() for _ in range(30)]
    site.turn()
    site.go_on.set()
    assert site.read(busy).endswith(b"hello")
    assert site.serving.connections == 8
    assert site.is_open(many[-1])


def test_networks_share(made, monkeypatch):
    """A newcomer does not displace others' connections while one network has most of them."""
    site = made(connections=8)
    names = iter(["a", "b", *"cccccc", "d"])
    monkeypatch.setattr(phases, "_network", lambda address: next(names))
    own = [site.client(), site.client()]
    for _ in range(7):
        site.clock.now += 0.5
        site.client()
    site.turn()
    assert all(map(site.is_open, own))
    assert not site.is_open(site.clients[2])


def test_an_address_is_a_network():
    assert phases._network("10.1.2.3") == phases._network("::ffff:10.1.2.3")
    assert phases._network("2001:db8::1") == phases._network("2001:db8::2%eth0")
    assert phases._network("2001:db8::1") != phases._network("2001:db8:0:1::1")


def test_without_descriptors_nobody_is_let_in_for_a_while(made, monkeypatch, caplog):
    site = made()
    accepts = 0

    def refused():
        nonlocal accepts
        accepts += 1
        raise OSError(errno.EMFILE, "Too many open files")

    server = site.serving._server
    idle = site.client()
    real = server.accept
    monkeypatch.setattr(server, "accept", refused)
    late = socket.create_connection(site.address, timeout=20)
    site.clients.append(late)
    site.until(lambda: accepts)
    site.turn(20)
    assert accepts == 1, "it is not tried again at once"
    assert not site.is_open(idle), "one is given up"
    monkeypatch.setattr(server, "accept", real)
    site.later(PAUSE_SECONDS)
    late.sendall(GET)
    assert site.read(late).endswith(b"hello")
    assert len([one for one in caplog.messages if "let in" in one]) == 1


def large(length: int | None = 200_000, more: bytes = b"") -> bytes:
    said = f"Content-Length: {length}" if length else "Transfer-Encoding: chunked"
    return f"POST /x HTTP/1.1\r\nHost: x\r\n{said}\r\n".encode() + more + b"\r\n"


@pytest.mark.parametrize("length", [200_000, None])
def test_a_large_body_is_not_read_without_leave(made, length):
    heads = []

    def asks(environ):
        heads.append((environ["PATH_INFO"], environ.get("CONTENT_LENGTH")))
        return Refusal("401 UNAUTHORIZED", [("X-Y", "z")], b"no")

    site = made(asks=asks)
    body = b"a" * 200_000 if length else b"30d40\r\n" + b"a" * 200_000 + b"\r\n0\r\n\r\n"
    one = site.client()
    one.settimeout(30)
    sender = threading.Thread(target=one.sendall, args=(large(length) + body,))
    sender.start()
    site.until(lambda: heads and not sender.is_alive())
    got = site.read(one)
    assert got.startswith(b"HTTP/1.1 401 UNAUTHORIZED\r\n") and got.endswith(b"no")
    assert b"X-Y: z" in got
    assert heads == [("/x", "200000" if length else None)]
    assert site.asked == 0, "the application sees no part of it"
    one.close()
    site.until(lambda: not site.serving.connections)


def test_with_leave_it_is_read(made):
    asked = []
    site = made(asks=lambda environ: asked.append(1))
    one = site.client(large() + b"a" * 200_000)
    assert site.until(lambda: site.bodies) == [b"a" * 200_000]
    assert site.read(one).endswith(b"hello")
    one.setblocking(True)
    small = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % SMALL_BODY
    one.sendall(small + b"b" * SMALL_BODY)
    site.until(lambda: len(site.bodies) == 2)
    assert asked == [1], "for a small one no leave is needed"


def test_whoever_waits_to_be_told_to_go_on_is_told_after_the_leave(made):
    verdicts = iter([Refusal("401 NO", [], b""), None])
    site = made(asks=lambda environ: next(verdicts))
    refused = site.client(large(more=b"Expect: 100-continue\r\n"))
    got = site.read(refused)
    assert got.startswith(b"HTTP/1.1 401") and b"100 Continue" not in got
    welcome = site.client(large(more=b"Expect: 100-continue\r\n"))
    assert site.read(welcome).startswith(b"HTTP/1.1 100 Continue")


def test_a_question_that_fails_is_an_answer(made, caplog):
    def asks(environ):
        raise ValueError("no")

    site = made(asks=asks)
    assert b" 500 " in site.read(site.client(large()))


def test_a_refused_sender_that_never_ends_is_left(made):
    site = made(asks=lambda environ: Refusal("401 NO", [], b""))
    one = site.client(large(900_000))
    assert site.read(one)
    # The answer may be there before the time to drain begins, which the end of it tells.
    site.until(lambda: not site.is_open(one))
    assert site.serving.connections == 1
    site.later(phases.DRAIN_SECONDS + 1)
    assert site.serving.connections == 0


@pytest.mark.parametrize(
    "head",
    [
        b"GET http://[ HTTP/1.1\r\nHost: x\r\n",
        b"GET //[ HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1, 1\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: \xb2\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, \x00\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n: y\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA\x00: y\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\n\r\n",
        b"GET\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n",
        b"get / HTTP/1.1\r\n",
    ],
)
def test_a_malformed_head_is_a_bad_request(made, head, caplog):
    site = made()
    got = site.read(site.client(head + b"\r\n"))
    assert got[8:13] == b" 400 ", got[:200]
    assert not caplog.records
    assert site.asked == 0


@pytest.mark.parametrize("filler", [b"a" * 20_000, b"5;" + b"b" * 20_000, b"0\r\n" + b"c" * 20_000])
def test_what_stands_between_chunks_has_an_end(made, filler):
    site = made()
    one = site.client(large(None) + filler)
    got = site.read(one)
    assert got[8:13] == b" 400 ", got[:200]


def test_a_body_that_cannot_be_stored_is_an_answer(made, monkeypatch, caplog):
    from waitress.receiver import FixedStreamReceiver

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FixedStreamReceiver, "received", full)
    site = made()
    got = site.read(site.client(large() + b"a" * 200_000))
    assert b" 507 " in got, got
    assert [one.getMessage() for one in caplog.records] == [
        "a body cannot be stored: No space left on device"
    ]
    assert site.asked == 0


def test_a_head_that_is_too_long_is_refused(made):
    site = made()
    assert b" 431 " in site.read(site.client(b"GET / HTTP/1.1\r\nX: " + b"a" * 40_000))


def test_urgent_data_ends_the_connection_and_wakes_nobody_again(made, caplog):
    site = made()
    one = site.client(b"GET / HTTP")
    one.send(b"!", socket.MSG_OOB)
    site.until(lambda: not site.serving.connections)
    assert not caplog.records


def test_a_client_that_left_is_noticed_while_it_is_answered(made):
    site = made()
    site.go_on.clear()
    one = site.client(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
    site.until(lambda: site.asked == 1)
    left = site.environ["waitress.client_disconnected"]
    assert not left()
    one.close()
    wait_until(left)


def test_few_descriptors_mean_few_connections(monkeypatch, made):
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda which: (128, 1024))
    site = made(connections=100)
    assert site.serving._server.most == 7


def test_closing_ends_all(made):
    site = made()
    one = site.client(b"GET")
    site.serving.close()
    with contextlib.suppress(ConnectionResetError):
        assert one.recv(10) == b""
