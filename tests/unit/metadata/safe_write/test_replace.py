"""Replacing files: what they are dressed in stays, and nobody else's edit is lost."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tagger.errors import PhotoVanishedError, RefusedError, WriteFailedError
from tagger.metadata.options import WriteOptions
from tagger.metadata.prepared_write import PreparedWrite
from tagger.metadata.safe_write import replace
from tagger.metadata.safe_write.original import read_original
from tagger.metadata.safe_write.replace import stage
from tagger.metadata.safe_write.temporary import clean_strays
from tagger.system.open_beneath import Beneath, Folder
from tagger.system.paths import OWN_PREFIX
from tests.support import jpegs, packets
from tests.support.metadata_tools import DOG, EMBED, SIDECAR, Tagger, left_behind


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.plain())
    return path


def attributes(path: Path) -> dict[str, bytes]:
    return {name: os.getxattr(path, name) for name in os.listxattr(path)}


def test_everything_the_photo_is_dressed_in_stays(photo: Path) -> None:
    photo.chmod(0o2741)
    if os.geteuid() == 0:
        os.chown(photo, 4321, 5432)
        photo.chmod(0o2741)
    os.utime(photo, ns=(10**18 + 7, 10**18 + 123_456_789))
    try:
        os.setxattr(photo, "user.xdg.tags", b"mine")
        subprocess.run(["setfacl", "-m", "u:1234:r,g:4444:rw", photo], check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this file system has no attributes or ACLs")
    old, worn = photo.stat(), attributes(photo)
    tagger = Tagger(photo)
    for step in (tagger.write, tagger.undo):
        step()
        now = photo.stat()
        assert (now.st_mode, now.st_uid, now.st_gid) == (old.st_mode, old.st_uid, old.st_gid)
        assert (now.st_mtime_ns, now.st_nlink) == (old.st_mtime_ns, 1)
        assert attributes(photo) == worn
    assert len(worn) >= 2


def test_the_folder_puts_no_acl_on_a_photo_without(photo: Path) -> None:
    if shutil.which("setfacl") is None:
        pytest.skip("setfacl is not installed")
    if subprocess.run(["setfacl", "-d", "-m", "u:1234:rwx", photo.parent], check=False).returncode:
        pytest.skip("this file system has no ACLs")
    photo.chmod(0o600)
    Tagger(photo).write()
    assert attributes(photo) == {}
    assert photo.stat().st_mode & 0o777 == 0o600


def test_the_date_changes_only_if_wanted(photo: Path) -> None:
    os.utime(photo, ns=(10**18, 10**18))
    Tagger(photo, WriteOptions(target="embed", preserve_mtime=False)).write()
    assert photo.stat().st_mtime_ns > 10**18


def edited(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"another photo")
    other.rename(path)


def touched_back(path: Path) -> None:
    """Edit in place, in the same length, and set the date back."""
    old = path.stat()
    with path.open("r+b") as file:
        file.seek(-8, os.SEEK_END)
        file.write(b"XXXXXX")
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))


def linked(path: Path) -> None:
    os.link(path, path.with_name("link"))


def to_link(path: Path) -> None:
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")


RACES: dict[str, Callable[[Path], None]] = {
    "edited": edited,
    "replaced": replaced,
    "removed": lambda path: path.unlink(),
    "renamed": lambda path: path.rename(path.with_name("renamed")),
    "touched-back": touched_back,
    "linked": linked,
    "symlink": to_link,
    "chmod": lambda path: path.chmod(0o600),
}


def state(folder: Path) -> dict[str, tuple[bytes, int, bool]]:
    return {
        path.name: (path.read_bytes(), path.lstat().st_mode, path.is_symlink())
        for path in folder.iterdir()
        if not path.name.startswith(OWN_PREFIX)
    }


@pytest.mark.parametrize("race", RACES)
def test_a_change_before_the_commit_wins(race: str, photo: Path) -> None:
    tagger = Tagger(photo)
    made = tagger.prepare()
    RACES[race](photo)
    before = state(photo.parent)
    with pytest.raises(PhotoVanishedError):
        made.commit()
    assert state(photo.parent) == before
    assert left_behind(photo.parent) == []


@pytest.mark.parametrize("race", ["edited", "replaced", "removed", "renamed", "symlink"])
def test_a_photo_that_has_changed_gets_no_sidecar(race: str, photo: Path) -> None:
    made = Tagger(photo, SIDECAR).prepare()
    RACES[race](photo)
    before = state(photo.parent)
    with pytest.raises(PhotoVanishedError):
        made.commit()
    assert state(photo.parent) == before
    assert left_behind(photo.parent) == []


class AtTheRename:
    """Lets another program act in the last moment before a rename."""

    def __init__(self, act: Callable[[], object]) -> None:
        self.real, self.act, self.calls = replace._rename, act, 0

    def __call__(self, folder: Folder, source: str, target: str, flag: int) -> bool:
        self.calls += 1
        if self.calls == 1:
            self.act()
        return self.real(folder, source, target, flag)


@pytest.mark.parametrize("race", ["edited", "replaced", "removed", "renamed", "linked", "symlink"])
def test_a_change_in_the_last_moment_wins(
    race: str, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Tagger(photo).prepare()
    seen: dict[str, tuple[bytes, int, bool]] = {}

    def act() -> None:
        RACES[race](photo)
        seen.update(state(photo.parent))

    rename = AtTheRename(act)
    monkeypatch.setattr(replace, "_rename", rename)
    with pytest.raises(PhotoVanishedError):
        made.commit()
    assert rename.calls >= 1
    assert state(photo.parent) == seen
    assert left_behind(photo.parent) == []


@pytest.mark.parametrize("moment", ["before", "last"])
def test_a_sidecar_that_appears_meanwhile_is_kept(
    moment: str, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Tagger(photo, SIDECAR).prepare()
    sidecar = photo.with_name("a.jpg.xmp")

    def act() -> None:
        sidecar.write_bytes(packets.DARKTABLE)

    if moment == "before":
        act()
    else:
        monkeypatch.setattr(replace, "_rename", AtTheRename(act))
    with pytest.raises(PhotoVanishedError):
        made.commit()
    assert sidecar.read_bytes() == packets.DARKTABLE
    assert left_behind(photo.parent) == []


@pytest.mark.parametrize("moment", ["before", "last"])
@pytest.mark.parametrize("undo", [True, False])
def test_a_sidecar_that_is_edited_meanwhile_is_kept(
    moment: str, undo: bool, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tagger, sidecar = Tagger(photo, SIDECAR), photo.with_name("a.jpg.xmp")
    tagger.write()
    made = tagger.prepare(() if undo else [DOG])
    if moment == "before":
        edited(sidecar)
    else:
        monkeypatch.setattr(replace, "_rename", AtTheRename(lambda: edited(sidecar)))
    with pytest.raises(PhotoVanishedError):
        made.commit()
    assert sidecar.read_bytes().endswith(b"more")
    assert left_behind(photo.parent) == []


def test_an_edit_is_kept_even_if_swapping_back_fails(
    photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Tagger(photo).prepare()
    rename = AtTheRename(lambda: edited(photo))

    def failing(folder: Folder, source: str, target: str, flag: int) -> bool:
        if rename.calls:
            raise OSError(5, "Input/output error")
        return rename(folder, source, target, flag)

    monkeypatch.setattr(replace, "_rename", failing)
    with pytest.raises(PhotoVanishedError):
        made.commit()
    assert photo.read_bytes() == jpegs.plain() + b"more"


@pytest.mark.parametrize("options", [EMBED, SIDECAR])
def test_disks_without_swapping_are_written_to_as_well(
    options: WriteOptions, photo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replace, "_rename", lambda *_: False)
    tagger = Tagger(photo, options)
    tagger.write()
    assert b"dog" in b"".join(path.read_bytes() for path in photo.parent.iterdir())
    tagger.undo()
    assert photo.read_bytes() == jpegs.plain()
    assert os.listdir(photo.parent) == ["a.jpg"]


def test_discarding_leaves_everything_as_it_is(photo: Path) -> None:
    made: PreparedWrite = Tagger(photo).prepare()
    assert len(left_behind(photo.parent)) == 1
    made.discard()
    assert os.listdir(photo.parent) == ["a.jpg"]
    assert photo.read_bytes() == jpegs.plain()


def test_a_gone_or_changed_photo_is_not_prepared(photo: Path) -> None:
    from tests.support.metadata_tools import candidate

    seen = candidate(photo)
    edited(photo)
    with pytest.raises(PhotoVanishedError):
        Tagger(photo).prepare(seen=seen)
    photo.unlink()
    with pytest.raises(PhotoVanishedError):
        Tagger(photo).prepare(seen=seen)
    photo.symlink_to("elsewhere")
    with pytest.raises(PhotoVanishedError):
        Tagger(photo).prepare(seen=seen)
    assert os.listdir(photo.parent) == ["a.jpg"]


def test_leftovers_are_told_from_files_in_use(tmp_path: Path) -> None:
    dead = subprocess.run(["true"], check=True)
    assert dead.returncode == 0
    gone = subprocess.Popen(["true"])
    gone.wait()
    names = {
        f"{OWN_PREFIX}{gone.pid}-0123.tmp": True,  # its process has ended
        f"{OWN_PREFIX}{os.getpid()}-0123.tmp": True,  # ours, from before a restart
        f"{OWN_PREFIX}{os.getppid()}-0123.tmp": False,  # of a living process
        f"{OWN_PREFIX}²-x.tmp": False,
        f"{OWN_PREFIX}probe": False,
        "photo.tmp": False,
    }
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    old = tmp_path / f"{OWN_PREFIX}1-old.tmp"
    old.write_bytes(b"x")
    os.utime(old, (1, 1))
    assert clean_strays(str(tmp_path)) == 3
    assert sorted(os.listdir(tmp_path)) == sorted(n for n, left in names.items() if not left)
    assert clean_strays(str(tmp_path / "none")) == 0


HIDDEN = """
import ctypes, os, sys
from tagger.metadata.safe_write.temporary import clean_strays
libc = ctypes.CDLL(None)
if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 1 << 14 | 1 << 18, None):
    sys.exit(77)
if libc.mount(b"proc", b"/proc", b"proc", 0, b"hidepid=2"):
    sys.exit(77)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
assert not os.path.exists(f"/proc/{os.getppid()}")
print(clean_strays(sys.argv[1]))
"""
"""With mounts of its own (private ones), and a /proc that shows an account its own processes."""


def test_files_of_processes_that_proc_hides_are_in_use() -> None:
    """As with ProtectProc=invisible in the unit."""
    if os.geteuid() != 0:
        pytest.skip("not root")
    gone = subprocess.Popen(["true"])
    gone.wait()
    with TemporaryDirectory() as folder:  # where every account can go
        Path(folder).chmod(0o777)
        for process in (os.getpid(), gone.pid):
            Path(folder, f"{OWN_PREFIX}{process}-0123.tmp").write_bytes(b"x")
        done = subprocess.run(
            [sys.executable, "-c", HIDDEN, folder], capture_output=True, check=False, text=True
        )
        if done.returncode == 77:
            pytest.skip("nothing can be mounted here")
        assert (done.stdout, done.stderr) == ("1\n", "")
        assert os.listdir(folder) == [f"{OWN_PREFIX}{os.getpid()}-0123.tmp"]


def test_one_in_use_by_ourselves_is_no_leftover(tmp_path: Path) -> None:
    staged = stage(str(tmp_path / "new"), b"x", None, Beneath(str(tmp_path)))
    assert clean_strays(str(tmp_path)) == 0
    staged.commit()
    assert os.listdir(tmp_path) == ["new"]


@pytest.mark.parametrize("end", ["sync", "commit", "discard"])
def test_what_was_written_is_closed_at_the_end(tmp_path: Path, end: str) -> None:
    open_before = os.listdir("/proc/self/fd")
    staged = stage(str(tmp_path / "new"), b"x", None, Beneath(str(tmp_path)))
    getattr(staged, end)()
    assert staged.written == -1
    staged.discard()
    staged.folder.close()
    assert os.listdir("/proc/self/fd") == open_before


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("fifo")
    (tmp_path / "folder").mkdir()
    gc.collect()  # files of other tests' garbage are closed by now
    open_files = len(os.listdir("/proc/self/fd"))
    for name in ("fifo", "link", "folder"):
        with pytest.raises(RefusedError):
            read_original(str(tmp_path / name), Beneath(str(tmp_path)))
    assert len(os.listdir("/proc/self/fd")) == open_files
    assert read_original(str(tmp_path / "none"), Beneath(str(tmp_path))) is None


def test_errors_of_the_disk_tell_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WriteFailedError, match=r"none/new.*; check the rights"):
        stage(str(tmp_path / "none" / "new"), b"x", None, Beneath(str(tmp_path)))


def test_a_name_of_any_bytes_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "a\udce9 %d.jpg"
    path.write_bytes(jpegs.plain())
    tagger = Tagger(path)
    tagger.write()
    assert b">dog<" in path.read_bytes()
    tagger.undo()
    assert path.read_bytes() == jpegs.plain()
