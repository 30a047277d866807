"""How long a film takes is read from its boxes; what is no film does not tell."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tagger.library.rules.shot_film import is_of_shot


def box(kind: bytes, *content: bytes, wide: bool = False) -> bytes:
    inner = b"".join(content)
    if wide:
        return struct.pack(">I4sQ", 1, kind, 16 + len(inner)) + inner
    return struct.pack(">I4s", 8 + len(inner), kind) + inner


def film(seconds: float, *, version: int = 0, wide: bool = False, scale: int = 600) -> bytes:
    """Return a film as telephones write it: its data, then the box that tells the time."""
    how = ">B3xQQIQ" if version else ">B3xIIII"
    head = struct.pack(how, version, 0, 0, scale, round(seconds * scale)) + bytes(80)
    tracks = box(b"trak", bytes(40))
    return (
        box(b"ftyp", b"qt  ", bytes(4))
        + box(b"wide")
        + box(b"mdat", bytes(5000), wide=wide)
        + box(b"moov", box(b"udta", bytes(9)), box(b"mvhd", head), tracks)
    )


@pytest.mark.parametrize("version", [0, 1])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize(
    ("seconds", "short"), [(2.9, True), (10, True), (10.5, False), (90, False)]
)
def test_a_short_film_is_of_the_shot(tmp_path: Path, seconds, short, version, wide) -> None:
    path = tmp_path / "a.mov"
    path.write_bytes(film(seconds, version=version, wide=wide))
    with path.open("rb") as file:
        assert is_of_shot(file.fileno()) is (seconds <= 10)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"a film", bytes(1000), film(90)[:5100], film(90, scale=0), box(b"moov"),
        box(b"moov", box(b"mvhd", b"\1")), struct.pack(">I4sQ", 1, b"moov", 2**63),
    ],
)  # fmt: skip
def test_one_that_does_not_tell_goes_with_its_photo(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.mov"
    path.write_bytes(content)
    with path.open("rb") as file:
        assert is_of_shot(file.fileno())
