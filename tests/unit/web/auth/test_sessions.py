"""The password: what it keeps out, how it lets in, and how slowly it can be guessed at."""

from __future__ import annotations

import base64
import re
import sqlite3
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from http.cookies import SimpleCookie
from pathlib import Path

import pytest
from itsdangerous.encoding import base64_decode, base64_encode, bytes_to_int, int_to_bytes

from tagger.config.schema import Config, WatchRoot
from tagger.index.connection import index_path
from tagger.web.auth.gate import OPEN_TO_STRANGERS, Gate, wanted_path
from tagger.web.auth.passwords import (
    ALL_BURST,
    ALL_EVERY,
    BURST,
    EVERY,
    REMEMBERED,
    Attempts,
    make_hash,
)
from tagger.web.auth.sessions import COOKIE, ENDED, FILE, FILE_CHARACTERS, Sessions
from tagger.web.errors import WebError
from tests.unit.web.auth.test_passwords import HASH, SECRET
from tests.unit.web.auth.test_request_checks import STRANGERS, every_request
from tests.unit.web.conftest import Site, jpeg, multipart

OURS = {"Sec-Fetch-Site": "same-origin"}
BEARER = {"Authorization": f"Bearer {SECRET}"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path, password=HASH)
    made.add("dog.jpg", data=jpeg())
    return made


@pytest.fixture
def client(open_site, site, clock):
    return open_site(gate=Gate(site.config, now=clock, clock=clock))


def log_in(client, password: str = SECRET, **fields: str):
    return client.post("/login", data={"password": password, **fields}, headers=OURS)


def cookie_of(answer) -> str:
    return SimpleCookie(answer.headers["Set-Cookie"])[COOKIE].value


def test_nothing_is_given_without_the_password(client):
    seen = set()
    for method, url, endpoint in every_request(client.application):
        answer = client.open(url, method=method, headers=OURS, buffered=True)
        answer.close()
        if endpoint in OPEN_TO_STRANGERS:
            seen.add(endpoint)
            assert answer.status_code in (200, 405) or (method, url) == ("POST", "/login")
        elif url.startswith("/static/"):  # no route, and no file
            assert answer.status_code in (401, 404)
        else:
            assert answer.status_code == 401, (method, url)
            assert answer.headers["WWW-Authenticate"] == 'Bearer realm="tagger"'
        assert b"dog" not in answer.data, (method, url)
        assert COOKIE not in answer.headers.get("Set-Cookie", "")
    assert seen == OPEN_TO_STRANGERS


def test_whoever_was_logged_in_gets_every_page(client):
    assert log_in(client).status_code == 303
    for method, url, endpoint in every_request(client.application):
        if method == "GET" and endpoint:
            answer = client.get(url, buffered=True)
            answer.close()
            assert answer.status_code == 200, url
    assert client.post("/predict", **multipart(jpeg()), headers=OURS).status_code == 200


@pytest.mark.parametrize("host", STRANGERS)
def test_the_password_does_not_help_under_another_name(client, host):
    for method, url, _ in every_request(client.application):
        answer = client.open(url, method=method, headers=BEARER | {"Host": host})
        assert answer.status_code == 421, (method, url)


@pytest.mark.parametrize(
    "proof", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}]
)
def test_a_cookie_does_not_help_another_site(client, proof):
    log_in(client)
    for method, url, _ in every_request(client.application):
        if method not in ("GET", "HEAD", "OPTIONS"):
            answer = client.open(url, method=method, headers=proof)
            assert answer.status_code == 403, (method, url)
            answer = client.open(url, method=method, headers=proof | BEARER)
            assert answer.status_code == 403, (method, url)


def test_a_cookie_is_no_proof_of_the_origin_but_the_password_is(client):
    log_in(client)
    for method, url, endpoint in every_request(client.application):
        if method not in ("GET", "HEAD", "OPTIONS") and endpoint:
            bare = client.open(url, method=method).status_code
            assert (bare == 403) != endpoint.startswith("api.predict"), (method, url)
            if endpoint != "login.enter":
                answer = client.open(url, method=method, headers=BEARER)
                assert answer.status_code not in (401, 403), (method, url)


def test_no_get_changes_anything(client, site):
    def everything() -> tuple[object, ...]:
        files = {
            path: path.read_bytes() if path.is_file() else b""
            for folder in (site.inbox, site.outside)
            for path in folder.rglob("*")
        }
        with sqlite3.connect(f"file:{index_path(str(site.state))}?mode=ro", uri=True) as index:
            return files, list(index.iterdump())

    log_in(client)
    before = everything()
    for method, url, _ in every_request(client.application):
        if method in ("GET", "HEAD", "OPTIONS"):
            client.open(url, method=method, buffered=True).close()
    assert everything() == before


def test_a_page_asks_for_the_password_where_it_is_and_goes_on_there(client):
    for query in ("%E7%8B%97", "狗"):
        asked = client.get(f"/library?q={query}", headers={"Accept": "text/html"})
        assert 'value="/library?q=%E7%8B%97"' in asked.text
    answer = client.get("/library?q=dog", headers={"Accept": "text/html"})
    assert answer.status_code == 401
    assert 'type="password"' in answer.text
    wanted = re.search(r'name="next" value="([^"]*)"', answer.text)
    assert wanted and wanted[1] == "/library?q=dog"
    answer = log_in(client, next="/library?q=dog")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/library?q=dog")
    assert client.get("/library?q=dog").status_code == 200


def test_a_program_hears_it_as_json(client):
    for url in ("/api/v1/photos", "/api/v1/nowhere"):
        answer = client.get(url, headers={"Accept": "*/*"})
        assert answer.status_code == answer.json["status"] == 401
        assert "/login" in answer.json["remedy"]


def test_the_cookie_is_for_this_page_alone(client):
    said = SimpleCookie(log_in(client).headers["Set-Cookie"])[COOKIE]
    assert said["httponly"] and said["samesite"] == "Strict" and said["path"] == "/"
    assert not said["secure"] and not said["domain"]
    assert int(said["max-age"]) == 168 * 3600
    secure = client.post(
        "/login",
        data={"password": SECRET},
        headers=OURS,
        base_url="https://photos.example",
    )
    assert SimpleCookie(secure.headers["Set-Cookie"])[COOKIE]["secure"]


@pytest.mark.parametrize("kind", ["bearer", "basic"])
def test_a_program_sends_the_password(client, clock, kind):
    def header(password: str) -> dict[str, str]:
        basic = base64.b64encode(f"anybody:{password}".encode()).decode()
        return {"Authorization": f"Bearer {password}" if kind == "bearer" else f"Basic {basic}"}

    right, wrong = header(SECRET), header("a wrong one")
    for _ in range(3 * BURST):  # no attempt to guess, so no limit
        assert client.get("/api/v1/photos", headers=right).status_code == 200
    answers = [client.get("/api/v1/photos", headers=wrong) for _ in range(BURST + 1)]
    assert [answer.status_code for answer in answers] == [401] * BURST + [429]
    assert client.get("/api/v1/photos", headers=right).status_code == 200


def test_a_program_may_send_many_at_once_from_the_beginning(client):
    together = threading.Barrier(16)

    def look(_: int) -> int:
        together.wait()
        own = client.application.test_client()
        return own.get("/api/v1/photos", headers=BEARER).status_code

    with ThreadPoolExecutor(16) as clients:
        assert list(clients.map(look, range(16))) == [200] * 16


@pytest.mark.parametrize(
    "header",
    ["Bearer", "Basic", "Basic !!!", "Bearer ", "Basic Og==", "Digest x", "\xff", "x" * 999],
)
def test_what_is_no_password_lets_nobody_in(client, header):
    answer = client.get("/api/v1/photos", headers={"Authorization": header})
    assert answer.status_code == 401


def test_guessing_is_slow_for_one_address(client, clock):
    for _ in range(BURST):
        answer = log_in(client, "a wrong one")
        assert answer.status_code == 401
        assert "not the password" in answer.text
        assert "Set-Cookie" not in answer.headers
    answer = log_in(client)
    assert answer.status_code == 429  # even the right one now
    assert 0 < int(answer.headers["Retry-After"]) <= EVERY
    elsewhere = {"REMOTE_ADDR": "192.168.1.7"}
    data = {"password": SECRET}
    assert client.post("/login", data=data, headers=OURS, environ_base=elsewhere).location == "/"
    clock.now += EVERY
    assert log_in(client).status_code == 303


def refused(attempts: Attempts, address: str) -> bool:
    try:
        attempts.begin(address)
    except WebError as error:
        assert error.status == 429 and error.retry_after
        return True
    return False


def test_guessing_is_slow_from_many_addresses_too(clock):
    attempts = Attempts(clock)
    attempts.begin("10.9.9.9")
    attempts.succeeded("10.9.9.9")
    tried = [refused(attempts, f"10.0.{number // 250}.{number % 250}") for number in range(500)]
    assert tried.count(False) == ALL_BURST
    assert not refused(attempts, "10.9.9.9"), "whoever knew it once is not locked out by others"
    clock.now += ALL_EVERY
    assert not refused(attempts, "10.1.1.1")
    assert refused(attempts, "10.1.1.2")


def test_a_network_of_ipv6_counts_as_one_and_what_is_kept_is_bounded(clock):
    attempts = Attempts(clock)
    tried = [refused(attempts, f"2001:db8:1:2::{number:x}") for number in range(BURST + 1)]
    assert tried == [False] * BURST + [True]
    assert not refused(attempts, "2001:db8:1:3::1")
    assert not refused(attempts, "fe80::1%eth0")
    assert not refused(attempts, "no address")
    for number in range(3 * REMEMBERED):
        clock.now += ALL_EVERY
        attempts.begin(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        attempts.succeeded(f"11.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(attempts._buckets) <= REMEMBERED
    assert len(attempts._proved) <= REMEMBERED


def test_attempts_at_once_do_not_slip_through(clock):
    attempts = Attempts(clock)
    together = threading.Barrier(16)
    seen: list[bool] = []

    def guess() -> None:
        together.wait()
        seen.append(refused(attempts, "10.0.0.1"))

    threads = [threading.Thread(target=guess) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen.count(False) == BURST


def test_a_session_ends_by_itself_and_by_logging_out(client, clock, site, open_site):
    cookie = cookie_of(log_in(client))
    clock.now += 168 * 3600 - 1
    assert client.get("/library").status_code == 200
    clock.now += 1
    assert client.get("/library").status_code == 401

    cookie = cookie_of(log_in(client))
    assert client.get("/library").status_code == 200
    assert 'action="/logout"' in client.get("/login").text
    answer = client.post("/logout", headers=OURS)
    assert (answer.status_code, answer.location) == (303, "/login")
    assert client.get("/library").status_code == 401
    client.set_cookie(COOKIE, cookie, domain="localhost")  # a thief who has copied it
    assert client.get("/library").status_code == 401
    again = open_site(gate=Gate(site.config, now=clock, clock=clock))  # also after a restart
    again.set_cookie(COOKIE, cookie, domain="localhost")
    assert again.get("/library").status_code == 401


def test_a_session_outlives_a_restart_but_not_the_password(tmp_path, clock):
    one = Sessions(str(tmp_path), HASH, 1, clock)
    cookie, seconds = one.new()
    assert seconds == 3600
    assert one.holds(cookie)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert Sessions(str(tmp_path), HASH, 1, clock).holds(cookie)
    assert not Sessions(str(tmp_path), make_hash("another one", cost=10), 1, clock).holds(cookie)
    assert not Sessions(str(tmp_path / "other"), HASH, 1, clock).holds(cookie)


def test_a_changed_cookie_is_none(tmp_path, clock):
    sessions = Sessions(str(tmp_path), HASH, 1, clock)
    cookie, _ = sessions.new()
    name, began, signature = cookie.split(".")
    assert sessions.holds(cookie)
    letters = "AQgw-_09"  # some of them differ only in bits that a decoder may pass over
    for other in (
        f"{name}.{later(began)}.{signature}",
        *(f"{name[:-1]}{one}.{began}.{signature}" for one in letters if one != name[-1]),
        *(f"{name}.{began[:-1]}{one}.{signature}" for one in letters if one != began[-1]),
        *(f"{name}.{began}.{signature[:-1]}{one}" for one in letters if one != signature[-1]),
        f"{name}.{began}.", f"{name}.{signature}", "", ".", "..", cookie + " ", cookie + "=",
        f"{cookie[:40]} {cookie[40:]}", "٣" + cookie[1:], "\ud800" + cookie[1:],
    ):  # fmt: skip
        assert not sessions.holds(other), other


def later(began: str) -> str:
    """Return the time in a cookie, and a second."""
    return base64_encode(int_to_bytes(bytes_to_int(base64_decode(began)) + 1)).decode()


def test_a_clock_that_is_set_back_ends_no_session(tmp_path, clock):
    sessions = Sessions(str(tmp_path), HASH, 1, clock)
    cookie, _ = sessions.new()
    clock.now -= 90 * 86_400
    assert sessions.holds(cookie)


def test_a_session_that_was_ended_does_not_come_back_with_longer_ones(tmp_path, clock):
    sessions = Sessions(str(tmp_path), HASH, 1, clock)
    cookie, _ = sessions.new()
    sessions.end(cookie)
    clock.now += 3601
    sessions.end(sessions.new()[0])  # what has expired is forgotten
    assert not Sessions(str(tmp_path), HASH, 24, clock).holds(cookie)


def test_when_too_many_are_ended_everybody_is(tmp_path, clock):
    sessions = Sessions(str(tmp_path), HASH, 1, clock)
    kept, _ = sessions.new()
    for _ in range(ENDED):
        sessions.end(sessions.new()[0])
    assert sessions.holds(kept)
    assert (tmp_path / FILE).stat().st_size < FILE_CHARACTERS
    assert Sessions(str(tmp_path), HASH, 1, clock).holds(kept)
    last, _ = sessions.new()
    sessions.end(last)
    assert not sessions.holds(last) and not sessions.holds(kept)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"secret": "00", "ended": {}}', b"\xff"])
def test_a_damaged_secret_is_made_anew(tmp_path, clock, content):
    (tmp_path / FILE).write_bytes(content)
    (tmp_path / FILE).chmod(0o600)
    cookie, _ = Sessions(str(tmp_path), HASH, 1, clock).new()
    assert Sessions(str(tmp_path), HASH, 1, clock).holds(cookie)


def test_a_secret_that_others_could_read_is_made_anew(tmp_path, clock):
    cookie, _ = Sessions(str(tmp_path), HASH, 1, clock).new()
    (tmp_path / FILE).chmod(0o644)
    assert not Sessions(str(tmp_path), HASH, 1, clock).holds(cookie)
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


def test_where_nothing_can_be_written_sessions_end_with_the_process(tmp_path, clock, caplog):
    (tmp_path / "file").write_text("")
    sessions = Sessions(str(tmp_path / "file"), HASH, 1, clock)
    assert sessions.holds(sessions.new()[0])
    assert "log in again" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "evil",
        "/\tx", "/x\r\nSet-Cookie: a=b", "javascript:alert(1)", "", None, "/login", "/logout?x",
        "/ü", "/x" * 3000, "/ /evil.example", " /x",
    ],
)  # fmt: skip
def test_a_login_leads_to_no_other_page(client, text):
    assert wanted_path(text) == "/"
    if text is not None:
        assert log_in(client, next=text).headers["Location"] == "/"


def test_without_a_password_there_is_no_login(tmp_path, spool, classifier):
    from tagger.web.app import create_app
    from tagger.web.services import Services

    config = Config(state_dir=str(tmp_path), watch=(WatchRoot(str(tmp_path)),))
    nothing: dict[str, object] = dict.fromkeys(
        ("vocabulary", "classifier", "gallery", "reader", "status")
    )
    app = create_app(Services(config=config, hosts=frozenset({"localhost"}), **nothing))  # type: ignore[arg-type]
    assert app.test_client().get("/login").status_code == 404
    assert not (tmp_path / FILE).exists()
