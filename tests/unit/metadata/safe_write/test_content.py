"""New content made of a new header and the old rest: the same as if it were all made anew."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tagger.errors import PhotoVanishedError, RefusedError, WriteFailedError
from tagger.metadata.containers import splice
from tagger.metadata.safe_write import undo, written
from tagger.metadata.safe_write.content import Spliced, joined, proved, same
from tagger.metadata.safe_write.original import read_original
from tagger.metadata.safe_write.replace import stage
from tagger.records import FileStat
from tagger.system.files import hash_file
from tagger.system.open_beneath import Beneath
from tests.support import jpegs, packets
from tests.support.metadata_tools import Tagger, candidate, left_behind


def fine() -> None:
    """Have nothing against a content."""


def spliced(head: bytes, old: bytes, at: int) -> Spliced:
    return Spliced(head, old, at, fine)


@pytest.mark.parametrize("name", jpegs.MAKERS)
def test_it_is_what_it_says_in_every_use(name: str, tmp_path: Path) -> None:
    old = jpegs.MAKERS[name]()
    opened = splice.open_container(old)
    assert opened is not None
    made = splice.splice(opened, packets.MINIMAL, opened.exif)
    assert isinstance(made, Spliced)
    assert made.old is old
    whole = proved(made)
    assert whole is not None
    assert len(made) == len(whole)
    assert whole.endswith(old[old.rindex(b"\xff\xda") :])
    assert packets.MINIMAL in whole
    assert undo.digest(made) == undo.digest(whole)
    assert undo.decode(undo.encode(made, old)).apply(whole) == old
    assert undo.decode(undo.encode(made, bytes(bytearray(old)))).apply(whole) == old
    path = tmp_path / "a.jpg"
    path.write_bytes(old)
    below = Beneath(str(tmp_path))
    stage(str(path), made, read_original(str(path), below), below).commit()
    assert path.read_bytes() == whole


def test_equality_looks_at_every_byte() -> None:
    old = bytes(range(256)) * 9
    made = spliced(b"head", old, 1000)
    whole = b"head" + old[1000:]
    assert same(made, whole)
    assert not same(made, None)
    assert not same(made, whole[:-1])
    assert not same(made, whole + b"x")
    for at in (0, 3, 4, len(whole) - 1):
        other = bytearray(whole)
        other[at] ^= 1
        assert not same(made, bytes(other))


@pytest.mark.parametrize("at", [0, 99, 100, 299_999, 300_000, 699_999])
def test_one_wrong_byte_in_the_written_file_is_found(at: int, tmp_path: Path) -> None:
    made = spliced(os.urandom(100), os.urandom(1_000_000), 300_100)
    fd = os.open(tmp_path / "new", os.O_RDWR | os.O_CREAT)
    try:
        written.write_content(fd, made)
        written.check_written(fd, made, "photo")
        os.pwrite(fd, bytes([joined(made)[at] ^ 64]), at)
        with pytest.raises(WriteFailedError, match="reads back as something else"):
            written.check_written(fd, made, "photo")
    finally:
        os.close(fd)


@pytest.mark.parametrize("change", [-1, 1])
def test_a_written_file_of_another_length_is_found(change: int, tmp_path: Path) -> None:
    fd = os.open(tmp_path / "new", os.O_RDWR | os.O_CREAT)
    try:
        written.write_content(fd, b"photo" * 99)
        os.ftruncate(fd, 5 * 99 + change)
        with pytest.raises(WriteFailedError):
            written.check_written(fd, b"photo" * 99, "photo")
    finally:
        os.close(fd)


def test_what_must_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    def refuse() -> None:
        assert len(left_behind(tmp_path)) == 1  # it is being written by then
        raise RefusedError("it must not")

    path = tmp_path / "a.jpg"
    path.write_bytes(b"old")
    below = Beneath(str(tmp_path))
    with pytest.raises(RefusedError):
        stage(str(path), Spliced(b"new", b"old", 0, refuse), read_original(str(path), below), below)
    assert os.listdir(tmp_path) == ["a.jpg"]
    assert path.read_bytes() == b"old"
    with pytest.raises(RefusedError):
        proved(Spliced(b"new", b"old", 0, refuse_at_once))


def refuse_at_once() -> None:
    raise RefusedError("it must not")


def test_the_journal_knows_the_digest_of_what_is_there_now(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    for make in jpegs.MAKERS.values():
        path.write_bytes(make())
        before = hash_file(str(path), str(path.parent), FileStat.of(path.lstat()))
        tagger = Tagger(path)
        tagger.write(digest=before)
        now = hash_file(str(path), str(path.parent), FileStat.of(path.lstat()))
        (entry,) = tagger.journal
        assert (entry.before, entry.after, tagger.receipt.content_hash) == (before, now, now)


def test_a_photo_that_changes_after_staging_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.plain())
    seen = candidate(path)
    made = Tagger(path).prepare(seen=seen)
    path.write_bytes(jpegs.plain(1))
    with pytest.raises(PhotoVanishedError):
        made.commit()
    assert path.read_bytes() == jpegs.plain(1)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("shift", [-1, 1, 0])
def test_a_rest_that_begins_elsewhere_is_refused(
    shift: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = jpegs.MAKERS["progressive"]()
    opened = splice.open_container(old)
    assert opened is not None
    right = opened.replaced(packets.MINIMAL, None)
    assert isinstance(right, Spliced)
    second_scan = old.index(b"\xff\xda", right.at + 2)
    at = right.at + shift if shift else second_scan
    wrong = spliced(right.head, old, at)
    monkeypatch.setattr(opened, "replaced", lambda packet, exif: wrong)
    with pytest.raises(RefusedError):
        splice.splice(opened, packets.MINIMAL, None)
