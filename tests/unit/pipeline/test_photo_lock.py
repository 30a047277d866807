"""One photo is changed by one at a time."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time

from tagger.pipeline.photo_lock import photo_locks

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


def test_a_command_waits_for_the_daemon_to_be_done_with_a_photo(home, scenes):
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
    home.run("untag", str(photo))
    order.append("untagged")
    thread.join()
    assert order == ["released", "untagged"]
    assert not (home.inbox / "a.jpg.xmp").exists()
