"""digiKam, driven by its keys and read by its database."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from typing import Any

from tests.support.program_guest.desktop import (
    ADDED,
    MOVED,
    RENAMED,
    Program,
    click,
    keys,
    rows,
    text,
    wait,
    windows,
)


class DigiKam(Program):
    """digiKam, with "Read from sidecar files" and "Rescan file when files are modified"."""

    command = ("digikam",)
    kind = "digikam"
    WITH_SIDECARS = True

    def prepare(self, action: str) -> None:
        self.database = self.home / "db" / "digikam4.db"
        (self.home / ".config").mkdir(parents=True, exist_ok=True)
        places = ("", " Face", " Similarity", " Thumbnails")
        names = "".join(f"Database Name{place}={self.home}/db/\n" for place in places)
        sidecars = str(self.WITH_SIDECARS).lower()
        (self.home / ".config" / "digikamrc").write_text(
            "[General Settings]\nVersion=8.6.0\n"
            f"[Database Settings]\nDatabase Type=QSQLITE\n{names}Internal Database Server=false\n"
            f"[Metadata Settings]\nUse XMP Sidecar For Reading={sidecars}\n"
            f"Metadata Writing Mode={1 if self.WITH_SIDECARS else 0}\n"
            f"Rescan File If Modified={sidecars}\nSave Tags=true\nSave Rating=true\n"
            "Use Lazy Synchronization=false\n"
            "[Album Settings]\nScan At Start=true\nShow Splash=false\n"
        )
        if not self.database.exists():
            self._make_database()
        self._shortcut(ADDED, "Alt+Shift+X", make=True)
        if tag := os.environ.get("TAG"):
            if action == "rename":
                rows(self.database, "UPDATE Tags SET name = ? WHERE name = ?", RENAMED, tag)
                self._shortcut("Ann", "Alt+Shift+W", make=True)
            self._shortcut(tag, "Alt+Shift+D")

    def _make_database(self) -> None:
        """Let digiKam make its tables, which it does before it asks for a collection."""
        self.database.parent.mkdir()
        self.database.touch()
        with self.running():
            wait(lambda: rows(self.database, "SELECT 1 FROM Settings WHERE keyword = 'DBVersion'"))
            time.sleep(3)
        place = f"networkshareid:?mountpath={self.folder}"
        rows(
            self.database,
            "INSERT INTO AlbumRoots (label, status, type, identifier, specificPath)"
            " VALUES ('photos', 0, 3, ?, '/')",
            place,
        )

    def _shortcut(self, name: str, shortcut: str, *, make: bool = False) -> None:
        if make:
            rows(self.database, "INSERT OR IGNORE INTO Tags (pid, name) VALUES (0, ?)", name)
        word = "tagKeyboardShortcut"
        for (tag,) in rows(self.database, "SELECT id FROM Tags WHERE name = ?", name):
            old = "DELETE FROM TagProperties WHERE tagid = ? AND property = ?"
            rows(self.database, old, tag, word)
            rows(self.database, "INSERT INTO TagProperties VALUES (?, ?, ?)", tag, word, shortcut)

    def settle(self) -> None:
        wait(lambda: rows(self.database, "SELECT 1 FROM Images"))
        with contextlib.suppress(TimeoutError):  # it offers to download networks
            wait(lambda: len(windows(self.kind)) > 1, 30)
        for _ in range(10):
            time.sleep(1)
            if len(windows(self.kind)) == 1:
                break
            subprocess.run(["xdotool", "mousemove", "625", "380"], check=True)
            keys("Escape")
        click(86, 114)  # the album
        time.sleep(3)
        click(520, 200)  # the first photo

    def rate(self) -> None:
        for x in (520, 545, 553):  # the stars are shown while the pointer is over the photo
            subprocess.run(["xdotool", "mousemove", str(x), "273"], check=True)
            time.sleep(1)
        click(553, 273)

    def add(self) -> None:
        keys("alt+shift+x")

    def delete(self) -> None:
        keys("alt+shift+d")

    def rename(self) -> None:
        """Its database has the new name of the tag already: one more tag has it write all."""
        keys("alt+shift+w")

    def move(self) -> None:
        keys("F2")
        wait(lambda: len(windows(self.kind)) > 1, 30)
        time.sleep(2)
        keys("ctrl+a")
        text(MOVED)
        keys("Return")

    def held(self) -> dict[str, Any]:
        names = rows(self.database, "SELECT id, pid, name FROM Tags")
        tree = {tag: (above, name) for tag, above, name in names}
        found = rows(
            self.database,
            "SELECT tagid FROM ImageTags JOIN Images ON Images.id = imageid WHERE name = ?",
            self.photo.name,
        )
        paths = []
        for (tag,) in found:
            steps: list[str] = []
            while tag in tree:
                tag, name = tree[tag]
                steps.insert(0, name)
            paths.append("/".join(steps))
        ratings = rows(
            self.database,
            "SELECT rating FROM ImageInformation JOIN Images ON Images.id = imageid WHERE name = ?",
            self.photo.name,
        )
        tags = sorted(path for path in paths if not path.startswith("_Digikam"))
        return {"tags": tags, "rating": max(0, *(rating or 0 for (rating,) in ratings), 0)}


class DigiKamAtDefaults(DigiKam):
    """digiKam as it is installed: no sidecars, and no second look at a file."""

    WITH_SIDECARS = False
