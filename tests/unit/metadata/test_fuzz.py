"""Damaged files of every kind: written soundly, refused, or a clear error; nothing else."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tagger.errors import PhotoVanishedError, RefusedError, WriteFailedError
from tagger.metadata.options import WriteOptions
from tests.support import jpegs, packets, pngs_webps
from tests.support.metadata_tools import Tagger, outside, pixels

Maker = Callable[[], bytes]
ROUNDS = int(os.environ.get("TAGGER_FUZZ_ROUNDS", "250"))
"""How many files of each kind are mutated; the seeds are always the same."""
FIRST_SEED = int(os.environ.get("TAGGER_FUZZ_SEED", "0"))
WORDS = (b"\xff\xe1", b"\xff\xd9", b"\xff\xda", b"\0\0\0\0", b"\xff\xff\xff\xff", b"IDAT", b"XMP ")
XML_WORDS = (
    b"<",
    b">",
    b"/>",
    b"<!--",
    b"]]>",
    b"&",
    b"<rdf:li/>",
    b'"',
    b" ",
    b"\n",
    b"</rdf:Bag>",
)
OPTIONS = (
    WriteOptions(target="embed"),
    WriteOptions(target="embed", exif="if-absent", provenance=False),
)


def jpeg_with(packet: bytes) -> bytes:
    return jpegs.put(jpegs.plain(), jpegs.exif(), jpegs.xmp(packet))


KINDS: dict[str, tuple[list[Maker], str]] = {
    "jpeg": ([*jpegs.MAKERS.values(), *(make for make, _ in jpegs.REFUSED.values())], ".jpg"),
    "png": (
        [*pngs_webps.PNG_MAKERS.values(), *(make for make, _ in pngs_webps.PNG_REFUSED.values())],
        ".png",
    ),
    "webp": (
        [*pngs_webps.WEBP_MAKERS.values(), *(make for make, _ in pngs_webps.WEBP_REFUSED.values())],
        ".webp",
    ),
}
PACKETS = [
    packets.LIGHTROOM,
    packets.DIGIKAM,
    packets.DARKTABLE,
    packets.MINIMAL,
    packets.COMMENTED,
    packets.EMPTY_ARRAYS,
    packets.rated(padding=300),
    *(packet for packet, _ in packets.REFUSED.values() if len(packet) < 9999),
]


def mutated(data: bytes, chance: random.Random, words: tuple[bytes, ...], upto: int) -> bytes:
    """Return ``data`` with a few bytes changed, cut out, doubled or put in."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 5))):
        at = chance.randrange(min(len(out), upto) or 1)
        length = chance.choice((1, 1, 2, 4, 20, 300))
        what = chance.randrange(6)
        if what == 0:
            out[at : at + 1] = bytes([chance.randrange(256)])
        elif what == 1:
            del out[at : at + length]
        elif what == 2:
            out[at:at] = out[at : at + length]
        elif what == 3:
            word = chance.choice(words)
            out[at : at + len(word)] = word
        elif what == 4:
            out[at:at] = chance.choice(words)
        elif out:
            at = min(at, len(out) - 1)
            out[at] ^= 1 << chance.randrange(8)
    return bytes(out)


def check(folder: Path, data: bytes, suffix: str, options: WriteOptions) -> str:
    """Write to one file, and undo it; return what became of it."""
    path = folder / f"photo{suffix}"
    sidecar = folder / f"photo{suffix}.xmp"
    path.write_bytes(data)
    sidecar.unlink(missing_ok=True)
    tagger = Tagger(path, options)
    try:
        tagger.write()
    except (RefusedError, WriteFailedError, PhotoVanishedError):
        outcome = "error"
        assert path.read_bytes() == data
    else:
        written = path.read_bytes()
        assert sidecar.exists() or written != data
        outcome = "sidecar" if sidecar.exists() else "embedded"
        if written != data:
            assert pixels(written) == pixels(data)
            if options.exif == "never":
                assert outside(written) == outside(data)
        assert not tagger.write().intents
        tagger.undo()
    assert path.read_bytes() == data
    assert os.listdir(folder) == [path.name]
    return outcome


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_photos(kind: str, tmp_path: Path) -> None:
    makers, suffix = KINDS[kind]
    originals = [make() for make in makers]
    outcomes = run(
        lambda chance: mutated(chance.choice(originals), chance, WORDS, 4000), suffix, tmp_path
    )
    assert outcomes["embedded"] > 10
    assert outcomes["sidecar"] > 10


def test_damaged_packets(tmp_path: Path) -> None:
    outcomes = run(
        lambda chance: jpeg_with(mutated(chance.choice(PACKETS), chance, XML_WORDS, 9999)),
        ".jpg",
        tmp_path,
    )
    assert outcomes["embedded"] > 10
    assert outcomes["sidecar"] > 10


def test_damaged_sidecars(tmp_path: Path) -> None:
    chance = random.Random(1)
    photo, sidecar = tmp_path / "a.jpg", tmp_path / "a.jpg.xmp"
    photo.write_bytes(jpegs.plain())
    written = refused = 0
    for _ in range(ROUNDS):
        data = mutated(chance.choice(PACKETS), chance, XML_WORDS, 9999)
        sidecar.write_bytes(data)
        tagger = Tagger(photo, WriteOptions())
        try:
            tagger.write()
        except RefusedError as error:
            assert str(sidecar) in str(error)
            refused += 1
        else:
            assert sidecar.read_bytes() != data
            tagger.undo()
            written += 1
        assert sidecar.read_bytes() == data
    assert min(written, refused) > 10


def run(make: Callable[[random.Random], bytes], suffix: str, folder: Path) -> dict[str, int]:
    """Check one mutated file after the other; return the outcomes."""
    outcomes = {"embedded": 0, "sidecar": 0, "error": 0}
    for seed in range(FIRST_SEED, FIRST_SEED + ROUNDS):
        chance = random.Random(seed)
        data = make(chance)
        try:
            outcomes[check(folder, data, suffix, OPTIONS[seed % 2])] += 1
        except BaseException:
            print(f"seed {seed}")
            raise
    return outcomes
