"""Photos are copied and linked from places and to places that others may change meanwhile."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tagger.cli.export import copy_photos, link_photos
from tagger.errors import TaggerError

SECRET = b"secret of somebody else"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root" / "sub").mkdir(parents=True)
    (tmp_path / "root" / "sub" / "a.jpg").write_bytes(b"a photo")
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "a.jpg").write_bytes(SECRET)
    return tmp_path / "root"


def to_link(photo: Path) -> None:
    photo.unlink()
    photo.symlink_to(photo.parents[2] / "else" / "a.jpg")


def to_fifo(photo: Path) -> None:
    photo.unlink()
    os.mkfifo(photo)


def folder_to_link(photo: Path) -> None:
    photo.parent.rename(photo.parent.with_name("aside"))
    photo.parent.symlink_to(photo.parents[2] / "else")


def folder_to_fifo(photo: Path) -> None:
    photo.parent.rename(photo.parent.with_name("aside"))
    os.mkfifo(photo.parent)


@pytest.mark.parametrize("change", [to_link, to_fifo, folder_to_link, folder_to_fifo, os.unlink])
@pytest.mark.parametrize("do", [copy_photos, link_photos])
def test_only_a_photo_of_the_watched_folder_is_taken(
    do: Callable[..., object], change: Callable[[Path], None], root: Path, tmp_path: Path
) -> None:
    photo, good = root / "sub" / "a.jpg", root / "good.jpg"
    good.write_bytes(b"good")
    change(photo)
    done = do([(str(photo), str(root)), (str(good), str(root))], str(tmp_path / "album"))
    assert (done.added, done.failed) == (1, 1)  # type: ignore[attr-defined]
    assert os.listdir(tmp_path / "album") == ["good.jpg"]


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "folder", "other"])
def test_nothing_in_the_album_is_followed_or_overwritten(
    kind: str, root: Path, tmp_path: Path
) -> None:
    album, secret = tmp_path / "album", tmp_path / "else" / "a.jpg"
    album.mkdir()
    there = album / "a.jpg"
    if kind == "link":
        there.symlink_to(secret)
    elif kind == "dangling":
        there.symlink_to(tmp_path / "else" / "new.jpg")
    elif kind == "fifo":
        os.mkfifo(there)
    elif kind == "folder":
        there.mkdir()
    else:
        there.write_bytes(b"mine")
    before = (there.lstat().st_ino, there.lstat().st_mode, there.lstat().st_ctime_ns)
    place = (str(root / "sub" / "a.jpg"), str(root))
    assert copy_photos([place], str(album)).added == 1
    assert (album / "a (2).jpg").read_bytes() == b"a photo"
    after = (there.lstat().st_ino, there.lstat().st_mode, there.lstat().st_ctime_ns)
    assert after == before and secret.read_bytes() == SECRET
    assert sorted(os.listdir(tmp_path / "else")) == ["a.jpg"]
    assert copy_photos([place], str(album)).present == 1  # and the second time it is there


def test_a_copy_has_the_date_and_no_rights_of_a_program(root: Path, tmp_path: Path) -> None:
    photo = root / "sub" / "a.jpg"
    photo.chmod(0o6755)
    os.utime(photo, ns=(10**18, 10**18 + 1))
    copy_photos([(str(photo), str(root))], str(tmp_path / "album"))
    made = (tmp_path / "album" / "a.jpg").stat()
    assert (made.st_mode & 0o7777, made.st_mtime_ns) == (0o755, 10**18 + 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make links for others")
def test_an_album_behind_a_stranger_s_link(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "album"
    link.symlink_to(tmp_path / "else")
    os.chown(link, 33, 33, follow_symlinks=False)
    with pytest.raises(TaggerError, match="another user"):
        copy_photos([(str(root / "sub" / "a.jpg"), str(root))], str(link))
    assert os.listdir(tmp_path / "else") == ["a.jpg"]


def test_a_folder_that_is_swapped_in_a_loop(root: Path, tmp_path: Path) -> None:
    sub, aside, done = root / "sub", root / "aside", threading.Event()

    def swap() -> None:
        while not done.is_set():
            sub.rename(aside)
            sub.symlink_to(tmp_path / "else")
            sub.unlink()
            aside.rename(sub)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for number in range(300):
            copy_photos([(str(sub / "a.jpg"), str(root))], str(tmp_path / f"album{number % 30}"))
    finally:
        done.set()
        thread.join()
    copied = {path.read_bytes() for path in tmp_path.glob("album*/*")}
    assert copied <= {b"a photo"}
