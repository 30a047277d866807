"""The file of features: what is nearest is found in it, and what was changed, lost or damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tagger.duplicates import feature_file
from tagger.duplicates.feature_file import BLOCK, NAME, FeatureFile, FeatureWriter

SIZE = 70  # no whole number of words


def rows(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.maximum(rng.normal(0.2, 1, (count, SIZE)), 0).astype(np.float32)


def direction(row: np.ndarray) -> np.ndarray:
    return row / np.linalg.norm(row)


def exact(of: np.ndarray, row: np.ndarray, count: int) -> list[int]:
    scores = of @ row / np.linalg.norm(of, axis=1)
    return np.argsort(-scores)[:count].tolist()


@pytest.fixture
def writer(tmp_path):
    writer = FeatureWriter(str(tmp_path))
    yield writer
    writer.close()


def test_the_nearest_are_found_in_several_blocks(writer, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_file, "BLOCK", 256)
    numbers = rows(1000)
    writer.begin("m", numbers[:300])
    writer.add(range(1, 301), numbers[:300], 300)
    writer.add(range(301, 1001), numbers[300:], 1000)
    file = FeatureFile(str(tmp_path))
    head = file.head()
    assert head is not None and (head.model_id, head.photos, head.covered) == ("m", 1000, 1000)
    for at in (0, 255, 256, 700, 999):
        found = file.nearest("m", direction(numbers[at]), 12)
        wanted = [one + 1 for one in exact(numbers, numbers[at], 12)]
        assert len(set(found) & set(wanted)) >= 11 and at + 1 in found


def test_of_many_few_are_lost_by_the_signs(writer, tmp_path, monkeypatch):
    monkeypatch.setattr(feature_file, "SHORTLIST", 60)
    rng = np.random.default_rng(4)
    heads = np.maximum(rng.normal(0.2, 1, (60, SIZE)), 0)
    near = heads[rng.integers(0, 60, 6000)] + rng.normal(0, 0.4, (6000, SIZE))
    numbers = np.maximum(near, 0).astype(np.float32)
    writer.begin("m", numbers)
    writer.add(range(6000), numbers, 5999)
    hits = [
        len({*FeatureFile(str(tmp_path)).nearest("m", direction(numbers[at]), 80)}
            & {*exact(numbers, numbers[at], 10)})
        for at in range(0, 6000, 300)
    ]  # fmt: skip
    assert sum(hits) >= 0.9 * 10 * len(hits)


def test_what_changed_is_replaced_and_what_was_not_there_is_added(writer, tmp_path):
    numbers, other = rows(50), rows(3, seed=9)
    writer.begin("m", numbers)
    writer.add(range(10, 60), numbers, 70)
    writer.replace([12, 65, 58], other)
    file = FeatureFile(str(tmp_path))
    head = file.head()
    assert head is not None and (head.photos, head.covered) == (51, 70)
    for number, row in zip((12, 65, 58), other, strict=True):
        assert file.nearest("m", direction(row), 1) == [number]
    assert file.nearest("m", direction(numbers[2]), 1) != [12]
    writer.replace([65], numbers[:1])
    assert set(file.nearest("m", direction(numbers[0]), 2)) == {10, 65}


def test_another_opens_it_and_goes_on(writer, tmp_path):
    numbers = rows(40)
    writer.begin("m", numbers)
    writer.add(range(20), numbers[:20], 19)
    writer.close()
    writer.add(range(20, 40), numbers[20:], 39)
    assert FeatureFile(str(tmp_path)).nearest("m", direction(numbers[33]), 1) == [33]


def test_another_model_or_number_of_features_is_another_file(writer, tmp_path):
    writer.begin("m", rows(5))
    writer.add(range(5), rows(5), 4)
    file = FeatureFile(str(tmp_path))
    assert file.nearest("other", direction(rows(1)[0]), 3) == []
    assert file.nearest("m", np.ones(8, np.float32), 3) == []
    writer.begin("other", rows(4))
    writer.add(range(4), rows(4), 3)
    assert file.nearest("m", direction(rows(1)[0]), 3) == []
    assert len(file.nearest("other", direction(rows(1)[0]), 3)) == 3


@pytest.mark.parametrize("damage", [0, 20, 200, -1])
def test_a_file_that_is_not_whole_is_none(writer, tmp_path, damage):
    writer.begin("m", rows(5))
    writer.add(range(5), rows(5), 4)
    writer.close()
    path = tmp_path / NAME
    os.truncate(path, damage if damage >= 0 else path.stat().st_size - 1)
    assert FeatureFile(str(tmp_path)).head() is None
    assert FeatureFile(str(tmp_path)).nearest("m", direction(rows(1)[0]), 3) == []
    assert writer.open() is None
    writer.begin("m", rows(5))
    writer.add(range(5), rows(5), 4)
    assert FeatureFile(str(tmp_path)).nearest("m", direction(rows(5)[3]), 1) == [3]


def test_what_is_no_such_file_is_none(tmp_path):
    assert FeatureFile(str(tmp_path)).head() is None
    (tmp_path / NAME).write_bytes(b"\xff" * 100_000)
    assert FeatureFile(str(tmp_path)).head() is None
    assert FeatureFile(str(tmp_path / "none")).nearest("m", np.ones(3, np.float32), 1) == []


def test_two_processes_do_not_write_it_at_once(writer, tmp_path):
    writer.begin("m", rows(5))
    other = (
        "import sys\nfrom tagger.duplicates.feature_file import FeatureWriter\n"
        "try:\n    FeatureWriter(sys.argv[1]).open()\n"
        "except BlockingIOError:\n    print('is written')\n"
    )
    command = [sys.executable, "-c", other, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout
    writer.close()
    assert not subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_it_takes_600_bytes_a_photo_of_512_features(tmp_path):
    writer = FeatureWriter(str(tmp_path))
    numbers = np.random.default_rng(1).random((BLOCK, 512), np.float32)
    writer.begin("m", numbers)
    writer.add(range(BLOCK), numbers, BLOCK)
    writer.close()
    assert Path(tmp_path / NAME).stat().st_size / BLOCK < 600
