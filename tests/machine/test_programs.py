"""What real photo programs make of our tags, and we of what they write: ``make test-programs``.

digiKam, darktable, Shotwell, gThumb and localsearch in a Debian 13 (by debootstrap, or a copy of
the folder that ``TAGGER_PROGRAMS_ROOT`` names) under a virtual display; tagger runs here. Each
program looks at a photo before tagger and after it, or after it only, for both targets; then it
rates, adds a tag, renames the photo, and renames or deletes one of our tags. The table of it all is
written to ``build/programs.md``, as it stands in docs/programs.md. Needs root and a network; an
hour.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from PIL import Image

from tests.conftest import PROJECT
from tests.support.debian import fresh_debian

PACKAGES = (
    "digikam darktable shotwell gthumb tracker-extract libqt6sql6-sqlite xvfb xauth xdotool"
    " imagemagick dbus dbus-x11 dconf-gsettings-backend libglib2.0-bin at-spi2-core python3-gi"
    " gir1.2-atspi-2.0"
)
GUEST = "tests/support/program_guest"
TABLE = PROJECT / "build" / "programs.md"
LANDLOCK = "landlock_create_ruleset landlock_add_rule landlock_restrict_self"
"""localsearch confines itself by these, which systemd-nspawn does not allow by itself."""
PATH = ("landscape", "mountain", "alp")
"""What the scene is tagged with."""
TITLES = {
    "digikam": "digiKam 8.6, both settings on",
    "digikam-defaults": "digiKam 8.6 as installed",
    "darktable": "darktable 5.0 as installed",
    "shotwell": "Shotwell 0.32",
    "gthumb": "gThumb 3.12, `sidecar_name: short`",
    "localsearch": "localsearch 3.8",
}
EITHER = "delete or rename"
"""Depending on the target: ``delete`` with sidecars, ``rename`` with embedded tags."""
EDITS: dict[str, dict[str, tuple[str, ...]]] = {
    "digikam": {
        "before": ("rate", "add", "move", "delete"),
        "after": ("rate", "add", "move", "rename"),
    },
    "digikam-defaults": {"before": ("rate", "add", "move"), "after": ("rate", "delete")},
    "darktable": {"before": ("rate", "add", "move"), "after": ("rate", "add", "move", EITHER)},
    "shotwell": {"before": ("rate", "add", "delete"), "after": ("rate", "add", "rename")},
    "gthumb": {"before": ("rate", "add", "delete"), "after": ("add", "rename")},
    "localsearch": {"before": (), "after": ()},
}
"""What each program does, by when it imported the photo."""

pytestmark = pytest.mark.skipif(
    "TAGGER_PROGRAMS" not in os.environ,
    reason="runs real photo programs in a Debian: `make test-programs`",
)


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    kept = os.environ.get("TAGGER_PROGRAMS_ROOT")
    root = fresh_debian(tmp_path_factory.mktemp("machine"), "ca-certificates", kept, "trixie")
    if not (root / "usr" / "bin" / "digikam").exists():
        shutil.copy("/etc/resolv.conf", root / "etc" / "resolv.conf")
        for words in ("update -q", f"install -yq --no-install-recommends {PACKAGES}"):
            command = ["chroot", str(root), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
            subprocess.run([*command, *words.split()], check=True, stdout=subprocess.DEVNULL)
    yield root
    shutil.rmtree(root)


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """Return the rows of the table; at the end they are written out."""
    found: list[str] = []
    yield found
    TABLE.parent.mkdir(exist_ok=True)
    head = "| program | target | imported | shows | then |\n|---|---|---|---|---|\n"
    TABLE.write_text(head + "".join(f"{row}\n" for row in found), encoding="utf-8")


class Case(NamedTuple):
    """One program with a folder of its own, that tagger watches from outside."""

    machine: Path
    program: str
    shared: Path

    def does(self, action: str) -> dict[str, Any]:
        """Have the program do something; return what it holds of the photo then."""
        enter = ["systemd-nspawn", "-q", "-D", str(self.machine), "--register=no", "--keep-unit"]
        enter += ["--pipe", "--as-pid2", f"--machine=tagger-programs-{os.getpid()}"]
        enter += [f"--system-call-filter={LANDLOCK}", "--setenv=LANG=C.UTF-8"]
        enter += [f"--bind={self.shared}:/host", f"--bind-ro={PROJECT / GUEST}:/guest/{GUEST}"]
        enter += [f"--setenv=TAG={PATH[-1]}", "--setenv=PYTHONPATH=/guest"]
        words = ["python3", "-m", GUEST.replace("/", "."), self.program]
        words += ["/host/home", "/host/inbox", action]
        done = subprocess.run(
            [*enter, *words], capture_output=True, check=False, text=True, timeout=600
        )
        said = [line for line in done.stdout.splitlines() if line.startswith("{")]
        assert done.returncode == 0 and said, done.stdout + done.stderr[-3000:]
        held: dict[str, Any] = json.loads(said[-1])
        return held


def shape(tags: list[str]) -> str:
    """Return how our tags are shown."""
    if "/".join(PATH) in tags:
        return "hierarchical"
    return "flat" if PATH[-1] in tags else "not shown"


def belief(before: dict[str, Any], after: dict[str, Any]) -> str:
    """Return what tagger says of a photo now that it did not say before."""

    def yours(shown: dict[str, Any]) -> set[str]:
        return {"/".join(t["path"]) for t in shown["tags"] if t["source"] == "user"}

    said = []
    if new := yours(after) - yours(before):
        said.append(f"yours: {', '.join(sorted(new))}")
    if banned := set(after["removed_by_you"]) - set(before["removed_by_you"]):
        said.append(f"never again: {', '.join(sorted(banned))}")
    if after["overwritten"] and not before["overwritten"]:
        said.append("overwritten, kept in the index")
    return "; ".join(said) or "nothing changed"


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("target", ["sidecar-xmp", "embed"])
@pytest.mark.parametrize("program", TITLES)
def test_a_program(machine, table, home, scenes, program, target, moment):
    name = "short" if program == "gthumb" else "auto"
    home.configure(write={"target": target, "sidecar_name": name})
    plain = io.BytesIO()
    with Image.open(next(one for one in scenes if one.stem == "mountain")) as scene:
        scene.convert("RGB").save(plain, "JPEG", quality=95)
    photo = home.inbox / "photo.jpg"
    photo.write_bytes(plain.getvalue())
    pixels = digest(photo)
    case = Case(machine, program, home.folder)
    (home.folder / "home").mkdir()

    if moment == "before":
        assert shape(case.does("look")["tags"]) == "not shown"
        time.sleep(2)  # some compare dates by the second
    home.once()
    held = case.does("look")
    home.once()  # some write at the import
    said = home.json("show", str(photo))
    assert not said["removed_by_you"], "no program that only looks has a wish"
    told, wrong = [], []
    last = "rename" if target == "embed" else "delete"
    for action in (last if edit == EITHER else edit for edit in EDITS[program][moment]):
        done = case.does(action)
        home.once()
        [photo] = home.inbox.glob("*.jpg")
        now = home.json("show", str(photo))
        did = {
            "rate": done["rating"] == 5,
            "add": "Rex" in done["tags"],
            "move": photo.name == "moved.jpg",
            "rename": any(tag.endswith("Renamed") for tag in done["tags"]),
            "delete": shape(held["tags"]) != "not shown" and shape(done["tags"]) == "not shown",
        }[action]
        told.append(f"{action}: {belief(said, now)}" if did else f"{action}: not possible")
        if action in ("rate", "add", "move") and now["removed_by_you"] != said["removed_by_you"]:
            wrong.append(f"{action}: {now['removed_by_you']}")
        if action == "add" and did and "Rex" not in str(now["tags"]):
            wrong.append("Rex is not found")
        if action == "move" and did and now["tags"] != said["tags"]:
            wrong.append(f"moved, it has {now['tags']}, not {said['tags']}")
        wrong += [
            f"{action}: {name} is left"
            for name in sidecars_and_photo(home.inbox)
            if not name.startswith((photo.stem, ".tagger-root"))
        ]
        said, before = now, sidecars_and_photo(home.inbox)
        home.once()
        if sidecars_and_photo(home.inbox) != before:
            wrong.append(f"{action}: written against the program")
    row = (TITLES[program], f"`{target}`", moment, shape(held["tags"]), "; ".join(told) or "-")
    table.append(f"| {' | '.join(row)} |")
    print(table[-1], *wrong)
    assert not wrong
    assert digest(photo) == pixels


def sidecars_and_photo(inbox: Path) -> dict[str, bytes]:
    """Return the bytes of all files in a folder."""
    return {path.name: path.read_bytes() for path in inbox.iterdir() if path.is_file()}


def digest(photo: Path) -> bytes:
    """Return a photo's pixels."""
    with Image.open(photo) as image:
        return image.tobytes()
