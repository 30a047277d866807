"""A store with a clock that the tests move."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tagger.index.rows import SavedPhoto, StoredPrediction
from tagger.index.store import Store
from tagger.records import FileStat, PhotoFacts, Tag


class FakeClock:
    """Seconds since the epoch, as the test says."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def store(state_dir: Path, clock: FakeClock) -> Iterator[Store]:
    with Store(str(state_dir), clock=clock) as opened:
        yield opened


@pytest.fixture
def make_photo() -> Callable[..., SavedPhoto]:
    """Return a maker of saved photos that carry the given labels."""

    def make(path: str, *labels: str, **changes: object) -> SavedPhoto:
        number = sum(path.encode("utf-8", "surrogateescape"))
        tags = tuple(
            Tag(label, 0.9 - position / 10, ("animal", label))
            for position, label in enumerate(labels)
        )
        made = SavedPhoto(
            path=path,
            root="/photos",
            stat=FileStat(1000 + number, 1_600_000_000_000_000_000 + number, number, 7),
            sidecar=None,
            content_hash=path.encode("utf-8", "surrogateescape")[-16:],
            source_hash=path.encode("utf-8", "surrogateescape")[-16:],
            facts=PhotoFacts(format="JPEG", width=4, height=3, taken_at="2024-05-01T10:00:00"),
            tags=tags,
            prediction=StoredPrediction("net-1", b"top", b"evidence", b"features", b"crop"),
            labels_hash="labels",
            keywords_hash="keywords",
        )
        return replace(made, **changes)  # type: ignore[arg-type]

    return make
