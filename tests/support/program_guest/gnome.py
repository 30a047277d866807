"""Shotwell, gThumb and localsearch."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.program_guest.desktop import (
    ADDED,
    RENAMED,
    STARS,
    Program,
    click,
    contents,
    keys,
    rows,
    text,
    wait,
    windows,
)


class Shotwell(Program):
    """Shotwell, with "Write tags, titles and other metadata to photo files"."""

    command = ("shotwell",)
    kind = "shotwell"

    def prepare(self, action: str) -> None:
        self.database = self.home / ".local" / "share" / "shotwell" / "data" / "photo.db"
        for part, key, value in (
            ("files", "import-dir", str(self.folder)),
            ("files", "auto-import", "true"),
            ("files", "commit-metadata", "true"),
            ("ui", "show-welcome-dialog", "false"),
        ):
            schema = f"org.gnome.shotwell.preferences.{part}"
            place = f"{schema}:/org/gnome/shotwell/preferences/{part}/"
            subprocess.run(["gsettings", "set", place, key, value], check=True)

    def settle(self) -> None:
        wait(lambda: rows(self.database, "SELECT 1 FROM PhotoTable"))
        time.sleep(8)
        click(700, 250)
        keys("ctrl+a")

    def rate(self) -> None:
        keys(str(STARS))

    def add(self) -> None:
        keys("ctrl+t")
        time.sleep(1)
        text(ADDED)
        keys("Return")

    def _retag(self, change: Callable[[str], str]) -> None:
        """Change one tag in the line of all tags that Ctrl+M opens."""
        keys("ctrl+m")
        time.sleep(1)
        keys("ctrl+a")
        tags = [tag.rpartition("/")[2] for tag in self.held()["tags"]]
        tag = os.environ["TAG"]
        wanted = [change(one) if one == tag else one for one in tags]
        text(", ".join(filter(None, wanted)))
        keys("Return")

    def delete(self) -> None:
        self._retag(lambda _: "")

    def rename(self) -> None:
        self._retag(lambda _: RENAMED)

    def held(self) -> dict[str, Any]:
        [(number, rating)] = rows(
            self.database,
            "SELECT id, rating FROM PhotoTable WHERE filename = ?",
            str(self.photo),
        )
        mark = f"thumb{number:016x}"
        tags = rows(self.database, "SELECT name, photo_id_list FROM TagTable")
        held = [name for name, photos in tags if mark in (photos or "").split(",")]
        return {"tags": sorted(tag.lstrip("/") for tag in held), "rating": max(rating, 0)}


class Gthumb(Program):
    """gThumb, by its dialog of comments, which is read as by those who cannot see."""

    kind = "gthumb"

    def prepare(self, action: str) -> None:
        self.command = ("gthumb", str(self.photo))

    def settle(self) -> None:
        time.sleep(8)
        self._open()

    def act(self, action: str) -> dict[str, Any]:
        self.prepare(action)
        with self.running():
            wait(lambda: windows(self.kind))
            self.settle()
            if action != "look":
                before = contents(self.folder)
                getattr(self, action)()
                click(670, 632)  # Save
                with contextlib.suppress(TimeoutError):
                    wait(lambda: contents(self.folder) != before, 20)
                time.sleep(3)
                self._open()
            return self.held()

    def _open(self) -> None:
        subprocess.run(["xdotool", "mousemove", "500", "300"], check=True)
        keys("c")
        wait(self._fields, 30)

    def _fields(self) -> list[tuple[str, str]]:
        """Return the role and the text of each field of the dialog."""
        import gi

        gi.require_version("Atspi", "2.0")
        from gi.repository import Atspi

        found: list[tuple[str, str]] = []

        def walk(node: Any, inside: bool) -> None:
            role = node.get_role_name()
            if inside and role in ("text", "spin button"):
                found.append((role, Atspi.Text.get_text(node, 0, -1)))
            for number in range(node.get_child_count()):
                child = node.get_child_at_index(number)
                if child is not None:
                    walk(child, inside or (role == "dialog"))

        desktop = Atspi.get_desktop(0)
        for number in range(desktop.get_child_count()):
            program = desktop.get_child_at_index(number)
            if program is not None and "gthumb" in program.get_name().lower():
                walk(program, inside=False)
        return found

    def held(self) -> dict[str, Any]:
        fields = self._fields()
        tags = [words for role, words in fields if role == "text" and words.endswith(", ")]
        ratings = [int(words or 0) for role, words in fields if role == "spin button"]
        held = [tag.strip() for tag in ", ".join(tags).split(",")]
        return {"tags": sorted(filter(None, held)), "rating": max([0, *ratings])}

    def rate(self) -> None:
        for _ in range(STARS):
            click(430, 552)

    def _type(self, tags: list[str]) -> None:
        click(390, 512)
        keys("ctrl+a")
        text(", ".join([*tags, ""]))

    def add(self) -> None:
        self._type([*self.held()["tags"], ADDED])

    def delete(self) -> None:
        self._type([tag for tag in self.held()["tags"] if tag != os.environ["TAG"]])

    def rename(self) -> None:
        tag = os.environ["TAG"]
        self._type([RENAMED if one == tag else one for one in self.held()["tags"]])


def localsearch(photo: Path) -> dict[str, Any]:
    """Return what GNOME's indexer takes out of a photo."""
    command = ["localsearch", "extract", str(photo)]
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    tags = re.findall(r'nao:prefLabel "([^"]*)"', said)
    rating = re.search(r'nao:numericRating "(\d)', said)
    return {"tags": sorted(tags), "rating": int(rating[1]) if rating else 0}
