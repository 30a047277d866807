"""Which failures are the disk's, so that its photos wait, and which are the photo's own."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tagger.config.schema import Config, WatchRoot, WriteConfig
from tagger.errors import PhotoUnreadableError, TaggerError, WriteFailedError
from tagger.index.store import Store
from tagger.pipeline.blocked_roots import LOOK_SECONDS, SINGLE_SECONDS, BlockedRoots
from tagger.pipeline.context import Context
from tagger.pipeline.failures import refused, unforeseen
from tagger.pipeline.outcome import Skipped
from tagger.records import Candidate, FileStat
from tests.support.disks import Disk


def error_of(kind: type[TaggerError], number: int) -> TaggerError:
    try:
        raise kind("cannot write", "free some space") from OSError(number, os.strerror(number))
    except TaggerError as error:
        return error


class Case:
    def __init__(self, root: Path, **settings: object) -> None:
        self.now, self.rings = 0.0, 0
        self.photo = Candidate(str(root / "a.jpg"), str(root), FileStat(1000, 1))
        config = Config(watch=(WatchRoot(str(root)),), **settings)  # type: ignore[arg-type]
        self.refusing = BlockedRoots(config, self.ring, clock=lambda: self.now)

    def ring(self) -> None:
        self.rings += 1


def test_a_sound_disk_is_no_excuse(tmp_path: Path) -> None:
    case = Case(tmp_path)
    for kind, number in ((WriteFailedError, 28), (WriteFailedError, 13), (PhotoUnreadableError, 5)):
        assert not case.refusing.park(case.photo, error_of(kind, number))
    assert case.refusing.problem() is None and case.refusing.parked() == []
    assert os.listdir(tmp_path) == []


def test_a_full_disk_holds_its_photos_until_there_is_room(disk: Callable[..., Disk]) -> None:
    drive = disk("disk", 8)
    case = Case(drive.path)
    drive.fill()
    assert case.refusing.park(case.photo, error_of(WriteFailedError, 28))
    assert not case.refusing.park(case.photo, error_of(TaggerError, 28))
    assert "cannot write; free some space" in str(case.refusing.problem())
    assert case.refusing.parked() == [case.photo] and case.refusing.parked() == []
    drive.free()
    assert case.refusing.is_blocked(str(drive.path))  # not asked yet
    case.now += LOOK_SECONDS
    assert not case.refusing.is_blocked(str(drive.path))
    assert case.refusing.problem() is None
    assert case.rings == 2
    assert sorted(os.listdir(drive.path)) == ["lost+found"]


@pytest.mark.parametrize("ours", [True, False])
def test_only_a_folder_that_was_ours_refuses_by_its_rights(
    disk: Callable[..., Disk], ours: bool
) -> None:
    drive = disk("disk", 8)
    case = Case(drive.path)
    if ours:
        (drive.path / ".tagger-root").write_text("tagger root x")
    drive.remount("ro")
    assert case.refusing.park(case.photo, error_of(WriteFailedError, 30)) is ours
    # A photo that may not be read is no reason to stop.
    other = Case(drive.path)
    assert not other.refusing.park(other.photo, error_of(PhotoUnreadableError, 13))


def test_nothing_is_tried_where_nothing_is_written(disk: Callable[..., Disk]) -> None:
    drive = disk("disk", 8)
    drive.fill()
    case = Case(drive.path, write=WriteConfig(target="none"))
    assert not case.refusing.park(case.photo, error_of(WriteFailedError, 28))
    case = Case(drive.path.parent)
    away = Candidate("/elsewhere/a.jpg", "/elsewhere", FileStat(1, 1))
    assert not case.refusing.park(away, error_of(WriteFailedError, 28))


@contextmanager
def no_descriptor() -> Iterator[None]:
    """Let this process have no file descriptor left."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    kept = [os.open(os.devnull, os.O_RDONLY)]
    most = max(map(int, os.listdir("/proc/self/fd")))
    while kept[-1] < most:
        kept.append(os.open(os.devnull, os.O_RDONLY))
    resource.setrlimit(resource.RLIMIT_NOFILE, (kept[-1] + 1, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            os.open(os.devnull, os.O_RDONLY)
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in kept:
            os.close(fd)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_without_file_descriptors_photos_wait_and_lose_no_try(tmp_path: Path, number: int) -> None:
    """Whatever the photo was being used for, and in every folder."""
    case = Case(tmp_path)
    with Store(str(tmp_path / "state")) as store:
        context = Context(Config(), store, case.refusing)
        for kind in (PhotoUnreadableError, WriteFailedError, TaggerError):
            error = error_of(kind, number)
            assert isinstance(refused(context, case.photo, error), Skipped)
        plain = OSError(number, os.strerror(number))
        assert isinstance(unforeseen(context, case.photo, plain), Skipped)
        assert isinstance(refused(Context(Config(), store), case.photo, error), Skipped)
        assert store.counts()["failed"] == 0 and store.photo(case.photo.path) is None
    assert case.refusing.parked() == [case.photo] * 4
    assert "LimitNOFILE" in str(case.refusing.problem())
    with no_descriptor():
        case.now += LOOK_SECONDS
        assert case.refusing.is_blocked(str(tmp_path)) and case.refusing.is_blocked("/elsewhere")
        assert case.refusing.is_blocked(str(tmp_path))
    case.now += LOOK_SECONDS
    assert not case.refusing.is_blocked(str(tmp_path))
    assert case.refusing.problem() is None
    assert case.rings >= 2


def test_a_single_run_does_not_wait_for_ever(tmp_path: Path) -> None:
    photo = Candidate(str(tmp_path / "a.jpg"), str(tmp_path), FileStat(1000, 1))
    now = [0.0]
    refusing = BlockedRoots(Config(), clock=lambda: now[0], single=True)
    assert refusing.park(photo, OSError(errno.EMFILE, "Too many open files"))
    with no_descriptor():
        now[0] += SINGLE_SECONDS - 1
        assert refusing.is_blocked(str(tmp_path))
        now[0] += LOOK_SECONDS + 1
        assert not refusing.is_blocked(str(tmp_path))
    assert not refusing.park(photo, OSError(errno.EMFILE, "Too many open files"))
    assert not refusing.park(photo, error_of(WriteFailedError, errno.ENOSPC))
