"""Webhooks: what is sent, what counts as taken, and a service without network."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from tagger.config.rule import Rule
from tagger.errors import RuleError
from tagger.library.rules import webhook


class RawServer:
    """Answers one request with fixed bytes, one at a time, ``pause`` seconds after each."""

    def __init__(self, answer: bytes, pause: float = 0.0) -> None:
        self.requests: list[bytes] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._answer, self._pause = answer, pause
        self.port = self._socket.getsockname()[1]
        self.over = threading.Event()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                data = b""
                while b"\r\n\r\n" not in data or not data.endswith(b"}"):
                    data += connection.recv(65536)
                self.requests.append(data)
                try:
                    for at in range(len(self._answer)):
                        connection.sendall(self._answer[at : at + 1])
                        if self._pause and self.over.wait(self._pause):
                            break
                except OSError:
                    continue

    def close(self) -> None:
        self.over.set()
        self._socket.close()


@pytest.fixture
def servers() -> Iterator[list[RawServer]]:
    made: list[RawServer] = []
    yield made
    for one in made:
        one.close()


def served(servers: list[RawServer], answer: bytes, pause: float = 0.0) -> RawServer:
    servers.append(RawServer(answer, pause))
    return servers[-1]


def rule(port: int, place: str = "/hook?a=b", user: str = "", seconds: float = 20) -> Rule:
    return Rule("dog", webhook=f"http://{user}127.0.0.1:{port}{place}", timeout_seconds=seconds)


def test_one_post_with_json(servers: list[RawServer]) -> None:
    server = served(servers, b"HTTP/1.1 204 No Content\r\n\r\n")
    webhook.send(rule(server.port, user="al%40ice:pw@"), {"path": "/p/\udcff.jpg"})
    [request] = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook?a=b HTTP/1.1\r\n")
    assert b"Content-Type: application/json" in head
    assert b"Authorization: Basic YWxAaWNlOnB3" in head
    assert body == b'{"path": "/p/\\udcff.jpg"}'


@pytest.mark.parametrize("status", ["301 Moved", "404 Not Found", "500 Oh"])
def test_anything_else_is_a_failure(servers: list[RawServer], status: str) -> None:
    answer = f"HTTP/1.1 {status}\r\nLocation: http://127.0.0.1:1/\r\n\r\n".encode()
    server = served(servers, answer)
    with pytest.raises(RuleError, match=f"answered {status}") as caught:
        webhook.send(rule(server.port), {})
    assert not caught.value.permanent
    assert "hook" not in str(caught.value)


def test_nobody_there_or_no_http(servers: list[RawServer]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(RuleError, match="Connection refused"):
        webhook.send(rule(port), {})
    with pytest.raises(RuleError, match="cannot reach"):
        webhook.send(rule(served(servers, b"nonsense\r\n\r\n").port), {})


def test_a_slow_answer_is_not_waited_for(servers: list[RawServer]) -> None:
    server = served(servers, b"HTTP/1.1 204 No Content\r\n" + b"X: y\r\n" * 1000, pause=0.2)
    began = time.monotonic()
    with pytest.raises(RuleError, match="did not answer within"):
        webhook.send(rule(server.port, seconds=1), {})
    with pytest.raises(RuleError):
        webhook.send(rule(server.port, seconds=600), {}, lambda: True)
    assert time.monotonic() - began < 60


def test_without_network_it_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    here, away = rule(8123), Rule("dog", webhook="https://example.org/x")
    assert webhook.no_network(lambda: [(1, "lo"), (2, "eth0")]) == ""
    alone = webhook.no_network(lambda: [(1, "lo")])
    assert alone == "the service has no network of its own"
    assert webhook.unreachable(away, alone) == alone
    assert webhook.unreachable(here, alone) == "", "it may serve on that itself"

    def refuse(*_: object) -> None:
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr(socket, "socket", refuse)
    none = webhook.no_network()
    assert none == "the service may not use the network (Address family not supported by protocol)"
    assert webhook.unreachable(here, none) == none
    assert webhook.unreachable(away, "") == ""
    assert webhook.shown(rule(1, "/t0ken", "u:p@")) == "http://127.0.0.1:1"
