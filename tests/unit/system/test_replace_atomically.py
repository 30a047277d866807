"""Files of our own that are replaced: whole at every moment, with the mode they had."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tagger.system.files import (
    SpareDescriptor,
    fsync_folder,
    move_into_place,
    replace_atomically,
)

ROOT = os.geteuid() == 0


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("unique", [True, False])
def test_the_new_is_there_and_nothing_else(tmp_path, durable, unique):
    path = tmp_path / "a.json"
    for data in (b"first", b"second", b""):
        replace_atomically(str(path), data, durable=durable, unique=unique)
        assert path.read_bytes() == data
        assert os.listdir(tmp_path) == ["a.json"]


def test_a_path_without_a_folder_is_one_of_this_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    replace_atomically("a", b"1")
    Path("b.part").write_bytes(b"2")
    move_into_place("b.part", "b")
    assert {name: Path(name).read_bytes() for name in os.listdir()} == {"a": b"1", "b": b"2"}


def test_a_new_file_has_the_mode_that_is_asked_for(tmp_path):
    before = os.umask(0o027)
    try:
        replace_atomically(str(tmp_path / "usual"), b"")
        replace_atomically(str(tmp_path / "secret"), b"", mode=0o600)
    finally:
        os.umask(before)
    assert (mode(tmp_path / "usual"), mode(tmp_path / "secret")) == (0o640, 0o600)


def test_it_can_be_like_the_one_before(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("old")
    path.chmod(0o664)
    if ROOT:
        os.chown(path, 12345, 12346)
    before = path.stat()
    replace_atomically(str(path), b"new", mode=0o600, like=before)
    after = path.stat()
    assert path.read_text() == "new" and after.st_ino != before.st_ino
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )


@pytest.mark.parametrize("unique", [True, False])
def test_what_fails_leaves_the_old_one_and_nothing_beside_it(tmp_path, unique):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):  # the last step: nothing replaces a folder
        replace_atomically(str(tmp_path / "folder"), b"new", unique=unique)
    assert os.listdir(tmp_path) == ["folder"]
    with pytest.raises(FileNotFoundError):
        replace_atomically(str(tmp_path / "none" / "a"), b"new", unique=unique)


def test_what_a_killed_one_left_is_cleared(tmp_path):
    (tmp_path / "a.part").write_bytes(b"much longer than what comes")
    (tmp_path / "a.part").chmod(0o666)
    replace_atomically(str(tmp_path / "a"), b"short", mode=0o600)
    assert (tmp_path / "a").read_bytes() == b"short" and os.listdir(tmp_path) == ["a"]
    assert mode(tmp_path / "a") == 0o600


def test_a_link_in_its_way_is_not_written_through(tmp_path):
    (tmp_path / "other").write_text("of somebody else")
    (tmp_path / "a.part").symlink_to("other")
    replace_atomically(str(tmp_path / "a"), b"new")
    assert (tmp_path / "other").read_text() == "of somebody else"
    assert (tmp_path / "a").read_bytes() == b"new" and not (tmp_path / "a").is_symlink()


def test_a_reader_sees_one_or_the_other(tmp_path):
    path, kinds, stop = tmp_path / "a", [b"a" * 100_000, b"b" * 50_000], threading.Event()
    replace_atomically(str(path), kinds[0])

    def write() -> None:
        while not stop.is_set():
            for data in kinds:
                replace_atomically(str(path), data, durable=False)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        assert all(path.read_bytes() in kinds for _ in range(300))
    finally:
        stop.set()
        thread.join()


def test_several_writers_at_once_need_unique_names(tmp_path):
    path, failed = tmp_path / "a", []

    def write(data: bytes) -> None:
        try:
            for _ in range(50):
                replace_atomically(str(path), data, durable=False, unique=True)
        except OSError as error:
            failed.append(error)

    threads = [threading.Thread(target=write, args=(bytes([n]) * 5000,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and len(set(path.read_bytes())) == 1 and os.listdir(tmp_path) == ["a"]


def test_a_folder_that_is_not_there_is_no_success(tmp_path):
    fsync_folder(str(tmp_path))
    with pytest.raises(FileNotFoundError):
        fsync_folder(str(tmp_path / "none"))


EXHAUSTED = """
import os, resource, sys
from tagger.library.daemon_status import DaemonStatus, read_status
from tagger.daemon.reporting import HeartbeatWriter

folder = sys.argv[1]
writer = HeartbeatWriter(folder)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
held = []
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
for number in (1, 2, 3):  # not the first time only
    writer.write(DaemonStatus(queue=number), always=False)
for fd in held:
    os.close(fd)
print(read_status(folder).queue)
"""


def test_the_status_is_written_when_no_descriptor_is_left(tmp_path):
    command = [sys.executable, "-c", EXHAUSTED, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("3\n", "")


def test_a_spare_descriptor_is_given_for_that_alone():
    spare, calls = SpareDescriptor(), []

    def fails() -> None:
        calls.append(1)
        raise PermissionError(13, "no")

    with pytest.raises(PermissionError):
        spare.call(fails)
    assert len(calls) == 1
