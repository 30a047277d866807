"""The page as a process: a real server on this machine, the demo network, real requests."""

from __future__ import annotations

import contextlib
import errno
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tagger.config.schema import Config, WebConfig
from tagger.errors import ConfigError, ModelError, StateError
from tagger.pipeline.networks import Networks
from tagger.web.auth.passwords import make_hash
from tagger.web.server import WebServer
from tests.unit.web.conftest import fake_networks, jpeg

BOUNDARY = "XbX"


@pytest.fixture
def page(home) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Return ``tagger web`` as a process, and its port."""
    home.use_converted_model()
    process = subprocess.Popen(
        [
            sys.executable, "-m", "tagger", "--config", str(home.config),
            "web", "--listen", "127.0.0.1:0",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=home.environ(),
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    match = re.search(r"http://127\.0\.0\.1:(\d+)/", line)
    assert match, line + process.communicate(timeout=10)[1]
    yield process, int(match[1])
    process.kill()
    process.communicate()


def form(data: bytes) -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    return head.encode() + data + f"\r\n--{BOUNDARY}--\r\n".encode()


def ask(port: int, method: str, url: str, body: bytes | None = None, **headers: str):
    """Return status, headers and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(
            method, url, body, {name.replace("_", "-"): v for name, v in headers.items()}
        )
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def classify(port: int, data: bytes):
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    return ask(port, "POST", "/predict", form(data), Content_Type=kind)


def test_the_page_classifies_without_torch_and_ends_when_told(page, scenes: list[Path]):
    process, port = page
    status, headers, body = ask(port, "GET", "/")
    assert status == 200
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "Server" not in headers
    assert b"classify.js" in body
    status, _, body = classify(port, scenes[0].read_bytes())
    assert status == 200, body
    [first, *_] = json.loads(body)
    assert set(first) == {"label", "probability"}
    assert first["probability"] > 50
    libraries = Path(f"/proc/{process.pid}/maps").read_text()
    assert "onnxruntime" in libraries
    assert "torch" not in libraries
    assert classify(port, b"no picture")[0] == 415
    assert ask(port, "GET", "/", Host="evil.example")[0] == 421
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    assert "Traceback" not in errors


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Return the port of a page in this process that takes 1 MB, and finds no weights."""
    for name in ("HOME", "XDG_CACHE_HOME", "TORCH_HOME", "TAGGER_MODEL_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    config = Config(state_dir=str(tmp_path), web=WebConfig(listen="127.0.0.1:0", max_upload_mb=1))
    with WebServer(config) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        yield int(server.url.rsplit(":", 1)[1].strip("/"))
        server.stop()
        thread.join(10)
        assert not thread.is_alive()


def test_too_large_is_told_as_json_before_it_is_read(small):
    said = {}
    with socket.create_connection(("127.0.0.1", small), timeout=20) as end:
        end.sendall(
            b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000000000\r\n\r\n"
        )
        answer = http.client.HTTPResponse(end)
        answer.begin()
        said = json.loads(answer.read())
        assert answer.status == said["status"] == 413
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    status, _, body = classify(small, b"\xff\xd8\xff" + bytes(1_500_000))
    assert (status, json.loads(body)["status"]) == (413, 413)


def test_sixteen_at_once_are_all_answered(tmp_path):
    config = Config(state_dir=str(tmp_path), web=WebConfig(listen="127.0.0.1:0"))
    with WebServer(config, load=fake_networks) as server:
        runs = threading.Thread(target=server.run)
        runs.start()
        port = int(server.url.rsplit(":", 1)[1].strip("/"))
        with ThreadPoolExecutor(16) as clients:
            answers = list(clients.map(lambda _: classify(port, jpeg())[0], range(32)))
        server.stop()
        runs.join(10)
    assert answers == [200] * 32


def test_closing_ends_what_waits_for_a_model(tmp_path):
    asked = threading.Event()

    def load() -> Networks:
        asked.set()
        assert server._stopping.wait(20)
        raise ModelError("the page is being closed", "try again")

    config = Config(state_dir=str(tmp_path), web=WebConfig(listen="127.0.0.1:0"))
    server = WebServer(config, load=load)
    runs = threading.Thread(target=server.run)
    runs.start()
    port = int(server.url.rsplit(":", 1)[1].strip("/"))
    with ThreadPoolExecutor(1) as client:
        answer = client.submit(lambda: classify(port, jpeg()))
        assert asked.wait(20)
        server.stop()
        runs.join(10)
        server.close()
        with contextlib.suppress(OSError, http.client.HTTPException):
            assert answer.result(20)[0] == 503
    assert not runs.is_alive()


def test_a_request_without_a_host_is_refused(small):
    with socket.create_connection(("127.0.0.1", small), timeout=20) as end:
        end.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b" 421 " in end.recv(100)


def test_without_weights_it_says_so(small):
    status, _, body = classify(small, b"\xff\xd8\xff" + bytes(100))
    assert status == 503, body
    assert "resnet18" in json.loads(body)["error"]
    assert json.loads(body)["remedy"]


def test_with_a_password_it_listens_to_other_machines(tmp_path):
    web = WebConfig(listen="0.0.0.0:0", password=make_hash("correct horse", cost=10))
    with WebServer(Config(state_dir=str(tmp_path), web=web), load=fake_networks) as server:
        runs = threading.Thread(target=server.run)
        runs.start()
        port = int(server.url.rsplit(":", 1)[1].strip("/"))
        try:
            assert ask(port, "GET", "/", Host="192.168.1.5:5000")[0] == 401
            assert ask(port, "GET", "/", Host="evil.example")[0] == 421
            bearer = "Bearer correct horse"
            assert ask(port, "GET", "/", Host="192.168.1.5", Authorization=bearer)[0] == 200
            assert ask(port, "GET", "/static/style.css", Host="192.168.1.5")[0] == 200
        finally:
            server.stop()
            runs.join(10)


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
def test_it_refuses_to_listen_to_other_machines(home, listen):
    home.run("web", "--listen", listen, code=2)
    assert "no password" in home.err
    assert "ssh -L" in home.err


def test_a_port_in_use_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(StateError, match=re.escape(listen)):
            WebServer(Config(state_dir=str(tmp_path), web=WebConfig(listen=listen)))


def test_a_service_without_the_network_is_told_how_to_get_it(tmp_path, monkeypatch):
    """As under RestrictAddressFamilies=AF_UNIX: the kernel refuses the socket."""

    class Refused(socket.socket):
        def __init__(self, *arguments: object) -> None:
            raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")

    monkeypatch.setattr("tagger.web.server.socket.socket", Refused)
    config = Config(state_dir=str(tmp_path), web=WebConfig(listen="127.0.0.1:0"))
    with pytest.raises(StateError, match="service install --network"):
        WebServer(config)


def test_an_address_that_is_nobodys_is_told(tmp_path):
    config = Config(state_dir=str(tmp_path), web=WebConfig(listen="no.such.host.invalid:5000"))
    with pytest.raises(ConfigError, match="no address"):
        WebServer(config)
