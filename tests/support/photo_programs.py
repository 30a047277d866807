"""Writes keywords as other photo programs do: which properties, from what they know.

As observed with digiKam 8.6, darktable 4.2 and 5.0, gThumb 3.12, Immich and Windows; all but Immich
and Windows write by Exiv2, which keeps properties that it does not know.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from tests.support import jpegs

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
URIS = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "darktable": "http://darktable.sf.net/",
    "MicrosoftPhoto": "http://ns.microsoft.com/photo/1.0/",
    "acdsee": "http://ns.acdsee.com/iptc/1.0/",
    "mediapro": "http://ns.iview-multimedia.com/mediapro/1.0/",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
}
for _prefix, _uri in {**URIS, "rdf": RDF[1:-1], "x": "adobe:ns:meta/"}.items():
    ET.register_namespace(_prefix, _uri)

YEAR_1_TO_1970 = 62_135_596_800
LABRADOR = "animal/dog/Labrador retriever"


def stamp(seconds: float) -> str:
    """Return a moment as darktable writes it."""
    return str(int((seconds + YEAR_1_TO_1970) * 1e6))


def _full(name: str) -> str:
    prefix, local = name.split(":")
    return f"{{{URIS[prefix]}}}{local}"


@dataclass
class Xmp:
    """A packet, in a sidecar or a JPEG, that a program takes apart and writes anew."""

    path: Path

    def __post_init__(self) -> None:
        packet = packet_in(self.path)
        self.root = ET.fromstring(packet) if packet.strip() else _empty()
        self.nodes = [*self.root.iter(f"{RDF}Description")]

    def values(self, name: str) -> list[str]:
        full = _full(name)
        props = [prop for node in self.nodes for prop in node if prop.tag == full]
        return [item.text or "" for prop in props for item in prop.iter(f"{RDF}li")]

    def put(self, name: str, values: Iterable[str], kind: str = "Bag") -> None:
        """Write an array, or take it away without values."""
        full = _full(name)
        for node in self.nodes:
            for prop in [prop for prop in node if prop.tag == full]:
                node.remove(prop)
        if values := [*values]:
            array = ET.SubElement(ET.SubElement(self.nodes[0], full), f"{RDF}{kind}")
            for value in values:
                ET.SubElement(array, f"{RDF}li").text = value

    def say(self, name: str, value: str) -> None:
        for node in self.nodes:
            node.attrib.pop(_full(name), None)
            for prop in [prop for prop in node if prop.tag == _full(name)]:
                node.remove(prop)
        self.nodes[0].set(_full(name), value)

    def save(self, toolkit: str = "XMP Core 4.4.0-Exiv2") -> None:
        self.root.set("{adobe:ns:meta/}xmptk", toolkit)
        put_packet(self.path, ET.tostring(self.root, encoding="utf-8", xml_declaration=False))


def _empty() -> ET.Element:
    root = ET.Element("{adobe:ns:meta/}xmpmeta")
    ET.SubElement(ET.SubElement(root, f"{RDF}RDF"), f"{RDF}Description", {f"{RDF}about": ""})
    return root


def packet_in(path: Path) -> bytes:
    data = path.read_bytes() if path.exists() else b""
    if not data.startswith(b"\xff\xd8"):
        return data
    at = data.find(jpegs.XMP)
    return data[at + len(jpegs.XMP) : at - 2 + int.from_bytes(data[at - 2 : at])] if at > 0 else b""


def put_packet(path: Path, packet: bytes) -> None:
    data = path.read_bytes() if path.exists() else b""
    if not data.startswith(b"\xff\xd8"):
        path.write_bytes(packet)
        return
    at = data.find(jpegs.XMP)
    if at < 0:
        path.write_bytes(jpegs.put(data, jpegs.xmp(packet)))
        return
    end = at - 2 + int.from_bytes(data[at - 2 : at])
    stat = path.stat()
    path.write_bytes(data[: at - 4] + jpegs.xmp(packet) + data[end:])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def put_iptc(path: Path, words: Iterable[str]) -> None:
    """Put IPTC keywords into a JPEG in place of those that it has."""
    data = path.read_bytes()
    for found in reversed([*re.finditer(rb"\xff\xed(..)Photoshop 3\.0\0", data, flags=re.S)]):
        data = data[: found.start()] + data[found.start() + 2 + int.from_bytes(found[1]) :]
    stat = path.stat()
    path.write_bytes(jpegs.put(data, jpegs.photoshop(jpegs.iim(*words))))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@dataclass
class DigiKam:
    """Writes all of a photo's tags, from its database, to six properties; only leaves flat."""

    tags: list[str] = field(default_factory=list)

    def import_(self, path: Path) -> None:
        said = Xmp(path)
        self.tags = said.values("digiKam:TagsList") or said.values("dc:subject")

    def write(self, path: Path, rating: int = 0) -> None:
        said = Xmp(path)
        paths = sorted(self.tags)
        said.put("dc:subject", dict.fromkeys(one.rpartition("/")[2] for one in paths))
        said.put("lr:hierarchicalSubject", [one.replace("/", "|") for one in paths])
        said.put("digiKam:TagsList", paths, "Seq")
        said.put("MicrosoftPhoto:LastKeywordXMP", paths)
        said.put("mediapro:CatalogSets", [one.replace("/", "|") for one in paths])
        if rating:
            said.say("xmp:Rating", str(rating))
        tree: dict[str, Any] = {}
        for one in paths:
            level = tree
            for step in one.split("/"):
                level = level.setdefault(step, {})
        said.say("acdsee:categories", f"<Categories>{_categories(tree, '', paths)}</Categories>")
        said.save()
        if path.suffix == ".jpg":
            put_iptc(path, said.values("dc:subject"))


def _categories(tree: dict[str, Any], above: str, assigned: Sequence[str]) -> str:
    return "".join(
        f'<Category Assigned="{int(above + step in assigned)}">{escape(step)}'
        f"{_categories(below, f'{above}{step}/', assigned)}</Category>"
        for step, below in tree.items()
    )


@dataclass
class Darktable:
    """Writes tags to two properties, from its library, and leaves digiKam's as it is."""

    imported: str
    tags: list[str] = field(default_factory=list)

    def import_(self, path: Path) -> None:
        said = Xmp(path)
        deep = said.values("lr:hierarchicalSubject")
        inside = {step for one in deep for step in one.split("|")}
        self.tags = [*deep, *(word for word in said.values("dc:subject") if word not in inside)]

    def write(self, path: Path, rating: int = 1) -> None:
        said = Xmp(path)
        tags = dict.fromkeys(["darktable|format|jpg", *self.tags])
        said.put("dc:subject", dict.fromkeys(step for one in tags for step in one.split("|")))
        said.put("lr:hierarchicalSubject", tags)
        said.say("xmp:Rating", str(rating))
        said.say("darktable:import_timestamp", self.imported)
        said.save()


def immich(path: Path, tags: Sequence[str]) -> None:
    """Write tags as Immich does, by exiftool."""
    said = Xmp(path)
    said.put("digiKam:TagsList", tags, "Seq")
    said.save("Image::ExifTool 12.57")


def _flat(said: Xmp, add: Sequence[str], remove: Sequence[str]) -> list[str]:
    return [word for word in said.values("dc:subject") if word not in remove] + [*add]


def gthumb(
    path: Path, *, add: Sequence[str] = (), remove: Sequence[str] = (), written: int | None = None
) -> list[str]:
    """Change the flat keywords of a file, with copies in IPTC, and in IPTC's XMP.

    With ``written``, only so many come into dc:subject. Return what is there.
    """
    said = Xmp(path)
    words = _flat(said, add, remove)
    said.put("dc:subject", words[:written])
    said.put("Iptc4xmpCore:Keywords", words)
    said.save()
    if path.suffix == ".jpg":
        put_iptc(path, words)
    return words


def lightroom(path: Path, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
    """Change the keywords of a file and its IPTC; digiKam's stay as they are."""
    said = Xmp(path)
    words = _flat(said, add, remove)
    deep = [value.split("|") for value in said.values("lr:hierarchicalSubject")]
    left = ["|".join(step for step in steps if step not in remove) for steps in deep]
    said.put("dc:subject", words)
    said.put("lr:hierarchicalSubject", filter(None, [*left, *add]))
    said.save("Adobe XMP Core 7.0-c000")
    if path.suffix == ".jpg":
        put_iptc(path, words)


def windows(path: Path, *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
    """Change the flat keywords of a file as Windows Explorer does."""
    said = Xmp(path)
    words = _flat(said, add, remove)
    said.put("dc:subject", words)
    said.put("MicrosoftPhoto:LastKeywordXMP", words)
    said.save("XMP Core 5.1.2")
