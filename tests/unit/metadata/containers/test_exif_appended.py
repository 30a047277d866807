"""XPKeywords added to an EXIF block that is there already, of which no byte moves."""

from __future__ import annotations

import struct
from pathlib import Path

import piexif
import pytest

from tagger.errors import RefusedError
from tagger.metadata.containers import exif
from tagger.metadata.containers.splice import open_container
from tagger.metadata.options import WriteOptions
from tests.conftest import SHARED
from tests.support.metadata_tools import BEACH, Tagger, exiftool, look, pixels
from tests.unit.metadata.containers.test_exif import WITH, keywords_for_windows

ALWAYS = WriteOptions(target="embed", exif="always")
EDITED = sorted(WITH.keys() - {"raw.png"})  # EXIF in a text chunk is never edited
NOTE = b"\x00\x01maker note\xff\x92\x7c"
CAMERAS = SHARED / "photos" / "cameras"


def block(order: str, *, keywords: str = "", fill: int = 0, following: bool = True) -> bytes:
    """Return a TIFF structure with a MakerNote that its exact place matters to."""
    value = (keywords + "\0").encode("utf-16-le") if keywords else b""
    rows = [(0x010F, 2, 4, b"ACM\0")]
    count = 2 + bool(value)
    at = 8 + 2 + 12 * count + 4
    if value:
        rows.append((0x9C9E, 1, len(value), struct.pack(order + "I", at)))
    rows.append((0x927C, 7, len(NOTE), struct.pack(order + "I", at + len(value))))
    rows.sort(key=lambda row: row[0])
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, count)
    body = b"".join(struct.pack(order + "HHI", *row[:3]) + row[3] for row in rows)
    return head + body + (bytes(4) if following else b"") + value + NOTE + bytes(fill)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("keywords", ["", "Urlaub;Meer"])
@pytest.mark.parametrize("fill", [0, 1])
def test_no_byte_of_the_block_moves_and_all_of_it_comes_back(order, keywords, fill):
    old = block(order, keywords=keywords, fill=fill)
    made = exif.appended(old, ["dog", "a;b", "meer"])
    assert made[8 : len(old)] == old[8:]
    assert made[:4] == old[:4]
    before = keywords.split(";") if keywords else []
    ours = ["dog", "a,b"] if keywords else ["dog", "a,b", "meer"]
    assert exif.keywords_of(made) == before + ours
    assert exif.stripped(made) == old
    assert exif.without(made, ["dog"]) == old
    tags = piexif.load(b"Exif\0\0" + made)
    assert bytes(tags["0th"][0x9C9E]).decode("utf-16-le") == ";".join(before + ours) + "\0"


def test_what_another_program_rewrote_loses_only_ours():
    old = block("<", keywords="Meer")
    rewritten = exif.appended(old, ["dog"])[:-16] + b"not ours any more"
    assert exif.stripped(rewritten) is None
    left = exif.without(rewritten, ["dog"])
    assert exif.keywords_of(left) == ["Meer"]
    assert exif.without(left, ["dog"]) == left


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"II*\0",
        b"XX*\0" + bytes(20),
        b"II*\0\xff\xff\xff\xff" + bytes(20),
        b"II*\0\x08\0\0\0\xff\xff" + bytes(40),
        b"MM\0*\0\0\0\x08\0\0" + bytes(40),
    ],
)
def test_a_damaged_block_is_refused(damaged):
    with pytest.raises(RefusedError, match="damaged"):
        exif.appended(damaged, ["dog"])


def test_a_block_that_would_not_fit_is_refused():
    room = exif.MAX_BLOCK - len(exif.appended(block("<"), ["dog"]))
    exif.appended(block("<", fill=room - room % 2), ["dog"])
    with pytest.raises(RefusedError, match="64 kB"):
        exif.appended(block("<", fill=room + 2), ["dog"])


def all_but_keywords(path: Path) -> dict[str, object]:
    """Return what exiftool reads, maker notes and thumbnails too, but for our keywords."""
    [found] = look([path]).values()
    ours = ("XMP", "System", "File:", "ExifTool", "IFD0:XPKeywords", "MPF", "RIFF:WebP_Flags")
    return {name: value for name, value in found.items() if not name.startswith(ours)}


@pytest.mark.parametrize("name", EDITED)
def test_a_photo_with_exif_gets_them_too(tmp_path, name):
    path = tmp_path / name
    data = WITH[name]()
    path.write_bytes(data)
    before = all_but_keywords(path)
    tagger = Tagger(path, ALWAYS)
    assert tagger.write().reason == ""
    assert {"animal", "beach"} <= set(keywords_for_windows(path))
    assert all_but_keywords(path) == before
    assert pixels(path.read_bytes()) == pixels(data)
    assert tagger.write().intents == ()
    tagger.write([BEACH])
    assert "beach" in keywords_for_windows(path)
    assert "animal" not in keywords_for_windows(path)
    tagger.undo()
    assert path.read_bytes() == data


def test_after_another_program_only_our_keywords_go(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(WITH["exif-first.jpg"]())
    exiftool("-overwrite_original", "-XPKeywords=Urlaub", path)
    tagger = Tagger(path, ALWAYS)
    tagger.write()
    exiftool("-overwrite_original", "-Artist=Alice", path)
    assert {"Urlaub", "beach"} <= set(keywords_for_windows(path))
    tagger.undo()
    assert keywords_for_windows(path) == ["Urlaub"]
    assert b"Alice" in exiftool("-Artist", path)


@pytest.mark.skipif(not CAMERAS.is_dir(), reason="../shared is absent")
def test_photos_of_real_cameras_keep_maker_notes_and_thumbnails(tmp_path):
    tried = 0
    for source in sorted(CAMERAS.iterdir()):
        data = source.read_bytes()
        try:
            opened = open_container(data)
        except RefusedError:
            continue
        if opened is None or opened.exif is None:
            continue
        path = tmp_path / source.name
        path.write_bytes(data)
        before = all_but_keywords(path)
        tagger = Tagger(path, ALWAYS)
        if tagger.write().reason:
            continue  # not embedded into at all, see tests of embedding
        tried += 1
        assert "beach" in keywords_for_windows(path), source.name
        assert all_but_keywords(path) == before, source.name
        assert pixels(path.read_bytes()) == pixels(data), source.name
        tagger.undo()
        assert path.read_bytes() == data, source.name
    assert tried > 8
