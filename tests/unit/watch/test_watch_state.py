"""The states of a root's watch, and what leads from one to another."""

from __future__ import annotations

import shutil
from pathlib import Path

from tagger.watch.event_feed import CANARY_SECONDS, RETRY_SECONDS
from tagger.watch.events import Kind
from tagger.watch.root_watcher import AWAY_SECONDS, CHECK_SECONDS, WatchState
from tests.unit.watch.conftest import Make, answer_canary, hint


def test_events_are_relied_on_when_the_canary_was_reported(bench: Make) -> None:
    one = bench()
    assert one.watch.state is WatchState.OFFLINE
    one.watch.step()
    assert one.watch.state is WatchState.PROVING
    answer_canary(one)
    one.watch.step()
    assert one.watch.state is WatchState.EVENTS
    hint(one, Kind.LOST)
    one.pass_time(1.5)
    assert one.watch.state is WatchState.PROVING


def test_a_read_only_root_gets_no_canary(bench: Make) -> None:
    one = bench(read_only=True)
    one.watch.step()
    assert one.watch.state is WatchState.EVENTS


def test_a_root_whose_events_fail_is_polled_and_tried_again(bench: Make) -> None:
    one = bench()
    one.pass_time(CANARY_SECONDS + 0.5)
    assert one.watch.state is WatchState.POLLING
    one.pass_time(RETRY_SECONDS)
    assert one.watch.state is WatchState.PROVING
    answer_canary(one)
    one.pass_time(CANARY_SECONDS)
    assert one.watch.state is WatchState.EVENTS


def test_a_root_that_goes_away_is_offline_and_comes_back(bench: Make, root: Path) -> None:
    one = bench()
    one.watch.step()
    answer_canary(one)
    one.pass_time(1.0)
    shutil.move(root, root.with_name("aside"))
    one.pass_time(CHECK_SECONDS)
    assert one.watch.state is WatchState.OFFLINE
    assert not any(source.running for source in one.sources.made), "nothing is listened to"
    shutil.move(root.with_name("aside"), root)
    one.pass_time(AWAY_SECONDS)
    assert one.watch.state is WatchState.PROVING
