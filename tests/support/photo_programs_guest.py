"""Drives the real photo programs on a display of its own; run inside a Debian that has them.

``photo_programs_guest.py PROGRAM HOME FOLDER ACTION`` starts a program for the photos of FOLDER,
has it do the ACTION with the first of them, stops it, and prints as JSON what it holds of that
photo: ``{"tags": ["animal/dog"], "rating": 4}``, the steps of a path with slashes. HOME keeps the
program's database from one call to the next. An ACTION is ``look``, ``rate``, ``add`` ("Rex"),
``delete`` (the tag called ``$TAG``) or ``rename`` (that one to "Renamed"). Only the standard
library is used.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ADDED, RENAMED, STARS = "Rex", "Renamed", 5
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


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


class Program:
    """A program with its database in ``home``; ``folder`` has the photos."""

    command: tuple[str, ...]
    kind: str

    def __init__(self, home: Path, folder: Path) -> None:
        self.home, self.folder = home, folder
        self.photo = min(path for path in folder.iterdir() if path.suffix == ".jpg")

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
            return self.held()

    def prepare(self, action: str) -> None:
        """Make ready what the program finds at its start."""

    def settle(self) -> None:
        """Wait until it has read the photos, and select the first."""
        raise NotImplementedError

    def held(self) -> dict[str, Any]:
        raise NotImplementedError


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


LUA = """
local dt = require "darktable"
local function find()
  for _, one in ipairs(dt.database) do
    if one.filename == "{name}" then return one end
  end
end
if not find() then dt.database.import("{folder}") end
local image = find()
while not image do
  dt.control.sleep(300)
  image = find()
end
dt.control.sleep(3000)
{action}
dt.control.sleep(1000)
local out = io.open("{out}.part", "w")
out:write(tostring(image.rating), "\\n")
for _, tag in ipairs(dt.tags.get_tags(image)) do out:write(tag.name, "\\n") end
out:close()
os.rename("{out}.part", "{out}")
"""
LUA_ACTIONS = {
    "look": "",
    "rate": f"image.rating = {STARS}",
    "add": f'dt.tags.attach(dt.tags.create("{ADDED}"), image)',
    "delete": 'for _, tag in ipairs(dt.tags.get_tags(image)) do\n  if tag.name:match("{tag}$") then'
    " dt.tags.detach(tag, image) end\nend",
}


class Darktable(Program):
    """darktable as it is installed, driven by its own Lua."""

    kind = "darktable"

    def prepare(self, action: str) -> None:
        self.out = self.home / "held"
        for left in (
            self.out,
            self.home / "library.db.lock",
            self.home / "config" / "data.db.lock",
        ):
            left.unlink(missing_ok=True)
        done = LUA_ACTIONS[action].replace("{tag}", os.environ.get("TAG", ""))
        script = self.home / "do.lua"
        script.write_text(
            LUA.format(name=self.photo.name, folder=self.folder, action=done, out=self.out)
        )
        places = [f"--{kind}dir={self.home}/{kind}" for kind in ("config", "cache", "tmp")]
        (self.home / "tmp").mkdir(exist_ok=True)
        words = [word for place in places for word in place.split("=")]
        conf = ["--conf", "run_crawler_on_start=FALSE", "--conf", "plugins/opencl=FALSE"]
        library = ["--library", str(self.home / "library.db")]
        load = ["--luacmd", f'dofile("{script}")']
        self.command = ("darktable", *words, *library, *conf, *load)

    def act(self, action: str) -> dict[str, Any]:
        self.prepare(action)
        with self.running():
            wait(self.out.exists)
            time.sleep(4)  # sidecars are written a while later
        rating, *tags = self.out.read_text().split("\n")[:-1]
        own = [tag for tag in tags if not tag.startswith("darktable|")]
        return {"tags": sorted(tag.replace("|", "/") for tag in own), "rating": int(rating)}


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


PROGRAMS: dict[str, type[Program]] = {
    "digikam": DigiKam,
    "digikam-defaults": DigiKamAtDefaults,
    "darktable": Darktable,
    "shotwell": Shotwell,
    "gthumb": Gthumb,
}


def main(name: str, home: Path, folder: Path, action: str) -> dict[str, Any]:
    """Have one program do one thing; return what it holds of the first photo."""
    if name == "localsearch":
        return localsearch(min(folder.glob("*.jpg")))
    return PROGRAMS[name](home, folder).act(action)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if "DISPLAY" not in os.environ and arguments[0] != "localsearch":
        Path(arguments[1]).mkdir(parents=True, exist_ok=True)
        runtime = tempfile.mkdtemp()
        environ = os.environ | {
            "HOME": arguments[1],
            "XDG_RUNTIME_DIR": runtime,
            "QTWEBENGINE_DISABLE_SANDBOX": "1",
            "QT_QPA_PLATFORM": "xcb",
            "GDK_BACKEND": "x11",
            "GSETTINGS_BACKEND": "keyfile",
        }
        inner = ["dbus-run-session", "--", sys.executable, __file__, *arguments]
        os.execvpe("xvfb-run", ["xvfb-run", "-a", "-s", f"-screen 0 {SCREEN}", *inner], environ)
    print(json.dumps(main(arguments[0], Path(arguments[1]), Path(arguments[2]), arguments[3])))
