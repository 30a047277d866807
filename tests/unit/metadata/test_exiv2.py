"""exiv2, which darktable, digiKam and gThumb read by, reads what we wrote without a word."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from tagger.metadata.containers.heif_reader import has_base_offset
from tagger.metadata.options import WriteOptions
from tests.support import jpegs, packets, pngs_webps
from tests.support.metadata_tools import EMBED, SIDECAR, TAGS, Tagger

FILES = {
    **{f"jpeg-{name}.jpg": make for name, make in jpegs.MAKERS.items()},
    **{f"png-{name}.png": make for name, make in pngs_webps.PNG_MAKERS.items()},
    **{f"webp-{name}.webp": make for name, make in pngs_webps.WEBP_MAKERS.items()},
}


@pytest.fixture(autouse=True)
def _needs_exiv2() -> None:
    if shutil.which("exiv2") is None:
        assert not os.environ.get("TAGGER_CI"), "exiv2 must be installed for this test"
        pytest.skip("needs exiv2 (Debian's package exiv2)")


def complaints(path: Path) -> list[str]:
    """Return the lines of exiv2's stderr while it prints all metadata of a file."""
    command = ["exiv2", "-pa", str(path)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    return done.stderr.decode("utf-8", "replace").split("\n")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("exif", ["never", "if-absent", "always"])
def test_no_complaint_that_was_not_there_before(name: str, exif: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name]())
    before = complaints(path)
    Tagger(path, WriteOptions(target="embed", exif=exif)).write(TAGS)
    assert set(complaints(path)) <= {*before, ""}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_nothing_is_said_of_a_plain_photo_with_our_exif(suffix: str, tmp_path: Path) -> None:
    make = {".jpg": jpegs.plain, ".png": pngs_webps.png, ".webp": pngs_webps.webp}[suffix]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(make())
    Tagger(path, WriteOptions(target="embed", exif="if-absent")).write(TAGS)
    assert set(complaints(path)) == {""}


@pytest.mark.parametrize(
    "data", [b"", packets.DARKTABLE, packets.DIGIKAM, packets.LIGHTROOM, packets.rated()]
)
def test_nothing_is_said_of_a_sidecar(data: bytes, tmp_path: Path) -> None:
    photo, sidecar = tmp_path / "a.jpg", tmp_path / "a.jpg.xmp"
    photo.write_bytes(jpegs.MAKERS["lightroom"]())
    if data:
        sidecar.write_bytes(data)
    Tagger(photo, SIDECAR).write(TAGS)
    assert set(complaints(sidecar)) == {""}


def heif(base: int) -> bytes:
    """Return the boxes of a HEIC file that say where its items are, from a base or not."""

    def box(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I4s", len(body) + 8, kind) + body

    item = struct.pack(">HHIHII", 1, 0, base, 1, 100 - base, 20)
    iloc = box(b"iloc", b"\0\0\0\0" + bytes([0x44, 0x40]) + struct.pack(">H", 1) + item)
    return (
        box(b"ftyp", b"heic\0\0\0\0mif1heic")
        + box(b"meta", b"\0\0\0\0" + iloc)
        + box(b"mdat", bytes(200))
    )


@pytest.mark.parametrize("base", [0, 40])
def test_a_heic_with_a_base_offset_is_not_embedded_into(base: int, tmp_path: Path) -> None:
    data = heif(base)
    assert has_base_offset(data) == (base > 0)
    if not base or shutil.which("exiftool") is None:
        return
    path = tmp_path / "a.heic"
    path.write_bytes(data)
    tagger = Tagger(path, WriteOptions(target="embed", exiftool=True))
    assert "base offset" in tagger.write().reason
    assert path.read_bytes() == data
    assert (tmp_path / "a.heic.xmp").exists()
    assert tagger.journal[0].reason == tagger.write().reason


def test_the_size_changes_where_the_date_stays(tmp_path: Path) -> None:
    """Many programs tell by both whether a file was changed."""
    for name, data in {
        "a.jpg": jpegs.MAKERS["padded"](),
        "b.jpg": jpegs.put(jpegs.two_pictures(), jpegs.xmp(packets.rated(padding=5000))),
        "c.jpg": jpegs.plain(),
        "d.png": pngs_webps.late(pngs_webps.itxt(packets.rated(padding=5000))),
        "e.webp": pngs_webps.WEBP_MAKERS["vp8x-xmp"](),
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        stat, sizes = path.stat(), [len(data)]
        tagger = Tagger(path, EMBED)
        for step in range(5):
            words = [TAGS[0], TAGS[1]]
            tagger.write([*words, *TAGS[2:]] if step % 2 else words)
            sizes.append(path.stat().st_size)
            assert path.stat().st_mtime_ns == stat.st_mtime_ns
            assert len(data) != sizes[-1] != sizes[-2]
        tagger.undo()
        assert path.read_bytes() == data
