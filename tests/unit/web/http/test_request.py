"""Requests with large bodies, which are asked about first, and malformed ones."""

from __future__ import annotations

import errno
import threading

import pytest

from tagger.web.http import connection as phases
from tagger.web.http.request import SMALL_BODY, Refusal


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
    site.until(lambda: not site.connections)


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
    assert site.connections == 1
    site.later(phases.DRAIN_SECONDS + 1)
    assert site.connections == 0


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
