"""When a picture was taken, of all that its file and its sidecars say of dates.

What tells of the picture comes before what tells of the file: a scan has the date of scanning
(EXIF's DateTimeDigitized, XMP's CreateDate), and its user writes into a sidecar, XMP or IPTC when
the picture was taken. Order within a file: Metadata Working Group, Guidelines 2.0, 5.5.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tagger.metadata.containers import iptc, tiff_reader
from tagger.metadata.containers.reader import Inside
from tagger.metadata.xmp.packet import Packet, understood
from tagger.text.dates import moment

_OWN = ("exif:DateTimeOriginal", "photoshop:DateCreated")
_MADE = ("exif:DateTimeDigitized", "xmp:CreateDate")
_SCANNER = re.compile(r"scan|silverfast", re.IGNORECASE)
_FILM_SCANNER, _PRINT_SCANNER = "1", "2"
"""EXIF's FileSource; 3 is a camera."""


def taken_at(inside: Inside, beside: Iterable[bytes]) -> str | None:
    """Return the local time at which a picture was taken, as :func:`~tagger.text.dates.moment`.

    ``inside`` is what its file holds, ``beside`` its XMP sidecars. None when nothing tells.
    """
    said = (found for text in _dates(inside, [*beside]) if (found := moment(text)))
    return next(said, None)


def is_scanned(told: Mapping[int, str]) -> bool:
    """Whether EXIF's texts, by tag, are a scanner's: its date is that of scanning."""
    if told.get(tiff_reader.FILE_SOURCE) in (_FILM_SCANNER, _PRINT_SCANNER):
        return True
    names = (tiff_reader.MAKE, tiff_reader.MODEL, tiff_reader.SOFTWARE)
    return any(_SCANNER.search(told.get(tag, "")) for tag in names)


def _dates(inside: Inside, beside: Sequence[bytes]) -> Iterator[str]:
    """Yield what is said of the date, the best first."""
    sidecars, packets = _parsed(beside), _parsed(inside.packets)
    told, scanned = inside.told, is_scanned(inside.told)
    own = told.get(tiff_reader.DATE_TIME_ORIGINAL, "")
    # Programs copy the scanner's date from the file into XMP.
    names = _OWN[1:] if scanned else _OWN
    yield from _texts(sidecars, names)
    if not scanned:
        yield own
    yield from _texts(packets, names)
    yield from _iptc_dates(inside, 55, 60)  # created
    yield inside.created
    yield own
    yield told.get(tiff_reader.DATE_TIME_DIGITIZED, "")
    yield from _texts([*packets, *sidecars], _OWN)
    yield from _texts([*packets, *sidecars], _MADE)
    yield from _iptc_dates(inside, 62, 63)  # digitized
    yield told.get(tiff_reader.DATE_TIME, "")
    yield inside.changed


def _parsed(packets: Iterable[bytes]) -> list[Packet]:
    # Parsing costs; most packets say nothing of dates.
    found = (understood(packet) for packet in packets if b"Date" in packet)
    return [parsed for parsed in found if parsed is not None]


def _texts(packets: Iterable[Packet], names: Iterable[str]) -> Iterator[str]:
    for packet in packets:
        for name in names:
            yield from packet.texts(name)


def _iptc_dates(inside: Inside, date_number: int, time_number: int) -> Iterator[str]:
    """Yield the dates in datasets of the record 2, each with its time."""
    for data in inside.every_iim:
        found = iptc.datasets(data)
        for day in found.get((2, date_number), [])[:1]:
            time = found.get((2, time_number), [b""])[0]
            yield f"{day.decode('ascii', 'replace')}T{time.decode('ascii', 'replace')}"
