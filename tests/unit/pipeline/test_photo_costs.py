"""What one photo costs on its way: reads of its file, and questions to the index."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tagger.index.store import Store
from tagger.pipeline.outcome import Tagged, Unchanged
from tests.conftest import Home
from tests.support.pipelines import candidate, opened, through

HEADER = 64 << 10
"""Bytes that may be read of a photo besides the whole of it: its header, and its end."""


class Asked:
    """What is asked of an index: reads, by the table, and transactions with their changes."""

    def __init__(self) -> None:
        self.reads: Counter[str] = Counter()
        self.changes: list[int] = []
        self._within = False

    def __call__(self, statement: str) -> None:
        if statement.startswith("--"):
            return  # of a trigger
        if statement.startswith("BEGIN"):
            self._within = True
            self.changes.append(0)
        elif statement.startswith("COMMIT"):
            self._within = False
        elif not self._within:
            found = re.search(r"\bFROM (\w+)(.*JOIN (\w+))?", statement)
            assert found is not None and statement.startswith("SELECT"), statement
            self.reads["+".join(filter(None, (found[1], found[3])))] += 1
        elif not statement.startswith("SELECT"):
            self.changes[-1] += 1


@contextmanager
def asked(store: Store) -> Iterator[Asked]:
    """Yield what is asked of the index in the block."""
    with store.transaction() as db:
        pass
    found = Asked()
    db.set_trace_callback(found)
    try:
        yield found
    finally:
        db.set_trace_callback(None)


def test_the_index_is_asked_five_questions_about_a_new_photo(
    home: Home, scenes: list[Path]
) -> None:
    """Is it known, is a twin, was anything decided, of it or its twins, before and after?"""
    photo = home.inbox / "a.jpg"
    shutil.copy2(scenes[0], photo)
    with opened(home) as (pipeline, context), asked(context.store) as found:
        [outcome] = through(pipeline, [candidate(photo)])
    assert isinstance(outcome, Tagged) and outcome.tags
    assert found.reads == {"photos": 3, "photos+predictions": 1, "tombstones": 1}
    assert len(found.changes) == 2 and all(found.changes), "intention and row"


def test_a_known_photo_costs_one_transaction_and_one_prediction(
    home: Home, scenes: list[Path]
) -> None:
    """Its labels are to be written again, and are as before."""
    photo = home.inbox / "a.jpg"
    shutil.copy2(scenes[0], photo)
    home.once()
    with opened(home) as (pipeline, context):
        context.store.forget_keywords([str(photo)])
        with asked(context.store) as found:
            [outcome] = through(pipeline, [candidate(photo)])
        assert isinstance(outcome, Tagged) and outcome.how == "known"
        # As it is when it is begun, when it is locked, and just before its row is written.
        assert found.reads == {
            "photos": 3,
            "photos+failures": 1,
            "journal": 2,
            "predictions": 1,
            "tombstones": 2,
        }
        assert len(found.changes) == 1 and all(found.changes)
        with asked(context.store) as found:
            assert through(pipeline, [candidate(photo)]) == [Unchanged(str(photo))]
    assert found.reads == {"photos": 1, "photos+failures": 1} and found.changes == []


def test_a_new_picture_of_a_known_photo_is_compared_with_one_prediction(
    home: Home, scenes: list[Path]
) -> None:
    photo = home.inbox / "a.jpg"
    shutil.copy2(scenes[0], photo)
    home.once()
    shutil.copy2(scenes[1], photo)
    with opened(home) as (pipeline, context), asked(context.store) as found:
        [outcome] = through(pipeline, [candidate(photo)])
    assert isinstance(outcome, Tagged) and outcome.how == "classified"
    assert found.reads["predictions"] == found.reads["photos+failures"] == 1
    assert all(found.changes)


def test_a_batch_costs_two_transactions(home: Home, scenes: list[Path]) -> None:
    photos = [home.inbox / f"{number}.jpg" for number in range(3)]
    for photo, scene in zip(photos, scenes, strict=False):
        shutil.copy2(scene, photo)
    with opened(home) as (pipeline, context), asked(context.store) as found:
        outcomes = through(pipeline, [candidate(photo) for photo in photos])
    assert [type(one) for one in outcomes] == [Tagged] * 3
    assert len(found.changes) == 2 and all(found.changes)


def test_the_file_of_a_new_photo_is_read_whole_twice(home: Home, scenes: list[Path]) -> None:
    """Once for its digest, once by the decoding process; of the rest only the header."""
    if shutil.which("strace") is None:
        assert not os.environ.get("TAGGER_CI"), "strace must be installed for this test"
        pytest.skip("strace is not installed")
    photo = home.inbox / "a.jpg"
    grain = np.random.default_rng(0).integers(-9, 10, (1500, 1500, 1), np.int16)
    picture = np.asarray(Image.open(scenes[0]).convert("RGB").resize((1500, 1500)))
    Image.fromarray((picture + grain).clip(0, 255).astype(np.uint8)).save(photo, quality=98)
    home.use_converted_model()
    trace = home.folder / "trace"
    command = [sys.executable, "-m", "tagger", "--config", str(home.config), "run", "--once"]
    subprocess.run(
        [
            # A file for each thread: in a common one a call may be split by another's.
            *("strace", "-ff", "-y", "-qq", "-o", str(trace), "-e"),
            "trace=open,openat,openat2,read,pread64,readv,preadv,mmap,sendfile,copy_file_range",
            *command,
        ],
        env=home.environ(),
        check=True,
        capture_output=True,
        timeout=300,
    )
    assert Path(f"{photo}.xmp").exists()
    size = photo.stat().st_size
    assert size > 10 * HEADER
    opens, read = 0, Counter[str]()
    calls = [
        (part.suffix, call)
        for part in home.folder.glob("trace.*")
        for call in part.read_text(errors="replace").splitlines()
    ]
    for process, call in calls:
        if f"<{photo}>" not in call:
            continue
        if call.startswith("open"):
            opens += 1
            continue
        found = re.fullmatch(r"(?:read|pread64|readv|preadv)\(.*= (\d+)", call)
        assert found is not None, call
        read[process] += int(found[1])
    assert 2 * size <= sum(read.values()) <= 2 * size + HEADER
    assert opens <= 4, "to see that it is complete, and once for each use"
