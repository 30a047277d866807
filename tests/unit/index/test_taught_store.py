"""What the user taught outlives the index, and whatever happens while it is written."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tagger.errors import StateError
from tagger.index import taught_tables as tables
from tagger.index.connection import index_path
from tagger.index.reader import open_reader
from tagger.index.salvage import open_sound
from tagger.index.taught_store import ask, number, record
from tagger.index.taught_tables import TAUGHT_NAME, taught_labels
from tagger.records import Example, TaughtLabel
from tests.conftest import PROJECT

MIMI = TaughtLabel(("animal", "cat", "Mimi"), ("Mimi the cat",))
PHOTO = Example("Mimi", b"1" * 16, "/p/ä.jpg", True, "given", "2024-05-01T10", b"ff" * 8)
OTHER = Example("Mimi", b"2" * 16, "/p/b.jpg", False, "answer", "", b"gg" * 8)
SKIPPED = Example("Mimi", b"3" * 16, "/p/c.jpg", None, "answer")


def teach(store, *examples):
    record(store, [tables.add_label(MIMI), *tables.add_examples(examples, "net")])


def known(store):
    return (ask(store, tables.labels), ask(store, lambda db: tables.examples(db, "net")))


def test_labels_and_examples_come_back(store, state_dir):
    teach(store, PHOTO, OTHER, SKIPPED)
    assert known(store) == ((MIMI,), [PHOTO, OTHER, SKIPPED])
    assert taught_labels(str(state_dir)) == (MIMI,)
    assert ask(store, lambda db: tables.examples(db, "another"))[0].features == b""
    assert ask(store, tables.model_ids) == ["net"]
    assert number(store) == 1


def test_a_later_word_counts(store):
    teach(store, PHOTO)
    teach(store, Example("Mimi", PHOTO.content_hash, PHOTO.path, False))
    [one] = known(store)[1]
    assert (one.positive, one.features) == (False, PHOTO.features)


def test_forgetting_and_renaming(store):
    teach(store, PHOTO, OTHER)
    new = TaughtLabel(("pets", "Minka"), MIMI.synonyms)
    record(store, tables.rename_label(MIMI, new))
    labels, examples = known(store)
    assert labels == (new,)
    assert {one.label for one in examples} == {"Minka"}
    record(store, tables.drop_example("Minka", OTHER.content_hash))
    assert len(known(store)[1]) == 1
    record(store, tables.drop_label("Minka"))
    assert known(store) == ((), [])
    assert ask(store, tables.model_ids) == []


def test_a_lost_index_has_it_all_again(store, state_dir):
    teach(store, PHOTO, OTHER)
    before = known(store)
    store.close()
    os.unlink(index_path(str(state_dir)))
    with open_sound(str(state_dir)) as new:
        assert known(new) == before
        assert number(new) == 1


def test_a_damaged_index_has_it_all_again(store, state_dir):
    teach(store, PHOTO, OTHER)
    before = known(store)
    store.close()
    path = Path(index_path(str(state_dir)))
    data = bytearray(path.read_bytes())
    data[4096:] = b"x" * (len(data) - 4096)
    path.write_bytes(data)
    (state_dir / "index.checked").unlink(missing_ok=True)
    with open_sound(str(state_dir)) as new:
        assert known(new) == before


def test_a_lost_file_is_made_anew_from_the_index(store, state_dir):
    teach(store, PHOTO, OTHER)
    before = known(store)
    store.close()
    (state_dir / TAUGHT_NAME).unlink()
    with open_sound(str(state_dir)) as new:
        assert known(new) == before
    assert taught_labels(str(state_dir)) == (MIMI,)


def test_a_damaged_file_is_set_aside_and_made_anew(store, state_dir):
    teach(store, PHOTO)
    before = known(store)
    (state_dir / TAUGHT_NAME).write_bytes(b"SQLite format 3\0" + b"x" * 5000)
    assert taught_labels(str(state_dir)) == ()
    teach(store, PHOTO)
    assert known(store) == before
    assert taught_labels(str(state_dir)) == (MIMI,)
    assert len(list(state_dir.glob("taught.damaged-*"))) == 1


def test_a_backup_has_it_and_what_was_taught_since_is_not_lost(store, state_dir, tmp_path):
    teach(store, PHOTO)
    saved = tmp_path / "saved.sqlite3"
    with open_reader(str(state_dir)) as reader:
        reader.backup(str(saved))
    teach(store, OTHER)
    after = known(store)
    store.close()
    # Put back beside the file, the later change is done again…
    os.replace(saved, index_path(str(state_dir)))
    with open_sound(str(state_dir)) as new:
        assert known(new) == after
    with open_reader(str(state_dir)) as reader:
        reader.backup(str(saved))
    # …and on another machine it is all in the backup.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.replace(saved, index_path(str(elsewhere)))
    with open_sound(str(elsewhere)) as new:
        assert known(new) == after
    assert taught_labels(str(elsewhere)) == (MIMI,)


def test_a_kill_between_file_and_index_loses_nothing(store, state_dir):
    teach(store, PHOTO)
    store.close()
    code = f"""
import os, signal, sqlite3
from tagger.index import taught_store, taught_tables as tables
from tagger.index.store import Store
from tagger.records import Example
with Store({str(state_dir)!r}) as store:
    taught_store.put_meta = lambda *values: os.kill(os.getpid(), signal.SIGKILL)
    one = Example("Mimi", b"9" * 16, "/p/k.jpg", True)
    taught_store.record(store, tables.add_examples([one], "net"))
"""
    died = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=False)
    assert died.returncode == -signal.SIGKILL
    with open_sound(str(state_dir)) as new:
        assert {one.path for one in known(new)[1]} == {PHOTO.path, "/p/k.jpg"}
        assert number(new) == 2


def test_what_cannot_be_kept_is_refused_as_a_whole(store, state_dir):
    teach(store, PHOTO)
    before = known(store)
    (state_dir / TAUGHT_NAME).unlink()
    (state_dir / TAUGHT_NAME).mkdir()
    with pytest.raises(StateError, match=r"taught\.sqlite3"):
        teach(store, OTHER)
    assert known(store) == before


def test_others_may_not_read_the_file(store, state_dir):
    teach(store, PHOTO)
    assert (state_dir / TAUGHT_NAME).stat().st_mode & 0o007 == 0
    with sqlite3.connect(state_dir / TAUGHT_NAME) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
