"""What the user decided is kept beside the index, and comes back with an index that is new."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tagger.index import decision_sync
from tagger.index.connection import index_path
from tagger.index.decision_store import DECISIONS_NAME, Decision, DecisionStore
from tagger.index.salvage import open_sound
from tagger.index.store import Store
from tests.support.decisions import WANTED, MakePhoto, decided, id_of, lose, with_decisions


@pytest.fixture
def state(state_dir: Path, make_photo: MakePhoto) -> Path:
    return with_decisions(state_dir, make_photo)


@pytest.mark.parametrize("how", ["gone", "garbage", "empty"])
def test_a_lost_index_gets_them_back(state: Path, how: str) -> None:
    assert decided(state) == WANTED
    if how == "gone":
        lose(state)
    else:
        Path(index_path(str(state))).write_bytes(b"\1" * 9000 if how == "garbage" else b"")
    assert decided(state) == WANTED
    with Store(str(state)) as store:
        # They are known from afar: not one of them is there until it is seen.
        assert store.counts()["missing"] == 3
        assert list(store.known_under("/photos")) == [] == store.due()


def test_what_was_lifted_stays_lifted(state: Path) -> None:
    with Store(str(state)) as store:
        store.lift_tombstones(id_of(store, "/photos/b.jpg"), ["dog", "wolf"])
        store.keep_out(id_of(store, "/photos/a.jpg"), False)
    lose(state)
    assert decided(state) == {"/photos/d\udcff.jpg": ({"bird"}, False)}


def test_they_follow_a_photo_that_moves(state: Path, make_photo: MakePhoto) -> None:
    with Store(str(state)) as store:
        store.keep_out(id_of(store, "/photos/c.jpg"), True)
        store.move(id_of(store, "/photos/b.jpg"), "/photos/c.jpg", "/photos", ())
        store.save([make_photo("/photos/b.jpg")])
    lose(state)
    assert decided(state) == {
        "/photos/a.jpg": (set(), True),
        "/photos/c.jpg": ({"dog", "wolf"}, False),
        "/photos/d\udcff.jpg": ({"bird"}, False),
    }


def test_a_photo_is_found_by_its_bytes(state: Path, make_photo: MakePhoto) -> None:
    """The digest of what was last left there, and that of what was there at first."""
    photo = make_photo("/photos/b.jpg")
    with Store(str(state)) as store:
        store.save([replace(photo, content_hash=b"with our tags in", source_hash=b"at first")])
    lose(state)
    with open_sound(str(state)) as store:
        for digest in (b"with our tags in", b"at first"):
            [row] = store.decided(digest)
            assert row.path == "/photos/b.jpg"
        assert store.decided(b"elsewhere") == []
        assert store.same_content(b"at first") == [], "nothing is known of what is in it"


def test_only_decisions_cost_a_write(state: Path, make_photo: MakePhoto) -> None:
    path = state / DECISIONS_NAME
    before = path.read_bytes()
    with Store(str(state)) as store:
        store.save([make_photo(f"/photos/{n}.jpg", "cat") for n in range(50)])
        store.save([replace(make_photo("/photos/b.jpg", "cat"), deleted=("dog",))])
        store.keep_out(id_of(store, "/photos/a.jpg"), True)
        store.lift_tombstones(id_of(store, "/photos/c.jpg"), ["cat"])
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 & ~0o640 == 0
    assert not list(state.glob("decisions*-*")), "it holds no file open"


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_between_the_decisions_and_the_index(state: Path, moment: str) -> None:
    """The decision is on the disk, the transaction is not: it is done again at the start."""
    script = """
import os, signal, sys
from tagger.index import decision_sync
from tagger.index.store import Store
write_down = decision_sync.write_down
def killed(*args):
    if sys.argv[2] == "after":
        write_down(*args)
    os.kill(os.getpid(), signal.SIGKILL)
decision_sync.write_down = killed
store = Store(sys.argv[1])
store.keep_out(store.photo("/photos/c.jpg").id, True)
"""
    done = subprocess.run([sys.executable, "-c", script, str(state), moment], check=False)
    assert done.returncode == -9
    wanted = WANTED | ({"/photos/c.jpg": (set(), True)} if moment == "after" else {})
    assert decided(state) == wanted
    with Store(str(state)) as store:
        assert (store.due() == ["/photos/c.jpg"]) == (moment == "after"), "files may differ"
    lose(state)
    assert decided(state) == wanted


def test_a_backup_put_back_learns_what_came_later(state: Path) -> None:
    old = Path(index_path(str(state))).read_bytes()
    with Store(str(state)) as store:
        store.lift_tombstones(id_of(store, "/photos/b.jpg"), ["dog"])
        store.keep_out(id_of(store, "/photos/c.jpg"), True)
    Path(index_path(str(state))).write_bytes(old)
    with Store(str(state)) as store:  # somebody decides something before the daemon starts
        store.keep_out(id_of(store, "/photos/a.jpg"), False)
    assert decided(state) == {
        "/photos/b.jpg": ({"wolf"}, False),
        "/photos/c.jpg": (set(), True),
        "/photos/d\udcff.jpg": ({"bird"}, False),
    }


def test_an_index_from_before_decisions_were_kept(state: Path) -> None:
    (state / DECISIONS_NAME).unlink()
    with Store(str(state)) as store, store.transaction() as db:
        db.execute("DELETE FROM meta")
    assert decided(state) == WANTED
    lose(state)
    assert decided(state) == WANTED


def test_an_index_that_lost_some_gets_them_back(state: Path) -> None:
    """And the decisions what only the index had."""
    with Store(str(state)) as store, store.transaction() as db:
        db.execute("DELETE FROM tombstones WHERE label = 'wolf'")
        db.execute("UPDATE photos SET keep_out = 1 WHERE path = CAST('/photos/c.jpg' AS BLOB)")
        decision_sync.recall(db, str(state), 1.0, lost=True)
    wanted = WANTED | {"/photos/c.jpg": (set[str](), True)}
    assert decided(state) == wanted
    lose(state)
    assert decided(state) == wanted


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_decisions_that_cannot_be_written_hold_nothing_up(state: Path, kind: str) -> None:
    path = state / DECISIONS_NAME
    path.rename(state / "kept")
    {"link": lambda p: p.symlink_to(state / "kept"), "folder": os.mkdir, "fifo": os.mkfifo}[kind](
        path
    )
    assert decided(state) == WANTED
    with Store(str(state)) as store:
        store.keep_out(id_of(store, "/photos/c.jpg"), True)
    path.rmdir() if kind == "folder" else path.unlink()
    (state / "kept").rename(path)
    wanted = WANTED | {"/photos/c.jpg": (set[str](), True)}
    assert decided(state) == wanted, "what the index knows is newer"
    lose(state)
    assert decided(state) == wanted


def test_what_is_lifted_while_they_cannot_be_written_stays_lifted(state: Path) -> None:
    path = state / DECISIONS_NAME
    path.rename(state / "kept")
    path.mkdir()
    with Store(str(state)) as store:
        store.keep_out(id_of(store, "/photos/a.jpg"), False)
    path.rmdir()
    (state / "kept").rename(path)
    wanted = {name: one for name, one in WANTED.items() if name != "/photos/a.jpg"}
    assert decided(state) == wanted
    lose(state)
    assert decided(state) == wanted


def test_a_locked_database_holds_nothing_up(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tagger.index.kept_twice.TIMEOUT", 0.05)
    other = sqlite3.connect(state / DECISIONS_NAME, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with Store(str(state)) as store:
        store.keep_out(id_of(store, "/photos/c.jpg"), True)
    assert not decided(state).keys() - WANTED.keys() - {"/photos/c.jpg"}
    other.close()
    wanted = WANTED | {"/photos/c.jpg": (set[str](), True)}
    assert decided(state) == wanted
    lose(state)
    assert decided(state) == wanted


def spoil(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "garbage":
        data[:] = os.urandom(9000)
    elif how == "cut off":
        del data[len(data) // 2 :]
    elif how == "page":  # of the index by numbers; the rows can be read
        data[8192:] = b"\xff" * len(data[8192:])
    elif how == "foreign":
        path.unlink()
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE decisions (something)")
        db.close()
        return
    path.write_bytes(data)


@pytest.mark.parametrize("how", ["garbage", "cut off", "page", "foreign"])
@pytest.mark.parametrize("moment", ["at a start", "meanwhile"])
def test_damaged_decisions_are_set_aside_and_made_anew(
    state: Path, how: str, moment: str, caplog: pytest.LogCaptureFixture
) -> None:
    spoil(state / DECISIONS_NAME, how)
    wanted = dict(WANTED)
    if moment == "meanwhile":
        with Store(str(state)) as store:
            store.keep_out(id_of(store, "/photos/c.jpg"), True)
        wanted["/photos/c.jpg"] = (set(), True)
    assert decided(state) == wanted
    [aside] = state.glob("decisions.damaged-*.sqlite3")
    assert str(aside) in caplog.text and "damaged" in caplog.text
    lose(state)
    assert decided(state) == wanted
    old = "/photos/a.jpg"
    with Store(str(state)) as store:
        store.keep_out(id_of(store, old), False)
    assert old not in decided(state)


def test_of_damaged_decisions_what_can_be_read_is_kept(state: Path) -> None:
    """The index is lost as well."""
    spoil(state / DECISIONS_NAME, "page")
    lose(state)
    assert decided(state) == WANTED


def test_damage_costs_only_its_rows(state: Path, caplog: pytest.LogCaptureFixture) -> None:
    with sqlite3.connect(state / DECISIONS_NAME) as db:
        db.execute("UPDATE decisions SET removed = '[dog' WHERE number = 1")
    db.close()
    lost = dict(WANTED)
    del lost["/photos/b.jpg"]
    shutil.copytree(state, kept := state.with_name("kept"))
    lose(kept)
    assert decided(kept) == lost
    assert "1 decisions" in caplog.text
    assert decided(state) == WANTED


def test_decisions_that_may_not_be_read_are_made_anew(
    state: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shared = tmp_path_factory.mktemp("shared")
    shutil.copytree(state, shared / "s")
    (shared / "s" / DECISIONS_NAME).chmod(0)
    if os.geteuid() == 0:  # which may read everything
        for place in (shared, *shared.parents[:3]):  # pytest's own folders
            place.chmod(0o755)
        for path in (shared / "s", shared / "s" / "index.sqlite3"):
            os.chown(path, 65534, 65534)
    script = """
import os, sys
from tagger.index.salvage import open_sound
if os.geteuid() == 0:
    open_sound(sys.argv[2]).close()  # what Python loads late is loaded
    open_sound(sys.argv[2]).close()
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
open_sound(sys.argv[1]).close()
"""
    command = [sys.executable, "-c", script, str(shared / "s"), str(state)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "no right" in done.stderr) == (0, True), done.stderr
    [aside] = (shared / "s").glob("decisions.damaged-*.sqlite3")
    assert aside.stat().st_mode & 0o777 == 0
    lose(shared / "s")
    if os.geteuid() == 0:
        os.chown(shared / "s", 0, 0)
    assert decided(shared / "s") == WANTED


def test_older_decisions_than_the_index_learn_what_came_later(state: Path) -> None:
    old = (state / DECISIONS_NAME).read_bytes()
    with Store(str(state)) as store:
        store.keep_out(id_of(store, "/photos/c.jpg"), True)
        store.keep_out(id_of(store, "/photos/a.jpg"), False)
    (state / DECISIONS_NAME).write_bytes(old)
    wanted = decided(state)
    assert wanted.keys() == {"/photos/b.jpg", "/photos/c.jpg", "/photos/d\udcff.jpg"}
    lose(state)
    assert decided(state) == wanted


def test_a_full_disk_leaves_no_half_decision(tmp_path: Path) -> None:
    with DecisionStore(str(tmp_path)) as store:
        store.put([Decision("/a.jpg", "/", removed=("cat",))])
    script = """
import resource, signal, sys
from tagger.index.decision_store import Decision, DecisionStore
with DecisionStore(sys.argv[1]) as store:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    store.put([Decision("/b.jpg", "/", removed=("cat",))])
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "sqlite3.OperationalError" in done.stderr
    with DecisionStore(str(tmp_path)) as store:
        assert [one.path for one in store.after(0)] == ["/a.jpg"]


def test_numbers_are_never_given_twice(tmp_path: Path) -> None:
    with DecisionStore(str(tmp_path)) as store:
        for number in range(300):
            name = f"/{number % 5}.jpg"
            store.put([Decision(name, "/", removed=("cat",), kept_out=number % 2 == 0)])
        assert store.last_number() == 300 and len(store.after(0)) == 5
        for number in range(5):
            store.put([Decision(f"/{number}.jpg", "/")])
        assert store.last_number() == 305 and not any(store.after(0))
        twice = [Decision("/0.jpg", "/", kept_out=True), Decision("/0.jpg", "/")]
        assert store.put(twice, after=1000) == (305, 1002)
        assert [one.path for one in store.after(304)] == ["/4.jpg", "/0.jpg"]
    assert (tmp_path / DECISIONS_NAME).stat().st_size < 64_000
    assert os.listdir(tmp_path) == [DECISIONS_NAME]


def test_many_write_at_once(tmp_path: Path) -> None:
    script = """
import sys
from tagger.index.decision_store import Decision, DecisionStore
for number in range(50):
    with DecisionStore(sys.argv[1]) as store:
        store.put([Decision(f"/{sys.argv[2]}-{number}.jpg", "/", kept_out=True)])
"""
    script = script.replace(
        "for number", "import tagger.index.kept_twice as d; d.TIMEOUT = 60\nfor number", 1
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    running = [subprocess.Popen([*command, str(number)]) for number in range(3)]
    assert [one.wait(100) for one in running] == [0, 0, 0]
    with DecisionStore(str(tmp_path)) as store:
        assert (len(store.after(0)), store.last_number()) == (150, 150)
        assert len(store.after(75)) == 75
