"""Whether the disk of a root answers, told by a clock that is moved by hand."""

from __future__ import annotations

from tagger.watch.stall_timer import SILENT_SECONDS, StallTimer


def test_it_is_silent_when_an_answer_takes_long(hand_clock):
    timer = StallTimer(hand_clock)
    hand_clock.now += 1e6
    assert not timer.silent, "nobody asks"
    with timer.running():
        hand_clock.now += SILENT_SECONDS
        assert not timer.silent
        hand_clock.now += 1
        assert timer.silent
        timer.reset()
        assert not timer.silent
        hand_clock.now += SILENT_SECONDS + 1
        assert timer.silent
    assert not timer.silent


def test_waiting_for_something_else_is_no_silence(hand_clock):
    timer = StallTimer(hand_clock)
    with timer.running():
        with timer.paused():
            hand_clock.now += SILENT_SECONDS + 1
            assert not timer.silent
        assert not timer.silent
        hand_clock.now += SILENT_SECONDS + 1
        assert timer.silent


def test_without_a_question_a_beat_means_nothing(hand_clock):
    """A single run looks at its folders without a thread that others could ask about."""
    timer = StallTimer(hand_clock)
    timer.reset()
    with timer.paused():
        pass
    hand_clock.now += SILENT_SECONDS + 1
    assert not timer.silent


def test_late_answers_are_counted(hand_clock):
    timer = StallTimer(hand_clock)
    with timer.running():
        hand_clock.now += SILENT_SECONDS
        timer.reset()
        assert timer.lost == 0
        hand_clock.now += SILENT_SECONDS + 5
        timer.reset()
        timer.reset()
        assert timer.lost == SILENT_SECONDS + 5
        with timer.paused():
            hand_clock.now += SILENT_SECONDS + 7
        assert timer.lost == SILENT_SECONDS + 5
        hand_clock.now += SILENT_SECONDS + 1
    hand_clock.now += 1e6
    timer.reset()
    assert timer.lost == 2 * SILENT_SECONDS + 6
