"""The bounds of Clopper and Pearson, and what the counts say."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from tagger.classify.int8_agreement import (
    Agreement,
    int8_state,
    lower_bound,
    read_agreement,
    upper_bound,
    write_agreement,
)
from tagger.classify.int8_files import FullNetwork, Int8Record
from tagger.classify.network_input import NetworkInput

RECORD = Int8Record("key", "cpu", 2, 9.0, 3.0, "abc")


@pytest.mark.parametrize(
    ("same", "count", "lower", "upper"),
    [
        (10, 10, 0.7411344, 1.0),
        (0, 10, 0.0, 0.2588656),
        (9, 10, 0.6058367, 0.9948838),
        (5, 10, 0.2224411, 0.7775589),
    ],
)
def test_bounds(same, count, lower, upper):
    assert lower_bound(same, count) == pytest.approx(lower, abs=2e-6)
    assert upper_bound(same, count) == pytest.approx(upper, abs=2e-6)


@pytest.mark.parametrize("count", [1, 7, 149, 3000])
def test_without_a_miss_there_is_a_formula(count):
    assert lower_bound(count, count) == pytest.approx(0.05 ** (1 / count))
    assert upper_bound(0, count) == pytest.approx(1 - 0.05 ** (1 / count))
    assert upper_bound(count, count) == 1.0 and lower_bound(0, count) == 0.0


def test_bounds_are_those_points_of_the_distribution():
    for same, count in ((3, 8), (40, 41), (111, 150), (980, 1000)):
        at = lower_bound(same, count)
        tail = sum(
            math.comb(count, k) * at**k * (1 - at) ** (count - k) for k in range(same, count + 1)
        )
        assert tail == pytest.approx(0.05, rel=1e-6)


def counts(same, sure):
    return Agreement("abc", 2 * sure, sure, same, sure)


@pytest.mark.parametrize(
    ("same", "sure", "state"),
    [
        (0, 0, "provisional"),
        (148, 148, "provisional"),
        (149, 149, "proven"),
        (234, 235, "provisional"),
        (235, 236, "proven"),
        (49, 50, "provisional"),  # 98 % of fifty prove nothing
        (1, 1, "provisional"),
        (0, 1, "refused"),
        (18, 20, "provisional"),
        (17, 20, "refused"),
        (975, 1000, "provisional"),
    ],
)
def test_what_the_counts_say(same, sure, state):
    assert counts(same, sure).state == state


def test_a_photo_counts_once():
    found = Agreement("abc")
    for number in range(3):
        found = found.with_photo(bytes([number] * 16), sure=number > 0, same=True, same_tags=False)
    assert (found.judged, found.sure, found.same, found.same_tags) == (3, 2, 2, 0)
    assert found.knows(bytes([2] * 16)) and not found.knows(bytes([3] * 16))


@pytest.fixture
def full(tmp_path):
    return FullNetwork("net.onnx", str(tmp_path / "net"), "net", "key", NetworkInput("x", 8))


def test_counts_survive_a_restart_but_not_another_version(full, tmp_path):
    found = counts(40, 41).with_photo(b"x" * 16, sure=True, same=True, same_tags=True)
    assert read_agreement(full, RECORD) == Agreement("abc")
    write_agreement(full, found)
    assert read_agreement(full, RECORD) == found
    other = Int8Record("key", "cpu", 2, 9.0, 3.0, "another file")
    assert read_agreement(full, other) == Agreement("another file")


def test_daemon_and_command_may_write_at_once(full, tmp_path):
    """`tagger model optimize` failed when the daemon wrote its counts at the same moment."""
    with ThreadPoolExecutor(4) as pool:
        made = [pool.submit(write_agreement, full, counts(40, 41)) for _ in range(400)]
    assert [one.exception() for one in made] == [None] * len(made)
    assert read_agreement(full, RECORD) == counts(40, 41)
    assert [path.name for path in tmp_path.iterdir()] == ["net.int8-agreement.json"]


@pytest.mark.parametrize(
    "change", [{"same": 99}, {"sure": "5"}, {"judged": -1}, {"more": 1}, {"seen": 3}]
)
def test_what_is_damaged_does_not_count(change, full, tmp_path):
    write_agreement(full, counts(40, 41))
    path = tmp_path / "net.int8-agreement.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert read_agreement(full, RECORD) == Agreement("abc")
    path.write_text("[]")
    assert read_agreement(full, RECORD) == Agreement("abc")


def test_it_is_told_in_a_line(full):
    assert str(int8_state(full)) == "not made yet"
