"""XMP that we embed into a photo does not hide the rating that its EXIF has.

darktable takes the rating from EXIF only while there is no XMP.
"""

from __future__ import annotations

from pathlib import Path

import piexif
import pytest

from tests.support import jpegs, packets
from tests.support.metadata_tools import BEACH, EMBED, TAGS, Tagger
from tests.support.photo_programs import Xmp


def rated(rating: int) -> bytes:
    """Return a JPEG whose EXIF rates it."""
    block = piexif.dump({"0th": {piexif.ImageIFD.Rating: rating}})
    return jpegs.put(jpegs.plain(), jpegs.segment(0xE1, block))


def rate(path: Path, rating: int) -> None:
    """Change the rating in EXIF alone."""
    path.write_bytes(
        path.read_bytes().replace(
            piexif.dump({"0th": {piexif.ImageIFD.Rating: 3}}),
            piexif.dump({"0th": {piexif.ImageIFD.Rating: rating}}),
        )
    )


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(rated(3))
    return path


def xmp_rating(photo: Path) -> str | None:
    said = Xmp(photo)
    name = "{http://ns.adobe.com/xap/1.0/}Rating"
    return next((node.get(name) or node.findtext(name) for node in said.nodes), None)


def test_the_rating_is_repeated_and_taken_away_again(photo: Path) -> None:
    before = photo.read_bytes()
    tagger = Tagger(photo, EMBED)
    tagger.write()
    assert xmp_rating(photo) == "3"
    made = tagger.write()
    assert not made.intents, "nothing is written twice"
    tagger.undo()
    assert photo.read_bytes() == before


def test_nothing_is_repeated_beside_xmp_of_the_users(photo: Path) -> None:
    photo.write_bytes(jpegs.put(photo.read_bytes(), jpegs.xmp(packets.with_keywords("Rex"))))
    Tagger(photo, EMBED).write()
    assert xmp_rating(photo) is None


def test_no_rating_is_made_up(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.plain())
    Tagger(path, EMBED).write()
    assert xmp_rating(path) is None


def test_it_follows_exif_while_nobody_else_rates(photo: Path) -> None:
    tagger = Tagger(photo, EMBED)
    tagger.write()
    rate(photo, 5)
    tagger.write()
    assert xmp_rating(photo) == "5"
    assert not tagger.write().intents


def test_a_users_rating_in_xmp_stays(photo: Path) -> None:
    tagger = Tagger(photo, EMBED)
    tagger.write()
    said = Xmp(photo)
    said.say("xmp:Rating", "1")
    said.save()
    tagger.write()
    assert xmp_rating(photo) == "1"
    tagger.write([*TAGS, BEACH][:2])
    assert xmp_rating(photo) == "1"
    tagger.undo()
    assert xmp_rating(photo) == "1"


def test_a_rating_that_another_program_took_out_stays_out(photo: Path) -> None:
    tagger = Tagger(photo, EMBED)
    tagger.write()
    said = Xmp(photo)
    for node in said.nodes:
        for child in [one for one in node if one.tag.endswith("}Rating")]:
            node.remove(child)
        node.attrib.pop("{http://ns.adobe.com/xap/1.0/}Rating", None)
    said.save()
    tagger.write()
    assert xmp_rating(photo) is None
