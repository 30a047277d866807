"""XMP sidecars: made, merged into those of other programs, moved, and taken away again."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tagger.errors import RefusedError
from tagger.metadata.options import WriteOptions
from tests.support import jpegs, packets
from tests.support.metadata_tools import (
    BEACH,
    DOG,
    EMBED,
    JSON,
    SIDECAR,
    TAGS,
    Tagger,
    exiftool,
    keywords_in,
)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.plain())
    return path


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def version(path: Path) -> tuple[int, ...]:
    """All that stat tells of a file but when it was last read."""
    stat = path.lstat()
    return (
        stat.st_mode,
        stat.st_ino,
        stat.st_uid,
        stat.st_size,
        stat.st_mtime_ns,
        stat.st_ctime_ns,
    )


def test_made_and_taken_away(photo: Path) -> None:
    tagger = Tagger(photo, SIDECAR)
    before = version(photo)
    made = tagger.write()
    assert names(photo.parent) == ["a.jpg", "a.jpg.xmp"]
    assert keywords_in(photo.with_name("a.jpg.xmp"))["TagsList"] == ["animal/dog", "beach"]
    assert (made.reason, version(photo)) == ("", before)
    assert tagger.journal[0].created
    assert tagger.write().intents == ()
    tagger.undo()
    assert names(photo.parent) == ["a.jpg"]
    assert version(photo) == before


def judged(path: Path) -> bytes:
    return exiftool("-validate", "-warning", "-a", "-s3", path)


PROGRAMS = {
    "darktable": packets.DARKTABLE,
    "digikam": packets.DIGIKAM,
    "lightroom": packets.LIGHTROOM,
    "rated": packets.rated(),
    "windows-lines": packets.DARKTABLE.replace(b"\n", b"\r\n"),
    "byte-order-mark": b"\xef\xbb\xbf" + packets.DIGIKAM,
    "minimal": packets.MINIMAL,
    "empty-arrays": packets.EMPTY_ARRAYS,
    "comments": packets.COMMENTED,
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_merged_into_what_is_there(program: str, photo: Path) -> None:
    sidecar, data = photo.with_name("a.jpg.xmp"), PROGRAMS[program]
    sidecar.write_bytes(data)
    before, verdict = keywords_in(sidecar), judged(sidecar)
    tagger = Tagger(photo, SIDECAR)
    tagger.write()
    written = sidecar.read_bytes()
    # Everything there was is still there in its order; only white space may have gone.
    letters = iter(re.sub(rb"\s", b"", written))
    kept = re.sub(rb"\s", b"", data).replace(b"/>", b">")
    assert all(byte in letters for byte in kept)
    for name, values in keywords_in(sidecar).items():
        old = [value for value in before[name] if value]
        assert values[: len(old)] == old
    for tag in (b"darktable:params", b"darktable:history", b"xmp:Label", b"dc:title"):
        assert written.count(tag) == data.count(tag)
    assert b"<rdf:Seq>" not in data or written.index(b"<rdf:Seq>") >= data.index(b"<rdf:Seq>")
    assert judged(sidecar) in (verdict, b"OK\n")
    tagger.undo()
    assert sidecar.read_bytes() == data


def test_array_types_of_others_are_kept(photo: Path) -> None:
    sidecar = photo.with_name("a.jpg.xmp")
    sidecar.write_bytes(packets.DARKTABLE)
    Tagger(photo, SIDECAR).write()
    for name in ("dc:subject", "lr:hierarchicalSubject"):
        array = sidecar.read_text().split(f"<{name}>")[1].split(f"</{name}>")[0]
        assert "<rdf:Seq>" in array
        assert "dog" in array


def test_the_short_name_is_used_when_the_photo_is_alone(photo: Path) -> None:
    short = photo.with_name("a.xmp")
    short.write_bytes(packets.LIGHTROOM)
    tagger = Tagger(photo, SIDECAR)
    tagger.write()
    assert names(photo.parent) == ["a.jpg", "a.xmp"]
    assert "animal/dog" in keywords_in(short)["TagsList"]
    tagger.undo()
    assert short.read_bytes() == packets.LIGHTROOM


@pytest.mark.parametrize("other", ["a.cr2", "a.CR3", "a.png"])
def test_the_short_name_may_belong_to_another_photo(other: str, photo: Path) -> None:
    short = photo.with_name("a.xmp")
    short.write_bytes(packets.LIGHTROOM)
    photo.with_name(other).write_bytes(b"II*\0")
    Tagger(photo, SIDECAR).write()
    assert short.read_bytes() == packets.LIGHTROOM
    assert names(photo.parent) == sorted(["a.jpg", "a.jpg.xmp", "a.xmp", other])


def test_a_raw_file_owns_its_short_name(photo: Path) -> None:
    raw, short = photo.with_name("a.cr2"), photo.with_name("a.xmp")
    raw.write_bytes(b"II*\0" + bytes(100))
    short.write_bytes(packets.LIGHTROOM)
    tagger = Tagger(raw, WriteOptions(target="embed", exiftool=True))
    assert "RAW" in tagger.write().reason
    assert names(photo.parent) == ["a.cr2", "a.jpg", "a.xmp"]
    assert raw.read_bytes() == b"II*\0" + bytes(100)


def test_never_two(photo: Path) -> None:
    short, long = photo.with_name("a.xmp"), photo.with_name("a.jpg.xmp")
    short.write_bytes(packets.LIGHTROOM)
    tagger = Tagger(photo, SIDECAR)
    tagger.write()
    long.write_bytes(packets.DARKTABLE)  # another program makes the one that is preferred
    tagger.write()
    assert short.read_bytes() == packets.LIGHTROOM
    assert "animal/dog" in keywords_in(long)["TagsList"]
    tagger.undo()
    assert long.read_bytes() == packets.DARKTABLE


@pytest.mark.parametrize("data", [b"", b"\n \n"])
def test_an_empty_one_is_filled_and_emptied_again(data: bytes, photo: Path) -> None:
    sidecar = photo.with_name("a.jpg.xmp")
    sidecar.write_bytes(data)
    tagger = Tagger(photo, SIDECAR)
    tagger.write()
    assert "beach" in keywords_in(sidecar)["Subject"]
    tagger.undo()
    assert sidecar.read_bytes() == data


@pytest.mark.parametrize("name", packets.NOT_EDITABLE)
def test_what_cannot_be_edited_is_named_and_left_alone(name: str, photo: Path) -> None:
    sidecar, (data, reason) = photo.with_name("a.jpg.xmp"), packets.REFUSED[name]
    sidecar.write_bytes(data)
    with pytest.raises(RefusedError, match=re.escape(str(sidecar))) as caught:
        Tagger(photo, SIDECAR).write()
    assert reason in str(caught.value)
    assert sidecar.read_bytes() == data
    assert names(photo.parent) == ["a.jpg", "a.jpg.xmp"]
    # It does not stand in the way of embedding, and of undoing that.
    tagger = Tagger(photo, EMBED)
    tagger.write()
    tagger.undo()
    assert photo.read_bytes() == jpegs.plain()
    assert sidecar.read_bytes() == data


def test_links_and_folders_are_left_alone(photo: Path) -> None:
    sidecar, target = photo.with_name("a.jpg.xmp"), photo.parent / "elsewhere"
    target.write_bytes(packets.LIGHTROOM)
    sidecar.symlink_to(target)
    for spoil in (lambda: None, lambda: sidecar.unlink() or sidecar.mkdir()):  # type: ignore[func-returns-value]
        spoil()
        with pytest.raises(RefusedError, match=re.escape(str(sidecar))):
            Tagger(photo, SIDECAR).write()
        tagger = Tagger(photo, EMBED)
        tagger.write()
        tagger.undo()
    assert target.read_bytes() == packets.LIGHTROOM


def test_one_with_hard_links_or_without_write_permission_is_left_alone(photo: Path) -> None:
    sidecar = photo.with_name("a.jpg.xmp")
    sidecar.write_bytes(packets.LIGHTROOM)
    os.link(sidecar, photo.parent / "other")
    with pytest.raises(RefusedError, match="hard links"):
        Tagger(photo, SIDECAR).write()
    (photo.parent / "other").unlink()
    sidecar.chmod(0o444)
    with pytest.raises(RefusedError, match="write-protected"):
        Tagger(photo, SIDECAR).write()
    assert sidecar.read_bytes() == packets.LIGHTROOM


def test_what_the_user_adds_to_ours_stays(photo: Path) -> None:
    tagger = Tagger(photo, SIDECAR)
    tagger.write()
    sidecar = photo.with_name("a.jpg.xmp")
    exiftool("-q", "-overwrite_original", "-XMP:Rating=4", sidecar)
    tagger.write([BEACH])
    assert keywords_in(sidecar)["Subject"] == ["beach"]
    tagger.undo()
    assert keywords_in(sidecar)["Subject"] == []
    assert exiftool("-s3", "-XMP:Rating", sidecar).strip() == b"4"


def test_one_of_ours_that_was_deleted_is_made_again(photo: Path) -> None:
    tagger = Tagger(photo, SIDECAR)
    tagger.write()
    photo.with_name("a.jpg.xmp").unlink()
    assert tagger.write().deleted == ()
    tagger.undo()
    assert names(photo.parent) == ["a.jpg"]


def test_a_new_one_has_the_rights_of_the_photo(photo: Path) -> None:
    photo.chmod(0o604)
    if os.geteuid() == 0:
        os.chown(photo, 12345, 23456)
    Tagger(photo, SIDECAR).write()
    ours, of_photo = photo.with_name("a.jpg.xmp").stat(), photo.stat()
    assert ours.st_mode == of_photo.st_mode
    assert (ours.st_uid, ours.st_gid) == (of_photo.st_uid, of_photo.st_gid)


def test_the_one_of_a_protected_photo_can_be_changed_later(photo: Path) -> None:
    photo.chmod(0o444)
    tagger = Tagger(photo, SIDECAR)
    tagger.write()
    tagger.write([DOG])
    tagger.undo()
    assert names(photo.parent) == ["a.jpg"]


ROUND = (SIDECAR, EMBED, JSON, SIDECAR, JSON, EMBED, SIDECAR)


@pytest.mark.parametrize("there", ["", "a.xmp", "a.jpg.xmp"])
def test_tags_move_when_the_target_changes(there: str, photo: Path) -> None:
    if there:
        photo.with_name(there).write_bytes(packets.DARKTABLE)
    before = {path.name: path.read_bytes() for path in photo.parent.iterdir()}
    tagger = Tagger(photo)
    for options in ROUND:
        tagger.write(TAGS, options=options)
        # Another program's sidecar is read before what is embedded: it gets them, too.
        targets = [options.target, *(["sidecar-xmp"] if there and options is EMBED else [])]
        assert [entry.target for entry in tagger.journal] == targets
        holding = [path.name for path in photo.parent.iterdir() if b"dog" in path.read_bytes()]
        assert len(holding) == len(targets)
        unchanged = {path.name: path.read_bytes() for path in photo.parent.iterdir()}
        assert {n: d for n, d in before.items() if n not in holding} == {
            n: d for n, d in unchanged.items() if n not in holding
        }
        assert tagger.write(TAGS, options=options).intents == ()
    tagger.undo()
    assert {path.name: path.read_bytes() for path in photo.parent.iterdir()} == before


@pytest.mark.parametrize("options", [WriteOptions(target="none"), WriteOptions(read_only=True)])
def test_nothing_is_written_where_nothing_may_be(options: WriteOptions, photo: Path) -> None:
    tagger = Tagger(photo, SIDECAR)
    assert tagger.write(TAGS, options=options).intents == ()
    assert names(photo.parent) == ["a.jpg"]
    tagger.write()
    journal = tagger.journal
    assert tagger.write(TAGS, options=options).intents == ()
    assert tagger.journal == journal
