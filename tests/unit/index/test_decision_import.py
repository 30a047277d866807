"""The lines in which an older tagger kept decisions are taken over."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import zlib
from pathlib import Path

import pytest

from tagger.index.connection import index_path
from tagger.index.decision_import import LINES_NAME
from tagger.index.decision_store import DECISIONS_NAME
from tagger.index.store import Store
from tests.support.decisions import WANTED, MakePhoto, decided, id_of, lose, with_decisions


@pytest.fixture
def state(state_dir: Path, make_photo: MakePhoto) -> Path:
    return with_decisions(state_dir, make_photo)


def line(number: int, path: str, removed: tuple[str, ...] = (), kept_out: bool = False) -> bytes:
    """Return a line of an older tagger's ``decisions.jsonl``."""
    fields = {"number": number, "path": path, "root": "/photos", "hash": "aa", "source": "bb"}
    text = json.dumps(fields | {"removed": removed, "kept_out": kept_out}).encode()[:-1]
    return text + b', "check": "%08x"}\n' % zlib.crc32(text)


LINES = [
    line(1, "/photos/b.jpg", ("dog",)),
    line(2, "/photos/a.jpg", kept_out=True),
    line(3, "/photos/d\udcff.jpg", ("bird",)),
    line(4, "/photos/b.jpg", ("dog", "wolf")),
    line(5, "/photos/c.jpg", kept_out=True),
    line(6, "/photos/c.jpg"),
]


@pytest.mark.parametrize("index", ["there", "lost", "older"])
def test_the_lines_of_an_older_tagger_are_taken_over(
    tmp_path: Path, make_photo: MakePhoto, index: str
) -> None:
    state = tmp_path / "state"
    state.mkdir()
    if index != "lost":
        with Store(str(state)) as store:
            store.save([make_photo(f"/photos/{n}.jpg", "cat") for n in ("a", "b", "c", "d\udcff")])
            if index == "there":
                store.keep_out(id_of(store, "/photos/a.jpg"), True)
                store.set_tombstones(id_of(store, "/photos/b.jpg"), ["dog", "wolf"])
                store.set_tombstones(id_of(store, "/photos/d\udcff.jpg"), ["bird"])
            store.set_meta("decisions", "6" if index == "there" else "1")
        for path in state.glob("decisions*"):
            path.unlink()
    lines = state / LINES_NAME
    lines.write_bytes(b"".join(LINES))
    assert decided(state) == WANTED
    assert not lines.exists()
    assert (state / f"{LINES_NAME}.old").read_bytes() == b"".join(LINES)
    lose(state)
    assert decided(state) == WANTED
    with Store(str(state)) as store:
        store.keep_out(id_of(store, "/photos/a.jpg"), False)
    lose(state)
    assert decided(state).keys() == WANTED.keys() - {"/photos/a.jpg"}, "read once"


def test_damaged_lines_are_passed_over(state: Path) -> None:
    (state / DECISIONS_NAME).unlink()
    spoiled = [LINES[1].replace(b"/photos", b"/fotos!"), LINES[3], LINES[2]]
    (state / LINES_NAME).write_bytes(b"\0\xff\n" + b"".join(spoiled)[:-7])
    shutil.copytree(state, kept := state.with_name("kept"))
    lose(kept)
    assert decided(kept) == {"/photos/b.jpg": ({"dog", "wolf"}, False)}
    assert decided(state) == WANTED, "the index has the others"
    lose(state)
    assert decided(state) == WANTED


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_lines_that_are_no_file_hold_nothing_up(state: Path, kind: str) -> None:
    path = state / LINES_NAME
    make = {"link": lambda p: p.symlink_to("x"), "folder": os.mkdir, "fifo": os.mkfifo}[kind]
    make(path)
    assert decided(state) == WANTED
    assert not os.path.lexists(path)


def test_the_index_needs_no_decisions_to_be_opened(
    state: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (state / DECISIONS_NAME).unlink()
    with caplog.at_level(logging.INFO):
        assert decided(state) == WANTED
    assert "3 decisions were added" in caplog.text
    with sqlite3.connect(index_path(str(state))) as db:
        [number] = db.execute("SELECT value FROM meta WHERE key = 'decisions'").fetchone()
    db.close()
    assert number == "6"
    lose(state)
    assert decided(state) == WANTED
