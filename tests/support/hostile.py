"""Files that mean harm: bombs, lies, nests and endless chunks, and mutations of good ones."""

from __future__ import annotations

import io
import itertools
import random
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import piexif
from PIL import Image

from tests.support import jpegs, packets
from tests.support.pictures import dng, encoded, png, png_chunk, quarters
from tests.unit.decode.test_bad_files import FORMATS, GIF, NOISE, PNG, entry, huge, mutated, tiff

SOUND = encoded(quarters(64, 48), "JPEG")
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"


def bombs() -> Iterator[tuple[str, bytes]]:
    """Yield small files that become large."""
    for side in (5000, 7000, 7070, 10_500, 14_000):
        yield f"grey-{side}.png", png(side, side, 1, 0, bytes(side * (side // 8 + 2)))
    for side in (4000, 7000, 9000):
        rows = bytes(side * (4 * side + 1))
        yield f"rgba-{side}.png", png(side, side, 8, 6, rows)
        yield f"deep-{side}.png", png(side, side, 16, 0, bytes(side * (2 * side + 1)))
    plain = Image.new("L", (6900, 6900))
    yield "plain.gif", encoded(plain, "GIF")
    yield "plain.tif", encoded(plain.convert("RGB"), "TIFF", compression="tiff_adobe_deflate")
    yield "plain.webp", encoded(plain.convert("RGB"), "WEBP", quality=1, method=0)
    yield "plain.jpg", encoded(plain, "JPEG", quality=1)
    yield "progressive.jpg", encoded(plain.convert("RGB"), "JPEG", quality=1, progressive=True)
    yield "colour.jpg", encoded(plain.convert("RGB"), "JPEG", quality=1, subsampling=0)
    yield "cmyk.jpg", encoded(plain.convert("CMYK"), "JPEG", quality=1)
    wide = Image.new("RGB", (12_000, 12_000))
    yield "wide.jpg", encoded(wide, "JPEG", quality=1)
    yield "wide-progressive.jpg", encoded(wide, "JPEG", quality=1, progressive=True)
    yield "wide.webp", encoded(wide, "WEBP", quality=1, method=0)
    zeros = zlib.compress(bytes(200 << 20), 9)
    text = b"XML:com.adobe.xmp\0\1\0\0\0" + zeros
    yield "text.png", with_chunks(png_chunk(b"iTXt", text))
    yield "comment.png", with_chunks(png_chunk(b"zTXt", b"Comment\0\0" + zeros))
    yield "profile.png", with_chunks(png_chunk(b"iCCP", b"x\0\0" + zeros))
    for kind in ("JPEG", "GIF", "BMP", "TIFF", "PNG"):
        yield f"lying.{kind.lower()[:3]}", huge(kind)


def with_chunks(*chunks: bytes) -> bytes:
    sound = encoded(quarters(64, 48), "PNG")
    return sound[:33] + b"".join(chunks) + sound[33:]


def nests() -> Iterator[tuple[str, bytes]]:
    """Yield metadata within metadata, and what has no end."""
    body, size = b"", 2 + 12 * 3 + 4
    for number in range(1000):
        following = 8 + size * ((number + 1) % 1000)
        tags = [entry(tag, 4, 1, following) for tag in (0x8769, 0x8825, 0xA005)]
        body += struct.pack("<H", 3) + b"".join(tags) + struct.pack("<I", following)
    yield "exif.jpg", jpegs.put(SOUND, jpegs.segment(0xE1, b"Exif\0\0II*\0\x08\0\0\0" + body))
    yield "directories.tif", b"II*\0\x08\0\0\0" + body
    for depth in (100, 1000, 3000):
        inside = "<rdf:Description>" * depth + "</rdf:Description>" * depth
        nested = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">{inside}'
        packet = f"{nested}</rdf:RDF></x:xmpmeta>".encode()
        if len(packet) < 65000:
            yield f"xmp-{depth}.jpg", jpegs.put(SOUND, jpegs.xmp(packet))
        yield (
            f"xmp-{depth}.png",
            with_chunks(png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet)),
        )
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    evil = f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]><x>&l11;</x>'.encode()
    yield "laughs.jpg", jpegs.put(SOUND, jpegs.xmp(evil))
    for name, (packet, _) in packets.REFUSED.items():
        yield f"packet-{name}.jpg", jpegs.put(SOUND, jpegs.xmp(packet))
    for name, (make, _) in jpegs.REFUSED.items():
        yield f"{name}.jpg", make()
    yield "lying.heic", lying_heic()
    yield "segments.jpg", SOUND[:2] + b"\xff\xe1\0\x02" * 200_000 + SOUND[2:]
    yield "fill.jpg", b"\xff\xd8" + b"\xff" * 2_000_000
    yield "scans.jpg", many_scans()
    yield "chunks.png", with_chunks(png_chunk(b"tEXt", b"a\0b") * 100_000)
    yield "empty-idat.png", with_chunks(png_chunk(b"IDAT", b"") * 100_000)
    yield "texts.png", PNG + png_chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(900_000))) * 500
    yield "frames.gif", frames(20_000)
    yield "sub-blocks.gif", GIF + b"!\xfe" + (b"\xff" + bytes(255)) * 20_000
    yield "chunks.webp", riff(b"JUNK" + struct.pack("<I", 0)) * 1
    yield "many.webp", riff((b"JUNK" + struct.pack("<I", 0)) * 200_000)
    yield "boxes.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + nested_boxes(5000)
    yield "boxes.avif", b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + nested_boxes(5000)
    yield "free.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0\0\0\x08free" * 200_000
    yield "many-entries.tif", tiff(*[entry(256 + n % 60, 4, 0xFFFFFF, 8) for n in range(60_000)])
    yield (
        "strips.tif",
        tiff(
            *(entry(256, 4, 1, 7000), entry(257, 4, 1, 7000), entry(258, 3, 1, 8)),
            *(entry(262, 3, 1, 1), entry(273, 4, 7000, 8), entry(279, 4, 7000, 8)),
        ),
    )


def lying_heic() -> bytes:
    """Return a HEIC that says it is taller than it is: the whole looks like its thumbnail."""
    data = encoded(NOISE.resize((40, 30)), "HEIF")
    at = data.index(b"clap") + 12  # of its clean aperture the height's numerator
    assert data[at : at + 4] == (30).to_bytes(4, "big")
    return data[:at] + (255).to_bytes(4, "big") + data[at + 4 :]


def many_scans() -> bytes:
    """Return a progressive JPEG that refines its picture hundreds of times."""
    data = encoded(Image.new("RGB", (3000, 3000)), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * 2000 + b"\xff\xd9"


def frames(count: int) -> bytes:
    frame = b"!\xf9\x04\0\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0"
    return GIF + frame * count + b";"


def riff(chunks: bytes) -> bytes:
    sound = encoded(quarters(64, 48), "WEBP")[12:]
    body = b"WEBP" + chunks + sound
    return b"RIFF" + struct.pack("<I", len(body)) + body


def nested_boxes(depth: int) -> bytes:
    box = b""
    for _ in range(depth):
        box = struct.pack(">I", len(box) + 12) + b"meta\0\0\0\0" + box
    return box


def mutations() -> Iterator[tuple[str, bytes]]:
    """Yield, without end, mutations of sound files of all formats in turn."""
    small = NOISE.resize((40, 30))
    tags = piexif.dump(
        {
            "0th": {271: b"Acme", 306: b"2020:01:01 00:00:00", 274: 6},
            "Exif": {36867: b"2020:01:01 00:00:00", 37500: b"note" * 9},
            "GPS": {1: b"N", 2: ((1, 1), (2, 1), (3, 1))},
        }
    )
    seeds: dict[str, list[bytes]] = {"dng": [dng(encoded(small, "JPEG"), small.size)]}
    for suffix, kind in FORMATS.items():
        seeds[suffix] = [encoded(small, kind)]
        if kind in ("JPEG", "PNG", "WEBP", "HEIF", "AVIF"):
            seeds[suffix].append(encoded(small, kind, exif=tags))
    seeds["jpg"] += [make() for make in jpegs.MAKERS.values()]
    seeds["tif"] += [encoded(small, "TIFF", compression=how) for how in ("tiff_lzw", "jpeg")]
    seeds["gif"].append(encoded(small, "GIF", save_all=True, append_images=[small] * 5))
    seeds["webp"].append(encoded(small, "WEBP", save_all=True, append_images=[small] * 5))
    chance = random.Random(6)
    for number in itertools.count():
        for suffix, files in seeds.items():
            yield f"mutated-{number}.{suffix}", mutated(chance.choice(files), chance)


def hostile_files(count: int) -> Iterator[tuple[str, bytes]]:
    """Yield the names and bytes of so many files, no two the same."""
    seen: set[bytes] = set()
    number = 0
    for name, data in itertools.chain(bombs(), nests(), mutations()):
        if data in seen or number == count:
            continue
        seen.add(data)
        number += 1
        yield f"{number:05}-{name}", data
        if number == count:
            return


def noise(size: int) -> bytes:
    """Return a photo of noise, which nothing compresses."""
    out = io.BytesIO()
    pixels = np.random.default_rng(size).integers(0, 256, (size, size, 3), np.uint8)
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()
