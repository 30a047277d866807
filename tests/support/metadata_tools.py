"""Writes tags as the pipeline does, and judges files without any of tagger's parsers."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import struct
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pillow_heif
from PIL import Image, ImageSequence

from tagger.metadata.options import Provenance, WriteOptions
from tagger.metadata.prepare import prepare
from tagger.metadata.prepared_write import PreparedWrite
from tagger.records import Candidate, FileStat, JournalEntry, Keyword, WriteReceipt

pillow_heif.register_heif_opener()

EMBED = WriteOptions(target="embed")
SIDECAR = WriteOptions()
JSON = WriteOptions(target="sidecar-json")
PROVENANCE = Provenance(model="resnet18/test", software="tagger 0.1")

DOG = Keyword("dog", ("animal", "dog"), 0.9)
ANIMAL = Keyword("animal", ("animal",), 0.95, leaf=False)
BEACH = Keyword("beach", ("beach",), 0.8)
TAGS = (DOG, ANIMAL, BEACH)
"""In no order that a program would sort them into."""

OURS = {
    "dc:subject": ("dog", "animal", "beach"),
    "lr:hierarchicalSubject": ("animal|dog", "beach"),
    "digiKam:TagsList": ("animal/dog", "beach"),
}


def candidate(path: Path) -> Candidate:
    return Candidate(str(path), str(path.parent), FileStat.of(path.lstat()))


@dataclass
class Tagger:
    """One photo and its journal, as the index would keep it."""

    path: Path
    options: WriteOptions = EMBED
    journal: tuple[JournalEntry, ...] = ()

    def prepare(self, keywords: Sequence[Keyword] = TAGS, **more: Any) -> PreparedWrite:
        return prepare(
            more.pop("seen", None) or candidate(self.path),
            keywords,
            more.pop("options", self.options),
            PROVENANCE,
            previous=self.journal,
            **more,
        )

    def write(self, keywords: Sequence[Keyword] = TAGS, **more: Any) -> PreparedWrite:
        """Write and remember; the receipt is in :attr:`receipt`."""
        made = self.prepare(keywords, **more)
        self.receipt: WriteReceipt = made.commit()
        self.journal = self.receipt.entries
        return made

    def undo(self) -> PreparedWrite:
        return self.write(())


def left_behind(folder: Path) -> list[str]:
    """Return the temporary files in a folder."""
    return [name for name in os.listdir(folder) if name.startswith(".tagger-")]


def pixels(data: bytes) -> str:
    """Return a digest of all frames as Pillow decodes them, or why it cannot."""
    digest = hashlib.sha256()
    try:
        with Image.open(io.BytesIO(data)) as image:
            count = 0
            for frame in ImageSequence.Iterator(image):
                digest.update(repr((frame.size, frame.mode, frame.info.get("duration"))).encode())
                digest.update(frame.tobytes())
                count += 1
    except Exception as error:  # noqa: BLE001 (it must say the same again afterwards)
        return type(error).__name__  # some messages hold the address of an object
    return f"{count} frames, {digest.hexdigest()}"


def packet_for_pillow(data: bytes) -> bytes:
    """Return the XMP packet as Pillow (and libwebp) find it, empty without one."""
    with Image.open(io.BytesIO(data)) as image:
        with contextlib.suppress(OSError):
            image.load()  # a PNG's may come late
        found = image.info.get("xmp", image.info.get("XML:com.adobe.xmp", b""))
    return found.encode() if isinstance(found, str) else bytes(found)


def outside(data: bytes) -> list[bytes]:
    """Return everything in a JPEG, PNG or WebP but the XMP and what depends on its length."""
    if data[:2] == b"\xff\xd8":
        return _outside_jpeg(data)
    return _outside_png(data) if data[1:4] == b"PNG" else _outside_webp(data)


def _outside_jpeg(data: bytes) -> list[bytes]:
    out, at, start = [], 2, 2
    while data[at + 1] != 0xDA:
        if data[at + 1] == 0xFF:
            at += 1
            continue
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        body = data[at + 4 : end]
        if data[at + 1] == 0xE1 and body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            out.append(data[start:at])
            start = end
        elif body.startswith(b"MPF\0"):
            out += [data[start:at], _blank_mpf(body)]
            start = end
        at = end
    return [b"".join([*out, data[start:]])]


def _blank_mpf(body: bytes) -> bytes:
    order = ">" if body[4:6] == b"MM" else "<"
    entries = body.find(struct.pack(order + "HHI", 0xB002, 7, 32))
    if entries < 0:
        return body
    place = 4 + struct.unpack_from(order + "I", body, entries + 8)[0]
    blank = bytearray(body)
    blank[place + 4 : place + 8] = bytes(4)  # how long the first picture is
    blank[place + 24 : place + 28] = bytes(4)  # where the second one is
    return bytes(blank)


def second_picture(data: bytes) -> bytes:
    """Return the picture that MPF leads to."""
    head = data.index(b"MPF\0") + 4
    order = ">" if data[head : head + 2] == b"MM" else "<"
    entries = data.index(struct.pack(order + "HHI", 0xB002, 7, 32))
    place = head + struct.unpack_from(order + "I", data, entries + 8)[0]
    first = struct.unpack_from(order + "I", data, place + 4)[0]
    size, offset = struct.unpack_from(order + "II", data, place + 20)
    assert head + offset == first, "the first picture does not end where the second begins"
    return data[head + offset : head + offset + size]


def _outside_png(data: bytes) -> list[bytes]:
    out, at = [data[:8]], 8
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        if not data[at + 4 :].startswith(b"iTXtXML:com.adobe.xmp\0"):
            out.append(data[at:end])
        if data[at + 4 : at + 8] == b"IEND":
            break
        at = end
    return [*out, data[end:]]


def _outside_webp(data: bytes) -> list[bytes]:
    end = 8 + int.from_bytes(data[4:8], "little")
    out, at = [data[end:]], 12
    while at < end:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        stop = at + 8 + size + size % 2
        kind, body = data[at : at + 4], data[at + 8 : stop]
        if kind == b"VP8X":
            body = bytes([body[0] & ~4]) + body[1:]
        if kind == b"VP8X" and not body[0] & ~16:
            pass  # it says only what the picture itself says
        elif kind != b"XMP ":
            out.append(kind + body)
        at = stop
    assert at == end, "the chunks do not end where RIFF says"
    return out


def exiftool(*arguments: str | Path) -> bytes:
    done = subprocess.run(
        ["exiftool", *map(str, arguments)], capture_output=True, check=False, timeout=300
    )
    return done.stdout


def look(paths: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Return everything exiftool says of some files, its warnings among it."""
    command = ("-j", "-G1:4", "-a", "-u", "-b", "-validate", "-warning", "-all", *paths)
    return {Path(one["SourceFile"]).name: one for one in json.loads(exiftool(*command))}


def warnings(said: dict[str, Any]) -> set[str]:
    return {str(value) for key, value in said.items() if key.endswith(":Warning")}


def keywords_in(path: Path) -> dict[str, list[str]]:
    """Return the three properties as exiftool reads them."""
    names = ("XMP-dc:Subject", "XMP-lr:HierarchicalSubject", "XMP-digiKam:TagsList")
    (said,) = json.loads(exiftool("-j", "-G1", "-struct", *(f"-{name}" for name in names), path))
    lists = {name: said.get(name, []) for name in names}
    return {
        name.rpartition(":")[2]: [str(v) for v in (value if isinstance(value, list) else [value])]
        for name, value in lists.items()
    }


_EXPECTED = (
    "XMP-dc:Subject",
    "XMP-lr:HierarchicalSubject",
    "XMP-digiKam:TagsList",
    "XMP-tagger:",
    "System:",
    "SourceFile",
    "ExifTool:",
    "RIFF:WebP_Flags",  # whether there is XMP
    "MPImage1:MPImageLength",
)


def differences(before: dict[str, Any], after: dict[str, Any], grown: int) -> list[str]:
    """Return the keys that exiftool says something else of, but those that shall change.

    The second picture of a file is to be found ``grown`` bytes later.
    """
    new_packet = not any(key.startswith("XMP") for key in before)
    expected = _EXPECTED + (("XMP-x:XMPToolkit", "XMP-rdf:About") if new_packet else ())
    if not any(key.startswith("RIFF:WebP_Flags") for key in before):
        expected += ("RIFF:", "File:FileType", "File:MIMEType")
    keys = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    rest = []
    for key in sorted(keys):
        if key.endswith("MPImageStart") and after.get(key, 0) - before[key] == grown:
            continue
        plain = ":".join(part for part in key.split(":") if not part.startswith("Copy"))
        if not plain.startswith(expected):
            rest.append(f"{plain}: {str(before.get(key))[:60]} -> {str(after.get(key))[:60]}")
    return rest
