"""Libraries that are drawn, for ``bench/similar.py``: how long comparing and searching take."""

from __future__ import annotations

import collections
import contextlib
import functools
import os
import resource
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import psutil

from tagger.duplicates.picture_hash import picture_hash
from tagger.duplicates.thumbnails import ThumbnailStore, packed
from tagger.index.groups import GroupWriter
from tagger.index.reader import open_reader
from tagger.index.rows import SavedPhoto, StoredPrediction
from tagger.index.store import Store
from tagger.library.similar import make_file, most_alike
from tagger.pipeline.grouping import Grouping
from tagger.records import FileStat, PhotoFacts


def scale(folder: Path, count: int) -> dict[str, Any]:
    """Return how long it takes to compare so many photos, and then one more."""
    rng = np.random.default_rng(1)
    store, thumbnails = Store(str(folder)), ThumbnailStore(str(folder))
    base = rng.random((200, 512)).astype(np.float32) ** 3
    for first in range(0, count, 2000):
        saved = []
        kept = []
        for number in range(first, min(count, first + 2000)):
            made = rng.bytes(32)
            row = base[number % 200] + rng.random(512, np.float32) ** 3 * 0.8
            kept.append((made, rng.bytes(2048)))
            saved.append(_drawn_photo(number, made, row))
        store.save(saved)
        thumbnails.add(kept)
    grouping = Grouping(store, str(folder))
    figures = {"photos": count} | _run(grouping) | _index_bytes(folder, store, count)

    def draw(number: int) -> None:
        row = base[number % 200] + rng.random(512, np.float32) ** 3 * 0.8
        store.save([_drawn_photo(number, rng.bytes(32), row)])

    return figures | {"one_more_ms": _one_more(grouping, draw, range(count, count + 100))}


def copies(folder: Path, count: int) -> dict[str, Any]:
    """Return how long it takes to compare so many photos, ten of each picture, and one more.

    Their cameras' dates are as those of ``bench/synthetic_photos.py``: 28 in all.
    """
    rng = np.random.default_rng(1)
    store, thumbnails = Store(str(folder)), ThumbnailStore(str(folder))
    pictures = max(count // 10, 1)

    def draw(first: int, many: int) -> None:
        saved, kept = [], []
        for number in range(first, first + many):
            picture = number % pictures
            own = np.random.default_rng(picture)
            grey = _waves() @ own.normal(size=(9, 9)) @ _waves().T + own.normal(size=(64, 64)) * 0.3
            grey = grey * rng.uniform(18, 30) + 128 + rng.normal(size=(64, 64)) * rng.uniform(0, 8)
            turned = np.rot90(grey, rng.choice([0, 0, 0, 1, 2]))
            thumbnail = np.ascontiguousarray(turned.clip(0, 255).astype(np.uint8))
            made = picture_hash(thumbnail)
            row = own.random(512, np.float32) ** 4 + rng.random(512, np.float32) * 0.05
            kept.append((made, packed(thumbnail)))
            at = f"2026-01-{picture % 28 + 1:02d}T12:00:00"
            saved.append(_drawn_photo(number, made, row, at))
        store.save(saved)
        thumbnails.add(kept)

    for first in range(0, count, 2000):
        draw(first, min(2000, count - first))
    grouping = Grouping(store, str(folder))
    figures = {"photos": count, "pictures": pictures} | _run(grouping)
    figures["ms_a_photo"] = round(1000 * figures["seconds_of_one_core"] / count, 2)
    later = _one_more(grouping, lambda number: draw(number, 1), range(count, count + 50))
    sizes = collections.Counter(len(ids) for ids in GroupWriter(store).every("picture").values())
    return figures | {
        "one_more_ms": later,
        "groups": sum(sizes.values()),
        "photos_in_a_group": dict(sorted(sizes.items())),
    }


@functools.cache
def _waves() -> Any:
    """Return nine soft waves along a line, (64, 9)."""
    angles = (np.arange(64) + 0.5) * np.arange(9)[:, np.newaxis] * np.pi / 64
    return (np.cos(angles) / (1 + np.arange(9)[:, np.newaxis])).T


def _run(grouping: Grouping) -> dict[str, Any]:
    """Return how long it takes to compare all photos."""
    started, wall = time.process_time(), time.monotonic()
    grouping.run()
    return {
        "seconds_of_one_core": round(time.process_time() - started, 1),
        "seconds": round(time.monotonic() - wall, 1),
    }


def _one_more(grouping: Grouping, draw: Callable[[int], None], numbers: Iterable[int]) -> float:
    """Return the milliseconds of CPU that one more photo takes, drawn by its number."""
    later = []
    for number in numbers:
        draw(number)
        started = time.process_time()
        grouping.step()
        later.append(time.process_time() - started)
    return round(1000 * float(np.median(later)), 2)


def _index_bytes(folder: Path, store: Store, count: int) -> dict[str, float]:
    """Return how many bytes of the index each photo takes, and how many of them are for this."""
    copy = folder / "copy.sqlite3"
    sizes = []
    with contextlib.closing(sqlite3.connect(store.path)) as db:
        db.execute("VACUUM INTO ?", (str(copy),))
    with contextlib.closing(sqlite3.connect(copy)) as db:
        db.executescript("VACUUM;")
        sizes.append(os.path.getsize(copy))
        db.executescript("DELETE FROM groups; VACUUM;")
        sizes.append(os.path.getsize(copy))
        db.executescript(
            "UPDATE predictions SET picture_hash = NULL; DROP INDEX predictions_no_picture;"
            " UPDATE photos SET grouped = NULL; DROP INDEX photos_not_grouped; VACUUM;"
        )
        sizes.append(os.path.getsize(copy))
    copy.unlink()
    return {
        "index_bytes_a_photo": round(sizes[0] / count),
        "index_bytes_more": round((sizes[1] - sizes[2]) / count, 1),
        "index_bytes_in_a_series": round((sizes[0] - sizes[1]) / count, 1),
    }


def _drawn_photo(number: int, made: bytes, row: Any, taken_at: str = "") -> SavedPhoto:
    stored = StoredPrediction("m", b"", b"", row.astype("<f2").tobytes(), b"", picture_hash=made)
    # Five shots within ten seconds, then ten minutes without any.
    at = datetime(2000, 1, 1) + timedelta(minutes=10 * (number // 5), seconds=2 * (number % 5))
    taken_at = taken_at or at.isoformat()
    facts = PhotoFacts("JPEG", 4000, 3000, 1, taken_at, f"Camera {number // 50_000}")
    path = f"/photos/{number // 1000:04d}/IMG_{number:06d}.jpg"
    return SavedPhoto(
        path, "/photos", FileStat(1, 1), None, number.to_bytes(16, "big"), b"", facts, (),
        prediction=stored,
    )  # fmt: skip


def search(folder: Path, count: int) -> dict[str, Any]:
    """Return how quickly photos that look alike are found among so many, and how many of them."""
    rng = np.random.default_rng(1)
    store = Store(str(folder))
    heads = rng.random((count // 200 + 2, 512), np.float32) ** 4
    for first in range(0, count, 5000):
        numbers = range(first, min(count, first + 5000))
        near = heads[rng.integers(0, len(heads), len(numbers))]
        rows = near + rng.random((len(numbers), 512), np.float32) ** 4 * 0.7
        made = zip(numbers, rows.astype(np.float32), strict=True)
        store.save([_drawn_photo(number, bytes(32), row) for number, row in made])
    store.close()
    started, spent, wall, hits = time.process_time(), [], [], []
    make_file(str(folder))
    made_seconds = time.process_time() - started
    before = psutil.Process().memory_info().rss
    with open_reader(str(folder)) as reader:
        for photo in rng.integers(1, count, 25).tolist():
            started, at = time.process_time(), time.monotonic()
            found = most_alike(reader, str(folder), photo, 10)
            spent.append(time.process_time() - started)
            wall.append(time.monotonic() - at)
            memory = psutil.Process().memory_info().rss
            if len(hits) < 12:
                exact = {number for number, _ in most_alike(reader, None, photo, 10)}
                hits.append(len(exact & {number for number, _ in found}) / 10)
    return {
        "photos": count,
        "file_made_cpu_seconds": round(made_seconds, 1),
        "file_mb": round(os.path.getsize(folder / "features.bin") / 1e6),
        "question_ms": round(1000 * float(np.median(wall)), 1),
        "question_cpu_ms": round(1000 * float(np.median(spent)), 1),
        "memory_mb_before": round(before / 1e6),
        "memory_mb": round(memory / 1e6),
        "recall_at_10": round(float(np.mean(hits)), 3),
        "command": _command(folder, rng.integers(1, count, 5).tolist()),
    }


def _command(folder: Path, photos: list[int]) -> dict[str, Any]:
    """Return how long `tagger similar` takes, with all that a command takes to start."""
    config = folder / "config.yaml"
    config.write_text(f"watch:\n  - path: {folder}\nstate_dir: {folder}\n")
    wall, cpu, most = [], [], 0
    for number in photos:
        path = f"/photos/{number // 1000:04d}/IMG_{number:06d}.jpg"
        command = [sys.executable, "-m", "tagger", "--config", str(config), "similar", path]
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        wall.append(time.monotonic() - started)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        most = max(most, after.ru_maxrss)
    return {
        "seconds": round(float(np.median(wall)), 2),
        "cpu_seconds": round(float(np.median(cpu)), 2),
        "most_memory_mb": round(most / 1000),
    }
