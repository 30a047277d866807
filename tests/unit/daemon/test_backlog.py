"""Counting what there is to do, and telling that a root fares otherwise than before."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tagger.config.schema import WatchRoot
from tagger.watch.watcher import Watcher
from tests.unit.watch.conftest import Library


@pytest.fixture
def root(tmp_path: Path, jpeg: bytes) -> Path:
    for number in range(6):
        photo = tmp_path / "photos" / f"f{number % 2}" / f"{number}.jpg"
        photo.parent.mkdir(parents=True, exist_ok=True)
        photo.write_bytes(jpeg)
        os.utime(photo, (1e9, 1e9))
    (tmp_path / "photos" / "notes.txt").write_text("no photo")
    return tmp_path / "photos"


def test_only_what_is_not_known_is_counted(root: Path, jpeg: bytes, library: Library) -> None:
    watcher = Watcher([WatchRoot(str(root))], library, library, str(root.parent))
    watcher.scan_once()
    assert watcher.survey(threading.Event()) == 0
    (root / "new.jpg").write_bytes(jpeg)
    (root / "f0" / "0.jpg").write_bytes(jpeg + b"changed")
    assert watcher.survey(threading.Event()) == 2
    assert sorted(library.names()) == [f"{n}.jpg" for n in range(6)], "nothing is delivered"


def test_an_overlapping_root_is_counted_once(root: Path, library: Library) -> None:
    watcher = Watcher(
        [WatchRoot(str(root)), WatchRoot(str(root / "f1"))], library, library, str(root.parent)
    )
    watcher.scan_once(wait_settle=False)
    library.rows.clear()
    assert watcher.survey(threading.Event()) == 6


def test_an_offline_root_counts_nothing_and_a_stop_ends_it(root: Path, library: Library) -> None:
    watcher = Watcher(
        [WatchRoot(str(root)), WatchRoot(str(root.parent / "away"))],
        library,
        library,
        str(root.parent),
    )
    assert watcher.survey(threading.Event()) == 0, "not looked at yet"
    watcher.scan_once()
    library.rows.clear()
    stopped = threading.Event()
    stopped.set()
    assert watcher.survey(stopped) == 0
    assert watcher.survey(threading.Event()) == 6


def test_a_root_that_goes_away_is_told(
    root: Path, library: Library, eventually: Callable[..., Any]
) -> None:
    told = threading.Event()
    watcher = Watcher([WatchRoot(str(root))], library, library, str(root.parent), changed=told.set)
    stop = threading.Event()
    thread = threading.Thread(target=watcher.run, args=(stop,))
    thread.start()
    try:
        eventually(lambda: len(library.found_paths) == 6 and watcher.status()[0].last_scan)
        told.clear()
        shutil.move(root, root.with_name("elsewhere"))
        assert told.wait(20)
        eventually(lambda: watcher.status()[0].state == "missing")
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()
