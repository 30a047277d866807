"""The writer of the index, on real SQLite files."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tagger.errors import StateError
from tagger.index import migrations
from tagger.index.connection import index_path
from tagger.index.lookup import MAX_BACKOFF
from tagger.index.store import Store
from tagger.records import FileStat, JournalEntry, Tag

STAT = FileStat(5, 6, 7, 8)


def fail(store: Store, path: str = "/photos/a.jpg", stat: FileStat = STAT, **changes):
    given = {"kind": "PhotoUnreadableError", "reason": "why", "permanent": False} | changes
    return store.fail(path, "/photos", stat, None, **given)


def entry(file: str = "/photos/a.jpg.xmp", after: bytes = b"after") -> JournalEntry:
    added = {"dc:subject": ("dog",)}
    return JournalEntry("sidecar-xmp", file, added, {"dog": "dog"}, True, b"", after, b"undo")


def test_a_photo_that_could_not_be_read_is_due_as_soon_as_it_can_be(store, tmp_path):
    path, stat = tmp_path / "a.jpg", STAT._replace(size=0)
    for kind, again in (("PhotoForbiddenError", True), ("PhotoUnreadableError", False)):
        fail(store, str(path), stat, kind=kind)
        assert store.is_current(str(path), stat, None) and store.due() == []
        path.touch()
        assert store.is_current(str(path), stat, None) is not again
        assert store.due() == [str(path)] * again
        assert store.due(online=lambda path: False) == []
        path.unlink()


def test_what_is_saved_is_current_until_photo_or_sidecar_change(store, make_photo):
    photo = make_photo("/photos/a.jpg", "dog", sidecar=FileStat(1, 2, 3))
    store.save([photo])
    assert store.is_current(photo.path, photo.stat, photo.sidecar)
    assert store.is_current(photo.path, photo.stat._replace(inode=0, device=9), photo.sidecar)
    assert not store.is_current(photo.path, photo.stat._replace(size=1), photo.sidecar)
    assert not store.is_current(photo.path, photo.stat._replace(inode=99), photo.sidecar)
    assert not store.is_current(photo.path, photo.stat, None)
    assert not store.is_current(photo.path, photo.stat, FileStat(1, 99, 3))
    assert not store.is_current("/photos/b.jpg", photo.stat, photo.sidecar)


def test_everything_comes_back_as_it_was_saved(store, make_photo):
    photo = make_photo("/photos/caf\udce9\n'\".jpg", "dog", "cat", entries=(entry(),))
    store.save([photo])
    row = store.photo(photo.path)
    assert row is not None
    assert (row.path, row.root, row.stat, row.facts) == (
        photo.path,
        photo.root,
        photo.stat,
        photo.facts,
    )
    assert store.tags(row.id) == photo.tags
    assert store.entries(row.id) == (entry(),)
    assert store.prediction(row.id) == photo.prediction
    assert list(store.known_under("/photos")) == [photo.path]
    assert list(store.known_under("/pho")) == []


def test_inode_numbers_of_64_bits_survive(store, make_photo):
    photo = make_photo("/photos/a.jpg", stat=FileStat(1, 2, 2**64 - 5, 2**63 + 1))
    store.save([photo])
    assert store.photo(photo.path).stat == photo.stat


def test_failures_wait_twice_as_long_each_time(store, clock):
    waits = []
    for _ in range(14):
        failure = fail(store)
        waits.append(failure.retry_at - clock.now)
        assert store.is_current("/photos/a.jpg", STAT, None)
        clock.now = failure.retry_at
        assert not store.is_current("/photos/a.jpg", STAT, None)
        assert store.due() == ["/photos/a.jpg"]
    assert waits[:3] == [60, 120, 240]
    assert waits[-1] == MAX_BACKOFF


def test_a_permanent_failure_waits_for_the_file_to_change(store, clock):
    assert fail(store, permanent=True).retry_at is None
    clock.now += 10 * MAX_BACKOFF
    assert store.is_current("/photos/a.jpg", STAT, None)
    assert not store.is_current("/photos/a.jpg", STAT._replace(mtime_ns=99), None)
    assert store.due() == []
    assert store.retry() == 1
    assert store.due() == ["/photos/a.jpg"]


def test_three_crashes_are_enough(store):
    tries = [fail(store, kind="DecoderCrashedError") for _ in range(3)]
    assert [failure.retry_at is None for failure in tries] == [False, False, True]
    other = fail(store, kind="DecoderCrashedError", stat=STAT._replace(size=1))
    assert (other.tries, other.retry_at is None) == (1, False)


def test_saving_ends_a_failure(store, make_photo):
    fail(store, permanent=True)
    store.save([make_photo("/photos/a.jpg", "dog")])
    assert store.photo("/photos/a.jpg").status == "tagged"
    assert store.retry() == 0


def test_a_photo_without_labels_is_untagged(store, make_photo):
    own = Tag("holiday", 1.0, ("holiday",), "user")
    store.save([make_photo("/photos/a.jpg", tags=(own,))])
    assert store.photo("/photos/a.jpg").status == "untagged"


def test_missing_photos_keep_their_rows_and_come_back(store, make_photo):
    photo = make_photo("/photos/a.jpg", "dog")
    store.save([photo])
    store.mark_missing([photo.path, "/photos/never-seen.jpg"])
    assert store.photo(photo.path).status == "missing"
    assert list(store.known_under("/photos")) == []
    assert not store.is_current(photo.path, photo.stat, None)
    assert [row.path for row in store.same_content(photo.content_hash)] == [photo.path]


def test_a_moved_photo_takes_its_row_along(store, make_photo):
    store.save([make_photo("/photos/a.jpg", "dog", entries=(entry(),))])
    old = store.photo("/photos/a.jpg")
    store.mark_waiting([("/photos/b.jpg", "/photos")])
    store.move(old.id, "/photos/b.jpg", "/photos", [entry("/photos/b.jpg.xmp")])
    assert store.photo("/photos/a.jpg") is None
    new = store.photo("/photos/b.jpg")
    assert new.id == old.id
    assert store.entries(new.id)[0].file == "/photos/b.jpg.xmp"


def test_tombstones_are_kept_and_lifted(store, make_photo):
    store.save([make_photo("/photos/a.jpg", "dog", deleted=("cat",))])
    row = store.photo("/photos/a.jpg")
    store.set_tombstones(row.id, ["cat", "bird"])
    assert store.tombstones(row.id) == {"cat", "bird"}
    store.lift_tombstones(row.id, ["cat"])
    assert store.tombstones(row.id) == {"bird"}
    assert not store.is_current("/photos/a.jpg", row.stat, None)


def test_an_intention_is_pending_until_the_photo_is_saved(store, make_photo):
    store.intend([("/photos/a.jpg", "/photos", [entry()])])
    [(_, path, pending)] = store.pending()
    assert (path, pending) == ("/photos/a.jpg", entry())
    store.save([make_photo("/photos/a.jpg", "dog", entries=(entry(),))])
    assert store.pending() == []
    assert store.entries(store.photo("/photos/a.jpg").id) == (entry(),)


@pytest.mark.parametrize("happened", [True, False])
def test_a_pending_write_is_settled_after_a_crash(store, make_photo, happened):
    store.save([make_photo("/photos/a.jpg", "dog", entries=(entry(after=b"old"),))])
    store.intend([("/photos/a.jpg", "/photos", [entry(after=b"new")])])
    [(number, _, _)] = store.pending()
    store.settle_pending(number, happened=happened)
    assert store.pending() == []
    kept = store.entries(store.photo("/photos/a.jpg").id)
    assert [e.after for e in kept] == [b"new" if happened else b"old"]


def test_relabelling_keeps_the_users_own_keywords(store, make_photo):
    own = Tag("holiday", 1.0, ("holiday",), "user")
    photo = make_photo("/photos/a.jpg", "dog")
    store.save([replace(photo, tags=(*photo.tags, own))])
    [row] = store.stale("other", 0, 10)
    new = Tag("cat", 0.8, ("animal", "cat"))
    store.relabel_many([(row.id, (new,))], "other")
    assert set(store.tags(row.id)) == {new, own}
    assert store.stale("other", 0, 10) == []


def test_retrying_a_photo_forgets_what_was_predicted(store, make_photo):
    photo = make_photo("/photos/a.jpg", "dog")
    store.save([photo])
    assert store.forget_version([photo.path]) == 1
    assert store.prediction(store.photo(photo.path).id) is None
    assert not store.is_current(photo.path, photo.stat, None)
    assert store.due() == [photo.path]


def test_a_transaction_that_fails_leaves_nothing(store, make_photo):
    broken = make_photo("/photos/b.jpg", tags=(Tag("x", "no number", ("x",)),))
    with pytest.raises(ValueError, match="no number"):
        store.save([make_photo("/photos/a.jpg", "dog"), broken])
    assert store.photo("/photos/a.jpg") is None


def test_what_was_acknowledged_survives_a_kill(state_dir):
    script = (
        "import os, sys; from tagger.index.store import Store\n"
        "s = Store(sys.argv[1]); s.mark_waiting([('/photos/a.jpg', '/photos')])\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(state_dir)], check=False)
    assert done.returncode == -9
    with Store(str(state_dir)) as store:
        assert store.photo("/photos/a.jpg").status == "waiting"


def test_closing_leaves_one_plain_file(state_dir):
    Store(str(state_dir)).close()
    assert [path.name for path in state_dir.iterdir()] == ["index.sqlite3"]


def test_errors_say_what_to_do(tmp_path):
    (tmp_path / "index.sqlite3").write_bytes(b"no database at all" * 100)
    with pytest.raises(StateError, match="move it away"):
        Store(str(tmp_path))
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="correct `state_dir`"):
        Store(str(tmp_path / "file" / "state"))


def test_migrations_apply_one_by_one_and_upgrade_an_old_index(tmp_path, monkeypatch, make_photo):
    every = migrations.MIGRATIONS
    monkeypatch.setattr(migrations, "MIGRATIONS", every[:1])
    db = sqlite3.connect(tmp_path / "index.sqlite3", isolation_level=None)
    migrations.migrate(db, "x")
    assert db.execute("SELECT name FROM migrations").fetchall() == [(every[0][0],)]
    db.execute(
        "INSERT INTO photos (path, root, status, seen_at) VALUES (x'2f61', x'2f', 'waiting', 1)"
    )
    db.close()
    monkeypatch.setattr(migrations, "MIGRATIONS", every)
    with Store(str(tmp_path)) as store:
        assert store.photo("/a").status == "waiting"
        store.save([make_photo("/a", "dog", entries=(entry(),))])


def test_a_migration_that_fails_leaves_the_old_schema(tmp_path, monkeypatch):
    db = sqlite3.connect(tmp_path / "x.sqlite3", isolation_level=None)
    migrations.migrate(db, "x")
    broken = ("9999_broken", "CREATE TABLE extra (a);\nCREATE TABLE photos (a);")
    monkeypatch.setattr(migrations, "MIGRATIONS", (*migrations.MIGRATIONS, broken))
    with pytest.raises(sqlite3.OperationalError):
        migrations.migrate(db, "x")
    names = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
    assert "extra" not in names
    db.close()


def test_an_index_from_the_future_is_refused(state_dir):
    with Store(str(state_dir)) as store, store.transaction() as db:
        db.execute("INSERT INTO migrations VALUES ('9999_future', 0)")
    with pytest.raises(StateError, match="newer tagger"):
        Store(str(state_dir))


def test_the_index_path_is_in_the_state_directory(tmp_path):
    assert Path(index_path(str(tmp_path))).parent == tmp_path


def test_what_sqlite_took_back_by_itself_is_no_success(tmp_path):
    with Store(str(tmp_path)) as store:
        pages = store.read("PRAGMA page_count")[0][0]
        store.read(f"PRAGMA max_page_count={pages + 3}")
        with pytest.raises(sqlite3.OperationalError), store.transaction() as db:
            db.execute("INSERT INTO meta VALUES ('kept', '1')")
            with contextlib.suppress(sqlite3.OperationalError):  # the disk is full
                db.execute("INSERT INTO meta VALUES ('large', ?)", ("x" * 1_000_000,))
        assert store.meta("kept") is None
