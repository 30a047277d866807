"""What the user decided is kept beside the index, and comes back with an index that is new."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tagger.index import decisions
from tagger.index.damage import open_sound
from tagger.index.database import index_path
from tagger.index.decisions import LOG_NAME, Decision, DecisionLog
from tagger.index.records import SavedPhoto
from tagger.index.store import Store

MakePhoto = Callable[..., SavedPhoto]
NOTHING: tuple[set[str], bool] = (set(), False)


def decided(state: Path) -> dict[str, tuple[set[str], bool]]:
    """Return what the index says after a start: by photo the labels gone, and kept out or not."""
    with open_sound(str(state)) as store, store.transaction() as db:
        rows = db.execute("SELECT id, path, keep_out FROM photos ORDER BY path").fetchall()
        found = {
            os.fsdecode(row["path"]): (set(store.tombstones(row["id"])), bool(row["keep_out"]))
            for row in rows
        }
    return {path: one for path, one in found.items() if one != NOTHING}


def lose(state: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(index_path(str(state)) + suffix).unlink(missing_ok=True)


def id_of(store: Store, path: str) -> int:
    row = store.photo(path)
    assert row is not None
    return row.id


@pytest.fixture
def state(state_dir: Path, make_photo: MakePhoto) -> Path:
    with open_sound(str(state_dir)) as store:
        photos = [make_photo(f"/photos/{name}.jpg", "cat") for name in ("a", "b", "c", "d\udcff")]
        photos[1] = replace(photos[1], deleted=("dog", "wolf"))
        store.save(photos)
        store.keep_out(id_of(store, photos[0].path), True)
        store.set_tombstones(id_of(store, photos[3].path), ["bird"])
    return state_dir


WANTED = {
    "/photos/a.jpg": (set[str](), True),
    "/photos/b.jpg": ({"dog", "wolf"}, False),
    "/photos/d\udcff.jpg": ({"bird"}, False),
}


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
    path = state / LOG_NAME
    before = path.read_bytes()
    with Store(str(state)) as store:
        store.save([make_photo(f"/photos/{n}.jpg", "cat") for n in range(50)])
        store.save([replace(make_photo("/photos/b.jpg", "cat"), deleted=("dog",))])
        store.keep_out(id_of(store, "/photos/a.jpg"), True)
        store.lift_tombstones(id_of(store, "/photos/c.jpg"), ["cat"])
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 & ~0o640 == 0


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_between_the_log_and_the_index(state: Path, moment: str) -> None:
    """The line is on the disk, the transaction is not: it is done again at the start."""
    script = """
import os, signal, sys
from tagger.index import decisions
from tagger.index.store import Store
write_down = decisions.write_down
def killed(*args):
    if sys.argv[2] == "after":
        write_down(*args)
    os.kill(os.getpid(), signal.SIGKILL)
decisions.write_down = killed
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


def test_an_index_from_before_there_was_a_log(state: Path) -> None:
    (state / LOG_NAME).unlink()
    with Store(str(state)) as store, store.transaction() as db:
        db.execute("DELETE FROM meta")
    assert decided(state) == WANTED
    lose(state)
    assert decided(state) == WANTED


def test_an_index_that_lost_some_gets_them_back_from_the_log(state: Path) -> None:
    """And the log what only the index had."""
    with Store(str(state)) as store, store.transaction() as db:
        db.execute("DELETE FROM tombstones WHERE label = 'wolf'")
        db.execute("UPDATE photos SET keep_out = 1 WHERE path = CAST('/photos/c.jpg' AS BLOB)")
        decisions.recall(db, str(state), 1.0, lost=True)
    wanted = WANTED | {"/photos/c.jpg": (set[str](), True)}
    assert decided(state) == wanted
    lose(state)
    assert decided(state) == wanted


@pytest.mark.parametrize("kind", ["link", "folder", "fifo"])
def test_a_log_that_cannot_be_written_holds_nothing_up(state: Path, kind: str) -> None:
    path = state / LOG_NAME
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


def test_damage_costs_only_its_lines(state: Path) -> None:
    path = state / LOG_NAME
    lines = path.read_bytes().splitlines(keepends=True)
    assert len(lines) == 3 and all(json.loads(line)["check"] for line in lines)
    lines[1] = lines[1].replace(b"/photos", b"/fotos!")
    path.write_bytes(b"\0\xff\n" + b"".join(lines)[:-7])
    with Store(str(state)) as store:
        store.keep_out(id_of(store, "/photos/c.jpg"), True)
    lose(state)
    assert len(decided(state)) == 2  # one line damaged, one cut off
    assert decided(state)["/photos/c.jpg"] == (set(), True)


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    log = DecisionLog(str(tmp_path))
    log.append([Decision("/a.jpg", "/", removed=("cat",))])
    before = Path(log.path).read_bytes()
    script = """
import resource, signal, sys
from tagger.index.decisions import Decision, DecisionLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
DecisionLog(sys.argv[1]).append([Decision("/b.jpg", "/", removed=("cat",))])
"""
    size = str(len(before) + 20)
    command = [sys.executable, "-c", script, str(tmp_path), size]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "File too large" in done.stderr
    assert Path(log.path).read_bytes() == before


def test_the_log_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "COMPACT_BYTES", 4096)
    log = DecisionLog(str(tmp_path))
    for number in range(600):
        name = f"/{number % 5}.jpg"
        log.append([Decision(name, "/", removed=("cat",), kept_out=number % 2 == 0)])
    assert Path(log.path).stat().st_size < 5 * 4096
    latest, last = log.read()
    assert last == 600 and len(latest) == 5
    for number in range(5):
        log.append([Decision(f"/{number}.jpg", "/")])
    for number in range(200):
        log.append([Decision("/0.jpg", "/", kept_out=True), Decision("/0.jpg", "/")])
        log.tidy()
        assert log.read()[1] == 605 + 2 * (number + 1), "numbers are never given twice"
    assert Path(log.path).stat().st_size < 300 * 200
    assert not any(one for _, one in log.read()[0].values())
    assert os.listdir(tmp_path) == [LOG_NAME]


def test_many_write_at_once(tmp_path: Path) -> None:
    script = """
import sys
from tagger.index import decisions
decisions.COMPACT_BYTES = 4096
log = decisions.DecisionLog(sys.argv[1])
for number in range(100):
    log.append([decisions.Decision(f"/{sys.argv[2]}-{number}.jpg", "/", kept_out=True)])
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    running = [subprocess.Popen([*command, str(number)]) for number in range(3)]
    assert [one.wait(60) for one in running] == [0, 0, 0]
    latest, last = DecisionLog(str(tmp_path)).read()
    assert (len(latest), last) == (300, 300)
    assert sorted(number for number, _ in latest.values()) == list(range(1, 301))


def test_a_kill_while_it_is_made_anew_leaves_nothing(tmp_path: Path) -> None:
    log = DecisionLog(str(tmp_path))
    log.append([Decision("/a.jpg", "/", kept_out=True)])
    Path(log.path + ".new").write_bytes(b"half")
    log.read()
    assert os.listdir(tmp_path) == [LOG_NAME]


def test_the_index_needs_no_log_to_be_opened(state: Path) -> None:
    (state / LOG_NAME).unlink()
    assert decided(state) == WANTED
    with sqlite3.connect(index_path(str(state))) as db:
        [number] = db.execute("SELECT value FROM meta WHERE key = 'decisions'").fetchone()
    db.close()
    assert number == "3"
