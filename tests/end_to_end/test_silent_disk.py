"""Disks that answer no more, as NFS mounted `hard` whose server is off: whoever asks them waits.

Here the server of a FUSE file system, which is stopped.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tagger.config.schema import WatchRoot
from tagger.index.store import Store
from tagger.watch.context import WatchSettings
from tagger.watch.watcher import Watcher
from tests.end_to_end.test_shares import free_port, needs
from tests.unit.watch.conftest import Library

pytestmark = [
    needs("bindfs", "fusermount3"),
    pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="FUSE cannot be mounted here"),
]
BACKLOG = 300


@contextmanager
def served(real: Path, mount: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Serve the folder ``real`` at ``mount`` by the process that is given."""
    server = subprocess.Popen(["bindfs", "-f", "-n", str(real), str(mount)])
    try:
        while not os.path.ismount(mount):
            assert server.poll() is None
            time.sleep(0.05)
        yield server
    finally:
        server.send_signal(signal.SIGCONT)
        subprocess.run(["fusermount3", "-u", "-z", str(mount)], check=False)
        server.terminate()  # a container that was started meanwhile has the mount as well
        server.wait(20)


@pytest.fixture
def folders(home):
    """Return a folder, where it is mounted, and a local one; the last two are watched."""
    real, mount, local = home.folder / "nas", home.inbox, home.folder / "local"
    real.mkdir()
    local.mkdir()
    home.configure(watch=[{"path": str(mount)}, {"path": str(local)}], rescan_seconds=2)
    return real, mount, local


def test_a_disk_that_does_not_answer_holds_up_no_other(home, scenes, eventually, folders):
    real, mount, local = folders
    port = free_port()
    home.configure(metrics={"listen": f"127.0.0.1:{port}"})

    def online(folder: Path) -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return f'tagger_folder_state{{folder="{folder}",state="online"}} 1.0' in lines

    with served(real, mount) as server:
        shutil.copy(scenes[0], real)
        daemon = home.start()
        eventually((real / f"{scenes[0].name}.xmp").exists, 60)
        assert online(mount) and online(local)
        server.send_signal(signal.SIGSTOP)
        eventually(lambda: not online(mount), 60)
        shutil.copy(scenes[0], local / "copy.jpg")
        shutil.copy(scenes[1], local)
        eventually(lambda: len(list(local.glob("*.xmp"))) == 2, 30)
        assert online(local)
        home.run("scan", str(local))
        server.send_signal(signal.SIGCONT)
        eventually(lambda: online(mount), 30)
        shutil.copy(scenes[2], real)
        eventually((real / f"{scenes[2].name}.xmp").exists, 30)
        said = [line["message"] for line in home.logged() if str(mount) in line["message"]]
        assert any("does not answer" in line for line in said), said
        assert any("responding again" in line for line in said), said
        server.send_signal(signal.SIGSTOP)
        time.sleep(3)  # until it asks again
        daemon.terminate()
        assert daemon.wait(15) == 0


def test_work_that_hangs_on_a_disk_ends_and_the_next_start_keeps_off_it(
    home, scenes, eventually, folders
):
    real, mount, local = folders
    for number in range(BACKLOG):
        (real / f"{number:03}.jpg").write_bytes(scenes[0].read_bytes() + b"%d" % number)
    sidecars = real.glob
    with served(real, mount) as server:
        daemon = home.start()
        eventually(lambda: len(list(sidecars("*.xmp"))) > 20, 60)
        eventually(lambda: int(home.run("query", "--count")) > 0, 60)
        server.send_signal(signal.SIGSTOP)
        said = f"tagger: the work hangs: the disk of {mount} does not answer"
        eventually(lambda: said in home.log.read_text(), 120)
        try:
            assert daemon.wait(10) == 2
        except subprocess.TimeoutExpired:
            # FUSE, as NFS does not, holds whoever has a file open there beyond his death.
            server.send_signal(signal.SIGCONT)
            assert daemon.wait(20) == 2
            server.send_signal(signal.SIGSTOP)
        assert len(list(sidecars("*.xmp"))) < BACKLOG
        first = home.run("query").splitlines()[0]  # found in any order
        with Store(str(home.state)) as store:  # as if it had hung in the midst of this write
            row = store.photo(first)
            store.intend([(first, str(mount), store.entries(row.id))])
            assert store.pending()

        shutil.copy(scenes[1], local)
        daemon = home.start()
        eventually((local / f"{scenes[1].name}.xmp").exists, 60)
        assert home.heartbeat()["state"] == "running"
        server.send_signal(signal.SIGCONT)
        eventually(lambda: len(list(sidecars("*.xmp"))) == BACKLOG, 90)
        eventually(lambda: home.run("query", "--count") == f"{BACKLOG + 1}\n", 20)
        daemon.terminate()
        assert daemon.wait(15) == 0
    with Store(str(home.state)) as store:
        assert not store.pending()


def scanning(
    mount: Path, local: Path, library: Library, *, settle_seconds: float
) -> threading.Thread:
    """Return a thread that scans both folders once, by a clock that is 20 times as fast."""
    watcher = Watcher(
        [WatchRoot(str(mount)), WatchRoot(str(local))],
        library,
        library,
        str(local.parent),
        WatchSettings(settle_seconds, clock=lambda: time.monotonic() * 20),
    )
    scan = threading.Thread(target=watcher.scan_once, daemon=True)
    scan.start()
    return scan


def test_a_single_run_leaves_out_a_disk_that_does_not_answer(folders, scenes, caplog):
    real, mount, local = folders
    shutil.copy(scenes[0], local)
    library = Library()
    with served(real, mount) as server:
        time.sleep(1.5)  # until the kernel has forgotten what it was told of the mount
        server.send_signal(signal.SIGSTOP)
        scan = scanning(mount, local, library, settle_seconds=0.0)
        scan.join(60)
        assert not scan.is_alive()
        assert library.found_paths == [str(local / scenes[0].name)]
        assert f"{str(mount)!r} is left out: its disk does not answer" in caplog.text


def test_a_single_run_leaves_out_a_disk_that_is_silent_later(folders, scenes, caplog):
    """After the scan, while it waits for the end of a file."""
    real, mount, local = folders
    library, scanned = Library(), threading.Event()
    (real / "cut.jpg").write_bytes(scenes[0].read_bytes()[:-100])
    shutil.copy(scenes[1], local)
    library.found = lambda candidate: scanned.set()
    with served(real, mount) as server:
        scan = scanning(mount, local, library, settle_seconds=20.0)
        assert scanned.wait(20)
        server.send_signal(signal.SIGSTOP)
        scan.join(60)
        assert not scan.is_alive()
        assert f"{str(mount)!r} is left out: its disk does not answer" in caplog.text
