"""What is beneath a folder is opened, and nothing else, however its owner changes it meanwhile."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tagger.errors import PhotoVanishedError
from tagger.system.files import open_photo
from tagger.system.open_beneath import Folder, open_beneath, open_regular, open_root
from tests.conftest import PROJECT


@pytest.fixture
def root(tmp_path: Path) -> Path:
    inside = tmp_path / "root" / "a" / "b"
    inside.mkdir(parents=True)
    (inside / "photo.jpg").write_bytes(b"photo")
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "photo.jpg").write_bytes(b"secret")
    return tmp_path / "root"


def content(root: Path, path: Path) -> bytes:
    fd = open_regular(str(root), str(path))
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def refused(root: Path, path: Path) -> int | None:
    with pytest.raises(OSError) as raised:
        os.close(open_beneath(str(root), str(path)))
    return raised.value.errno


def check_links(root: Path) -> None:
    """What must hold with every way of opening; also run in a process without openat2."""
    away = root.parent / "else"
    assert content(root, root / "a/b/photo.jpg") == b"photo"
    (root / "link.jpg").symlink_to(away / "photo.jpg")
    (root / "folder").symlink_to(away)
    (root / "near").symlink_to("a")
    for path in ("link.jpg", "folder/photo.jpg", "near/b/photo.jpg"):
        assert refused(root, root / path) in (errno.ELOOP, errno.ENOTDIR), path
    assert refused(root, root / "a/../../else/photo.jpg") == errno.EXDEV
    assert refused(root, away / "photo.jpg") == errno.EXDEV
    assert refused(root, root / "a/none.jpg") == errno.ENOENT
    with Folder(str(root), str(root / "a/b")) as folder:
        assert folder.names() == ["photo.jpg"]
        fd = folder.open("new", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.close(fd)
        folder.link("new", "twice")
        folder.rename("new", "old")
        folder.unlink("twice")
        folder.fsync()
        assert sorted(folder.names()) == ["old", "photo.jpg"]
    with Folder(str(root), str(root)) as folder:
        assert folder.has("a")


def test_no_link_below_the_root_is_followed(root: Path) -> None:
    check_links(root)


def test_a_name_does_not_end_at_a_nul(root: Path) -> None:
    assert refused(root, root / "a/b/photo.jpg\0.png") == errno.ENOENT
    assert refused(root, root / "a/b\0/photo.jpg") == errno.ENOENT


def test_an_old_kernel_opens_one_component_after_the_other(root: Path) -> None:
    if shutil.which("strace") is None:
        if os.environ.get("TAGGER_CI"):
            pytest.fail("strace is needed")
        pytest.skip("strace is not installed")
    code = (
        "import sys, pathlib, tests.unit.system.test_open_beneath as t\n"
        "t.check_links(pathlib.Path(sys.argv[1]))"
    )
    inject = ["strace", "-f", "-o", "/dev/null", "-e", "inject=openat2:error=ENOSYS"]
    done = subprocess.run(
        [*inject, sys.executable, "-c", code, root], cwd=PROJECT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_what_is_no_regular_file_is_not_opened(root: Path) -> None:
    os.mkfifo(root / "fifo.jpg")
    for name in ("fifo.jpg", "a"):
        with pytest.raises(OSError, match="not a regular file"):
            open_regular(str(root), str(root / name))
        with pytest.raises(PhotoVanishedError):
            open_photo(str(root / name), str(root))


def test_a_root_may_be_a_link_of_ours(root: Path, tmp_path: Path) -> None:
    (tmp_path / "way").symlink_to(root)
    assert content(tmp_path / "way", tmp_path / "way/a/b/photo.jpg") == b"photo"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make links for others")
def test_a_stranger_s_link_leads_to_his_own_folders_only(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "way"
    link.symlink_to(root)
    os.chown(link, 33, 33, follow_symlinks=False)
    with pytest.raises(OSError, match="another user") as raised:
        open_root(str(link))
    assert raised.value.errno == errno.ELOOP
    with pytest.raises(PhotoVanishedError):
        open_photo(str(link / "a/b/photo.jpg"), str(link))
    os.chown(root, 33, 33)
    os.close(open_root(str(link)))


def test_a_folder_that_is_swapped_in_a_loop(root: Path, tmp_path: Path) -> None:
    """At every depth: the last folder, and one above it."""
    away = tmp_path / "else"
    (away / "b").mkdir()
    (away / "b" / "photo.jpg").write_bytes(b"secret")
    place, aside = root / "a", root / "aside"
    done = threading.Event()

    def swap() -> None:
        while not done.is_set():
            place.rename(aside)
            place.symlink_to(away)
            place.unlink()
            aside.rename(place)

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        for _ in range(2000):
            try:
                seen.add(content(root, root / "a/b/photo.jpg"))
            except OSError as error:
                assert error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR)
    finally:
        done.set()
        thread.join()
    assert b"secret" not in seen
