"""Decoding in processes that may die, hang, or be taken over."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import wait
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tagger.decode import pool as worker
from tagger.decode.opening import decode
from tagger.decode.pool import LATER, DecodePool
from tagger.decode.sandbox import confine, preload
from tagger.errors import (
    DamagedImageError,
    DecoderCrashedError,
    ImageTooLargeError,
    NotAnImageError,
    PhotoError,
    PhotoVanishedError,
)
from tagger.records import CropSpec, ExtraViews
from tests.conftest import PROJECT
from tests.support.pictures import encoded, exif, png, quarters

Eventually = Callable[..., Any]
SPEC = CropSpec()


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(quarters(600, 300), "JPEG", exif=exif(6)))
    return str(path)


@pytest.fixture
def pool() -> Iterator[DecodePool]:
    with DecodePool(SPEC, workers=1, timeout=20.0) as made:
        yield made


def workers() -> list[int]:
    return [child.pid or 0 for child in multiprocessing.active_children()]


def only_worker() -> int:
    (pid,) = workers()
    return pid


def gone(pid: int) -> bool:
    """Whether the process has ended, if nobody has asked for its exit code yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_photo_is_as_decoded_here(pool: DecodePool, photo: str) -> None:
    there, here = pool.submit(photo).result(20), decode(photo, SPEC, more=True)
    assert np.array_equal(there.crop, here.crop)
    assert there.more is not None and here.more is not None
    assert np.array_equal(there.more, here.more) and len(here.more) == 2
    assert (there.crop_hash, there.facts) == (here.crop_hash, here.facts)
    assert there.crop.flags.writeable  # torch warns of what is not


def test_settings_reach_the_workers(photo: str) -> None:
    spec = CropSpec(232, 200, "bicubic")
    with DecodePool(spec, workers=1, max_pixels=600 * 300, more=False) as pool:
        found = pool.submit(photo).result(20)
        assert np.array_equal(found.crop, decode(photo, spec).crop)
        assert found.more is not None and found.more.shape == (0, 200, 200, 3)
    with (
        DecodePool(SPEC, workers=1, max_pixels=600 * 300 // 4 - 1) as pool,
        pytest.raises(ImageTooLargeError, match="600 x 300"),
    ):
        pool.submit(photo).result(20)


def test_what_further_networks_want_comes_in_the_same_go(photo: str) -> None:
    views = ExtraViews(CropSpec(120, 100, squash=True), 320)
    with DecodePool(SPEC, workers=1, views=views) as pool:
        there, centre = pool.submit(photo).result(20), pool.submit(photo, ends=False).result(20)
    here = decode(photo, SPEC, more=True, views=views)
    assert there.other is not None and here.other is not None
    assert there.picture is not None and here.picture is not None
    assert np.array_equal(there.other, here.other) and there.other.shape == (100, 100, 3)
    assert np.array_equal(there.picture, here.picture) and there.picture.shape == (320, 160, 3)
    assert there.more is not None and len(there.more) == 2
    assert (centre.other, centre.picture) == (None, None)
    assert centre.crop_hash == there.crop_hash == decode(photo, SPEC).crop_hash


def test_errors_come_as_their_own_class(pool: DecodePool, photo: str, tmp_path: Path) -> None:
    bad: dict[str, tuple[bytes | None, type[PhotoError]]] = {
        "text.jpg": (b"Dear diary" * 9, NotAnImageError),
        "cut.jpg": (Path(photo).read_bytes()[:2000], DamagedImageError),
        "bomb.png": (png(60_000, 60_000, 1, 0, bytes(9)), ImageTooLargeError),
        "none.jpg": (None, PhotoVanishedError),
        os.fsdecode(b"caf\xe9\n.jpg"): (b"", NotAnImageError),
    }
    for name, (data, kind) in bad.items():
        path = tmp_path / name
        if data is not None:
            path.write_bytes(data)
        with pytest.raises(kind) as caught:
            pool.submit(str(path)).result(20)
        assert type(caught.value) is kind
        with pytest.raises(kind) as here:
            decode(str(path), SPEC)
        assert (caught.value.message, caught.value.remedy) == (
            here.value.message,
            here.value.remedy,
        )
    assert pool.submit(photo).result(20).facts.height == 600


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a photo that takes a while, and 430 MB."""
    path = tmp_path_factory.mktemp("large") / "large.png"
    path.write_bytes(png(12_000, 12_000, 8, 2, bytes(12_000 * 36_001)))
    return str(path)


def opened(pid: int, path: str) -> bool:
    """Whether the process has the file open."""
    links = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            links.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            continue  # closed by now
    return path in links


def test_a_killed_worker_costs_its_photo_only(
    pool: DecodePool, photo: str, large: str, eventually: Eventually
) -> None:
    pool.submit(photo).result(20)
    pid = only_worker()
    doomed, following = pool.submit(large), pool.submit(photo)
    eventually(lambda: opened(pid, large))
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(DecoderCrashedError, match=r"large.png died \(code -9\)"):
        doomed.result(20)
    assert following.result(20).facts.height == 600
    assert only_worker() != pid


def test_a_worker_killed_before_it_began_costs_nothing(pool: DecodePool, photo: str) -> None:
    pool.submit(photo).result(20)
    pid = only_worker()
    os.kill(pid, signal.SIGSTOP)
    waiting = pool.submit(photo)
    os.kill(pid, signal.SIGKILL)
    assert waiting.result(20).facts.height == 600


def test_a_worker_killed_while_idle_costs_nothing(
    pool: DecodePool, photo: str, eventually: Eventually
) -> None:
    for _ in range(3):
        pool.submit(photo).result(20)
        pid = only_worker()
        os.kill(pid, signal.SIGKILL)
        eventually(lambda pid=pid: gone(pid))
    assert pool.submit(photo).result(20).facts.height == 600


def test_what_takes_too_long_is_ended(photo: str) -> None:
    with DecodePool(SPEC, workers=1, timeout=0.5) as pool:
        pool.submit(photo).result(20)
        pid = only_worker()
        os.kill(pid, signal.SIGSTOP)
        slow, following = pool.submit(photo), pool.submit(photo)
        with pytest.raises(DecoderCrashedError, match=r"more than 0\.5 s"):
            slow.result(20)
        assert gone(pid)
        assert following.result(20).facts.height == 600


STOPPED = """
import multiprocessing, os, signal, sys
from tagger.decode import pool
from tagger.records import CropSpec
if __name__ == "__main__":
    pool.SLICE_SECONDS = 0.1
    with pool.DecodePool(CropSpec(), workers=1, timeout=3.0) as made:
        made.submit(sys.argv[1]).result(20)
        [child] = multiprocessing.active_children()
        os.kill(child.pid, signal.SIGSTOP)
        future = made.submit(sys.argv[1])
        print(child.pid, flush=True)
        try:
            print(future.result(30).facts.height)
        except Exception as error:
            print(error)
"""


def test_time_in_which_all_is_stopped_counts_for_nothing(photo: str, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(STOPPED)
    with subprocess.Popen(
        [sys.executable, str(script), photo],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    ) as process:
        assert process.stdout is not None
        decoder = int(process.stdout.readline())
        process.send_signal(signal.SIGSTOP)
        time.sleep(4)  # longer than the limit
        process.send_signal(signal.SIGCONT)
        os.kill(decoder, signal.SIGCONT)
        assert process.stdout.read().split() == ["600"]


def test_what_takes_too_much_memory_is_refused(photo: str, large: str) -> None:
    with DecodePool(SPEC, workers=1, memory_mb=500) as pool:
        big, small = pool.submit(large), pool.submit(photo)
        with pytest.raises(ImageTooLargeError, match="more memory"):
            big.result(20)
        assert small.result(20).facts.height == 600


def test_hardly_any_memory_is_no_disaster(photo: str) -> None:
    with DecodePool(SPEC, workers=1, memory_mb=1) as pool:
        for _ in range(2):
            with pytest.raises((ImageTooLargeError, DecoderCrashedError)):
                pool.submit(photo).result(20)


def test_the_thread_that_asks_may_end(pool: DecodePool, photo: str) -> None:
    """Linux ends a process with the thread that started it, if told to end it at all."""
    asking = threading.Thread(target=lambda: pool.submit(photo).result(20))
    asking.start()
    asking.join()
    pid = only_worker()
    assert pool.submit(photo).result(20).facts.height == 600
    assert only_worker() == pid


def test_workers_share_the_work_and_are_replaced(
    photo: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "TASKS_PER_WORKER", 3)
    seen: set[int] = set()
    with DecodePool(SPEC, workers=2) as pool:
        for _ in range(5):
            futures = [pool.submit(photo) for _ in range(4)]
            assert {future.result(20).facts.height for future in futures} == {600}
            assert 1 <= len(workers()) <= 2
            seen.update(workers())
    assert len(seen) >= 5


def test_a_waiting_photo_can_be_cancelled(pool: DecodePool, photo: str) -> None:
    pool.submit(photo).result(20)
    pid = only_worker()
    os.kill(pid, signal.SIGSTOP)
    first, second, third = (pool.submit(photo) for _ in range(3))
    assert second.cancel()
    os.kill(pid, signal.SIGCONT)
    assert first.result(20).facts.height == third.result(20).facts.height == 600
    assert second.cancelled()


def test_close_is_prompt_and_cancels(photo: str) -> None:
    pool = DecodePool(SPEC, workers=2)
    wait([pool.submit(photo) for _ in range(8)])
    for pid in workers():
        os.kill(pid, signal.SIGSTOP)
    futures = [pool.submit(photo) for _ in range(500)]
    start = time.monotonic()
    pool.close()
    assert time.monotonic() - start < 2
    assert all(future.cancelled() for future in futures)
    assert wait(futures, timeout=1).not_done == set()  # who waits is woken
    assert workers() == []
    pool.close()
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(photo)


def test_close_before_anything_was_asked() -> None:
    DecodePool(SPEC).close()
    assert workers() == []


def test_workers_die_with_the_daemon(photo: str, eventually: Eventually) -> None:
    code = (
        "import multiprocessing, sys, time\n"
        "from tagger.decode.pool import DecodePool\n"
        "from tagger.records import CropSpec\n"
        "if __name__ == '__main__':\n"
        "    pool = DecodePool(CropSpec(), workers=1)\n"
        "    pool.submit(sys.argv[1]).result()\n"
        "    print(*(c.pid for c in multiprocessing.active_children()), flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, photo], stdout=subprocess.PIPE, text=True
    ) as daemon:
        assert daemon.stdout is not None
        (pid,) = map(int, daemon.stdout.readline().split())
        assert not gone(pid)
        os.kill(pid, signal.SIGSTOP)  # it cannot notice by itself
        daemon.kill()
    eventually(lambda: gone(pid), 5)


def test_limits_are_in_force(pool: DecodePool, photo: str) -> None:
    pool.submit(photo).result(20)
    process = Path(f"/proc/{only_worker()}")
    lines = (process / "limits").read_text().splitlines()
    limits = {line[:25].strip(): line[25:].split() for line in lines}
    assert limits["Max file size"][:2] == ["0", "0"]
    assert limits["Max core file size"][:2] == ["0", "0"]
    assert limits["Max address space"][:2] == [str(2048 << 20)] * 2
    assert "NoNewPrivs:\t1" in (process / "status").read_text()
    score = int((process / "oom_score_adj").read_text())
    assert score == min(int(Path("/proc/self/oom_score_adj").read_text()) + 500, 1000)
    for fd in (1, 2):
        assert os.readlink(process / f"fd/{fd}") == "/dev/null"


def attempts(port: int, folder: str) -> str:
    """Return what is possible in this process: to connect to ``port``, to write a file."""
    possible = []
    try:
        with socket.socket() as connection:
            connection.connect(("127.0.0.1", port))
        possible.append("network")
    except OSError:
        pass
    try:
        with open(os.path.join(folder, f"written-{os.getpid()}"), "wb") as file:
            file.write(b"x")
        possible.append("write")
    except OSError:
        pass
    return " ".join(possible)


def tried(prepare: Callable[[], None], folder: Path) -> str:
    """Return :func:`attempts` of a forked process after ``prepare``."""
    folder.chmod(0o777)
    ours, theirs = os.pipe()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port, parent = server.getsockname()[1], os.getpid()
        child = os.fork()
        if child == 0:
            try:
                assert os.getppid() == parent
                prepare()
                os.write(theirs, attempts(port, str(folder)).encode() + b".")
            except Exception as error:  # noqa: BLE001 (told to the parent)
                os.write(theirs, repr(error).encode())
            finally:
                os._exit(0)
        os.close(theirs)
        with open(ours, "rb") as file:
            answer = file.read().decode()
        os.waitpid(child, 0)
    assert answer.endswith("."), answer
    return answer[:-1]


def as_nobody() -> None:
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def may_unshare(flags: int) -> bool:
    """Whether this kernel, or its container, lets us have a network of our own."""
    child = os.fork()
    if child == 0:
        if flags & 0x10000000:
            as_nobody()
        os._exit(int(ctypes.CDLL(None).unshare(flags) != 0))
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("root", [True, False])
def test_no_network_and_no_writing(root: bool) -> None:
    if root and os.geteuid() != 0:
        pytest.skip("not root")
    if not may_unshare(0x40000000 if root else 0x50000000):
        pytest.skip("network namespaces are not allowed here")
    parent = os.getpid()
    preload()  # this installation may be closed to others

    def prepare() -> None:
        if not root:
            as_nobody()
        confine(4096, parent)

    with TemporaryDirectory() as folder:  # pytest's are closed to others
        assert tried(lambda: None, Path(folder)) == "network write"
        assert tried(prepare, Path(folder)) == ""


def test_what_has_time_gets_its_turn_in_a_backlog(tmp_path):
    """The photos that int8 is proved on would else wait until all others are done."""
    order = []
    for name in ("first", "later", *map(str, range(2 * LATER))):
        (tmp_path / f"{name}.jpg").write_bytes(encoded(quarters(), "JPEG"))
    with DecodePool(SPEC, workers=1) as pool:
        futures = []
        for name in ("first", "later", *map(str, range(2 * LATER))):
            future = pool.submit(str(tmp_path / f"{name}.jpg"), later=name == "later")
            future.add_done_callback(lambda _, name=name: order.append(name))
            futures.append(future)
        for future in futures:
            future.result(60)
    assert LATER - 2 <= order.index("later") <= LATER + 3


def test_the_ends_are_left_out_when_nobody_wants_them(pool: DecodePool, tmp_path: Path) -> None:
    path = tmp_path / "wide.jpg"
    Image.effect_noise((900, 600), 60).convert("RGB").save(path)
    both, centre = (pool.submit(str(path), ends=ends).result(20) for ends in (True, False))
    assert both.more is not None and len(both.more) == 2
    assert centre.more is None or not len(centre.more)
    assert (centre.crop == both.crop).all()
