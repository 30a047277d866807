"""Whether the disk of a root answers, told by a clock that is moved by hand."""

from __future__ import annotations

from tagger.watch.stall_timer import SILENT_SECONDS, StallTimer


def test_it_is_silent_when_an_answer_takes_long(hand_clock):
    pulse = StallTimer(hand_clock)
    hand_clock.now += 1e6
    assert not pulse.silent, "nobody asks"
    with pulse.asking():
        hand_clock.now += SILENT_SECONDS
        assert not pulse.silent
        hand_clock.now += 1
        assert pulse.silent
        pulse.beat()
        assert not pulse.silent
        hand_clock.now += SILENT_SECONDS + 1
        assert pulse.silent
    assert not pulse.silent


def test_waiting_for_something_else_is_no_silence(hand_clock):
    pulse = StallTimer(hand_clock)
    with pulse.asking():
        with pulse.resting():
            hand_clock.now += SILENT_SECONDS + 1
            assert not pulse.silent
        assert not pulse.silent
        hand_clock.now += SILENT_SECONDS + 1
        assert pulse.silent


def test_without_a_question_a_beat_means_nothing(hand_clock):
    """A single run looks at its folders without a thread that others could ask about."""
    pulse = StallTimer(hand_clock)
    pulse.beat()
    with pulse.resting():
        pass
    hand_clock.now += SILENT_SECONDS + 1
    assert not pulse.silent


def test_late_answers_are_counted(hand_clock):
    pulse = StallTimer(hand_clock)
    with pulse.asking():
        hand_clock.now += SILENT_SECONDS
        pulse.beat()
        assert pulse.lost == 0
        hand_clock.now += SILENT_SECONDS + 5
        pulse.beat()
        pulse.beat()
        assert pulse.lost == SILENT_SECONDS + 5
        with pulse.resting():
            hand_clock.now += SILENT_SECONDS + 7
        assert pulse.lost == SILENT_SECONDS + 5
        hand_clock.now += SILENT_SECONDS + 1
    hand_clock.now += 1e6
    pulse.beat()
    assert pulse.lost == 2 * SILENT_SECONDS + 6
