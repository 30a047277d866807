"""What watchdog tells, turned into hints."""

from __future__ import annotations

import gc
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tagger.config.schema import WatchRoot
from tagger.watch import events
from tagger.watch.events import Hint, HintQueue, Kind, WatchdogSource

Wait = Callable[..., float]


class Listener:
    """Collects the hints of a real source."""

    def __init__(self, root: Path) -> None:
        self.source = WatchdogSource(WatchRoot(str(root)), threading.Event())
        self.source.start()
        self.hints: list[Hint] = []

    def has(self, kind: Kind, path: Path | str) -> bool:
        self.hints += self.source
        return Hint(kind, os.fspath(path)) in self.hints


@pytest.fixture
def listen() -> Iterator[Callable[[Path], Listener]]:
    made: list[Listener] = []

    def make(root: Path) -> Listener:
        made.append(Listener(root))
        return made[-1]

    yield make
    for listener in made:
        listener.source.stop()


def test_files_and_folders(
    root: Path, tmp_path: Path, listen: Callable[[Path], Listener], wait_for: Wait
) -> None:
    ears = listen(root)
    (root / "a.jpg").write_bytes(b"x")
    wait_for(lambda: ears.has(Kind.LOOK, root / "a.jpg"))
    (root / "a.jpg").rename(root / "b.jpg")
    wait_for(lambda: ears.has(Kind.LOOK, root / "b.jpg"))
    wait_for(lambda: ears.has(Kind.VANISHED, root / "a.jpg"))
    (root / "b.jpg").unlink()
    wait_for(lambda: ears.has(Kind.VANISHED, root / "b.jpg"))
    (root / "sub").mkdir()
    wait_for(lambda: ears.has(Kind.TREE, root / "sub"))
    (root / "sub").rename(root / "sub2")
    wait_for(lambda: ears.has(Kind.TREE, root / "sub2"))
    wait_for(lambda: ears.has(Kind.TREE_VANISHED, root / "sub"))
    (root / "sub2").rename(tmp_path / "outside")
    wait_for(lambda: ears.has(Kind.TREE_VANISHED, root / "sub2"))


def test_sidecars_and_our_own_writes_are_looked_at_later(
    root: Path, listen: Callable[[Path], Listener], wait_for: Wait
) -> None:
    ears = listen(root)
    (root / "a.jpg.xmp").write_bytes(b"x")
    wait_for(lambda: ears.has(Kind.SIDECAR, root / "a.jpg.xmp"))
    (root / ".tagger-tmp").write_bytes(b"x")
    (root / ".tagger-tmp").rename(root / "a.jpg")
    wait_for(lambda: ears.has(Kind.LATER, root / "a.jpg"))
    assert not ears.has(Kind.LOOK, root / "a.jpg")


def test_other_files_give_no_hint(
    root: Path, listen: Callable[[Path], Listener], wait_for: Wait
) -> None:
    ears = listen(root)
    for name in ("a.txt", ".hidden.jpg", "a.jpg.part", ".tagger-abc"):
        (root / name).write_bytes(b"x")
        (root / name).unlink()
    (root / "last.jpg").write_bytes(b"x")
    wait_for(lambda: ears.has(Kind.LOOK, root / "last.jpg"))
    assert {hint.path for hint in ears.hints} == {str(root / "last.jpg")}


def test_reading_a_photo_gives_no_hint(
    root: Path, listen: Callable[[Path], Listener], wait_for: Wait
) -> None:
    """Opened events feed themselves for ever while a queue overflow is being repaired."""
    (root / "a.jpg").write_bytes(b"x")
    ears = listen(root)
    (root / "a.jpg").read_bytes()
    (root / "b.jpg").write_bytes(b"x")
    wait_for(lambda: ears.has(Kind.LOOK, root / "b.jpg"))
    assert not ears.has(Kind.LOOK, root / "a.jpg")


@pytest.mark.parametrize("name", [b"caf\xe9.jpg", b"two\nlines.jpg", b'it\'s "so".jpg'])
def test_names_come_as_the_scan_gives_them(
    root: Path, listen: Callable[[Path], Listener], wait_for: Wait, name: bytes
) -> None:
    ears = listen(root)
    with open(os.path.join(os.fsencode(root), name), "wb") as file:
        file.write(b"x")
    (scanned,) = os.listdir(str(root))
    wait_for(lambda: ears.has(Kind.LOOK, root / scanned))


def test_a_root_that_is_a_link(
    root: Path, tmp_path: Path, listen: Callable[[Path], Listener], wait_for: Wait
) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    ears = listen(link)
    (root / "a.jpg").write_bytes(b"x")
    wait_for(lambda: ears.has(Kind.LOOK, link / "a.jpg"))


def test_it_dies_with_its_root_and_says_so(
    root: Path, listen: Callable[[Path], Listener], wait_for: Wait
) -> None:
    ears = listen(root)
    assert ears.source.alive()
    root.rmdir()
    wait_for(lambda: not ears.source.alive())


def test_a_root_that_is_not_there_is_an_error(root: Path) -> None:
    source = WatchdogSource(WatchRoot(str(root / "nothing")), threading.Event())
    with pytest.raises(OSError):
        source.start()
    assert not source.alive()
    source.stop()


def test_stopping_ends_its_threads_and_gives_its_files_back(root: Path) -> None:
    gc.collect()  # files of other tests' garbage are closed by now
    files, threads = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(3):
        source = WatchdogSource(WatchRoot(str(root)), threading.Event())
        source.start()
        assert threading.active_count() > threads
        source.stop()
    assert threading.active_count() == threads
    assert len(os.listdir("/proc/self/fd")) == files


def test_hints_are_kept_once_and_in_order() -> None:
    wake = threading.Event()
    box = HintQueue(wake)
    for path in ("a", "b", "a"):
        box.put(Hint(Kind.LOOK, path))
    assert wake.is_set()
    assert [hint.path for hint in box.take()] == ["a", "b"]
    assert box.take() == []


def test_too_many_hints_become_one_doubt() -> None:
    box = HintQueue(threading.Event(), limit=10)
    box.put(Hint(Kind.LOST))
    for number in range(100):
        box.put(Hint(Kind.LOOK, str(number)))
        assert len(box._hints) <= 12
    hints = box.take()
    assert Hint(Kind.DOUBT) in hints and Hint(Kind.LOST) in hints


@pytest.mark.parametrize("level", [logging.WARNING, logging.CRITICAL])
def test_watchdogs_word_of_an_overflow_is_heard(
    root: Path,
    listen: Callable[[Path], Listener],
    level: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ears = listen(root)
    caplog.set_level(level)
    logger = logging.getLogger("watchdog.observers.inotify_c")
    logger.warning("Inotify queue overflowed; filesystem events were lost")
    assert ears.has(Kind.LOST, "")
    assert "overflowed" not in caplog.text


def test_a_root_waits_for_its_turn_but_not_for_ever(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "TURN_SECONDS", 0.1)
    source = WatchdogSource(WatchRoot(str(root)), threading.Event())
    with WatchdogSource._starting, pytest.raises(OSError, match="another folder"):
        source.start()
    source.start()
    assert source.alive()
    source.stop()
