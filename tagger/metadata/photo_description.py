"""What new XMP repeats of its photo: a sidecar from the rating to the place, a photo the rating.

darktable and digiKam read these from the sidecar alone once there is one: without them a rating
in the photo would not be seen any more. Dates are not among them. EXIF speaks where XMP does not:
Metadata Working Group, Guidelines 2.0, 5; Rating (0x4746) is Microsoft's.
"""

from __future__ import annotations

from tagger.metadata.containers import tiff_reader
from tagger.metadata.containers.reader import Inside
from tagger.metadata.xmp import packet as xmp_packet
from tagger.metadata.xmp.packet import Packet
from tagger.metadata.xmp.properties import ARRAY_PROPERTIES, GPS_PREFIX, TEXT_PROPERTIES, full_name

_EXIF = {
    "xmp:Rating": tiff_reader.RATING,
    "dc:description": tiff_reader.IMAGE_DESCRIPTION,
    "dc:creator": tiff_reader.ARTIST,
    "dc:rights": tiff_reader.COPYRIGHT,
}
_GPS_DATES = ("GPSTimeStamp", "GPSDateStamp")


def description_of(inside: Inside) -> dict[str, tuple[str, ...]]:
    """Return the values of the properties that describe a photo, by the property's name."""
    found = _of_xmp(inside.packet)
    for name, tag in _EXIF.items():
        text = _legal(inside.told.get(tag, "")).strip()
        if text and name not in found:
            found[name] = (text,)
    return found


def rating_of_exif(inside: Inside) -> dict[str, tuple[str, ...]]:
    """Return the rating that EXIF gives a photo without XMP: darktable passes it over with XMP."""
    text = _legal(inside.told.get(tiff_reader.RATING, "")).strip()
    return {"xmp:Rating": (text,)} if text else {}


def _legal(text: str) -> str:
    """Return ``text`` as it can stand in XML, with the line ends that it has there."""
    return xmp_packet.ILLEGAL.sub("", text).replace("\r\n", "\n").replace("\r", "\n")


def _of_xmp(packet: bytes | None) -> dict[str, tuple[str, ...]]:
    if (parsed := xmp_packet.understood(packet)) is None:
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for name in (*TEXT_PROPERTIES, *ARRAY_PROPERTIES):
        texts = tuple(text for text in parsed.texts(name) if text.strip())
        # In an array of languages the first is the default one.
        texts = texts if ARRAY_PROPERTIES.get(name) == "Seq" else texts[:1]
        if texts:
            found[name] = texts
    return found | _places(parsed)


def _places(parsed: Packet) -> dict[str, tuple[str, ...]]:
    """Return what is said of the place in EXIF's words."""
    start, found = full_name(GPS_PREFIX), dict[str, tuple[str, ...]]()
    for node in parsed.nodes:
        said = [*node.attributes, *((p.name, p.text) for p in node.children if not p.children)]
        for name, text in said:
            local = name[len(start) - len("GPS") :]
            if name.startswith(start) and text.strip() and local not in _GPS_DATES:
                found.setdefault(f"exif:{local}", (text.strip(),))
    return found
