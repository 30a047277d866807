"""When a file counts as finished."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.records import FileStat
from tagger.watch.stability import Completeness, Look, StabilityTracker, patience

COMPLETE, INCOMPLETE, UNKNOWN = Completeness
SMALL, LARGER = FileStat(10, 1, 5), FileStat(20, 2, 5)


def test_complete_and_let_go_is_finished_at_once() -> None:
    settling = StabilityTracker(2.0)
    assert settling.look("a", Look(SMALL, 0.0, False, COMPLETE), 100.0) is None
    assert "a" not in settling


@pytest.mark.parametrize(
    ("look", "seconds"),
    [
        (Look(SMALL, 0.0, None, COMPLETE), 2.0),
        (Look(SMALL, 0.0, None, UNKNOWN), 2.0),
        (Look(SMALL, 0.0, False, UNKNOWN), 2.0),
        (Look(SMALL, 0.0, False, INCOMPLETE), 10.0),
        (Look(SMALL, 0.0, True, COMPLETE), 60.0),
        (Look(SMALL, 0.0, True, INCOMPLETE), 600.0),
    ],
)
def test_stable_for_long_enough_is_finished(look: Look, seconds: float) -> None:
    settling = StabilityTracker(2.0)
    assert settling.look("a", look, 100.0) is not None
    assert settling.look("a", look, 100.0 + seconds - 0.01) is not None
    assert settling.look("a", look, 100.0 + seconds) is None


def test_a_change_starts_the_wait_again() -> None:
    settling = StabilityTracker(2.0)
    settling.look("a", Look(SMALL), 100.0)
    assert settling.look("a", Look(LARGER), 101.9) is not None
    assert settling.look("a", Look(LARGER), 103.8) is not None
    assert settling.look("a", Look(LARGER), 103.9) is None


def test_a_file_that_has_been_idle_need_not_be_observed() -> None:
    settling = StabilityTracker(2.0)
    assert settling.look("old", Look(SMALL, idle=50.0), 100.0) is None
    assert settling.look("newer", Look(SMALL, idle=1.5), 100.0) == pytest.approx(100.5)


def test_an_open_writer_outweighs_idleness() -> None:
    settling = StabilityTracker(2.0)
    assert settling.look("a", Look(SMALL, 30.0, True, COMPLETE), 100.0) is not None


def test_due_gives_each_file_once_and_in_time() -> None:
    settling = StabilityTracker(2.0)
    for _ in range(3):
        due = settling.look("a", Look(SMALL), 100.0)
    assert due is not None and due <= 102.0
    assert settling.next_due() == due
    assert settling.due(due - 0.01) == []
    assert settling.due(due) == ["a"]
    assert settling.due(due) == []
    assert settling.next_due() == math.inf
    settling.look("a", Look(SMALL), due)
    assert settling.next_due() <= 102.0


def test_forgotten_files_are_not_due() -> None:
    settling = StabilityTracker(2.0)
    settling.look("a", Look(SMALL), 100.0)
    settling.look("b", Look(SMALL), 100.0)
    settling.forget("a")
    assert settling.due(200.0) == ["b"]
    settling.clear()
    assert len(settling) == 0
    assert settling.next_due() == math.inf


def test_more_than_the_limit_is_left_to_a_scan() -> None:
    settling = StabilityTracker(2.0, limit=2)
    assert settling.look("a", Look(SMALL), 0.0) != math.inf
    assert settling.look("b", Look(SMALL), 0.0) != math.inf
    assert settling.look("c", Look(SMALL), 0.0) == math.inf
    assert settling.paths() == ["a", "b"]
    assert settling.look("a", Look(LARGER), 1.0) != math.inf


def test_thousands_of_waiting_files_are_not_looked_at_all_the_time() -> None:
    settling = StabilityTracker(2.0)
    for number in range(5000):
        settling.look(str(number), Look(SMALL, 0.0, True, UNKNOWN), 0.0)
    due = settling.look("0", Look(LARGER, 0.0, True, UNKNOWN), 0.0)
    assert due is not None and due >= 5.0


@given(
    steps=st.lists(
        st.tuples(st.floats(0.01, 5), st.booleans(), st.sampled_from([None, False, True])),
        max_size=40,
    )
)
def test_never_finished_while_it_changes_or_is_incomplete(
    steps: list[tuple[float, bool, bool | None]],
) -> None:
    """Whatever the order of events, only a version seen for the whole time is finished."""
    settling = StabilityTracker(2.0)
    now, size, first_seen = 0.0, 1, 0.0
    for pause, changed, writer in steps:
        now += pause
        if changed or size == 1:
            size += 1
            first_seen = now
        look = Look(FileStat(size, size, 1), 0.0, writer, UNKNOWN)
        if settling.look("a", look, now) is None:
            assert now - first_seen >= patience(look, 2.0)
            first_seen = now
