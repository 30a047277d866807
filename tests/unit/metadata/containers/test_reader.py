"""XMP, IPTC and EXIF are found by structure, in every format, and only the picture's own."""

from __future__ import annotations

import gzip
import random
import struct
import time
import zlib
from pathlib import Path

import pytest

from tagger.errors import RefusedError
from tagger.metadata.containers import bounded_reader, image_digest
from tagger.metadata.containers.bounded_reader import Source
from tagger.metadata.containers.reader import Inside, inside, inside_file
from tagger.metadata.read import read_tags
from tagger.metadata.xmp.keywords import user_paths
from tests.support import isos_tiffs, jpegs, packets, pngs_webps
from tests.support.isos_tiffs import Item, box, gif, heif, tiff

MINE = packets.with_keywords("mine")
BARE = packets.packet(packets.description(packets.array("dc:subject", "mine")), wrapper=False)
OTHER = packets.with_keywords("another picture's")
IIM = jpegs.iim("mine")
RESOURCES = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(IIM)) + IIM + b"\0" * (len(IIM) % 2)


def primary(data: bytes = BARE, **options: object) -> Item:
    return Item(2, data, describes=[1], **options)  # type: ignore[arg-type]


PICTURE = Item(1, b"pixels", b"hvc1")
GAIN = Item(3, b"gain", b"hvc1")
TURNED = b"".join(IIM.ljust(-(-len(IIM) // 4) * 4, b"\0")[n : n + 4][::-1]
                  for n in range(0, len(IIM), 4))  # fmt: skip


def raf(picture: bytes) -> bytes:
    head = b"FUJIFILMCCD-RAW 0201".ljust(84, b"\0") + struct.pack(">II", 200, len(picture))
    return head.ljust(200, b"\0") + picture + bytes(5000)


def cr3() -> bytes:
    exif = tiff({36867: (2, b"2020:05:01 10:11:12\0")})
    moov = box(b"moov", box(b"uuid", isos_tiffs.CANON_UUID + box(b"CMT2", exif)))
    xmp = box(b"uuid", isos_tiffs.XMP_UUID + MINE)
    return box(b"ftyp", b"crx \0\0\0\1crx isom") + moov + xmp + box(b"mdat", bytes(900), large=True)


def extended() -> bytes:
    guid = b"0123456789ABCDEF0123456789ABCDEF"
    main = packets.packet(
        packets.description(
            attributes='xmlns:xmpNote="http://ns.adobe.com/xmp/note/"'
            f' xmpNote:HasExtendedXMP="{guid.decode()}"'
        )
    )
    half = len(BARE) // 2
    head = b"http://ns.adobe.com/xmp/extension/\0" + guid
    parts = [
        jpegs.segment(0xE1, head + struct.pack(">II", len(BARE), at) + BARE[at:][:half])
        for at in (half * 2, 0, half)
    ]
    return jpegs.put(jpegs.plain(), jpegs.xmp(main), *parts)


FILES = {
    "heic-bare": heif(PICTURE, primary()),
    "heic-with-a-packet": heif(PICTURE, primary(MINE)),
    "heic-gain-map-first": heif(GAIN, Item(4, OTHER, describes=[3]), PICTURE, primary(MINE)),
    "heic-gain-map-last": heif(PICTURE, primary(), GAIN, Item(4, OTHER, describes=[3])),
    "heic-other-primary": heif(PICTURE, Item(2, OTHER, describes=[1]), GAIN,
                               Item(4, BARE, describes=[3]), primary=3),
    "heic-describing-several": heif(PICTURE, Item(2, BARE, describes=[3, 1]), GAIN),
    "heic-no-reference": heif(PICTURE, Item(2, BARE)),
    "heic-idat": heif(PICTURE, primary(method=1)),
    "heic-in-an-item": heif(PICTURE, primary(method=2)),
    "heic-in-pieces": heif(PICTURE, primary(pieces=3)),
    "heic-iloc-0": heif(PICTURE, primary(), version=0),
    "heic-iloc-2": heif(PICTURE, primary(), version=2),
    "heic-base": heif(PICTURE, primary(pieces=2), base=True),
    "heic-deflate": heif(PICTURE, primary(zlib.compress(BARE), encoding=b"deflate")),
    "heic-gzip": heif(PICTURE, primary(gzip.compress(BARE), encoding=b"gzip")),
    "heic-unreadable-other": heif(PICTURE, Item(5, b"x" * 9, encoding=b"gzip", describes=[1]),
                                  primary()),
    "avif": heif(PICTURE, primary(), brand=b"avif"),
    "cr3": cr3(),
    "tiff": tiff({700: (1, BARE)}),
    "tiff-big-endian": tiff({700: (7, MINE)}, order=">"),
    "bigtiff": tiff({700: (1, MINE)}, big=True),
    "bigtiff-big-endian": tiff({700: (1, MINE)}, big=True, order=">"),
    "tiff-iptc": tiff({33723: (7, IIM)}),
    "tiff-iptc-as-longs": tiff({33723: (4, IIM.ljust(-(-len(IIM) // 4) * 4, b"\0"))}),
    "tiff-iptc-turned": tiff({33723: (4, TURNED)}),
    "tiff-photoshop": tiff({34377: (7, RESOURCES)}, order=">"),
    "cr2": tiff({700: (1, MINE)}, first=16),
    "orf": tiff({700: (1, MINE)}, head=b"IIRO"),
    "orf-of-sp": tiff({700: (1, MINE)}, head=b"IIRS"),
    "orf-big-endian": tiff({700: (1, MINE)}, head=b"MMOR", order=">"),
    "rw2": tiff({700: (1, MINE)}, head=b"IIU\0", first=24),
    "mrw": b"\0MRM\0\1\0\0\0PRD\0\0\0\4abcd\0TTW\0\0\4\0" + tiff({700: (1, MINE)}, order=">"),
    "raf": raf(jpegs.put(jpegs.plain(), jpegs.xmp(MINE))),
    "jpeg": jpegs.put(jpegs.plain(), jpegs.xmp(BARE)),
    "jpeg-late": jpegs.put(jpegs.plain(), *(jpegs.segment(0xE2, bytes(60_000)),) * 20,
                           jpegs.xmp(MINE)),
    "jpeg-iptc-in-two-segments": jpegs.put(
        jpegs.plain(), jpegs.segment(0xED, b"Photoshop 3.0\0" + RESOURCES[:20]),
        jpegs.segment(0xED, b"Photoshop 3.0\0" + RESOURCES[20:])),
    "jpeg-extended": extended(),
    "jpeg-gain-map": jpegs.put(jpegs.plain(), jpegs.xmp(MINE))
                     + jpegs.put(jpegs.plain(1), jpegs.xmp(OTHER)),
    "png": pngs_webps.early(pngs_webps.itxt(BARE)),
    "png-packed": pngs_webps.late(pngs_webps.itxt(BARE, packed=True)),
    "png-language": pngs_webps.early(pngs_webps.itxt(BARE, language=b"en")),
    "png-raw-xmp": pngs_webps.early(pngs_webps.raw_profile(b"xmp", BARE)),
    "png-raw-app1": pngs_webps.early(pngs_webps.raw_profile(b"APP1", jpegs.XMP + BARE)),
    "png-raw-iptc": pngs_webps.late(pngs_webps.raw_profile(b"iptc", RESOURCES)),
    "png-raw-iim": pngs_webps.early(pngs_webps.raw_profile(b"iptc", IIM, packed=False)),
    "png-damaged-text-before": pngs_webps.early(
        pngs_webps.chunk(b"zTXt", b"Raw profile type iptc\0\0damaged"), pngs_webps.itxt(BARE)),
    "webp": pngs_webps.riff(pngs_webps.webp(), (b"XMP ", BARE), flags=4),
    "gif": gif(BARE),
    "gif-late": gif(MINE, after_pictures=400),
}  # fmt: skip
NONE = {
    "jpeg-second-picture": jpegs.plain() + jpegs.put(jpegs.plain(1), jpegs.xmp(OTHER)),
    "jpeg-thumbnail": jpegs.put(
        jpegs.plain(),
        jpegs.segment(0xE1, b"Exif\0\0" + jpegs.put(jpegs.plain(1), jpegs.xmp(OTHER))),
    ),
    "heic-gain-map-only": heif(PICTURE, GAIN, Item(4, OTHER, describes=[3])),
    "heic-other-type": heif(PICTURE, primary(type=b"text/plain")),
    "tiff-description": tiff({270: (2, OTHER)}),
    "pixels-like-a-packet": pngs_webps.early(pngs_webps.chunk(b"prVt", OTHER)),
    "text": b"It says: " + OTHER,
    "png-behind-the-end": pngs_webps.png() + pngs_webps.itxt(OTHER),
}


def words(found: Inside) -> set[str]:
    paths = [path for packet in found.packets for path in user_paths(packet)]
    return {word for path in [*paths, *user_paths(None, found.iptc)] for word in path}


@pytest.mark.parametrize("name", FILES)
def test_keywords_are_found_in_every_format(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"  # what a file is, its bytes say
    path.write_bytes(FILES[name])
    assert words(inside(Source(FILES[name]))) == {"mine"}
    assert read_tags(str(path), str(path.parent)) == ((("mine",), None),)


@pytest.mark.parametrize("name", NONE)
def test_what_is_not_the_pictures_own_is_not_read(name: str) -> None:
    assert words(inside(Source(NONE[name]))) == set()


def test_large_files_are_not_read_whole(tmp_path: Path) -> None:
    """A RAW file of gigabytes has its keywords, and a HEIF its item far behind the others."""
    path = tmp_path / "a.heic"
    data = heif(PICTURE, primary())
    path.write_bytes(data.replace(box(b"mdat", b"pixels" + BARE), b""))
    with path.open("r+b") as file:
        file.truncate(3 << 30)
        at = data.index(BARE)
        file.seek(at - 14)
        file.write(box(b"mdat", b"pixels" + BARE))
        file.write(struct.pack(">I4s", 0, b"free"))
    assert words(inside_file(str(path), str(path.parent))) == {"mine"}


def test_what_is_said_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = pngs_webps.raw_profile(b"xmp", bytes(20 << 20))
    assert words(inside(Source(pngs_webps.early(bomb, pngs_webps.itxt(BARE))))) == {"mine"}
    monkeypatch.setattr(bounded_reader, "MAX_BYTES", 1 << 20)
    many = (pngs_webps.raw_profile(b"iptc", IIM + bytes(100_000)),) * 20
    assert words(inside(Source(pngs_webps.early(*many, pngs_webps.itxt(BARE))))) <= {"mine"}
    monkeypatch.setattr(bounded_reader, "MAX_READS", 1000)
    late = pngs_webps.early(*(pngs_webps.chunk(b"tEXt", b""),) * 5000, pngs_webps.itxt(BARE))
    assert words(inside(Source(late))) == set()


def test_items_within_items_end() -> None:
    """An item that lies in itself, and pieces without end, cost no time."""
    data = heif(PICTURE, primary(method=2))
    loop = data.replace(struct.pack(">HHH", 2, 1, 99), struct.pack(">HHH", 2, 1, 2))
    assert loop != data
    assert words(inside(Source(loop))) == set()


def test_pieces_that_take_no_bytes_take_no_time() -> None:
    """A table of 40 kB may list 400 million pieces of nothing."""
    places = b"".join(struct.pack(">HHHH", n, 0, 0, 0xFFFF) for n in range(5000))
    iloc = box(b"iloc", b"\1\0\0\0\0\0" + struct.pack(">H", 5000) + places)
    iinf = box(b"iinf", bytes(6))
    pitm = box(b"pitm", bytes(6))
    meta = box(b"meta", bytes(4) + pitm + iinf + iloc)
    data = box(b"ftyp", b"heic" + bytes(4)) + meta
    started = time.process_time()
    assert words(inside(Source(data))) == set()
    with pytest.raises(RefusedError):
        image_digest.digest(data)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("name", ["", "cut", "bytes"])
def test_damaged_files_raise_nothing(name: str) -> None:
    """Hundreds of mutations: what is found, or nothing, and never slowly."""
    chance = random.Random(f"inside {name}")
    for data in FILES.values():
        for _ in range(15):
            broken = bytearray(data)
            if name == "cut":
                del broken[chance.randrange(len(broken)) :]
            elif name == "bytes":
                at = chance.randrange(len(broken))
                broken[at : at + chance.randrange(9)] = chance.randbytes(chance.randrange(9))
            else:
                for _ in range(chance.randrange(1, 6)):
                    # Where the structure is, and with what is worst for a length.
                    at = chance.randrange(min(len(broken), 700))
                    broken[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            started = time.process_time()
            found = inside(Source(bytes(broken)))
            user_paths(None, found.iptc)
            assert time.process_time() - started < 5
