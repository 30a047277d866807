"""Photos of millions of parts are refused in a moment; those of thousands are read."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tagger.decode.opening import decode
from tagger.errors import DamagedImageError
from tagger.records import CropSpec
from tests.support.pictures import encoded, png_chunk, quarters

JPEG, PNG, WEBP = (encoded(quarters(64, 48), kind) for kind in ("JPEG", "PNG", "WEBP"))


def jpeg(segment: bytes, count: int) -> bytes:
    return JPEG[:2] + segment * count + JPEG[2:]


def png(chunk: bytes, count: int) -> bytes:
    return PNG[:33] + chunk * count + PNG[33:]


def webp(chunk: bytes, count: int) -> bytes:
    """Return a WebP with so many chunks behind its picture."""
    body = b"WEBPVP8X\n\0\0\0" + bytes(4) + b"\x3f\0\0\x2f\0\0" + WEBP[12:] + chunk * count
    return b"RIFF" + len(body).to_bytes(4, "little") + body


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (jpeg(b"\xff\xdd\x00\x04\x00\x00", 5_000_000), "10,000 segments"),
        (jpeg(b"\xff\xfe\x00\x02", 2_000_000), "10,000 segments"),
        (jpeg(b"\xff", 30_000_000), "10,000 segments"),
        (png(png_chunk(b"tEXt", b""), 2_500_000), "50,000 chunks"),
        (png(png_chunk(b"IDAT", b""), 2_500_000), "50,000 chunks"),
        (webp(b"JUNK\0\0\0\0", 3_700_000), "50,000 chunks"),
        (webp(b"JUNK\1\0\0\0a\0", 2_000_000), "50,000 chunks"),
    ],
    ids=["intervals", "comments", "fill", "texts", "pixels", "chunks", "odd-chunks"],
)
def test_too_many(data: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    began = time.process_time()
    with pytest.raises(DamagedImageError, match=f"a.jpg has more than {reason}"):
        decode(str(path), CropSpec())
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    "data",
    [
        jpeg(b"\xff\xfe\x00\x02", 5000),
        png(png_chunk(b"IDAT", b""), 20_000),
        webp(b"JUNK\1\0\0\0a\0", 20_000),
    ],
)
def test_many(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    assert decode(str(path), CropSpec()).facts.width == 64
