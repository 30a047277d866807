"""One photo is changed by one at a time."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time

import pytest

from tagger.pipeline.outcome import Tagged
from tagger.pipeline.photo_lock import photo_locks
from tagger.pipeline.relabel import relabel
from tests.support.pipelines import candidate, opened, through

HOLDER = """
import sys, time
from tagger.pipeline.photo_lock import photo_locks
with photo_locks(sys.argv[1]) as locks:
    print(locks.take("/p/a.jpg", 0), flush=True)
    time.sleep(600)
"""


def test_a_photo_is_held_by_one_and_others_are_free(tmp_path):
    with photo_locks(str(tmp_path)) as first, photo_locks(str(tmp_path)) as second:
        assert first.take("/p/a.jpg", 0)
        assert first.take("/p/a.jpg", 0)
        assert not second.take("/p/a.jpg", 0.05)
        assert second.take("/p/b.jpg", 0)
        assert not first.take("/p/b.jpg", 0)
    with photo_locks(str(tmp_path)) as third:
        assert third.take("/p/a.jpg", 0) and third.take("/p/b.jpg", 0)


def test_the_lock_of_a_process_that_is_killed_ends_with_it(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "True\n"
        with photo_locks(str(tmp_path)) as locks:
            assert not locks.take("/p/a.jpg", 0)
            holder.kill()
            holder.wait()
            assert locks.take("/p/a.jpg", 30)


def test_without_a_state_directory_the_work_goes_on(tmp_path):
    with photo_locks(str(tmp_path / "none")) as locks:
        assert locks.take("/p/a.jpg", 0)


def test_the_daemon_leaves_a_photo_that_a_command_is_changing(home, scenes):
    photo = home.inbox / "a.jpg"
    shutil.copy2(scenes[0], photo)
    home.once()
    sidecar = home.inbox / "a.jpg.xmp"
    sidecar.unlink()
    with photo_locks(str(home.state)) as locks:
        assert locks.take(str(photo), 0)
        home.once()
        assert not sidecar.exists()
    home.once()
    assert sidecar.exists()


@pytest.mark.parametrize("command", ["untag", "retry"])
def test_a_command_waits_for_the_daemon_to_be_done_with_a_photo(home, scenes, command):
    photo = home.inbox / "a.jpg"
    shutil.copy2(scenes[0], photo)
    home.once()
    held, order = threading.Event(), list[str]()

    def hold() -> None:
        with photo_locks(str(home.state)) as locks:
            assert locks.take(str(photo), 0)
            held.set()
            time.sleep(1.0)  # whatever the machine does, the command ends after this
            order.append("released")

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)
    home.run(command, str(photo))
    order.append(command)
    thread.join()
    assert order == ["released", command]
    assert (home.inbox / "a.jpg.xmp").exists() == (command == "retry")


def test_all_are_tried_again_though_one_is_being_changed(home, scenes):
    for name, scene in zip(("a.jpg", "b.jpg"), scenes, strict=False):
        shutil.copy2(scene, home.inbox / name)
    home.once()
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with photo_locks(str(home.state)) as locks:
            assert locks.take(str(home.inbox / "a.jpg"), 0)
            held.set()
            assert free.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(60)
    with opened(home) as (_, context):
        threading.Timer(0.5, free.set).start()
        assert "2 photo(s)" in home.run("retry", "--all")
        assert free.is_set(), "it has waited for the one that was held"
        assert len(context.store.due()) == 2
    thread.join()


@pytest.mark.parametrize("name", ["old", "new"])
def test_a_photo_that_moved_waits_for_whoever_changes_it(home, scenes, name):
    """Its row would change its path, and its sidecar its name, under the hands of a command."""
    old, new = home.inbox / "old.jpg", home.inbox / "new.jpg"
    shutil.copy2(scenes[0], old)
    home.once()
    old.rename(new)
    with opened(home) as (pipeline, context):
        with photo_locks(str(home.state)) as locks:
            assert locks.take(str(home.inbox / f"{name}.jpg"), 0)
            assert pipeline.advance([candidate(new)]) == []
            assert pipeline.in_work == 0 and not pipeline.is_idle
            assert context.store.photo(str(old)) and not context.store.photo(str(new))
            assert (home.inbox / "old.jpg.xmp").exists()
        [outcome] = through(pipeline, ())
        assert isinstance(outcome, Tagged) and outcome.how == "moved"
        assert context.store.photo(str(new)) and not context.store.photo(str(old))
    assert [path.name for path in home.inbox.glob("*.xmp")] == ["new.jpg.xmp"]


def test_a_photo_that_is_being_changed_is_relabelled_later(home, scenes):
    for name, scene in zip(("a.jpg", "b.jpg"), scenes, strict=False):
        shutil.copy2(scene, home.inbox / name)
    home.once()
    with opened(home) as (pipeline, context):
        store, tagging = context.store, pipeline.tagging
        rows = [store.photo(str(home.inbox / name)) for name in ("a.jpg", "b.jpg")]
        store.relabel_many([(row.id, None) for row in rows], "another vocabulary")
        with photo_locks(str(home.state)) as locks:
            assert locks.take(rows[0].path, 0)
            assert relabel(context, tagging, lambda candidates: None) == 2
        held, done = (store.photo(row.path) for row in rows)
        assert held.labels_hash == "another vocabulary" and held.keywords_hash is None
        assert done.labels_hash == tagging.labels_hash and done.keywords_hash is not None
        [outcome] = through(pipeline, [candidate(home.inbox / "a.jpg")])
        assert isinstance(outcome, Tagged)
        assert store.photo(rows[0].path).labels_hash == tagging.labels_hash
