"""What is believed of a request that came through a proxy, and of one that only says so."""

from __future__ import annotations

import threading
from http.cookies import SimpleCookie

import pytest

from tagger.config.schema import Config, WebConfig
from tagger.web.auth.passwords import BURST, make_hash
from tagger.web.auth.sessions import COOKIE
from tagger.web.auth.trusted_proxies import TrustedProxies
from tagger.web.server import WebServer
from tests.unit.web.conftest import fake_networks
from tests.unit.web.test_server import ask

PROXY, STRANGER, CLIENT = "10.0.0.1", "10.0.1.1", "203.0.113.7"
SECRET = "correct horse battery"


def seen(proxies: tuple[str, ...], peer: str, **said: str) -> tuple[str, str, str]:
    """Return address, scheme and host that the application sees."""
    found: dict[str, object] = {}

    def app(environ, start):
        found.update(environ)
        return []

    environ = {"REMOTE_ADDR": peer, "wsgi.url_scheme": "http", "HTTP_HOST": "inner:5000"}
    environ |= {f"HTTP_X_{name.upper()}": value for name, value in said.items()}
    TrustedProxies(app, proxies)(environ, lambda *_: None)
    assert not [name for name in found if "FORWARDED" in name], "nobody else is to believe it"
    return str(found["REMOTE_ADDR"]), str(found["wsgi.url_scheme"]), str(found["HTTP_HOST"])


SAID = {
    "forwarded_for": CLIENT,
    "forwarded_proto": "https",
    "forwarded_host": "photos.example",
}


def test_a_trusted_proxy_is_believed():
    assert seen((PROXY,), PROXY, **SAID) == (CLIENT, "https", "photos.example")
    assert seen(("10.0.0.0/24",), PROXY, **SAID) == (CLIENT, "https", "photos.example")
    assert seen(("::1",), "::1", **SAID) == (CLIENT, "https", "photos.example")
    assert seen((PROXY,), f"::ffff:{PROXY}", **SAID)[0] == CLIENT


@pytest.mark.parametrize("proxies", [(), (PROXY,), ("10.0.0.0/24", "::1")])
def test_nobody_else_is(proxies):
    assert seen(proxies, STRANGER, **SAID) == (STRANGER, "http", "inner:5000")
    assert seen(proxies, "", **SAID) == ("", "http", "inner:5000")


def test_only_what_the_nearest_proxy_added_counts():
    said = {
        "forwarded_for": f"1.2.3.4, {CLIENT}, {PROXY}",
        "forwarded_proto": "http, https",
        "forwarded_host": "evil.example, photos.example",
    }
    assert seen((PROXY,), PROXY, **said) == (CLIENT, "https", "photos.example")
    two = ("10.0.0.0/24",)
    assert seen(two, PROXY, forwarded_for=f"1.2.3.4, {CLIENT}, 10.0.0.9")[0] == CLIENT


@pytest.mark.parametrize("text", ["", "unknown", "x" * 5000, "1.2.3.4:80", "'; --", ",,", "\x00"])
def test_nonsense_changes_nothing(text):
    said = {"forwarded_for": text, "forwarded_proto": text}
    assert seen((PROXY,), PROXY, **said)[:2] == (PROXY, "http")
    assert seen((PROXY,), PROXY, forwarded_host="a b")[2] == "inner:5000"
    assert seen((PROXY,), PROXY, forwarded_host="a\r\nb")[2] == "inner:5000"


@pytest.mark.parametrize("trusted", [True, False])
def test_behind_a_proxy_with_tls_logging_in_works_and_is_counted_by_client(tmp_path, trusted):
    web = WebConfig(
        listen="127.0.0.1:0",
        password=make_hash(SECRET, cost=10),
        hosts=("photos.example",),
        trusted_proxies=("127.0.0.1",) if trusted else (),
    )
    with WebServer(Config(state_dir=str(tmp_path), web=web), load=fake_networks) as server:
        runs = threading.Thread(target=server.run)
        runs.start()
        try:
            port = int(server.url.rsplit(":", 1)[1].strip("/"))

            def log_in(client: str, password: bytes):
                return ask(
                    port, "POST", "/login", b"password=" + password,
                    Content_Type="application/x-www-form-urlencoded",
                    Origin="https://photos.example",
                    Host="photos.example",
                    X_Forwarded_For=client,
                    X_Forwarded_Proto="https",
                    X_Forwarded_Host="photos.example",
                )  # fmt: skip

            if not trusted:
                assert log_in(CLIENT, SECRET.encode())[0] == 403, "its origin is http"
                return
            for _ in range(BURST):
                assert log_in("203.0.113.8", b"wrong")[0] == 401
            assert log_in("203.0.113.8", SECRET.encode())[0] == 429
            status, headers, _ = log_in(CLIENT, SECRET.encode())
            assert status == 303
            assert SimpleCookie(headers["Set-Cookie"])[COOKIE]["secure"]
        finally:
            server.stop()
            runs.join(10)
