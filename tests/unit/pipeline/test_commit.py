"""Intention, rename, row: in this order, and what is left where one of them fails."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import threading
from pathlib import Path

import pytest

from tagger.config.loader import load_config
from tagger.errors import PhotoChangedError, WriteFailedError
from tagger.index.rows import SavedPhoto
from tagger.index.store import Store
from tagger.metadata.options import Provenance, WriteOptions
from tagger.metadata.prepare import prepare
from tagger.pipeline.commit import ReadyPhoto, commit, commit_one
from tagger.records import Candidate, FileStat, Keyword, PhotoFacts, Tag


class Watched(Store):
    """A store that notes what it does, and fails where it is told."""

    def __init__(self, state_dir):
        super().__init__(state_dir)
        self.steps: list[tuple[str, list[str], list[bool]]] = []
        self.fails: tuple[str, str] = ("", "")
        self.error: Exception = ZeroDivisionError("nobody foresaw it")

    def _note(self, what, paths):
        self.steps.append((what, [Path(p).name for p in paths], [_tagged(p) for p in paths]))
        if self.fails[0] == what and any(path.endswith(self.fails[1]) for path in paths):
            raise self.error

    def intend(self, writes):
        self._note("intend", [path for path, _, _ in writes])
        super().intend(writes)

    def save(self, photos):
        self._note("save", [photo.path for photo in photos])
        super().save(photos)


def strays(home):
    return [path.name for path in home.inbox.iterdir() if path.name.startswith(".tagger-")]


def _tagged(path):
    return Path(f"{path}.xmp").exists()


@pytest.fixture
def store(home):
    with Watched(load_config(str(home.config)).state_dir) as made:
        yield made


def ready(home, scenes, *names):
    """Return photos that are ready to get the keyword `dog` in a sidecar."""
    made = []
    for name, scene in zip(names, scenes, strict=False):
        photo = home.inbox / name
        shutil.copyfile(scene, photo)
        stat = FileStat.of(photo.lstat())
        write = prepare(
            Candidate(str(photo), str(home.inbox), stat),
            [Keyword("dog", ("dog",), 0.9)],
            WriteOptions(),
            Provenance("model", "tagger", b"x" * 16),
        )
        saved = SavedPhoto(
            str(photo), str(home.inbox), stat, None, b"x" * 16, b"x" * 16, PhotoFacts(),
            (Tag("dog", 0.9, ("dog",), "model"),),
        )  # fmt: skip
        made.append(ReadyPhoto(saved, write))
    return made


class Failures:
    def __init__(self, *, index_only=False):
        self.told, self.index_only = [], index_only

    def __call__(self, one, error):
        self.told.append((Path(one.saved.path).name, type(error)))
        return self.index_only


def test_a_batch_is_intended_then_renamed_then_remembered(home, scenes, store):
    failures = Failures()
    photos = ready(home, scenes, "a.jpg", "b.jpg")
    assert commit(store, photos, failures) == photos
    names = ["a.jpg", "b.jpg"]
    assert store.steps == [("intend", names, [False] * 2), ("save", names, [True] * 2)]
    assert failures.told == [] and store.pending() == []
    for one in photos:
        row = store.photo(one.saved.path)
        assert row.status == "tagged"
        assert [Path(e.file).name for e in store.entries(row.id)] == [f"{Path(row.path).name}.xmp"]
        assert row.sidecar.same_version(FileStat.of(Path(f"{row.path}.xmp").lstat()))


@pytest.mark.parametrize("what", ["intend", "save"])
def test_one_photo_that_the_index_does_not_take_stops_no_other(home, scenes, store, what):
    store.fails = (what, "odd.jpg")
    failures = Failures()
    good, odd, zoo = ready(home, scenes, "good.jpg", "odd.jpg", "zoo.jpg")
    assert commit(store, [good, odd, zoo], failures) == [good, zoo]
    assert failures.told == [("odd.jpg", ZeroDivisionError)]
    assert _tagged(good.saved.path) and _tagged(zoo.saved.path)
    assert store.pending() == [] and strays(home) == []
    # What was renamed before its row failed is in the journal: it can be taken away.
    row = store.photo(odd.saved.path)
    entries = store.entries(row.id) if row else ()
    assert _tagged(odd.saved.path) == bool(entries) == (what == "save")


@pytest.mark.parametrize("what", ["intend", "save"])
def test_an_index_that_cannot_be_used_ends_all_and_leaves_nothing_behind(home, scenes, store, what):
    store.fails, store.error = (what, "a.jpg"), sqlite3.OperationalError("disk is full")
    photos = ready(home, scenes, "a.jpg", "b.jpg")
    with pytest.raises(sqlite3.OperationalError):
        commit(store, photos, Failures())
    assert strays(home) == []
    assert [_tagged(one.saved.path) for one in photos] == [what == "save"] * 2
    assert len(store.pending()) == 2 * (what == "save"), "the next start settles them"


@pytest.mark.parametrize("index_only", [False, True])
def test_a_photo_that_changed_meanwhile_is_not_written(home, scenes, store, index_only):
    failures = Failures(index_only=index_only)
    a, b = ready(home, scenes, "a.jpg", "b.jpg")
    with open(a.saved.path, "ab") as file:
        file.write(b"edited")
    assert commit(store, [a, b], failures) == ([a, b] if index_only else [b])
    assert failures.told == [("a.jpg", PhotoChangedError)]
    assert not _tagged(a.saved.path) and _tagged(b.saved.path)
    assert store.pending() == [] and strays(home) == []
    assert store.photo(a.saved.path).status == ("tagged" if index_only else "waiting")


class Disk:
    """Notes what is fsynced among the steps of a store; of some files that fails."""

    def __init__(self, store, monkeypatch):
        self._store, self._fsync, self._lock = store, os.fsync, threading.Lock()
        self.fails = frozenset()
        monkeypatch.setattr(os, "fsync", self)

    def __call__(self, fd):
        name = os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))
        with self._lock:
            self._store.steps.append(("fsync", name, os.fstat(fd).st_ino))
        if os.fstat(fd).st_ino in self.fails:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._fsync(fd)


def test_files_are_on_the_disk_before_they_are_renamed_and_names_before_rows(
    home, scenes, store, monkeypatch
):
    photos = ready(home, scenes, "a.jpg", "b.jpg", "c.jpg")
    disk = Disk(store, monkeypatch)
    assert commit(store, photos, Failures()) == photos
    what = [step[0] for step in store.steps]
    assert what == ["fsync"] * 3 + ["intend", "fsync", "save"], "the folder once for all"
    files = {step[2] for step in store.steps[:3]}
    assert files == {os.stat(f"{one.saved.path}.xmp").st_ino for one in photos}
    assert store.steps[4][1] == home.inbox.name
    assert disk.fails == frozenset()


@pytest.mark.parametrize("index_only", [False, True])
def test_a_file_that_does_not_reach_the_disk_is_not_renamed(
    home, scenes, store, monkeypatch, index_only
):
    a, b = ready(home, scenes, "a.jpg", "b.jpg")
    disk = Disk(store, monkeypatch)
    [staged] = [part.staged for part in a.write.parts if part.staged]
    disk.fails = {os.fstat(staged.written).st_ino}
    failures = Failures(index_only=index_only)
    assert commit(store, [a, b], failures) == ([a, b] if index_only else [b])
    assert failures.told == [("a.jpg", WriteFailedError)]
    assert not _tagged(a.saved.path) and _tagged(b.saved.path)
    assert store.pending() == [] and strays(home) == []
    assert ("intend", ["b.jpg"], [False]) in store.steps


def test_a_decision_made_meanwhile_leaves_the_photo_due(home, scenes, store):
    a, b = ready(home, scenes, "a.jpg", "b.jpg")
    commit(store, [a, b], Failures())
    store.keep_out(store.photo(a.saved.path).id, True)
    again = [ReadyPhoto(one.saved, None, (frozenset(), False)) for one in (a, b)]
    commit(store, again, Failures())
    assert store.photo(a.saved.path).keywords_hash is None
    assert store.photo(b.saved.path).keywords_hash is not None


def test_of_one_photo_the_error_is_raised_when_all_is_settled(home, scenes, store):
    [one] = ready(home, scenes, "a.jpg")
    with open(one.saved.path, "ab") as file:
        file.write(b"edited")
    with pytest.raises(PhotoChangedError):
        commit_one(store, one)
    assert store.pending() == [] and strays(home) == [] and not _tagged(one.saved.path)
