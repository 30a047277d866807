"""What the daemon does about work that hangs: threads, and disks that say what they are told."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from tagger.daemon import crash_repair
from tagger.daemon.crash_repair import CrashRepair
from tagger.daemon.stalls import HANG_SECONDS, StallGuard
from tagger.daemon.worker import STUCK_SECONDS
from tagger.errors import SilentDiskError
from tagger.index.store import Store
from tagger.pipeline.serial_executor import SerialExecutor
from tagger.watch.stall_timer import SILENT_SECONDS


def disks(*silent: str) -> SimpleNamespace:
    """Return a watcher whose disks ``silent`` have not answered for ten seconds."""
    return SimpleNamespace(silent=lambda seconds: list(silent) if seconds <= 10 else [])


@pytest.fixture
def held():
    """Return a thread that ends when the test does."""
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield thread
    end.set()
    thread.join()


@pytest.mark.parametrize(
    ("at_it", "silent", "hangs"),
    [
        (HANG_SECONDS + 1, ["/nas"], True),
        (HANG_SECONDS + 1, [], False),
        (HANG_SECONDS - SILENT_SECONDS - 1, ["/nas"], False),
        (HANG_SECONDS + 1, ["/other"], False),
        (STUCK_SECONDS + 1, ["/other"], True),
    ],
)
def test_only_long_work_on_a_silent_disk_hangs(at_it, silent, hangs):
    asked = []
    watcher = SimpleNamespace(silent=lambda seconds: asked.append(seconds) or silent)
    error = StallGuard().hang(watcher, SimpleNamespace(at_it=at_it, roots={"/nas", "/local"}))
    assert (error is not None) == hangs
    assert not hangs or silent[0] in str(error)
    # One that is slow, but answers, does not end the daemon again and again.
    assert all(seconds == SILENT_SECONDS for seconds in asked)


@pytest.mark.parametrize("roots", [None, {"/nas", "/local"}])
def test_what_hangs_on_a_silent_disk_is_left_behind(held, roots):
    worker = None if roots is None else SimpleNamespace(roots=roots)
    guard = StallGuard()
    assert not guard.left_behind
    assert isinstance(guard.join(held, disks("/nas"), worker), SilentDiskError)
    assert guard.left_behind
    assert not StallGuard().left_behind, "of another daemon"


@pytest.mark.parametrize("silent", [[], ["/nas"]])
def test_work_on_other_disks_is_waited_for(silent):
    thread = threading.Thread(target=time.sleep, args=(1.0,))
    thread.start()
    guard = StallGuard()
    assert guard.join(thread, disks(*silent), SimpleNamespace(roots={"/local"})) is None
    assert not thread.is_alive() and not guard.left_behind


def test_a_hand_does_one_thing_after_another():
    hand, done = SerialExecutor("test"), []
    first = hand.submit(lambda: (time.sleep(0.1), done.append(1)))
    failed = hand.submit(lambda: 1 // 0)
    last = hand.submit(divmod, 7, 2)
    assert last.result(5) == (3, 1) and done == [1] and first.done()
    with pytest.raises(ZeroDivisionError):
        failed.result(5)
    hand.close()
    assert not hand._thread.is_alive()


def test_a_folder_waits_for_its_repair_only(tmp_path, monkeypatch):
    """The writes of a crash on a disk that does not answer hold up no other folder."""
    answered, late = threading.Event(), threading.Event()
    monkeypatch.setattr(crash_repair, "REPAIR_SECONDS", 0.1)
    repaired = []

    def repair(store, pending):
        if pending[0][1].startswith("/nas"):
            answered.wait()
        repaired.append(pending)

    monkeypatch.setattr(crash_repair, "repair", repair)
    with Store(str(tmp_path)) as store:
        monkeypatch.setattr(
            store, "pending", lambda: [(1, "/nas/a.jpg", None), (2, "/b/b.jpg", None)]
        )
        repairs = CrashRepair(
            store,
            lambda path: path[: path.rindex("/")],
            lambda name, target, *given: threading.Thread(target=target, args=given),
            late.set,
        )
        repairs.wait()
        assert repairs.hold("/nas") and not repairs.hold("/b") and not repairs.hold("/c")
        assert not late.is_set()
        answered.set()
        assert late.wait(5)
    assert len(repaired) == 2
