"""The server: what clients that are slow, silent or greedy can do, which is little."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading

import pytest

from tagger.web.addresses import network_of
from tagger.web.http import connection as phases
from tagger.web.http.server import PAUSE_SECONDS
from tests.conftest import wait_until
from tests.unit.web.http.conftest import GET


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
    assert site.connections == 1
    site.later(phases.LONGEST_SECONDS)
    site.until(lambda: site.connections == 0)


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
    assert site.connections == 8
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
    assert site.connections == 8
    assert site.is_open(many[-1])


def test_networks_share(made, monkeypatch):
    """A newcomer does not displace others' connections while one network has most of them."""
    site = made(connections=8)
    names = iter(["a", "b", *"cccccc", "d"])
    monkeypatch.setattr(phases, "network_of", lambda address: next(names))
    own = [site.client(), site.client()]
    for _ in range(7):
        site.clock.now += 0.5
        site.client()
    site.turn()
    assert all(map(site.is_open, own))
    assert not site.is_open(site.clients[2])


def test_an_address_is_a_network():
    assert network_of("10.1.2.3") == network_of("::ffff:10.1.2.3")
    assert network_of("2001:db8::1") == network_of("2001:db8::2%eth0")
    assert network_of("2001:db8::1") != network_of("2001:db8:0:1::1")


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


def test_urgent_data_ends_the_connection_and_wakes_nobody_again(made, caplog):
    site = made()
    one = site.client(b"GET / HTTP")
    one.send(b"!", socket.MSG_OOB)
    site.until(lambda: not site.connections)
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
