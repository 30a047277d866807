"""What must hold for every route there is, and for what there is not."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator

import pytest
from flask import Flask
from PIL import Image

from tagger.config.addresses import parse_address
from tagger.config.schema import WatchRoot
from tagger.errors import ConfigError
from tagger.web.auth.request_checks import (
    OPEN_TO_PROGRAMS,
    allowed_hosts,
    check_host,
    check_local,
)
from tagger.web.errors import WebError
from tagger.web.photo_images import open_inside
from tests.unit.web.conftest import jpeg, multipart

SVG_NAMESPACE = "http://www.w3.org/2000/svg"

STRANGERS = [
    "evil.example",
    "evil.example:5000",
    "localhost.evil.example",
    "127.0.0.1.evil.example:5000",
    "192.168.1.5:5000",
    "localhost@evil.example",
    "localhost:5000, evil.example",
    "localhost.",
    "0.0.0.0:5000",
    "",
]


def every_request(app: Flask) -> Iterator[tuple[str, str, str]]:
    """Yield (method, URL, endpoint) of each route, and of some that do not exist."""
    for rule in app.url_map.iter_rules():
        url = re.sub("<[^>]*path:[^>]*>|<filename>", "style.css", rule.rule)
        url = re.sub("<[^>]+>", "1", url)
        # A question is asked of a label: without one that route says what is missing.
        whole = rule.rule != "/api/v1/taught/question"
        for method in sorted(rule.methods or ()):
            yield method, url, rule.endpoint if whole else ""
    for method in ("GET", "POST", "PUT", "DELETE", "PATCH"):
        yield method, "/nowhere", ""
        yield method, "/static/../app.py", ""


def test_the_walk_reaches_the_routes(client):
    urls = {url for _, url, _ in every_request(client.application)}
    assert {"/", "/predict", "/api/v1/photos", "/photos/1/view", "/static/style.css"} <= urls


@pytest.mark.parametrize("host", STRANGERS)
def test_no_route_answers_to_another_name(client, site, host):
    site.add("dog.jpg", data=jpeg())
    for method, url, _ in every_request(client.application):
        answer = client.open(url, method=method, headers={"Host": host})
        assert answer.status_code == 421, (method, url)
        assert b"dog.jpg" not in answer.data


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:5000", "127.0.0.1:80", "[::1]:5000", "photos.example"]
)
def test_every_route_answers_to_our_names(client, site, host):
    site.add("dog.jpg", data=jpeg())
    for method, url, endpoint in every_request(client.application):
        answer = client.open(url, method=method, headers={"Host": host}, buffered=True)
        answer.close()
        assert answer.status_code != 421, (method, url)
        if method == "GET" and endpoint:
            assert answer.status_code == 200, url


@pytest.mark.parametrize(
    "proof",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "x"},
    ],
)
def test_no_route_answers_another_sites_page(client, site, proof):
    site.add("dog.jpg", data=jpeg())
    for method, url, _ in every_request(client.application):
        answer = client.open(url, method=method, headers=proof)
        assert answer.status_code == 403, (method, url)


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "https://localhost",
        "http://localhost:81",
        "http://localhost.x",
    ],
)
def test_no_change_is_made_for_another_origin(client, origin):
    for method, url, _ in every_request(client.application):
        if method not in ("GET", "HEAD", "OPTIONS"):
            answer = client.open(url, method=method, headers={"Origin": origin})
            assert answer.status_code == 403, (method, url)


def test_what_a_proxy_would_say_is_not_believed(client):
    said = {"X-Forwarded-Host": "localhost", "Forwarded": "host=localhost", "Host": "evil.example"}
    assert client.get("/", headers=said).status_code == 421
    said = {"X-Forwarded-Host": "evil.example", "Origin": "http://evil.example"}
    assert client.post("/predict", headers=said).status_code == 403


def test_a_change_without_any_proof_is_refused_but_for_classifying(client):
    seen = set()
    for method, url, endpoint in every_request(client.application):
        if method in ("GET", "HEAD", "OPTIONS"):
            continue
        answer = client.open(url, method=method)
        if endpoint in OPEN_TO_PROGRAMS:
            seen.add(endpoint)
            assert answer.status_code == 400  # there is no file
        else:
            assert answer.status_code == 403, (method, url)
    assert seen == OPEN_TO_PROGRAMS


@pytest.mark.parametrize(
    "proof", [{"Sec-Fetch-Site": "same-origin"}, {"Origin": "http://localhost"}]
)
def test_the_page_itself_may_post(client, proof):
    answer = client.post("/predict", **multipart(jpeg()), headers=proof)
    assert answer.status_code == 200


def test_a_link_from_elsewhere_may_be_followed(client):
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/", headers=link | {"Sec-Fetch-Dest": "document"}).status_code == 200
    assert client.get("/", headers=link | {"Sec-Fetch-Dest": "iframe"}).status_code == 403


def test_every_answer_is_marked(client, site):
    site.add("dog.jpg", data=jpeg())
    for method, url, _ in every_request(client.application):
        for host in ("localhost", "evil.example"):
            answer = client.open(url, method=method, headers={"Host": host}, buffered=True)
            answer.close()
            headers = answer.headers
            policy = headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy and "http" not in policy and "*" not in policy
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "same-origin"
            assert "Access-Control-Allow-Origin" not in headers
            assert "Cache-Control" in headers
            assert "Set-Cookie" not in headers


def test_pages_have_nothing_inline_and_ask_nobody_else(client, site):
    number = site.add("dog.jpg", data=jpeg(), latitude=1.5, longitude=2.5)
    for url in ("/", "/library", f"/photos/{number}", "/labels", "/failures", "/photos/99"):
        text = client.get(url, headers={"Accept": "text/html"}).text
        assert "<html" in text
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:", text), url
        assert not re.search(r"<script(?![^>]*\ssrc=\"/static/)", text), url
        assert not re.search(r"(src|href|action)=\"(https?:)?//", text), url
    for name in ("classify.js", "library.js", "style.css"):
        answer = client.get(f"/static/{name}", buffered=True)
        answer.close()
        text = answer.text.replace(SVG_NAMESPACE, "")  # a name, never asked for
        assert not re.search(r"https?://|innerHTML|eval\(|@import|url\(", text), name


def test_a_hostile_name_stays_text(client, site):
    name = "<img src=x onerror=alert(1)>\"'&.jpg"
    number = site.add(name, camera="<script>alert(2)</script>")
    for url in ("/library", f"/photos/{number}", "/library?q=%3Cscript%3Ealert(3)%3C/script%3E"):
        text = client.get(url).text
        assert "<script>alert" not in text
        assert "<img src=x" not in text


def payloads(site) -> list[str]:
    """Return paths, each inside the folder by its letters, that lead out of it or nowhere."""
    inbox, secret = str(site.inbox), site.outside / "secret.jpg"
    secret.write_bytes(jpeg(colour="red"))
    (site.outside / "deep").mkdir()
    (site.outside / "deep" / "secret.jpg").write_bytes(jpeg(colour="red"))
    os.symlink(secret, site.inbox / "link.jpg")
    os.symlink("../outside/secret.jpg", site.inbox / "relative.jpg")
    os.symlink(site.outside, site.inbox / "folder")
    os.symlink("..", site.inbox / "up")
    os.symlink("link.jpg", site.inbox / "twice.jpg")
    os.symlink("/proc/self/root", site.inbox / "root")
    os.mkfifo(site.inbox / "pipe.jpg")
    (site.inbox / "a").mkdir()
    os.symlink(site.outside / "deep", site.inbox / "a" / "b")
    made = [
        f"{inbox}/{way}"
        for way in (
            "link.jpg", "relative.jpg", "twice.jpg", "folder/secret.jpg", "folder/deep/secret.jpg",
            "up/outside/secret.jpg", f"root{secret}", "a/b/secret.jpg", "pipe.jpg", "a", "folder",
            "folder/pipe.jpg", "up/inbox/link.jpg", "a/b", "nothing.jpg", "a/nothing.jpg",
        )
    ]  # fmt: skip
    for depth in range(1, 24):
        for step in ("../", ".././", "//../", "a/../../"):
            made.append(f"{inbox}/{step * depth}outside/secret.jpg")
            made.append(f"{inbox}/{step * depth}{secret}")
    made += [f"{inbox}-other/x.jpg", inbox, f"{inbox}/", f"{inbox}/.", f"{inbox}/..", "/etc/passwd"]
    made += [str(secret), "secret.jpg", "", "/", f"{inbox}/link.jpg\0.jpg", f"{inbox}/link.jpg/"]
    return made


def test_no_photo_from_outside_the_roots_is_ever_given(client, site):
    found = payloads(site)
    assert len(found) >= 200
    os.mkdir(f"{site.inbox}-other")
    (site.outside / "secret.jpg").stat()
    with open(f"{site.inbox}-other/x.jpg", "wb") as file:
        file.write(jpeg())
    root = WatchRoot(str(site.inbox))
    for path in found:
        with pytest.raises(WebError) as caught:
            open_inside(path, root)
        assert caught.value.status == 404, path
    for path in found[:20]:  # as rows of a tampered index
        number = site.remember(path, "")
        for size in ("thumbnail", "view"):
            answer = client.get(f"/photos/{number}/{size}")
            assert answer.status_code == 404, path
            assert answer.mimetype != "image/jpeg"


def test_no_file_is_given_by_the_static_route(client):
    for way in ("../app.py", "..%2fapp.py", "%2e%2e/app.py", "....//app.py", "/etc/passwd", ".."):
        answer = client.get(f"/static/{way}")
        assert answer.status_code == 404, way
        assert b"create_app" not in answer.data


@pytest.mark.parametrize("size", ["thumbnail", "view"])
@pytest.mark.parametrize("turned", [0, 6])
def test_pictures_are_oriented_and_carry_no_metadata(client, site, size, turned):
    number = site.add("dog.jpg", data=jpeg((1200, 900), turned=turned))
    answer = client.get(f"/photos/{number}/{size}")
    assert answer.mimetype == "image/jpeg"
    assert b"SecretCam" in jpeg()
    assert b"SecretCam" not in answer.data
    with Image.open(io.BytesIO(answer.data)) as image:
        assert not image.getexif()
        assert set(image.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        if size == "thumbnail":
            assert image.size == (320, 320)
        else:
            assert (image.width < image.height) == bool(turned)


@pytest.mark.parametrize("photo", ["0", "-1", "01", "x", "9" * 19, "9" * 5000, "1%2f..", "99"])
def test_an_id_that_no_photo_has_is_404(client, site, photo):
    site.add("dog.jpg", data=jpeg())
    for url in (f"/photos/{photo}", f"/photos/{photo}/view", f"/api/v1/photos/{photo}"):
        assert client.get(url).status_code == 404, url


@pytest.mark.parametrize("listen", ["", "5000", "127.0.0.1", "a b:1", "h:99999", "::1:5000", "h:x"])
def test_a_malformed_address_is_told(listen):
    with pytest.raises(ConfigError, match=r"web\.listen"):
        parse_address("web.listen", listen)


def test_hosts_are_the_address_our_names_and_the_configured():
    assert allowed_hosts("127.0.0.2:5000", ("Photos.Example",)) == {
        "localhost", "127.0.0.1", "[::1]", "127.0.0.2", "photos.example",
    }  # fmt: skip
    assert "[fe80::1]" in allowed_hosts("[fe80::1]:5000")


def test_where_all_may_come_every_address_is_ours_but_no_name():
    for listen in ("0.0.0.0:5000", "[::]:5000"):
        hosts = allowed_hosts(listen)
        for host in ("192.168.1.5:5000", "[fe80::1]", "127.0.0.1", "localhost"):
            check_host(host, hosts)
        for host in ("evil.example", "0.0.0.0", "[::]:5000", "192.168.1.5.evil.example", ""):
            with pytest.raises(WebError):
                check_host(host, hosts)


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.5", "::", "fe80::1%eth0", "8.8.8.8"])
def test_it_does_not_listen_to_other_machines(address):
    check_local(["127.0.0.1", "::1", "127.9.9.9"], "localhost:5000")
    with pytest.raises(ConfigError, match="password"):
        check_local(["127.0.0.1", address], "x:5000")
