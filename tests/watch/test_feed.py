"""When events are relied on, and when a root is polled instead."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from tagger.config import WatchRoot
from tagger.mounts import Mounts, read_mountinfo
from tagger.watch.events import Hint, Kind
from tagger.watch.feed import CANARY_SECONDS, MAX_LOSSES, RETRY_SECONDS, Feed

LOCAL = Mounts(read_mountinfo())


def make(root: Path, sources: Any, **options: Any) -> Feed:
    return Feed(WatchRoot(str(root), **options), sources, threading.Event(), max_queued=100)


def answer_canary(feed: Feed, sources: Any) -> None:
    source = sources.last
    source.hints.append(Hint(Kind.CANARY, feed._canary or ""))
    assert list(feed.hints()) == []


def test_an_answered_canary_proves_the_events(root: Path, sources: Any) -> None:
    feed = make(root, sources)
    feed.arm(0.0, LOCAL)
    assert os.listdir(root) == []  # the canary leaves nothing behind
    answer_canary(feed, sources)
    assert not feed.check(CANARY_SECONDS + 1, LOCAL)
    assert (feed.mode, feed.reason, feed.armed) == ("events", "", True)


def test_an_unanswered_canary_means_polling_loudly_once(
    root: Path, sources: Any, caplog: pytest.LogCaptureFixture
) -> None:
    feed = make(root, sources)
    feed.arm(0.0, LOCAL)
    assert feed.next_due() == CANARY_SECONDS
    assert not feed.check(CANARY_SECONDS - 0.1, LOCAL)
    assert feed.check(CANARY_SECONDS, LOCAL)
    assert feed.mode == "poll" and "do not arrive" in feed.reason and not feed.armed
    feed.arm(100.0, LOCAL)
    feed.check(100.0 + CANARY_SECONDS, LOCAL)
    assert caplog.text.count("is polled") == 1


def test_events_are_tried_again_after_a_while(root: Path, sources: Any) -> None:
    feed = make(root, sources)
    feed.arm(0.0, LOCAL)
    feed.check(CANARY_SECONDS, LOCAL)
    retry = CANARY_SECONDS + RETRY_SECONDS
    assert feed.next_due() == retry
    assert feed.check(retry, LOCAL)
    answer_canary(feed, sources)
    assert feed.mode == "events"


def test_nothing_is_written_to_a_read_only_root(root: Path, sources: Any) -> None:
    feed = make(root, sources, read_only=True)
    before = root.stat().st_mtime_ns
    feed.arm(0.0, LOCAL)
    feed.prove(1.0, doubt=True)
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
    feed.arm(0.0, LOCAL)
    assert feed.mode == "poll" and reason in feed.reason
    assert not any(source.running for source in sources.made)  # gives the watches back


def test_a_limit_reached_later_is_noticed(root: Path, sources: Any) -> None:
    feed = make(root, sources)
    feed.arm(0.0, LOCAL)
    answer_canary(feed, sources)
    sources.errors = [OSError(errno.ENOSPC, "limit")]
    feed.prove(300.0, doubt=False)
    assert feed.mode == "poll"


def test_a_dead_source_is_replaced(root: Path, sources: Any) -> None:
    feed = make(root, sources)
    feed.arm(0.0, LOCAL)
    answer_canary(feed, sources)
    dead = sources.last
    dead.living = False
    assert feed.check(1.0, LOCAL)
    assert sources.last is not dead and not dead.running


def test_overflow_time_and_again_means_polling(root: Path, sources: Any) -> None:
    feed = make(root, sources)
    feed.arm(0.0, LOCAL)
    for number in range(MAX_LOSSES):
        feed.lost(number * 10.0, LOCAL)
        assert feed.mode == "events"
    feed.lost(100.0, LOCAL)
    assert feed.mode == "poll" and "faster" in feed.reason


def test_rare_overflows_are_forgiven(root: Path, sources: Any) -> None:
    feed = make(root, sources)
    feed.arm(0.0, LOCAL)
    for number in range(3 * MAX_LOSSES):
        feed.lost(number * RETRY_SECONDS, LOCAL)
    assert feed.mode == "events"


def test_too_many_folders_for_the_queue_mean_polling(root: Path, sources: Any) -> None:
    feed = make(root, sources)
    feed.arm(0.0, LOCAL)
    feed.too_many_folders(50, 1.0)
    assert feed.mode == "events"
    feed.too_many_folders(51, 1.0)
    assert feed.mode == "poll" and "max_queued_events" in feed.reason


def test_poll_in_the_config_is_obeyed_quietly(
    root: Path, sources: Any, caplog: pytest.LogCaptureFixture
) -> None:
    feed = make(root, sources, mode="poll")
    feed.arm(0.0, LOCAL)
    assert feed.mode == "poll" and not sources.made and caplog.text == ""


def test_file_systems_that_others_change_are_polled_loudly(
    root: Path, sources: Any, caplog: pytest.LogCaptureFixture
) -> None:
    nas = Mounts(f"1 0 0:1 / {root} rw - nfs4 nas:/photos rw")
    feed = make(root, sources)
    feed.arm(0.0, nas)
    assert feed.mode == "poll" and "nfs4" in feed.reason and "nfs4" in caplog.text
    below = Mounts(f"1 0 0:1 / / rw - ext4 d rw\n2 1 0:2 / {root}/sub rw - cifs //nas/x rw")
    feed.arm(0.0, below)
    assert feed.mode == "poll" and "cifs" in feed.reason
    forced = make(root, sources, mode="events")
    forced.arm(0.0, nas)
    assert forced.mode == "events"
