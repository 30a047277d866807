"""What the page hears while it is open."""

from __future__ import annotations

import dataclasses
import http.client
import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tagger.config.schema import Config, WebConfig
from tagger.errors import StateError
from tagger.index.conditions import And
from tagger.index.reader import open_reader
from tagger.index.store import Store
from tagger.library.status import page_status_json
from tagger.pipeline.outcome import Unchanged
from tagger.web.errors import WebError
from tagger.web.routes import events as live
from tagger.web.routes.events import EventStream
from tagger.web.server import WebServer
from tagger.web.services import Services
from tests.unit.web.conftest import fake_networks

LISTENS = {"Accept": "text/event-stream"}


def told(text: str) -> list[tuple[str, int, Any]]:
    """Return name, id and data of the events in a stream."""
    found = re.findall("event: (.*)\nid: ([0-9]+)\ndata: (.*)\n\n", text)
    return [(name, int(number), json.loads(data)) for name, number, data in found]


class Clock:
    """Monotonic seconds that go on by one whenever they are asked for."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def services(site, monkeypatch):
    monkeypatch.setattr(live, "LOOK_SECONDS", 0.01)  # how long is waited for news
    monkeypatch.setattr(live, "BURST_SECONDS", 0.0)
    with Store(str(site.state)):
        pass
    return Services(
        config=site.config,
        vocabulary=None,
        classifier=None,
        gallery=None,
        reader=lambda: open_reader(str(site.state)),
        status=lambda: page_status_json(site.config),
    )


def test_somebody_who_does_not_listen_hears_how_it_is_and_no_more(client, site):
    site.add("dog.jpg")
    answer = client.get("/api/v1/events")
    assert answer.mimetype == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-store"
    [(name, number, said)] = told(answer.text)
    assert (name, number) == ("status", 1)
    assert (said["counts"]["tagged"], said["running"]) == (1, False)
    assert answer.text.startswith("retry: ")


def test_photos_since_a_moment_are_told_once_and_only_those_that_are_asked_for(client, site):
    first = site.add("a.jpg", "beagle")
    second, third = site.add("b.jpg", "cat"), site.add("c.jpg", "beagle")
    events = told(client.get(f"/api/v1/events?after={first}").text)
    assert {said["id"] for name, _, said in events if name == "photo"} == {second, third}
    events = told(client.get(f"/api/v1/events?after={first}&q=dog").text)
    assert [said["id"] for name, _, said in events if name == "photo"] == [third]
    last = events[-1][1]
    again = client.get(f"/api/v1/events?after={first}&q=dog", headers={"Last-Event-ID": str(last)})
    assert [name for name, _, _ in told(again.text)] == ["status"]


@pytest.mark.parametrize("query", ["dog and", "a" * 2001])
def test_a_query_that_is_none_is_told_before_the_stream_begins(client, site, query):
    site.add("dog.jpg")
    assert client.get("/api/v1/events", query_string={"q": query}).status_code == 400


def test_a_photo_that_waits_is_told_when_it_is_tagged(services, site):
    stream = EventStream(services).stream(And(), None, 30.0)
    assert told((next(stream) + next(stream)).decode())[0][0] == "status"
    with Store(str(site.state)) as store:
        store.mark_waiting([(str(site.inbox / "new.jpg"), str(site.inbox))])
    name, number, said = told(until(stream, b"event: ").decode())[0]
    assert (name, said["counts"]["waiting"]) == ("status", 1)
    assert number == 0, "a client that comes again is told of it"
    site.add("new.jpg", "beagle")
    name, number, said = told(until(stream, b"event: photo").decode())[0]
    assert (said["id"], number) == (1, 1)
    assert said["thumbnail"] == "/photos/1/thumbnail"
    stream.close()


def until(stream: Iterator[bytes], mark: bytes) -> bytes:
    for chunk in stream:
        if mark in chunk:
            return chunk
    raise AssertionError(f"there was no {mark!r}")


def test_an_index_that_cannot_be_read_for_a_while_ends_nothing(services, site):
    trouble = [StateError("locked", "wait")]

    def status() -> dict[str, Any]:
        if trouble:
            raise trouble.pop()
        return page_status_json(site.config)

    stream = EventStream(dataclasses.replace(services, status=status)).stream(And(), None, 30.0)
    next(stream)
    next(stream)
    assert not trouble
    site.add("new.jpg", "beagle")
    told_then = until(stream, b"event: photo") + until(stream, b"event: status")
    assert [name for name, _, _ in told(told_then.decode())] == ["photo", "status"]
    stream.close()


def test_a_stream_ends_by_itself_and_says_that_it_lives(services):
    chunks = list(EventStream(services, clock=Clock()).stream(And(), None, 8.0))
    assert b":\n\n" in chunks
    assert len(chunks) < 15


def test_there_are_few_streams_and_each_makes_room_again(services):
    several = EventStream(services, clients=2)
    first, second = (several.stream(And(), None, 9.0) for _ in range(2))
    with pytest.raises(WebError) as caught:
        several.stream(And(), None, 9.0)
    assert (caught.value.status, caught.value.retry_after) == (503, 25)
    first.close()  # which was never begun
    first.close()
    third = several.stream(And(), None, 9.0)
    with pytest.raises(WebError):
        several.stream(And(), None, 9.0)
    next(second)
    for stream in (second, third):
        stream.close()
    list(several.stream(And(), None, 0.0))  # one that has ended makes room by itself
    list(several.stream(And(), None, 0.0))
    several.stream(And(), None, 0.0).close()


def test_without_room_the_page_is_told_when_to_come_again(client, site):
    site.add("dog.jpg")
    held = [client.get("/api/v1/events", headers=LISTENS) for _ in range(live.CLIENTS)]
    answer = client.get("/api/v1/events", headers=LISTENS)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "25")
    for one in held:
        one.close()
    assert client.head("/api/v1/events", headers=LISTENS).status_code == 200
    assert client.get("/api/v1/events").status_code == 200


def test_inside_the_daemon_an_outcome_wakes_it_at_once(services, site, manager, monkeypatch):
    monkeypatch.setattr(live, "LOOK_SECONDS", 60.0)
    inside = dataclasses.replace(services, manager=manager)
    stream = EventStream(inside).stream(And(), None, 100.0)
    assert not manager._hearing, "nobody listens yet"
    next(stream), next(stream)
    assert len(manager._hearing) == 1
    number = site.saved(manager.store, str(site.inbox / "new.jpg"), "beagle")
    heard: list[bytes] = []
    thread = threading.Thread(target=lambda: heard.append(until(stream, b"event: photo")))
    thread.start()
    manager.tell(Unchanged(str(site.inbox / "new.jpg")))
    thread.join(20)
    assert told(heard[0].decode())[0][2]["id"] == number
    stream.close()
    assert not manager._hearing


def test_a_real_server_tells_and_ends_at_once_when_it_is_closed(tmp_path):
    with Store(str(tmp_path)) as store:
        store.mark_waiting([(str(tmp_path / "a.jpg"), str(tmp_path))])
    config = Config(state_dir=str(tmp_path), web=WebConfig(listen="127.0.0.1:0"))
    server = WebServer(config, load=fake_networks)
    runs = threading.Thread(target=server.run)
    runs.start()
    connection = http.client.HTTPConnection("127.0.0.1", int(server.url.split(":")[2].strip("/")))
    try:
        connection.request("GET", "/api/v1/events", headers=LISTENS)
        answer = connection.getresponse()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        text = b""
        while b"event: status" not in text:
            text += answer.readline()
        assert b'"waiting": 1' in answer.readline() + answer.readline() + text
        server.stop()
        runs.join(10)
        closing = threading.Thread(target=server.close)
        closing.start()
        closing.join(10)
        assert not closing.is_alive() and not runs.is_alive()
        assert not server._server._dispatcher.threads, "no thread is left behind"
    finally:
        connection.close()
