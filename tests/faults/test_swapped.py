"""A folder's owner changes it for a link, again and again: nothing elsewhere is read or written."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tagger.errors import TaggerError
from tagger.metadata.options import Provenance, WriteOptions
from tagger.metadata.prepare import prepare
from tagger.metadata.read import read_keywords, read_tags
from tagger.metadata.recovery import recover
from tagger.records import Candidate, FileStat, JournalEntry
from tagger.system.files import leads_out
from tagger.system.open_beneath import Folder
from tagger.watch.root_identity import read_marker, write_marker
from tests.support import jpegs, packets
from tests.support.metadata_tools import TAGS

TARGETS = ("sidecar-xmp", "sidecar-json", "embed")
SECRET = packets.DARKTABLE.replace(b"darktable", b"secretword")


@contextmanager
def swapping(place: Path, away: Path) -> Iterator[None]:
    """Let ``place`` be a link to ``away`` half of the time."""
    done = threading.Event()
    aside = place.with_name("aside")

    def swap() -> None:
        while not done.is_set():
            place.rename(aside)
            place.symlink_to(away)
            done.wait(0.0005)
            place.unlink()
            aside.rename(place)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@pytest.fixture
def tree(tmp_path: Path) -> tuple[Path, Path]:
    """Return the watched folder and another, whose content is the same but for a sidecar."""
    for top in ("root", "away"):
        inner = tmp_path / top / "a" / "b"
        inner.mkdir(parents=True)
        (inner / "p.jpg").write_bytes(jpegs.plain())
    (tmp_path / "away" / "a" / "b" / "p.jpg.xmp").write_bytes(SECRET)
    return tmp_path / "root", tmp_path / "away"


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize("depth", ["a", "a/b"])
@pytest.mark.parametrize("target", TARGETS)
def test_tags_are_written_and_taken_away_in_the_watched_folder_only(
    target: str, depth: str, tree: tuple[Path, Path]
) -> None:
    root, away = tree
    photo, before = root / "a" / "b" / "p.jpg", state(away)
    stat = FileStat.of(photo.lstat())
    journal: tuple[JournalEntry, ...] = ()
    seen: set[tuple[str, ...]] = set()
    with swapping(root / depth, away / depth):
        for number in range(400):
            keywords = () if number % 2 else TAGS
            with contextlib.suppress(TaggerError):
                made = prepare(
                    Candidate(str(photo), str(root), stat),
                    keywords,
                    WriteOptions(target=target),
                    Provenance("m", "tagger 1"),
                    previous=journal,
                )
                seen |= set(made.user_keywords)
                receipt = made.commit()
                journal, stat = receipt.entries, receipt.stat
            seen |= set(read_keywords(str(photo), str(root)))
            seen |= {path for path, _ in read_tags(str(photo), str(root))}
            for entry in journal:
                recover(entry, str(root))
    assert state(away) == before
    assert not [path for path in seen if "secretword" in path[-1]]


@pytest.mark.parametrize("back", [True, False])
def test_a_link_that_goes_while_it_is_read(
    back: bool, tree: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, away = tree
    (root / "a").rename(root / "aside")
    (root / "a").symlink_to(away / "a")
    read = os.readlink

    def late(path: str) -> str:
        (root / "a").unlink()
        if back:
            (root / "aside").rename(root / "a")
        return read(path)

    monkeypatch.setattr(os, "readlink", late)
    assert leads_out(str(root / "a" / "b" / "p.jpg"), str(root))


@pytest.mark.parametrize("depth", ["a", "a/b"])
def test_the_race_is_a_race(depth: str, tree: tuple[Path, Path]) -> None:
    """Who asks for a path by its name does read elsewhere in this time."""
    root, away = tree
    sidecar, secret = root / "a" / "b" / "p.jpg.xmp", False
    with swapping(root / depth, away / depth):
        end = time.monotonic() + 60
        while not secret and time.monotonic() < end:
            with contextlib.suppress(OSError):
                secret = sidecar.read_bytes() == SECRET
    assert secret


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kind", ["link", "fifo", "hard link", "folder"])
def test_what_stands_in_a_sidecar_s_place(
    kind: str, target: str, tree: tuple[Path, Path], tmp_path: Path
) -> None:
    root, _ = tree
    photo, other = root / "a" / "b" / "p.jpg", tmp_path / "passwd"
    other.write_bytes(b"root:x:0:0\n")
    name = "p.jpg.tags.json" if target == "sidecar-json" else "p.jpg.xmp"
    make: dict[str, Callable[[Path], object]] = {
        "link": lambda place: place.symlink_to(other),
        "fifo": os.mkfifo,
        "hard link": lambda place: os.link(other, place),
        "folder": Path.mkdir,
    }
    make[kind](photo.with_name(name))
    with contextlib.suppress(TaggerError):
        prepare(
            Candidate(str(photo), str(root), FileStat.of(photo.lstat())),
            TAGS,
            WriteOptions(target=target),
            Provenance("m", "tagger 1"),
        ).commit()
    assert other.read_bytes() == b"root:x:0:0\n"
    assert sorted(os.listdir(photo.parent)) == sorted(["p.jpg", name])


def test_the_marker_is_written_into_no_link(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"mine")
    for make in (Path.symlink_to, Path.hardlink_to):
        root = tmp_path / make.__name__
        root.mkdir()
        make(root / ".tagger-root", other)
        assert write_marker(str(root)) is None and read_marker(str(root)) is None
        assert other.read_bytes() == b"mine"


def test_a_folder_stays_the_one_that_was_opened(tree: tuple[Path, Path]) -> None:
    root, away = tree
    with Folder(str(root), str(root / "a" / "b")) as folder:
        (root / "a").rename(root / "moved")
        (root / "a").symlink_to(away / "a")
        os.close(folder.open("new", os.O_WRONLY | os.O_CREAT, 0o600))
    assert (root / "moved" / "b" / "new").exists()
    assert not (away / "a" / "b" / "new").exists()
