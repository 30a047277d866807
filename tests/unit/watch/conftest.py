"""Small stand-ins at our own seams: an index, a sink, clocks, a source of events."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tagger.config.schema import WatchRoot
from tagger.records import Candidate, FileStat
from tagger.watch.context import WatchSettings
from tagger.watch.events import Hint, Kind
from tagger.watch.root_identity import RootMemory
from tagger.watch.root_layout import RootLayout
from tagger.watch.root_watcher import RootWatcher
from tagger.watch.watcher import Watcher

Make = Callable[..., Any]
"""Makes a bench."""


def fill(root: Path, count: int, data: bytes) -> list[Path]:
    paths = [root / f"{number:03}.jpg" for number in range(count)]
    for path in paths:
        path.write_bytes(data)
    return paths


def hint(bench: Any, kind: Kind, path: Path | str = "") -> None:
    bench.sources.last.hints.append(Hint(kind, os.fspath(path)))


def answer_canary(bench: Any) -> None:
    hint(bench, Kind.CANARY, bench.watch._feed._canary)


class Library:
    """An index and its pipeline in one: what is delivered is known from then on."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[FileStat, FileStat | None]] = {}
        self.found_paths: list[str] = []
        self.candidates: list[Candidate] = []
        self.gone_paths: list[str] = []
        self.bodies: list[bytes] = []
        self.learn = True

    def is_current(self, path: str, stat: FileStat, sidecar: FileStat | None) -> bool:
        row = self.rows.get(path)
        return row is not None and stat.untouched(row[0]) and row[1] == sidecar

    def known_under(self, root: str) -> list[str]:
        return [path for path in list(self.rows) if path.startswith(root.rstrip("/") + "/")]

    def move_folder(self, old: str, new: str, root: str) -> int:
        raise AssertionError(f"{old} is said to be {new}")

    def found(self, candidate: Candidate) -> None:
        self.candidates.append(candidate)
        self.found_paths.append(candidate.path)
        with open(candidate.path, "rb") as file:
            self.bodies.append(file.read())
        if self.learn:
            self.rows[candidate.path] = (candidate.stat, candidate.sidecar)

    def gone(self, paths: Sequence[str], root: str) -> None:
        self.gone_paths.extend(paths)
        for path in paths:
            self.rows.pop(path, None)

    def names(self) -> list[str]:
        return sorted(os.path.basename(path) for path in self.found_paths)


class Time:
    """A clock that is moved by hand, and by ``each`` whenever it is read; so is the time of day."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.each = 0.0
        self._wall = time.time()

    def __call__(self) -> float:
        self.now += self.each
        return self.now

    def wall(self) -> float:
        return self._wall + self.now - 1000.0

    def set_wall(self) -> None:
        """Let the time of day be the real one, by which files get their ctime."""
        self._wall = time.time() - self.now + 1000.0


class Source:
    """A source of events that says what it is told to."""

    def __init__(self, root: WatchRoot, wake: threading.Event) -> None:
        self.root = root
        self.hints: list[Hint] = []
        self.error: OSError | None = None
        self.living = True
        self.running = False

    def start(self) -> None:
        if self.error:
            raise self.error
        self.running = True

    def __iter__(self) -> Iterator[Hint]:
        hints, self.hints = self.hints, []
        return iter(hints)

    def alive(self) -> bool:
        return self.living

    def stop(self) -> None:
        self.running = False


class Sources:
    """Makes the sources, and keeps the last one that watches a whole root."""

    def __init__(self) -> None:
        self.made: list[Source] = []
        self.errors: list[OSError | None] = []

    def __call__(self, root: WatchRoot, wake: threading.Event) -> Source:
        source = Source(root, wake)
        source.error = self.errors.pop(0) if self.errors else None
        self.made.append(source)
        return source

    @property
    def last(self) -> Source:
        return [source for source in self.made if source.running][-1]


class Bench:
    """One root watch on a clock moved by hand."""

    def __init__(self, root: WatchRoot, library: Library, memory: RootMemory) -> None:
        self.library, self.time, self.sources = library, Time(), Sources()
        settings = WatchSettings(clock=self.time, wall=self.time.wall, source=self.sources)
        layout = RootLayout([root])
        self.watch = RootWatcher(root, library, library, memory, settings, layout)

    def pass_time(self, seconds: float) -> None:
        """Step whenever something is due during the next ``seconds``."""
        end = self.time.now + seconds
        while True:
            began = self.time.now
            due = self.watch.step()
            assert due > began, "the watch spins"
            if due > end:
                break
            self.time.now = due
        self.time.now = end


@pytest.fixture
def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((160, 120), 60).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def library() -> Library:
    return Library()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


@pytest.fixture
def bench(root: Path, library: Library, tmp_path: Path) -> Callable[..., Bench]:
    """Return a maker of benches; its keywords are those of WatchRoot."""

    def make(memory: RootMemory | None = None, **options: object) -> Bench:
        memory = memory or RootMemory(str(tmp_path))
        return Bench(WatchRoot(str(root), **options), library, memory)  # type: ignore[arg-type]

    return make


@pytest.fixture
def sources() -> Sources:
    return Sources()


@pytest.fixture
def hand_clock() -> Time:
    return Time()


@pytest.fixture
def wait_for() -> Callable[..., float]:
    """Return a function that waits for a condition and returns how long it took."""

    def wait(condition: Callable[[], bool], seconds: float = 8.0) -> float:
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < seconds, "waited in vain"
            time.sleep(0.01)
        return time.monotonic() - began

    return wait


@pytest.fixture
def running(
    library: Library, tmp_path: Path, wait_for: Callable[..., float]
) -> Iterator[Callable[..., Watcher]]:
    """Return a starter of real watchers, which are stopped (in time) after the test."""
    stop = threading.Event()
    threads = []

    def start(*roots: WatchRoot, **options: object) -> Watcher:
        state = tmp_path / "state"
        state.mkdir(exist_ok=True)
        watcher = Watcher(roots, library, library, str(state), WatchSettings(**options))  # type: ignore[arg-type]
        thread = threading.Thread(target=watcher.run, args=(stop,))
        thread.start()
        threads.append(thread)
        wait_for(
            lambda: (
                all(s.last_scan or s.state != "online" for s in watcher.status())
                and all(s.reason != "not looked at yet" for s in watcher.status())
            )
        )
        return watcher

    yield start
    stop.set()
    began = time.monotonic()
    for thread in threads:
        thread.join(5)
    assert time.monotonic() - began < 1.0 + 0.5 * len(threads), "slow to stop"
