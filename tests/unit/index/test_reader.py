"""Readers of the index."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from tagger.errors import StateError
from tagger.index.conditions import And, Below, Label, Taken
from tagger.index.folding import fold
from tagger.index.reader import open_reader
from tagger.records import FileStat, PhotoFacts, Tag


def found(state_dir, *terms, limit=None, since=None, until=None, folder=None, minimum=0.0):
    labels = [Label(frozenset(map(fold, term.split("|"))), bound=minimum) for term in terms]
    options = [Taken(since, until)] + ([Below((folder,))] if folder else [])
    query = And((*labels, *options))
    with open_reader(str(state_dir)) as reader:
        photos = [photo.row.path for photo in reader.find(query, limit=limit)]
        assert list(reader.find_paths(query, limit=limit)) == photos
        assert reader.count(query) == len(photos) or limit
        return photos


@pytest.fixture
def filled(store, make_photo):
    def at(moment):
        return {"facts": PhotoFacts(taken_at=moment)}

    own = Tag("Oma Ilse", 1.0, ("family", "Oma Ilse"), "user")
    store.save(
        [
            make_photo("/photos/a.jpg", "dog", "cat", **at("2022-01-01T10:00:00")),
            make_photo("/photos/b/b.jpg", "dog", **at("2024-03-05T23:59:59")),
            make_photo("/photos/c.jpg", "Bird", **at("2023-07-07T07:07:07")),
            make_photo("/photos/d.jpg", tags=(own,), facts=PhotoFacts(), stat=FileStat(1, 0)),
            make_photo("/photos/gone.jpg", "dog"),
        ]
    )
    store.mark_missing(["/photos/gone.jpg"])
    return store


def test_photos_are_found_newest_first(filled, state_dir):
    assert found(state_dir, "dog") == ["/photos/b/b.jpg", "/photos/a.jpg"]
    assert found(state_dir, "DOG") == found(state_dir, "dog")
    assert found(state_dir, "bird|cat") == ["/photos/c.jpg", "/photos/a.jpg"]
    assert found(state_dir, "dog", "cat") == ["/photos/a.jpg"]
    assert found(state_dir, "oma  ilse") == ["/photos/d.jpg"]
    assert found(state_dir, "horse") == []
    assert len(found(state_dir)) == 4


def test_filters_narrow_the_search(filled, state_dir):
    assert found(state_dir, "cat", minimum=0.8) == ["/photos/a.jpg"]
    assert found(state_dir, "cat", minimum=0.81) == []
    assert found(state_dir, since="2023") == ["/photos/b/b.jpg", "/photos/c.jpg"]
    assert found(state_dir, since="2023-07-07", until="2023-07-07") == ["/photos/c.jpg"]
    assert found(state_dir, "dog", until="2023") == ["/photos/a.jpg"]
    assert found(state_dir, until="2024-03-05T23:59") == found(state_dir)
    assert found(state_dir, folder="/photos/b") == ["/photos/b/b.jpg"]
    assert found(state_dir, folder="/photo") == []
    assert found(state_dir, "dog", limit=1) == ["/photos/b/b.jpg"]


def test_counts_failures_and_keywords(filled, state_dir):
    filled.fail(
        "/photos/x.jpg", "/photos", FileStat(1, 1), None, kind="K", reason="r", permanent=True
    )
    with open_reader(str(state_dir)) as reader:
        assert reader.counts() == {
            "tagged": 3,
            "untagged": 1,
            "waiting": 0,
            "failed": 1,
            "missing": 1,
        }
        assert [failure.path for failure in reader.failures()] == ["/photos/x.jpg"]
        assert reader.has_word("OMA ilse")
        assert not reader.has_word("oma")
        assert reader.user_labels() == [("Oma Ilse", 1)]
        tree = {name: (name,) for name in ("dog", "cat", "Bird", "Oma Ilse", "lemon")}
        assert reader.tree_counts(tree) == {"dog": 2, "cat": 1, "Bird": 1, "Oma Ilse": 1}


def test_no_index_is_said_plainly(tmp_path):
    with pytest.raises(StateError, match="tagger run"), open_reader(str(tmp_path)):
        pass


READ = """
import os, sys
import shutil, tempfile  # the reader's, while this user may read Python's own files
from tagger.index.conditions import And
from tagger.index.reader import open_reader
os.setgroups([]); os.setgid(65534); os.setuid(65534)
with open_reader(sys.argv[1]) as reader:
    print(reader.count(And()))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("state", ["running", "stopped", "killed"])
def test_another_user_reads_what_is_there_now(tmp_path_factory, filled, state_dir, state):
    """The daemon's WAL must not hide its newest rows, nor its absence break the reader."""
    folder = tmp_path_factory.mktemp("shared")
    for place in (folder, *folder.parents[:3]):  # pytest's own folders
        os.chmod(place, 0o755)
    shutil.copytree(state_dir, folder / "s")
    if state == "stopped":
        filled.close()
        shutil.rmtree(folder / "s")
        shutil.copytree(state_dir, folder / "s")
    os.chmod(folder / "s", 0o755)
    for name in os.listdir(folder / "s"):
        os.chmod(folder / "s" / name, 0o644)
    if state == "killed":
        os.unlink(folder / "s" / "index.sqlite3-shm")  # the rows are in the WAL alone
        assert os.path.getsize(folder / "s" / "index.sqlite3-wal") > 0
    done = subprocess.run(
        [sys.executable, "-c", READ, str(folder / "s")], capture_output=True, check=False
    )
    assert (done.stdout, done.stderr) == (b"4\n", b"")
