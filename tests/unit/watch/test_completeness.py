"""Who writes to a file, and does it have an end?"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from tagger.system.mounts import Mount
from tagger.watch.completeness import has_writer, take_look
from tagger.watch.file_end import completeness_of
from tagger.watch.stability import Completeness, Look

COMPLETE, INCOMPLETE, UNKNOWN = Completeness


def picture(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.effect_noise((160, 120), 60)
    image.convert("P" if kind == "GIF" else "RGB").save(buffer, kind, **options)
    return buffer.getvalue()


def with_thumbnail() -> bytes:
    """Return a JPEG whose EXIF block holds a whole JPEG of its own."""
    exif = b"Exif\0\0" + picture("JPEG")
    block = b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif
    body = picture("JPEG")
    return body[:2] + block + body[2:]


MAKERS: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: picture("JPEG"),
    "progressive": lambda: picture("JPEG", progressive=True),
    "thumbnail": with_thumbnail,
    "png": lambda: picture("PNG"),
    "webp": lambda: picture("WEBP"),
    "gif": lambda: picture("GIF"),
    "avif": lambda: picture("AVIF"),
}


def judge(path: Path, data: bytes) -> Completeness:
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        return completeness_of(fd, len(data))
    finally:
        os.close(fd)


@pytest.mark.parametrize("kind", MAKERS)
def test_whole_files_are_complete(kind: str, tmp_path: Path) -> None:
    assert judge(tmp_path / "a", MAKERS[kind]()) is COMPLETE


@pytest.mark.parametrize("kind", MAKERS)
def test_no_part_of_a_file_is_complete(kind: str, tmp_path: Path) -> None:
    data = MAKERS[kind]()
    cuts = range(16, len(data) - 2, max(1, len(data) // 200))
    verdicts = {cut: judge(tmp_path / "a", data[:cut]) for cut in cuts}
    assert [cut for cut, verdict in verdicts.items() if verdict is COMPLETE] == []


@pytest.mark.parametrize("kind", MAKERS)
def test_room_reserved_in_advance_is_not_complete(kind: str, tmp_path: Path) -> None:
    data = MAKERS[kind]()
    half = data[: len(data) // 2].ljust(len(data), b"\0")
    assert judge(tmp_path / "a", half) is not COMPLETE


def test_the_thumbnail_is_not_taken_for_the_photo(tmp_path: Path) -> None:
    data = with_thumbnail()
    end = data.index(b"\xff\xd9") + 2
    assert judge(tmp_path / "a", data[:end]) is INCOMPLETE


def test_a_trailer_after_the_end_does_no_harm(tmp_path: Path) -> None:
    assert judge(tmp_path / "a", picture("JPEG") + b"SEFT" + bytes(500)) is COMPLETE


@pytest.mark.parametrize("data", [b"hello, I am a text", b"\0" * 100, b"II*\0" + bytes(40)])
def test_other_things_are_unknown(data: bytes, tmp_path: Path) -> None:
    assert judge(tmp_path / "a", data) is UNKNOWN


def test_an_empty_file_is_incomplete(tmp_path: Path) -> None:
    assert judge(tmp_path / "a", b"") is INCOMPLETE


def test_bmp_tells_its_size(tmp_path: Path) -> None:
    data = picture("BMP")
    assert judge(tmp_path / "a", data[:-1]) is INCOMPLETE
    assert judge(tmp_path / "a", data) is UNKNOWN


def test_a_writer_is_seen_and_its_end_as_well(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    with path.open("wb") as file:
        file.write(b"x")
        file.flush()
        fd = os.open(path, os.O_RDONLY)
        assert has_writer(fd) is True
    assert has_writer(fd) is False
    os.close(fd)


def test_a_reader_is_no_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x")
    with path.open("rb"):
        fd = os.open(path, os.O_RDONLY)
        assert has_writer(fd) is False
        os.close(fd)


def test_a_writer_coming_at_the_wrong_moment_does_not_kill_us(tmp_path: Path) -> None:
    """Breaking a lease sends its holder a signal, whose default would end the process."""
    path = tmp_path / "a.jpg"
    path.write_bytes(b"x")
    code = "import os,sys\nwhile True: os.close(os.open(sys.argv[1], os.O_WRONLY))"
    writer = subprocess.Popen([sys.executable, "-c", code, str(path)])
    try:
        answers = set()
        end = time.monotonic() + 10
        while answers != {True, False}:
            assert time.monotonic() < end, f"only ever {answers}"
            fd = os.open(path, os.O_RDONLY)
            answers.add(has_writer(fd))
            os.close(fd)
    finally:
        writer.kill()
        writer.wait()


def look(path: Path, **options: float) -> Look:
    wall = options.pop("wall", time.time())
    trust = options.pop("trust_times", 0.0)
    mount = Mount("/", "ext4")
    return take_look(str(path), str(path.parent), mount, wall=wall, trust_times=trust)


def test_an_old_mtime_alone_does_not_make_a_file_idle(tmp_path: Path, jpeg: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg)
    os.utime(path, (1e9, 1e9))
    assert look(path).idle < 5.0
    assert look(path, wall=time.time() + 100).idle == pytest.approx(100, abs=5)
    assert look(path, wall=time.time() + 100, trust_times=3600.0).idle == 0.0


def test_a_time_in_the_future_is_not_idle(tmp_path: Path, jpeg: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg)
    os.utime(path, (5e9, 5e9))
    assert look(path, wall=time.time() + 100).idle == 0.0


def test_links_pipes_and_folders_are_not_looked_at(tmp_path: Path) -> None:
    (tmp_path / "real.jpg").write_bytes(b"x")
    (tmp_path / "link.jpg").symlink_to("real.jpg")
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("link.jpg", "folder.jpg", "pipe.jpg", "nothing.jpg"):
        with pytest.raises(FileNotFoundError):
            look(tmp_path / name)


def test_without_leases_the_writer_is_unknown(tmp_path: Path, jpeg: bytes) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg)
    mount = Mount("/", "nfs4")
    seen = take_look(str(path), str(tmp_path), mount, wall=time.time(), trust_times=0.0)
    assert (seen.writer, seen.completeness, seen.stat.inode) == (None, COMPLETE, 0)
