"""HEIC, AVIF and TIFF: embedded by exiftool on a checked copy, if it may; RAW never."""

from __future__ import annotations

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image

from tagger.errors import RefusedError
from tagger.metadata.containers import image_digest
from tagger.metadata.options import WriteOptions
from tests.support import jpegs, packets
from tests.support.metadata_tools import EMBED, TAGS, Tagger, exiftool, keywords_in, pixels

BY_EXIFTOOL = WriteOptions(target="embed", exiftool=True)


def heif(codec: str = "hevc", packet: bytes = b"", *, based: bool = False) -> bytes:
    buffer = io.BytesIO()
    made = pillow_heif.from_pillow(jpegs.picture())
    options = {"xmp": packet} if packet else {}
    made.save(buffer, format="AVIF" if codec == "av1" else "HEIF", quality=60, **options)
    return buffer.getvalue() if based else without_base(buffer.getvalue())


def without_base(data: bytes) -> bytes:
    """Let the places of libheif's items count from the file's beginning, as cameras write them."""
    made, at = bytearray(data), data.index(b"iloc") + 4
    assert data[at : at + 6] == b"\0\0\0\0\x44\x40", "four bytes each: offset, length, base"
    count = int.from_bytes(data[at + 6 : at + 8])
    at += 8
    for _ in range(count):
        base = int.from_bytes(data[at + 4 : at + 8])
        pieces = int.from_bytes(data[at + 8 : at + 10])
        made[at + 4 : at + 8] = bytes(4)
        at += 10
        for _ in range(pieces):
            made[at : at + 4] = (base + int.from_bytes(data[at : at + 4])).to_bytes(4)
            at += 8
    return bytes(made)


def avif(packet: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    jpegs.picture().save(buffer, "AVIF", xmp=packet)
    return buffer.getvalue()


def tiff(pages: int = 1, packet: bytes = b"") -> bytes:
    buffer = io.BytesIO()
    more = [jpegs.picture(seed).copy() for seed in range(1, pages)]
    tags = {700: packet} if packet else {}
    jpegs.picture().copy().save(
        buffer, "TIFF", save_all=True, append_images=more, compression="tiff_lzw", tiffinfo=tags
    )
    return buffer.getvalue()


MAKERS: dict[str, Callable[[], bytes]] = {
    "a.heic": heif,
    "xmp.heic": lambda: heif(packet=packets.LIGHTROOM),
    "a.avif": avif,
    "a.tif": tiff,
    "pages.TIFF": lambda: tiff(3),
    "xmp.tif": lambda: tiff(packet=packets.LIGHTROOM),
}


@pytest.fixture(autouse=True)
def needs_exiftool() -> None:
    if shutil.which("exiftool") is None:
        assert not os.environ.get("TAGGER_CI"), "exiftool must be installed for this test"
        pytest.skip("exiftool is not installed")


def check(path: Path) -> None:
    data = path.read_bytes()
    os.utime(path, ns=(10**18, 10**18))
    tagger = Tagger(path, BY_EXIFTOOL)
    hashed = image_digest.digest(path.read_bytes())
    assert tagger.write().reason == ""
    assert os.listdir(path.parent) == [path.name]
    assert {"animal", "beach"} <= set(keywords_in(path)["Subject"])
    assert image_digest.digest(path.read_bytes()) == hashed
    assert pixels(path.read_bytes()) == pixels(data)
    assert path.stat().st_mtime_ns == 10**18
    assert tagger.write().intents == ()
    tagger.undo()
    assert path.read_bytes() == data


@pytest.mark.parametrize("name", MAKERS)
def test_embedded_and_undone(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(MAKERS[name]())
    check(path)


def test_a_real_tiff(shared: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    shutil.copyfile(shared / "photos/cameras/Arbitro.tiff", path)
    check(path)


def test_a_phones_gain_map_keeps_its_own_xmp(shared: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.HEIC"
    shutil.copyfile(shared / "photos/cameras/iphone_13_pro_max.HEIC", path)
    data = path.read_bytes()
    assert "another picture" in Tagger(path, BY_EXIFTOOL).write().reason
    assert path.read_bytes() == data


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", MAKERS)
def test_a_changed_picture_is_noticed(name: str) -> None:
    data = MAKERS[name]()
    was, shown = image_digest.digest(data), pixels(data)
    changed = 0
    for at in range(40, len(data), max(1, len(data) // 150)):
        bad = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        try:
            noticed = image_digest.digest(bad) != was
        except RefusedError:
            noticed = True
        changed += noticed
        assert noticed or pixels(bad) == shown or "frames" not in pixels(bad)
    assert changed > 20


def test_after_another_programs_edit_only_ours_goes(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff())
    tagger = Tagger(path, BY_EXIFTOOL)
    tagger.write()
    exiftool("-q", "-overwrite_original", "-XMP:Rating=3", "-XMP:Subject-=dog", path)
    assert tagger.write().deleted == ("dog",)
    tagger.undo()
    assert keywords_in(path)["Subject"] == []
    assert exiftool("-s3", "-XMP:Rating", path).strip() == b"3"


@pytest.mark.parametrize("name", MAKERS)
def test_without_the_option_there_is_a_sidecar(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(MAKERS[name]())
    made = Tagger(path, EMBED).write()
    assert "write.exiftool" in made.reason
    assert path.read_bytes() == MAKERS[name]()
    words = keywords_in(tmp_path / f"{name}.xmp")["Subject"]
    assert {"beach", "animal"} <= set(words)
    if "xmp" in name:
        assert {"holiday", "Dog"} <= set(words)


def test_without_exiftool_there_is_a_sidecar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "not installed" in Tagger(path, BY_EXIFTOOL).write().reason


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 1", "refuses"),
        ("exit 0", "did not write"),
        ('for last; do :; done; case "$*" in "-config  -q -q -o "*) cp "$last" "$6";; esac',
         "as it was given"),
    ],
)  # fmt: skip
def test_an_exiftool_that_fails_or_lies_harms_nothing(
    script: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(tiff())
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "exiftool").write_text(f"#!/bin/sh\n{script}\n")
    (programs / "exiftool").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    assert reason in Tagger(path, BY_EXIFTOOL).write().reason
    assert path.read_bytes() == tiff()
    assert (tmp_path / "a.tif.xmp").exists()


def test_a_name_that_exiftool_would_take_for_a_pattern(tmp_path: Path) -> None:
    path = tmp_path / "a\udce9 %d.%f.tif"
    path.write_bytes(tiff())
    tagger = Tagger(path, BY_EXIFTOOL)
    assert tagger.write().reason == ""
    assert b">dog<" in path.read_bytes()
    assert len(os.listdir(tmp_path)) == 1


@pytest.mark.parametrize("suffix", ["cr2", "nef", "dng", "ARW"])
def test_raw_files_are_never_touched(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(tiff())
    assert "RAW" in Tagger(path, BY_EXIFTOOL).write(TAGS).reason
    assert path.read_bytes() == tiff()


def test_content_credentials_are_respected(tmp_path: Path) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(heif() + b"\0\0\0\x20uuid" + bytes(8) + b"jumb" + b"c2pa" + bytes(8))
    assert "C2PA" in Tagger(path, BY_EXIFTOOL).write().reason


@pytest.mark.parametrize("name", ["a.gif", "a.bmp", "a.jpg"])
def test_other_formats_get_a_sidecar(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    buffer = io.BytesIO()
    Image.new("P", (8, 8)).save(buffer, "BMP" if name == "a.bmp" else "GIF")
    path.write_bytes(buffer.getvalue())
    assert "format" in Tagger(path, BY_EXIFTOOL).write().reason
    assert path.read_bytes() == buffer.getvalue()


@pytest.mark.parametrize("name", ["a.heic", "a.avif", "a.tif"])
def test_the_users_keywords_in_formats_that_are_not_edited(name: str, tmp_path: Path) -> None:
    """They get into the sidecar; ours that another tagger embedded are not taken for them."""
    made = {"a.heic": heif, "a.avif": avif, "a.tif": tiff}[name]
    data = made(packet=packets.with_keywords("mine"))
    (path := tmp_path / name).write_bytes(data)
    tagger = Tagger(path, WriteOptions())
    assert tagger.write().user_keywords == (("mine",),)
    assert b"<rdf:li>mine</rdf:li>" in (tmp_path / f"{name}.xmp").read_bytes()
    tagger.undo()
    assert os.listdir(tmp_path) == [name]
    Tagger(path, BY_EXIFTOOL).write()
    assert "dog" in keywords_in(path)["Subject"]
    assert Tagger(path, WriteOptions()).write().user_keywords == (("mine",),)


def test_a_heic_with_a_base_offset_gets_a_sidecar(tmp_path: Path) -> None:
    """exiv2 does not find XMP that exiftool adds there."""
    path, data = tmp_path / "a.heic", heif(based=True)
    path.write_bytes(data)
    tagger = Tagger(path, BY_EXIFTOOL)
    assert "base offset" in tagger.write().reason
    assert path.read_bytes() == data
    assert "base offset" in tagger.journal[0].reason
    assert "beach" in keywords_in(tmp_path / "a.heic.xmp")["Subject"]
    tagger.undo()
    assert os.listdir(tmp_path) == ["a.heic"]
