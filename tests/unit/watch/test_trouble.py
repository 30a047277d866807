"""What nobody foresaw in one folder: it is watched anew, and the others all the while."""

from __future__ import annotations

import logging
import sqlite3
import threading

import pytest

from tagger.config.schema import WatchRoot
from tagger.watch import root_thread as module
from tagger.watch.context import WatchSettings
from tagger.watch.watcher import Watcher
from tests.conftest import wait_until


class Index:
    """An index that answers for all but one path or folder."""

    def __init__(self, odd: str, error: Exception) -> None:
        self.odd, self.error, self.asked = odd, error, 0
        self.found_paths: list[str] = []

    def is_current(self, path, stat, sidecar):
        self._check(path)
        return False

    def known_under(self, root):
        self._check(root)
        return ()

    def found(self, candidate):
        self.found_paths.append(candidate.path)

    def gone(self, paths, root):
        pass

    def _check(self, path):
        if path.endswith(self.odd):
            self.asked += 1
            raise self.error


@pytest.fixture
def folders(tmp_path, jpeg):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        for photo in ("a.jpg", "b.jpg", "odd.jpg"):
            (tmp_path / name / photo).write_bytes(jpeg)
    return tmp_path


def watching(folders, index):
    roots = [WatchRoot(str(folders / name)) for name in ("one", "two")]
    return Watcher(roots, index, index, str(folders), WatchSettings(settle_seconds=0.05))


def run(watcher, until):
    stop = threading.Event()
    thread = threading.Thread(target=watcher.run, args=(stop,))
    thread.start()
    try:
        wait_until(until)
        assert thread.is_alive()
    finally:
        stop.set()
        thread.join(10)
    assert not thread.is_alive()


def test_a_photo_of_which_nothing_can_be_told_stops_no_other(folders, caplog):
    index = Index("odd.jpg", ZeroDivisionError("nobody foresaw it"))
    watcher = watching(folders, index)
    with caplog.at_level(logging.ERROR, "tagger"):
        run(watcher, lambda: len({*index.found_paths}) == 4 and index.asked >= 2)
    assert len([r for r in caplog.records if r.exc_info and "odd.jpg" in r.getMessage()]) == 2


@pytest.mark.parametrize(
    "error", [ZeroDivisionError("nobody foresaw it"), sqlite3.OperationalError("disk I/O error")]
)
def test_a_folder_that_fails_is_watched_anew_and_says_so(folders, monkeypatch, error):
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    index = Index("/one", error)
    watcher = watching(folders, index)
    run(watcher, lambda: index.asked >= 3 and len({*index.found_paths}) >= 3)
    one, two = watcher.status()
    assert str(error) in one.reason and str(error) not in two.reason


def test_folders_too_deep_for_events_are_polled(folders, sources_that_fail):
    """The library calls itself for each folder in a folder."""
    index = Index("nothing", ValueError())
    roots = [WatchRoot(str(folders / name)) for name in ("one", "two")]
    watcher = Watcher(
        roots,
        index,
        index,
        str(folders),
        WatchSettings(settle_seconds=0.05, source=sources_that_fail(RecursionError("deep"))),
    )
    run(watcher, lambda: len({*index.found_paths}) == 6)
    assert {(one.mode, one.reason) for one in watcher.status()} == {
        ("poll", "folders lie too deep in each other to be watched")
    }


@pytest.fixture
def sources_that_fail():
    class Source:
        def __init__(self, error):
            self.error = error

        def __call__(self, root, wake):
            return self

        def start(self):
            raise self.error

    return Source
