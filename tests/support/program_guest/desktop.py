"""A photo program on a display of its own: its windows, its keys, its database."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ADDED, RENAMED, MOVED, STARS = "Rex", "Renamed", "moved", 5
SCREEN = "1400x900x24"


def wait(what: Callable[[], Any], seconds: float = 90) -> Any:
    """Return what ``what`` gives as soon as it is true. Raise TimeoutError."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing within {seconds} s")
        time.sleep(0.3)
    return found


def keys(*names: str) -> None:
    for name in names:
        subprocess.run(["xdotool", "key", name], check=True)
        time.sleep(0.7)


def text(words: str) -> None:
    subprocess.run(["xdotool", "type", "--delay", "60", words], check=True)
    time.sleep(0.5)


def click(x: int, y: int) -> None:
    subprocess.run(["xdotool", "mousemove", str(x), str(y), "click", "1"], check=True)
    time.sleep(1)


def windows(kind: str) -> list[str]:
    """Return the numbers of the visible windows of a class."""
    command = ["xdotool", "search", "--onlyvisible", "--class", kind]
    return subprocess.run(command, capture_output=True, check=False, text=True).stdout.split()


def rows(database: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a query, none while there is no such table."""
    try:
        with contextlib.closing(sqlite3.connect(database, timeout=10)) as opened, opened:
            return opened.execute(query, values).fetchall()
    except sqlite3.OperationalError:
        return []


def first_photo(folder: Path) -> Path:
    return min(path for path in folder.iterdir() if path.suffix == ".jpg")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


class Program:
    """A program with its database in ``home``; ``folder`` has the photos."""

    command: tuple[str, ...]
    kind: str

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder
        self.photo = first_photo(folder)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        with (self.home / "log").open("ab") as log:
            process = subprocess.Popen(self.command, stdout=log, stderr=log)
        try:
            yield
        finally:
            shot = ["import", "-window", "root", str(self.home / "last.png")]
            subprocess.run(shot, check=False)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def act(self, action: str) -> dict[str, Any]:
        """Run the program for one action; return what it holds afterwards."""
        self.prepare(action)
        with self.running():
            wait(lambda: windows(self.kind))
            self.settle()
            if action != "look":
                before = contents(self.folder)
                getattr(self, action)()
                with contextlib.suppress(TimeoutError):  # some programs write nothing
                    wait(lambda: contents(self.folder) != before, 20)
                time.sleep(2)
                self.photo = first_photo(self.folder)
            return self.held()

    def prepare(self, action: str) -> None:
        """Make ready what the program finds at its start."""

    def settle(self) -> None:
        """Wait until it has read the photos, and select the first."""
        raise NotImplementedError

    def held(self) -> dict[str, Any]:
        raise NotImplementedError
