"""Which of the dates in a file and its sidecars is the picture's."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tagger.metadata.capture_date import taken_at
from tagger.metadata.containers.bounded_reader import Source
from tagger.metadata.containers.reader import Inside, inside
from tagger.metadata.read import read_taken_at
from tests.support import jpegs, packets, pngs_webps
from tests.support.isos_tiffs import XMP_UUID, Item, box, heif, tiff
from tests.support.metadata_tools import JSON, SIDECAR, Tagger
from tests.unit.metadata.containers.test_reader import cr3

ORIGINAL, DIGITIZED, CHANGED = 36867, 36868, 306
NAMESPACES = {  # beside those that every packet of the tests has
    "exif": "http://ns.adobe.com/exif/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
}


def said(**dates: str) -> bytes:
    """XMP with such properties: ``exif_DateTimeOriginal="2020"``."""
    names = {name.replace("_", ":"): text for name, text in dates.items()}
    spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())
    return packets.packet(
        packets.description(
            attributes=f"{spaces} " + " ".join(f'{name}="{t}"' for name, t in names.items())
        )
    )


def block(day: str, *, original: str = "", changed: str = "", source: int = 0) -> bytes:
    """An EXIF block, digitized on ``day``."""
    below = {DIGITIZED: (2, f"{day}\0".encode())}
    if original:
        below[ORIGINAL] = (2, f"{original}\0".encode())
    if source:
        below[41728] = (7, bytes([source]))
    main = {CHANGED: (2, f"{changed}\0".encode())} if changed else {}
    return tiff({**main, 271: (2, b"Acme\0")}, below=below)


def jpeg(*segments: bytes, exif: bytes = b"") -> bytes:
    first = [jpegs.segment(0xE1, b"Exif\0\0" + exif)] if exif else []
    return jpegs.put(jpegs.plain(), *first, *segments)


def iptc(number: int, day: bytes, time: bytes) -> bytes:
    data = b"".join(
        struct.pack(">BBBH", 0x1C, 2, one, len(value)) + value
        for one, value in ((number, day), (number + (5 if number == 55 else 1), time))
        if value
    )
    return jpegs.photoshop(data)


SCAN, PICTURE, OTHER = "2020:05:01 10:11:12", "1965-07-09T18:30:00", "1999-09-09T09:09:09"
WHEN_SCANNED = "2020-05-01T10:11:12"

CASES: dict[str, tuple[bytes, bytes, str | None]] = {
    # the photo, its sidecar, and when it was taken
    "nothing": (jpeg(), b"", None),
    "digitized only": (jpeg(exif=block(SCAN)), b"", WHEN_SCANNED),
    "changed only": (jpeg(exif=tiff({CHANGED: (2, SCAN.encode() + b"\0")})), b"", WHEN_SCANNED),
    "original before digitized": (
        jpeg(exif=block(SCAN, original=PICTURE, changed=OTHER)), b"", PICTURE),
    "absurd original": (jpeg(exif=block(SCAN, original="0000:00:00 00:00:00")), b"", WHEN_SCANNED),
    "sidecar's original": (jpeg(exif=block(SCAN)), said(exif_DateTimeOriginal=PICTURE), PICTURE),
    "sidecar's created": (jpeg(exif=block(SCAN)), said(photoshop_DateCreated=PICTURE), PICTURE),
    "sidecar corrects the camera": (
        jpeg(exif=block(SCAN, original=SCAN)), said(exif_DateTimeOriginal=PICTURE), PICTURE),
    "a year only": (jpeg(exif=block(SCAN)), said(photoshop_DateCreated="1965"),
                    "1965-01-01T00:00:00"),
    "sidecar of a scanner": (
        jpeg(exif=block(OTHER, original=PICTURE)), said(xmp_CreateDate=SCAN), PICTURE),
    "sidecar says when it was scanned": (
        jpeg(jpegs.xmp(said(photoshop_DateCreated=PICTURE))), said(xmp_CreateDate=SCAN), PICTURE),
    "absurd sidecar": (
        jpeg(exif=block(SCAN)), said(exif_DateTimeOriginal="1965-13-01"), WHEN_SCANNED),
    "in the photo's XMP": (
        jpeg(jpegs.xmp(said(photoshop_DateCreated=PICTURE)), exif=block(SCAN)), b"", PICTURE),
    "the camera before its XMP": (
        jpeg(jpegs.xmp(said(photoshop_DateCreated=OTHER)), exif=block(SCAN, original=PICTURE)),
        b"", PICTURE),
    "CreateDate only": (jpeg(jpegs.xmp(said(xmp_CreateDate=PICTURE))), b"", PICTURE),
    "scanner that writes an original": (
        jpeg(jpegs.xmp(said(photoshop_DateCreated=PICTURE, exif_DateTimeOriginal=SCAN)),
             exif=block(SCAN, original=SCAN, source=2)), b"", PICTURE),
    "scanner alone": (jpeg(exif=block(SCAN, original=SCAN, source=1)), b"", WHEN_SCANNED),
    "camera": (
        jpeg(jpegs.xmp(said(photoshop_DateCreated=OTHER)),
             exif=block(SCAN, original=PICTURE, source=3)), b"", PICTURE),
    "IPTC": (jpeg(iptc(55, b"19650709", b"183000+0200"), exif=block(SCAN)), b"", PICTURE),
    "IPTC without a time": (jpeg(iptc(55, b"19650709", b"")), b"", "1965-07-09T00:00:00"),
    "IPTC, year only": (jpeg(iptc(55, b"19650000", b"")), b"", "1965-01-01T00:00:00"),
    "IPTC digitized": (
        jpeg(iptc(62, b"20200501", b"101112"), exif=tiff({CHANGED: (2, OTHER.encode() + b"\0")})),
        b"", WHEN_SCANNED),
    "PNG, EXIF": (pngs_webps.early(pngs_webps.chunk(b"eXIf", block(SCAN))), b"", WHEN_SCANNED),
    "PNG, XMP": (pngs_webps.early(pngs_webps.itxt(said(exif_DateTimeOriginal=PICTURE))),
                 b"", PICTURE),
    "PNG, changed": (
        pngs_webps.early(pngs_webps.chunk(b"tIME", struct.pack(">H5B", 2020, 5, 1, 10, 11, 12))),
        b"", WHEN_SCANNED),
    "PNG, created": (
        pngs_webps.early(
            pngs_webps.chunk(b"tEXt", b"Creation Time\0Fri, 9 Jul 1965 18:30:00 +0000"),
            pngs_webps.chunk(b"tIME", struct.pack(">H5B", 2020, 5, 1, 10, 11, 12))),
        b"", PICTURE),
    "WebP": (pngs_webps.riff(pngs_webps.webp(), (b"EXIF", b"Exif\0\0" + block(SCAN)), flags=8),
             b"", WHEN_SCANNED),
    "HEIC": (
        heif(Item(1, b"pixels", b"hvc1"),
             Item(2, b"\0\0\0\6Exif\0\0" + block(SCAN), b"Exif", describes=[1])),
        b"", WHEN_SCANNED),
    "HEIC, of another picture": (
        heif(Item(1, b"pixels", b"hvc1"),
             Item(2, b"\0\0\0\0" + block(SCAN), b"Exif", describes=[3])), b"", None),
    "HEIC, XMP": (heif(Item(1, b"pixels", b"hvc1"),
                       Item(2, said(exif_DateTimeOriginal=PICTURE), describes=[1])), b"", PICTURE),
    "TIFF": (block(SCAN, original=PICTURE), b"", PICTURE),
    "RAW with EXIF's in its first directory": (
        tiff({ORIGINAL: (2, PICTURE.encode() + b"\0")}, head=b"IIRO"), b"", PICTURE),
    "CR3": (cr3(), b"", WHEN_SCANNED),
    "damaged EXIF": (jpeg(exif=block(SCAN)[:60]), b"", None),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_pictures_own_date_comes_first(name: str, tmp_path: Path) -> None:
    data, sidecar, when = CASES[name]
    (path := tmp_path / "a.jpg").write_bytes(data)
    beside = [sidecar] if sidecar else []
    if sidecar:
        (tmp_path / "a.jpg.xmp").write_bytes(sidecar)
    assert taken_at(inside(Source(data)), beside) == when
    assert read_taken_at(str(path), str(tmp_path)) == when
    for options in (SIDECAR, JSON):
        made = Tagger(path, options).prepare()
        made.discard()
        assert made.taken_at == when


@pytest.mark.parametrize("name", ["a.jpg.xmp", "a.xmp"])
def test_either_sidecar_tells(name: str, tmp_path: Path) -> None:
    (path := tmp_path / "a.jpg").write_bytes(jpeg(exif=block(SCAN)))
    (tmp_path / "a.jpg.xmp").write_bytes(packets.with_keywords("mine"))
    (tmp_path / name).write_bytes(said(photoshop_DateCreated=PICTURE))
    assert read_taken_at(str(path), str(tmp_path)) == PICTURE
    tagger = Tagger(path, SIDECAR)
    assert tagger.write().taken_at == PICTURE
    assert tagger.write().taken_at == PICTURE  # ours beside it change nothing


@pytest.mark.parametrize(
    "maker",
    [{271: "EPSON", 272: "EPSON scanner V600"}, {305: "VueScan 9"}, {305: "SilverFast 8"},
     {272: "CanoScan 9000F"}, {271: "FUJITSU", 272: "ScanSnap iX1500"}],
)  # fmt: skip
def test_scanners_are_known(maker: dict[int, str]) -> None:
    told = {**maker, ORIGINAL: SCAN}
    found = Inside(packets=[said(photoshop_DateCreated=PICTURE)], told=told)
    assert taken_at(found, []) == PICTURE
    assert taken_at(Inside(told=told), []) == WHEN_SCANNED


def test_a_uuid_box_tells_too() -> None:
    """XMP of an ISO file may stand in a box of its own."""
    data = cr3().replace(b"CMT2", b"CMTX")
    assert taken_at(inside(Source(data)), []) is None
    xmp = box(b"uuid", XMP_UUID + said(xmp_CreateDate="1965"))
    assert taken_at(inside(Source(data[:24] + xmp + data[24:])), []) == "1965-01-01T00:00:00"
