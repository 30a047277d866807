"""When events are relied on, and when a root is polled instead."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tagger.config.schema import WatchRoot
from tagger.system.mounts import Mounts, read_mountinfo
from tagger.watch.event_feed import CANARY_SECONDS, MAX_LOSSES, RETRY_SECONDS, EventFeed
from tagger.watch.events import Hint, Kind
from tests.unit.watch.conftest import Source, Time

LOCAL = Mounts(read_mountinfo())


def make(root: Path, sources: Any, **options: Any) -> EventFeed:
    given = WatchRoot(str(root), **options)
    return EventFeed(given, sources, threading.Event(), Time(), max_queued=100)


def at(feed: EventFeed, now: float) -> EventFeed:
    feed._clock.now = now  # type: ignore[attr-defined]
    return feed


def answer_canary(feed: EventFeed, sources: Any) -> None:
    source = sources.last
    source.hints.append(Hint(Kind.CANARY, feed._canary or ""))
    assert list(feed.hints()) == []


def test_an_answered_canary_proves_the_events(root: Path, sources: Any) -> None:
    feed = make(root, sources)
    at(feed, 0.0).arm(LOCAL)
    assert os.listdir(root) == []  # the canary leaves nothing behind
    answer_canary(feed, sources)
    assert not at(feed, CANARY_SECONDS + 1).check(LOCAL)
    assert (feed.mode, feed.reason) == ("events", "") and sources.last.running


def test_an_unanswered_canary_means_polling_loudly_once(
    root: Path, sources: Any, caplog: pytest.LogCaptureFixture
) -> None:
    feed = make(root, sources)
    at(feed, 0.0).arm(LOCAL)
    assert feed.next_due() == CANARY_SECONDS
    assert not at(feed, CANARY_SECONDS - 0.1).check(LOCAL)
    assert at(feed, CANARY_SECONDS).check(LOCAL)
    assert feed.mode == "poll" and "do not arrive" in feed.reason
    assert not any(source.running for source in sources.made)
    at(feed, 100.0).arm(LOCAL)
    at(feed, 100.0 + CANARY_SECONDS).check(LOCAL)
    assert caplog.text.count("is polled") == 1


def test_a_canary_has_its_time_though_the_watching_of_all_folders_took_long(root: Path) -> None:
    clock = Time()

    class Slow(Source):
        def start(self) -> None:
            clock.now += 10 * CANARY_SECONDS
            super().start()

    feed = EventFeed(WatchRoot(str(root)), Slow, threading.Event(), clock)
    feed.arm(LOCAL)
    assert not feed.check(LOCAL) and feed.mode == "events"
    clock.now += CANARY_SECONDS
    assert feed.check(LOCAL) and feed.mode == "poll"


def test_events_are_tried_again_after_a_while(root: Path, sources: Any) -> None:
    feed = make(root, sources)
    at(feed, 0.0).arm(LOCAL)
    at(feed, CANARY_SECONDS).check(LOCAL)
    retry = CANARY_SECONDS + RETRY_SECONDS
    assert feed.next_due() == retry
    assert at(feed, retry).check(LOCAL)
    answer_canary(feed, sources)
    assert feed.mode == "events"


def test_nothing_is_written_to_a_read_only_root(root: Path, sources: Any) -> None:
    feed = make(root, sources, read_only=True)
    before = root.stat().st_mtime_ns
    at(feed, 0.0).arm(LOCAL)
    at(feed, 1.0).prove(doubt=True)
    assert root.stat().st_mtime_ns == before
    assert feed.next_due() == float("inf") and feed.mode == "events"


@pytest.mark.parametrize(
    ("code", "reason"), [(errno.ENOSPC, "max_user_watches"), (errno.EMFILE, "max_user_instances")]
)
@pytest.mark.parametrize("first", [True, False])
def test_limits_of_inotify_mean_polling(
    root: Path, sources: Any, code: int, reason: str, first: bool
) -> None:
    sources.errors = [OSError(code, "limit")] if first else [None, OSError(code, "limit")]
    feed = make(root, sources)
    at(feed, 0.0).arm(LOCAL)
    assert feed.mode == "poll" and reason in feed.reason
    assert not any(source.running for source in sources.made)  # gives the watches back


def test_a_limit_reached_later_is_noticed(root: Path, sources: Any) -> None:
    feed = make(root, sources)
    at(feed, 0.0).arm(LOCAL)
    answer_canary(feed, sources)
    sources.errors = [OSError(errno.ENOSPC, "limit")]
    at(feed, 300.0).prove(doubt=False)
    assert feed.mode == "poll"


def test_a_dead_source_is_replaced(root: Path, sources: Any) -> None:
    feed = make(root, sources)
    at(feed, 0.0).arm(LOCAL)
    answer_canary(feed, sources)
    dead = sources.last
    dead.living = False
    assert at(feed, 1.0).check(LOCAL)
    assert sources.last is not dead and not dead.running


def test_overflow_time_and_again_means_polling(root: Path, sources: Any) -> None:
    feed = make(root, sources)
    at(feed, 0.0).arm(LOCAL)
    for number in range(MAX_LOSSES):
        at(feed, number * 10.0).lost(LOCAL)
        assert feed.mode == "events"
    at(feed, 100.0).lost(LOCAL)
    assert feed.mode == "poll" and "faster" in feed.reason


def test_rare_overflows_are_forgiven(root: Path, sources: Any) -> None:
    feed = make(root, sources)
    at(feed, 0.0).arm(LOCAL)
    for number in range(3 * MAX_LOSSES):
        at(feed, number * RETRY_SECONDS).lost(LOCAL)
    assert feed.mode == "events"


def test_too_many_folders_for_the_queue_mean_polling(root: Path, sources: Any) -> None:
    feed = make(root, sources)
    at(feed, 0.0).arm(LOCAL)
    at(feed, 1.0).too_many_folders(50)
    assert feed.mode == "events"
    at(feed, 1.0).too_many_folders(51)
    assert feed.mode == "poll" and "max_queued_events" in feed.reason


def test_poll_in_the_config_is_obeyed_quietly(
    root: Path, sources: Any, caplog: pytest.LogCaptureFixture
) -> None:
    feed = make(root, sources, mode="poll")
    at(feed, 0.0).arm(LOCAL)
    assert feed.mode == "poll" and not sources.made and caplog.text == ""


def test_file_systems_that_others_change_are_polled_loudly(
    root: Path, sources: Any, caplog: pytest.LogCaptureFixture
) -> None:
    nas = Mounts(f"1 0 0:1 / {root} rw - nfs4 nas:/photos rw")
    feed = make(root, sources)
    at(feed, 0.0).arm(nas)
    assert feed.mode == "poll" and "nfs4" in feed.reason and "nfs4" in caplog.text
    below = Mounts(f"1 0 0:1 / / rw - ext4 d rw\n2 1 0:2 / {root}/sub rw - cifs //nas/x rw")
    at(feed, 0.0).arm(below)
    assert feed.mode == "poll" and "cifs" in feed.reason
    forced = make(root, sources, mode="events")
    at(forced, 0.0).arm(nas)
    assert forced.mode == "events"
