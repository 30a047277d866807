"""The page with a password, before those who do not know it: bounded, whatever they send."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagger.config.schema import Config, WebConfig
from tagger.errors import SlowQueryError
from tagger.index.conditions import And
from tagger.index.store import Store
from tagger.web.auth.gate import Gate
from tagger.web.auth.passwords import MOST, Password, make_hash
from tagger.web.auth.sessions import PROVING
from tagger.web.bounded_search import limited_reader
from tagger.web.http.request import SMALL_BODY
from tagger.web.inbox import MAX_NAME, safe_name
from tagger.web.server import WebServer
from tests.conftest import wait_until
from tests.unit.web.conftest import fake_networks, jpeg
from tests.unit.web.test_server import BOUNDARY, ask, classify, form

PASSWORD = "correct horse"
MARKS = "a" + "\u0301\u0327" * 60_000
FORM = "multipart/form-data; boundary=" + BOUNDARY
BEARER = f"Bearer {PASSWORD}"


@pytest.fixture(scope="module")
def secured(tmp_path_factory) -> Iterator[tuple[WebServer, int]]:
    """Return a page with a password, and its port."""
    state = tmp_path_factory.mktemp("state")
    Store(str(state)).close()
    web = WebConfig(listen="127.0.0.1:0", password=make_hash(PASSWORD, cost=10))
    with WebServer(Config(state_dir=str(state), web=web), load=fake_networks) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        yield server, int(server.url.rsplit(":", 1)[1].strip("/"))
        server.stop()
        thread.join(10)


@pytest.fixture
def port(secured) -> int:
    return secured[1]


def own(port: int) -> dict[str, str]:
    return {"Origin": f"http://127.0.0.1:{port}"}


def test_a_password_is_measured_before_it_is_normalised(port, clock):
    before = time.process_time()
    password = Password(make_hash(PASSWORD, cost=10))
    assert not password.is_known(MARKS)
    assert not password.proves(MARKS)
    assert not password.proves("a" * (MOST + 1))
    body = f"password={'%CC%81' * 2000}".encode()
    kind = "application/x-www-form-urlencoded"
    assert ask(port, "POST", "/login", body, Content_Type=kind, **own(port))[0] == 401
    bearer = "Bearer a" + "\u0301".encode().decode("latin-1") * 10_000
    assert ask(port, "GET", "/", Authorization=bearer)[0] == 401
    # Normalising the marks takes 8 s where letters of this file are counted in ms.
    assert time.process_time() - before < 4


def test_the_name_of_an_upload_is_cut_before_it_is_normalised():
    before = time.process_time()
    name = safe_name(MARKS + ".jpg", "JPEG")
    assert time.process_time() - before < 4
    assert len(name.encode()) <= MAX_NAME and name.endswith(".jpg")
    assert safe_name("é" * 100 + ".png", "PNG") == "é" * 88 + ".png"


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/api/v1/predict", {}, 401),
        ("/predict", {}, 401),
        ("/api/v1/inbox", {}, 403),
        ("/api/v1/inbox", {"Authorization": "Bearer wrong"}, 401),
        ("/predict", {"Authorization": "Basic eDp4"}, 401),
        ("/predict", {"Cookie": "tagger_session=1.x.y"}, 401),
        ("/predict", {"Host": "evil.example"}, 421),
        ("/predict", {"Sec-Fetch-Site": "cross-site", "Authorization": BEARER}, 403),
        ("/nothing/here", {}, 403),
        ("/nothing/here", {"Authorization": BEARER}, 404),
        ("/login", {"Origin": "http://127.0.0.1:{port}"}, 413),
        ("/logout", {"Origin": "http://127.0.0.1:{port}"}, 401),
        ("/api/v1/failures/retry", {"Authorization": BEARER}, 413),
        ("/api/v1/status", {"Authorization": BEARER}, 405),
        ("/static/style.css", {"Authorization": BEARER}, 405),
    ],
)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_is_refused_before_it_is_read(secured, path, headers, status, chunked):
    server, port = secured
    size = 20_000_000
    said = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {size}"
    lines = [f"{name}: {value.format(port=port)}" for name, value in headers.items()]
    if "Host" not in headers:
        lines.append(f"Host: 127.0.0.1:{port}")
    head = "\r\n".join([f"POST {path} HTTP/1.1", *lines, f"Content-Type: {FORM}", said, "", ""])
    before = spooled(server)
    with socket.create_connection(("127.0.0.1", port), timeout=30) as end:
        end.sendall(head.encode() + (b"30d40\r\n" if chunked else b"") + b"a" * 200_000)
        answer = http.client.HTTPResponse(end)
        answer.begin()
        assert answer.status == status
        told = json.loads(answer.read())
        assert told["status"] == status and told["error"]
        assert answer.headers["Content-Security-Policy"]
        assert spooled(server) == before


def spooled(server: WebServer) -> set[str]:
    """Return the files without a name that this process has open for what comes in."""
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/self/fd/{fd}"))
    return {one for one in found if "(deleted)" in one}


def test_a_large_form_comes_through_with_the_password(port):
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    data = jpeg() + b"\0" * 1_000_000
    status, _, body = ask(
        port, "POST", "/predict", form(data), Content_Type=kind, Authorization=BEARER
    )
    assert status == 200, body
    assert classify(port, data)[0] == 401


def test_a_form_that_holds_no_file_is_small(client):
    answer = client.post("/predict", data={"file": "a" * (2 * SMALL_BODY)})
    assert answer.status_code == 400
    answer = client.post("/api/v1/failures/retry", data={"x": "a" * 2 * SMALL_BODY})
    assert answer.status_code in (200, 403, 409, 413)


MALFORMED = {
    "Origin": ["http://[", "http://[::1", "http://]", "//", "http://\x7f", "null", "http://a:b:c"],
    "Host": ["[", "[::1", "a b", "a:99999999", "\xff", "@", "localhost:x"],
    "Referer": ["http://[", "\xff", "http://[::1"],
    "Content-Length": ["-1", "x", "1e3", "9" * 5000, "+1", "0x10", "\xb2"],
    "Range": ["bytes=x", "bytes=-", "bytes=9-1", "bytes=0-0,1-1", "x", "bytes=" + "9" * 5000 + "-"],
    "Cookie": ["=", "tagger_session", "tagger_session=\xff", ";;;=;", "a=" + "\\" * 3000],
    "X-Forwarded-For": ["[", "\xff", "1.2.3.4.5", "::1%x", "," * 3000],
    "X-Forwarded-Host": ["[", "\xff"],
    "Transfer-Encoding": ["x", "chunked,chunked", "gzip, chunked", "\xff", "identity"],
    "Authorization": ["Basic", "Basic \xff", "Bearer", "Digest x=", "Basic " + "=" * 999, "\xff"],
    "If-None-Match": ["\xff", '"', "W/", "*" * 999],
    "If-Modified-Since": ["x", "Mon, 99 Foo 99999 99:99:99 GMT", "0" * 999],
    "If-Range": ['"', "Mon, 99 Foo 99999 99:99:99 GMT"],
    "Accept": ["*/*;q=x", ";;;", "text/html;q=" + "9" * 5000, "," * 9000],
    "Content-Type": [
        "multipart/form-data",
        "multipart/form-data; boundary=\xff",
        ";",
        "a/b;c*=x''",
    ],
    "Last-Event-ID": ["\xff", "9" * 99],
    "Expect": ["x"],
    "Connection": ["x, close", "\xff"],
    "Sec-Fetch-Site": ["\xff"],
}


@pytest.mark.parametrize("name", MALFORMED)
@pytest.mark.parametrize("inside", [False, True], ids=["stranger", "known"])
def test_no_header_makes_the_page_fail(port, name, inside, caplog):
    for value in MALFORMED[name]:
        for first in ("GET /static/style.css", "GET /login", "GET /library", "POST /login"):
            headers = {"Host": f"127.0.0.1:{port}", "Connection": "close"} | own(port)
            if inside:
                headers["Authorization"] = BEARER
            headers[name] = value
            lines = [f"{first} HTTP/1.1", *(f"{key}: {text}" for key, text in headers.items())]
            with socket.create_connection(("127.0.0.1", port), timeout=60) as end:
                end.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
                end.shutdown(socket.SHUT_WR)
                got = end.makefile("rb").readline()
            status = int(got.split()[1]) if got else None
            assert status is None or status < 500, (first, name, value[:50], got)
    assert not [one for one in caplog.records if one.exc_info], caplog.text


def test_an_origin_that_is_none_is_a_bad_request(port):
    assert ask(port, "POST", "/login", b"", Origin="http://[")[0] == 400


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_make_the_server_fail(secured, data):
    got = b""
    end = socket.create_connection(("127.0.0.1", secured[1]), timeout=60)
    with end, contextlib.suppress(OSError):
        end.sendall(data + b"\r\n\r\n")
        end.shutdown(socket.SHUT_WR)
        got = end.makefile("rb").readline()
    assert not got or int(got.split()[1]) < 500, got


def test_silent_clients_leave_room(secured):
    server, port = secured
    silent = [socket.create_connection(("127.0.0.1", port)) for _ in range(150)]
    try:
        wait_until(lambda: len(server._server._server.active_channels) >= 90)
        assert ask(port, "GET", "/login")[0] == 200
        assert len(server._server._server.active_channels) <= 100
    finally:
        for one in silent:
            one.close()


def test_few_passwords_are_proved_at_once(tmp_path, monkeypatch):
    """So that many who send some cannot take all threads of the page."""
    web = WebConfig(password=make_hash(PASSWORD, cost=10))
    gate = Gate(Config(state_dir=str(tmp_path), web=web))
    begun, go_on = threading.Semaphore(0), threading.Event()

    def proves(password: str) -> bool:
        begun.release()
        return go_on.wait(30) and False

    monkeypatch.setattr(gate._password, "proves", proves)
    from flask import Flask

    from tagger.web.errors import WebError

    app, said = Flask("x"), []

    def try_one(word: str) -> None:
        with app.test_request_context("/"):
            try:
                gate.try_password(word)
            except WebError as error:
                said.append(error.status)

    words = [f"wrong {number}" for number in range(PROVING)]
    threads = [threading.Thread(target=try_one, args=(word,)) for word in [*words, words[-1]]]
    for thread in threads:
        thread.start()
    assert begun.acquire(timeout=30)
    wait_until(lambda: sum(gate._waiting.values()) == PROVING + 1)
    try_one("yet another")
    assert said == [503]
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert said[1:] == [401] * (PROVING + 1)
    assert not gate._waiting


class _Long:
    """A condition that takes for ever."""

    def sql(self):
        many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT 1 FROM n"
        return f"EXISTS ({many} WHERE i < 0)", ()


def test_a_search_has_a_time(site, monkeypatch):
    monkeypatch.setattr("tagger.web.bounded_search.SECONDS", 5.0)
    site.add("a.jpg", "dog")
    moments = iter(range(10_000))
    with (
        pytest.raises(SlowQueryError, match="longer than 5 s"),
        limited_reader(str(site.config.state_dir), clock=lambda: next(moments)) as reader,
    ):
        reader.count(_Long())


def test_a_search_ends_when_its_client_leaves(site):
    from flask import Flask

    site.add("a.jpg", "dog")
    asked = []

    def left() -> bool:
        asked.append(1)
        return len(asked) > 2

    environ = {"waitress.client_disconnected": left}
    with (
        Flask("x").test_request_context("/", environ_overrides=environ),
        pytest.raises(SlowQueryError),
        limited_reader(str(site.config.state_dir)) as reader,
    ):
        list(reader.find(_Long()))
    assert len(asked) == 3


def test_a_slow_search_is_told_as_one(site, client, monkeypatch):
    from tagger.library import search

    site.add("a.jpg", "dog")
    monkeypatch.setattr(search, "parse", lambda *args: _Long())
    monkeypatch.setattr("tagger.web.bounded_search.SECONDS", 0.0)
    answer = client.get("/api/v1/count?q=dog")
    assert (answer.status_code, "longer" in answer.json["error"]) == (400, True)
    assert client.get("/library?q=dog").status_code == 400


def test_quick_searches_are_not_ended(site):
    path = Path(site.config.state_dir)
    site.add("a.jpg", "dog")
    with limited_reader(str(path)) as reader:
        assert reader.count(And()) == 1
