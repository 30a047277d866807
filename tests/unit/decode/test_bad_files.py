"""Whatever the file, it is decoded or raises one of our errors, within bounds."""

from __future__ import annotations

import gc
import os
import random
import socket
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import piexif
import pytest
from PIL import Image

from tagger.decode.opening import decode
from tagger.errors import (
    DamagedImageError,
    ImageTooLargeError,
    NotAnImageError,
    PhotoError,
    PhotoForbiddenError,
    PhotoVanishedError,
)
from tagger.records import CropSpec, DecodedPhoto
from tests.support.pictures import dng, encoded, png, png_chunk, quarters

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow complains of the files

Decoded = Callable[..., DecodedPhoto]

NOISE = Image.fromarray(np.random.default_rng(3).integers(0, 256, (240, 320, 3), np.uint8))
FORMATS = {
    "jpg": "JPEG",
    "png": "PNG",
    "webp": "WEBP",
    "gif": "GIF",
    "bmp": "BMP",
    "tif": "TIFF",
    "heic": "HEIF",
    "avif": "AVIF",
}


def in_child(work: Callable[[], object]) -> str:
    """Return ``repr(work())`` in a forked process, or the class name and text of its error."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = repr(work())
        except Exception as error:  # noqa: BLE001 (told to the parent)
            answer = f"{type(error).__name__}: {error}"
        os.write(theirs, answer.encode("utf-8", "replace")[:60_000])
        os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as file:
        answer = file.read().decode()
    os.waitpid(child, 0)
    return answer


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.heic", "a.tif", "a.dng", "a"])
def test_empty_and_text(decoded: Decoded, name: str) -> None:
    with pytest.raises(NotAnImageError, match="empty"):
        decoded(name, b"")
    for text in (b"Dear diary, this is no picture.\n" * 50, bytes(5000), b"\0"):
        # LibRaw can't tell a stump of a file from a damaged RAW.
        stump = name == "a.dng" and len(text) < 10
        with pytest.raises(DamagedImageError if stump else NotAnImageError):
            decoded(name, text)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("suffix", FORMATS)
def test_truncated(decoded: Decoded, suffix: str, share: float) -> None:
    data = encoded(NOISE, FORMATS[suffix])
    cut = data[: max(int(len(data) * share), 40)]
    # TIFF has its index at either end: a short one may be anything.
    kinds = (DamagedImageError, NotAnImageError) if suffix == "tif" else DamagedImageError
    with pytest.raises(kinds) as caught:
        decoded(f"a.{suffix}", cut)
    assert f"a.{suffix}" in caught.value.message
    assert caught.value.remedy


def test_progressive_truncated(decoded: Decoded) -> None:
    data = encoded(NOISE, "JPEG", progressive=True)
    with pytest.raises(DamagedImageError, match="truncated"):
        decoded("a.jpg", data[: len(data) * 2 // 3])


def huge(kind: str) -> bytes:
    """Return a small file that claims 40,000 x 40,000 pixels or about as many."""
    data = bytearray(encoded(quarters(64, 64), kind))
    side = 40_000
    if kind == "JPEG":
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = struct.pack(">HH", side, side)
    elif kind == "GIF":
        data[6:10] = struct.pack("<HH", side, side)
    elif kind == "BMP":
        data[18:26] = struct.pack("<ii", side, side)
    elif kind == "TIFF":
        for tag in (256, 257):
            at = data.index(struct.pack("<HHI", tag, 4, 1))
            data[at + 8 : at + 12] = struct.pack("<I", side)
    else:
        data = bytearray(png(side, side, 1, 0, bytes(1000)))
    return bytes(data)


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "BMP", "TIFF", "PNG"])
def test_a_bomb_is_refused_by_its_header(decoded: Decoded, kind: str) -> None:
    with pytest.raises(ImageTooLargeError, match="40000 x 40000"):
        decoded("a.jpg", huge(kind))


def test_110_million_pixels_in_13_kilobytes(decoded: Decoded, tmp_path: Path) -> None:
    side = 10_500
    data = png(side, side, 1, 0, bytes(side * (side // 8 + 2)))
    assert len(data) < 20_000
    photo = decoded("a.png", data)
    assert (photo.facts.width, photo.crop.max()) == (side, 0)
    with pytest.raises(ImageTooLargeError, match="more than 100 million"):
        decoded("a.png", data, max_pixels=100_000_000)


def test_more_memory_than_allowed(tmp_path: Path) -> None:
    side = 12_000
    path = tmp_path / "a.png"
    path.write_bytes(png(side, side, 8, 2, bytes(side * (3 * side + 1))))

    script = """
import resource, sys
from pathlib import Path
from tagger.decode.opening import decode
from tagger.errors import ImageTooLargeError
from tagger.records import CropSpec
pages = int(Path("/proc/self/statm").read_text().split()[0])
limit = pages * resource.getpagesize() + (100 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
try:
    decode(sys.argv[1], CropSpec())
except ImageTooLargeError:
    print("too large")
"""
    # A process of its own: a fork of this one may have memory to reuse.
    command = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    assert done.stdout == "too large\n", done.stderr


def test_what_is_no_file(tmp_path: Path) -> None:
    good = tmp_path / "good.jpg"
    quarters().save(good)
    (tmp_path / "folder.jpg").mkdir()
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "link.jpg").symlink_to(good)
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    gc.collect()  # files of other tests' garbage are closed by now
    before = len(os.listdir("/proc/self/fd"))
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.jpg"))
        for name in ("none", "folder", "pipe", "link", "loop", "socket", "good.jpg/inside"):
            with pytest.raises(PhotoVanishedError, match=name):
                decode(str(tmp_path / f"{name}.jpg"), CropSpec())
    with pytest.raises(PhotoVanishedError, match="no regular file"):
        decode("/dev/zero", CropSpec())
    assert len(os.listdir("/proc/self/fd")) == before


def test_without_the_right_to_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    quarters().save(path)
    path.chmod(0)

    def work() -> object:
        if os.geteuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        return decode(str(path), CropSpec())

    answer = in_child(work)
    assert answer.startswith("PhotoForbiddenError") and "Permission denied" in answer
    assert not PhotoForbiddenError.permanent


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9\n'.jpg")
    with open(path, "wb") as file:
        file.write(encoded(quarters(), "JPEG"))
    assert decode(os.fsdecode(path), CropSpec()).facts.width == 400


def tiff(*entries: bytes) -> bytes:
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHII", tag, kind, count, value)


SIZE = (entry(256, 4, 1, 100), entry(257, 4, 1, 100))
PNG = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 2, 0, 0, 0))
GIF = b"GIF89a" + struct.pack("<HHBBB", 10, 10, 0x80, 0, 0) + bytes(6)


@pytest.mark.parametrize(
    "data",
    [
        tiff(),
        tiff(*SIZE),
        tiff(*SIZE, entry(258, 3, 0xFFFFFFFF, 8)),
        tiff(*SIZE, entry(258, 3, 1, 8), entry(273, 4, 1, 0xFFFFFFFF), entry(279, 4, 1, 10_000)),
        tiff(*SIZE, entry(258, 3, 1, 8), entry(259, 3, 1, 34712), entry(262, 3, 1, 1)),
        tiff(entry(256, 2, 4, 0x41414141), entry(257, 12, 1, 0)),
        tiff(entry(256, 4, 1, 0), entry(257, 4, 1, 0), entry(258, 3, 1, 8)),
        b"MM\0*\xff\xff\xff\xff" + bytes(100),
        PNG,
        PNG + struct.pack(">I", 0x7FFFFFFF) + b"zTXt" + bytes(1000),
        PNG + png_chunk(b"zTXt", b"a\0\0" + bytes(20)) * 200,
        png(0, 0, 8, 2, b""),
        png(0, 5, 8, 2, bytes(100)),
        png(5, 5, 3, 7, bytes(100)),
        GIF + b",\0\0\0\0\0\0\0\0\0\x02\0;",
        GIF + b",\xff\xff\xff\xff\xff\xff\xff\xff\0\x02\x02\x4c\x01\0;",
        GIF + b"!\xff\x0bNETSCAPE2.0" + b"\xff" * 3000,
        GIF + b";",
        b"\xff\xd8" + b"\xff\xe1\0\x02" * 5000,
        b"\xff\xd8\xff" + b"\xff" * 100_000,
        b"\xff\xd8\xff\xe1\xff\xffExif\0\0",
        b"BM" + bytes(52),
        b"RIFF\xff\xff\xff\xffWEBPVP8X\x0a\0\0\0" + b"\xff" * 10,
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x00meta" + bytes(50),
        b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + b"\0\0\0\x01meta" + b"\xff" * 50,
    ],
)
def test_hostile_files(decoded: Decoded, data: bytes) -> None:
    for name in ("a.jpg", "a.nef"):
        with pytest.raises((DamagedImageError, NotAnImageError, ImageTooLargeError)):
            decoded(name, data)


@pytest.mark.parametrize(
    "data",
    [PNG + b"\xff\xff\xff\xffIDAT" + bytes(1000), PNG + png_chunk(b"IDAT", b"x") * 3000],
)
def test_what_pillow_forgives(decoded: Decoded, data: bytes) -> None:
    try:
        assert decoded("a.png", data).facts.width == 9
    except DamagedImageError as error:
        assert "damaged" in error.message


def test_exif_within_exif_without_end(decoded: Decoded) -> None:
    """Each of a thousand directories names the next as its sub-directory; the last the first."""
    body, size = b"", 2 + 12 * 3 + 4
    for number in range(1000):
        following = 8 + size * ((number + 1) % 1000)
        tags = [entry(tag, 4, 1, following) for tag in (0x8769, 0x8825, 0xA005)]
        body += struct.pack("<H", 3) + b"".join(tags) + struct.pack("<I", following)
    nested = b"Exif\0\0II*\0\x08\0\0\0" + body
    data = encoded(quarters(), "JPEG")
    segment = b"\xff\xe1" + struct.pack(">H", len(nested) + 2) + nested
    photo = decoded("a.jpg", data[:2] + segment + data[2:])
    assert photo.facts.width == 400 and photo.facts.taken_at is None
    assert sys.getrecursionlimit() <= 1000


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return the data with one to eight changes, more of them in its head."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 2, 8))):
        at = chance.randrange(min(len(out), 400) if chance.random() < 0.6 else len(out))
        kind = chance.random()
        if kind < 0.5:
            out[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        elif kind < 0.7:
            number = chance.choice((0, 1, 65535, 1 << 20, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF))
            out[at : at + 4] = struct.pack(chance.choice("<>") + "I", number)
        elif kind < 0.8:
            del out[at : at + chance.randrange(1, 20)]
        elif kind < 0.9:
            out[at:at] = out[at : at + chance.randrange(1, 40)]
        else:
            del out[max(at, 8) :]
        if not out:
            break
    return bytes(out)


@pytest.mark.parametrize("suffix", [*FORMATS, "dng"])
def test_mutated_files(decoded: Decoded, suffix: str) -> None:
    """Any other exception fails the test; so does a crash, all the more."""
    small = NOISE.resize((40, 30))
    tags = piexif.dump(
        {
            "0th": {271: b"Acme", 306: b"2020:01:01 00:00:00", 274: 6},
            "Exif": {36867: b"2020:01:01 00:00:00", 37500: b"note" * 9},
            "GPS": {1: b"N", 2: ((1, 1), (2, 1), (3, 1))},
        }
    )
    if suffix == "dng":
        seeds = [dng(encoded(small, "JPEG"), small.size)]
    else:
        kind = FORMATS[suffix]
        seeds = [encoded(small, kind)]
        if kind in ("JPEG", "PNG", "WEBP", "HEIF", "AVIF"):
            seeds.append(encoded(small, kind, exif=tags))
        if kind == "TIFF":
            seeds += [encoded(small, kind, compression=how) for how in ("tiff_lzw", "jpeg")]
    chance, outcomes = random.Random(suffix), set()
    for _ in range(300):
        try:
            photo = decoded(f"a.{suffix}", mutated(chance.choice(seeds), chance), more=True)
            assert photo.crop.shape == (224, 224, 3)
            outcomes.add("decoded")
        except PhotoError as error:
            outcomes.add(type(error).__name__)
    assert {"decoded", "DamagedImageError"} <= outcomes
