"""A watcher in a process of its own: answers questions on its input until that ends."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Sequence

from tagger.config.schema import WatchRoot
from tagger.records import Candidate, FileStat
from tagger.watch.watcher import Watcher


class Library:
    """An index and its pipeline in one: what is delivered is known from then on."""

    def __init__(self) -> None:
        self.rows: dict[str, FileStat] = {}
        self.gone_paths: list[str] = []

    def is_current(self, path: str, stat: FileStat, sidecar: FileStat | None) -> bool:
        return path in self.rows and self.rows[path].same_version(stat)

    def known_under(self, root: str) -> list[str]:
        return [path for path in list(self.rows) if path.startswith(root + "/")]

    def move_folder(self, old: str, new: str, root: str) -> int:
        raise AssertionError(old)

    def found(self, candidate: Candidate) -> None:
        self.rows[candidate.path] = candidate.stat

    def gone(self, paths: Sequence[str], root: str) -> None:
        self.gone_paths.extend(paths)


def answer(question: str, watcher: Watcher, library: Library) -> str:
    (status,) = watcher.status()
    if question == "status":
        return f"{status.state} {status.mode} {status.reason}"
    if question == "scanned":
        return "yes" if status.last_scan else "no"
    if question == "rescan":
        watcher.rescan()
        while watcher.status()[0].last_scan == status.last_scan:
            time.sleep(0.02)
        return "done"
    if question == "found":
        return str(len(library.rows))
    if question == "gone":
        return str(len(library.gone_paths))
    return f"{sum(os.times()[:2]):.3f}"


def main() -> None:
    library, stop = Library(), threading.Event()
    with tempfile.TemporaryDirectory() as state:
        watcher = Watcher([WatchRoot(sys.argv[1])], library, library, state)
        thread = threading.Thread(target=watcher.run, args=(stop,))
        thread.start()
        for question in sys.stdin:
            print(answer(question.strip(), watcher, library), flush=True)
        stop.set()
        thread.join()


main()
