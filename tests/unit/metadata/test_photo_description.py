"""A new sidecar hides nothing: it repeats what the photo says of itself, and gives it back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import piexif
import pytest

from tests.support import jpegs, packets
from tests.support.metadata_tools import BEACH, SIDECAR, TAGS, Tagger, exiftool
from tests.support.photo_programs import Xmp, packet_in

GPS = 'xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:GPSLatitude="51,30.5N" '
DATES = 'exif:GPSTimeStamp="2024-05-06T07:08:09Z" exif:DateTimeOriginal="2024-05-06T07:08:09" '
BODY = (
    '\n<dc:title><rdf:Alt><rdf:li xml:lang="x-default">Sea &amp; sun</rdf:li>'
    '<rdf:li xml:lang="de">See</rdf:li></rdf:Alt></dc:title>'
    '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">Two\nlines</rdf:li></rdf:Alt>'
    "</dc:description><dc:creator><rdf:Seq><rdf:li>Ann</rdf:li><rdf:li>Bo</rdf:li></rdf:Seq>"
    '</dc:creator><dc:rights><rdf:Alt><rdf:li xml:lang="x-default">© Ann</rdf:li></rdf:Alt>'
    "</dc:rights>"
)


def packet(rating: int = 4) -> bytes:
    return packets.packet(
        packets.description(BODY, f'{GPS}{DATES}xmp:Rating="{rating}" xmp:Label="Red"')
    )


def of_xmp(rating: int = 4) -> bytes:
    return jpegs.put(jpegs.plain(), jpegs.xmp(packet(rating)))


def of_exif(**more: Any) -> bytes:
    main = {
        piexif.ImageIFD.Rating: 3,
        piexif.ImageIFD.ImageDescription: b"A dog",
        piexif.ImageIFD.Artist: "Zoë".encode(),
        piexif.ImageIFD.Copyright: "Zoë".encode("latin-1"),
        **more,
    }
    return jpegs.put(jpegs.plain(), jpegs.segment(0xE1, piexif.dump({"0th": main})))


def told(file: Path) -> dict[str, Any]:
    (said,) = json.loads(exiftool("-j", "-G1", "-struct", "-XMP:all", file))
    groups = ("XMP-dc:", "XMP-xmp:", "XMP-exif:")
    own = {key: value for key, value in said.items() if key.startswith(groups)}
    own.pop("XMP-dc:Subject", None)
    return own


FROM_XMP = {
    "XMP-xmp:Rating": 4,
    "XMP-xmp:Label": "Red",
    "XMP-dc:Title": "Sea & sun",
    "XMP-dc:Description": "Two\nlines",
    "XMP-dc:Creator": ["Ann", "Bo"],
    "XMP-dc:Rights": "© Ann",
    "XMP-exif:GPSLatitude": "51 deg 30' 30.00\" N",
}
FROM_EXIF = {
    "XMP-xmp:Rating": 3,
    "XMP-dc:Description": "A dog",
    "XMP-dc:Creator": ["Zoë"],
    "XMP-dc:Rights": "Zoë",
}


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return tmp_path / "a.jpg"


def sidecar(photo: Path) -> Path:
    return photo.with_name("a.jpg.xmp")


@pytest.mark.parametrize(("data", "expected"), [(of_xmp(), FROM_XMP), (of_exif(), FROM_EXIF)])
def test_it_says_what_the_photo_says(data: bytes, expected: dict[str, Any], photo: Path) -> None:
    photo.write_bytes(data)
    tagger = Tagger(photo, SIDECAR)
    tagger.write()
    assert told(sidecar(photo)) == expected
    assert tagger.write().intents == ()
    tagger.undo()
    assert not sidecar(photo).exists()
    assert photo.read_bytes() == data


def test_exif_speaks_where_xmp_does_not(photo: Path) -> None:
    rated = jpegs.xmp(packets.rated())  # three stars
    photo.write_bytes(jpegs.put(of_exif(), rated))
    Tagger(photo, SIDECAR).write()
    assert told(sidecar(photo)) == FROM_EXIF


def test_it_follows_the_photo_until_another_program_wrote_to_it(photo: Path) -> None:
    photo.write_bytes(of_xmp(4))
    tagger = Tagger(photo, SIDECAR)
    tagger.write()
    photo.write_bytes(of_xmp(2))
    tagger.write()
    assert told(sidecar(photo))["XMP-xmp:Rating"] == 2
    said = Xmp(sidecar(photo))
    said.say("xmp:Rating", "5")
    said.save()
    photo.write_bytes(of_xmp(1))
    tagger.write()
    assert told(sidecar(photo)) == {**FROM_XMP, "XMP-xmp:Rating": 5}
    tagger.write([BEACH])
    assert told(sidecar(photo)) == {**FROM_XMP, "XMP-xmp:Rating": 5}
    tagger.undo()
    assert told(sidecar(photo)) == {"XMP-xmp:Rating": 5}  # the user's; ours are taken away


def test_what_another_program_took_out_stays_out(photo: Path) -> None:
    photo.write_bytes(of_xmp())
    tagger = Tagger(photo, SIDECAR)
    tagger.write()
    said = Xmp(sidecar(photo))
    said.put("dc:title", [])
    said.save()
    tagger.write([BEACH])
    left = told(sidecar(photo))
    assert left == {key: value for key, value in FROM_XMP.items() if key != "XMP-dc:Title"}


def test_attributes_are_taken_away_as_well(photo: Path) -> None:
    photo.write_bytes(of_xmp())
    tagger = Tagger(photo, SIDECAR)
    tagger.write()
    said = Xmp(sidecar(photo))
    said.say("xmp:Rating", "4")  # as Exiv2 writes what it found as an element
    said.say("xmp:CreatorTool", "another")
    said.save()
    tagger.undo()
    assert told(sidecar(photo)) == {"XMP-xmp:CreatorTool": "another"}


def test_one_of_another_program_is_not_added_to(photo: Path) -> None:
    photo.write_bytes(of_xmp())
    sidecar(photo).write_bytes(packets.DARKTABLE)
    Tagger(photo, SIDECAR).write()
    assert told(sidecar(photo)) == {"XMP-xmp:Rating": 1}


@pytest.mark.parametrize("is_edited", [False, True])
def test_one_of_an_older_tagger_gets_it_once(is_edited: bool, photo: Path) -> None:
    photo.write_bytes(jpegs.plain())
    tagger = Tagger(photo, SIDECAR)
    tagger.write()
    tagger.journal = tuple(replace(entry, seen={}) for entry in tagger.journal)
    photo.write_bytes(of_xmp())
    if is_edited:
        said = Xmp(sidecar(photo))
        said.say("xmp:Label", "Blue")
        said.save()
    tagger.write()
    assert told(sidecar(photo)) == {**FROM_XMP, "XMP-xmp:Label": "Blue" if is_edited else "Red"}
    if is_edited:
        said = Xmp(sidecar(photo))
        said.put("dc:title", [])
        said.save()
        tagger.write()
        assert "XMP-dc:Title" not in told(sidecar(photo))


def test_a_lost_index_takes_it_away_all_the_same(photo: Path) -> None:
    photo.write_bytes(of_xmp())
    Tagger(photo, SIDECAR).write()
    again = Tagger(photo, SIDECAR)
    again.write()
    again.undo()
    assert not sidecar(photo).exists()


def test_never_the_fields_for_pictures_that_a_machine_made(photo: Path) -> None:
    photo.write_bytes(of_xmp())
    Tagger(photo, SIDECAR).write(TAGS)
    text = packet_in(sidecar(photo))
    assert b"Iptc4xmpExt" not in text and b"AISystem" not in text and b"AIPrompt" not in text
