"""Whatever is asked, the answer is an answer and never a failure of ours."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.web.conftest import jpeg, multipart

WORDS = st.sampled_from(
    'dog cat ( ) " and or not : > >= 0.5 taken: in: near: is: is:failed near:1,2,3km taken:2024.. '
    "added:today source:user camera: format:heic % _ \\ \x00 狗 é \udcff".split(" ")
)
QUERIES = st.one_of(st.text(max_size=40), st.lists(WORDS, max_size=8).map(" ".join))
OWN = re.compile(r"(localhost|127\.0\.0\.1|\[::1\]|photos\.example)(:[0-9]{1,5})?")
ASKED = settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def stocked(client, site):
    site.add("dog.jpg", "beagle", data=jpeg(), latitude=1.0, longitude=2.0)
    site.add("cat.jpg", "cat")
    return client


@ASKED
@given(q=QUERIES, after=st.text("0123456789-x", max_size=22), limit=st.text("0129", max_size=3))
def test_no_query_makes_it_fail(stocked, q, after, limit):
    asked = {"q": q.encode("utf-8", "surrogatepass"), "after": after, "limit": limit}
    for url in ("/library", "/api/v1/photos", "/api/v1/count"):
        answer = stocked.get(url, query_string=asked, headers={"Accept": "text/html"})
        assert answer.status_code in (200, 400), answer.text


@ASKED
@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.tuples(
            st.sampled_from([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF0000WEBP"]),
            st.binary(max_size=100),
        ).map(b"".join),
    )
)
def test_no_upload_makes_it_fail(stocked, data):
    answer = stocked.post("/predict", **multipart(data))
    assert answer.status_code in (400, 415, 422), answer.text
    assert answer.json["remedy"]


@ASKED
@given(body=st.binary(max_size=300), kind=st.sampled_from(["multipart/form-data; boundary=a", ""]))
def test_no_body_makes_it_fail(stocked, body, kind):
    answer = stocked.post("/predict", data=body, content_type=kind)
    assert answer.status_code in (400, 413, 415), answer.text


@ASKED
@given(
    path=st.one_of(
        st.text(max_size=30), st.lists(st.sampled_from("/ . x 1 %".split())).map("".join)
    )
)
def test_no_path_makes_it_fail_or_leads_elsewhere(stocked, path):
    for start in ("/", "//evil.example/", "/photos/", "/api/v1/photos/", "/static/"):
        # As a server gives it: bytes as Latin-1.
        given = {"PATH_INFO": (start + path).encode().decode("latin-1")}
        answer = stocked.get("/", environ_overrides=given, buffered=True)
        answer.close()
        assert answer.status_code in (200, 404, 405), (start, path)
        assert "Location" not in answer.headers


@ASKED
@given(
    host=st.one_of(
        st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=30),
        st.lists(
            st.sampled_from(["localhost", "127.0.0.1", "[::1]", ":", "80", ".", "@", "x"])
        ).map("".join),
    )
)
def test_no_host_makes_it_fail(stocked, host):
    answer = stocked.get("/", environ_overrides={"HTTP_HOST": host})
    own = OWN.fullmatch(host.lower())
    assert answer.status_code == (200 if own else 421), host
