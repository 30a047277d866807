"""What a photo says of itself, and what of it is believed."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import piexif
import pytest
from PIL import Image

from tagger.records import DecodedPhoto, PhotoFacts
from tests.support.pictures import encoded, exif, quarters

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow complains of the files

Decoded = Callable[..., DecodedPhoto]

NORTH = {1: b"N", 2: ((48, 1), (51, 1), (2952, 100)), 3: b"E", 4: ((2, 1), (17, 1), (4020, 100))}


def block(main: dict[int, Any] | None = None, **groups: dict[int, Any]) -> bytes:
    return piexif.dump({"0th": main or {}, **groups})


def jpeg(data: bytes) -> bytes:
    return encoded(quarters(), "JPEG", exif=data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF"])
def test_all_the_facts(decoded: Decoded, kind: str) -> None:
    data = block({271: b"Acme", 272: b"Cam 5"}, Exif={36867: b"2023:07:09 18:30:05"}, GPS=NORTH)
    facts = decoded("a.jpg", encoded(quarters(), kind, exif=data)).facts
    assert facts == PhotoFacts(
        format=kind,
        width=400,
        height=300,
        orientation=1,
        taken_at="2023-07-09T18:30:05",
        camera="Acme Cam 5",
        latitude=48.8582,
        longitude=2.2945,
    )


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "HEIF", "AVIF"])
def test_what_kind_of_photo_it_is(decoded: Decoded, kind: str) -> None:
    lens = {36867: b"2023:07:09 18:30:05", 42036: b"iPhone 12 front camera 2.71mm f/2.2"}
    data = block({305: b"GIMP 2.10"}, Exif=lens)
    facts = decoded("IMG_E1234.jpg", encoded(quarters(), kind, exif=data)).facts
    assert facts.kinds == ("selfie", "edited")
    name = "Screenshot_20240102-101112.png"
    assert decoded(name, encoded(quarters(), kind)).facts.kinds == ("screenshot",)
    assert decoded("a.jpg", encoded(quarters(), kind)).facts.kinds == ()


def test_no_facts(decoded: Decoded) -> None:
    facts = decoded("a.jpg", encoded(quarters(), "JPEG")).facts
    assert facts == PhotoFacts("JPEG", 400, 300)


def test_facts_of_tiff(decoded: Decoded) -> None:
    tags = Image.Exif()
    tags[271], tags[272], tags[306] = "Acme", "Cam 5", "2023:07:09 18:30:05"
    facts = decoded("a.tif", encoded(quarters(), "TIFF", exif=tags)).facts
    assert (facts.camera, facts.taken_at) == ("Acme Cam 5", "2023-07-09T18:30:05")


def test_size_is_as_displayed(decoded: Decoded) -> None:
    facts = decoded("a.jpg", encoded(quarters(), "JPEG", exif=exif(6))).facts
    assert (facts.width, facts.height, facts.orientation) == (300, 400, 6)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (b"2023:07:09 18:30:05", "2023-07-09T18:30:05"),
        (b"2023-07-09T18:30:05+02:00", "2023-07-09T18:30:05"),
        (b"2023/07/09 18:30:05\0junk", "2023-07-09T18:30:05"),
        (b"0000:00:00 00:00:00", None),
        (b"    :  :     :  :  ", None),
        (b"2023:02:31 10:00:00", None),
        (b"2023:07:09 25:30:05", None),
        (b"0001:01:01 00:00:00", None),
        (b"yesterday", None),
        (b"\xff\xfe\xfd", None),
        (b"", None),
    ],
)
def test_dates(decoded: Decoded, written: bytes, meant: str | None) -> None:
    photo = decoded("a.jpg", jpeg(block(Exif={36867: written})))
    assert photo.facts.taken_at == meant


def test_the_best_date_wins(decoded: Decoded) -> None:
    edited, scanned, taken = (b"2023:0%d:01 00:00:00" % month for month in (3, 2, 1))
    for original, digitized, month in (
        (taken, scanned, "01"),
        (b"0000:00:00 00:00:00", scanned, "02"),
        (b"", b"", "03"),
    ):
        data = block({306: edited}, Exif={36867: original, 36868: digitized})
        assert decoded("a.jpg", jpeg(data)).facts.taken_at == f"2023-{month}-01T00:00:00"


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        (b"NIKON CORPORATION", b"NIKON D70", "NIKON D70"),
        (b"Canon", b"Canon EOS 40D", "Canon EOS 40D"),
        (b"Apple", b"iPhone 6", "Apple iPhone 6"),
        (b"  Acme \0", b"X\0\0\0", "Acme X"),
        (b"Acme", b"", "Acme"),
        (b"", b"X", "X"),
        (b" ", b"", None),
        (b"A" * 500, b"", "A" * 100),
    ],
)
def test_cameras(decoded: Decoded, make: bytes, model: bytes, camera: str | None) -> None:
    assert decoded("a.jpg", jpeg(block({271: make, 272: model}))).facts.camera == camera


@pytest.mark.parametrize(
    ("gps", "latitude", "longitude"),
    [
        ({**NORTH, 1: b"S", 3: b"W"}, -48.8582, -2.2945),
        ({1: b"N", 2: ((91, 1), (0, 1), (0, 1))}, None, None),
        ({1: b"N", 2: ((0, 0), (0, 0), (0, 0))}, None, None),
        ({1: b"N", 2: ((48, 1),)}, None, None),
        ({1: b"N"}, None, None),
        ({3: b"W", 4: ((179, 1), (59, 1), (59, 1))}, None, -179.9997222),
        ({}, None, None),
    ],
)
def test_places(
    decoded: Decoded, gps: dict[int, Any], latitude: float | None, longitude: float | None
) -> None:
    facts = decoded("a.jpg", jpeg(block(GPS=gps))).facts
    assert (facts.latitude, facts.longitude) == (latitude, longitude)


TIFF = b"Exif\0\0II*\0\x08\0\0\0"


@pytest.mark.parametrize(
    "nonsense",
    [
        b"Exif\0\0",
        b"Exif\0\0garbage garbage",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",
        TIFF + b"\xff\xff" + b"\xff" * 40,
        # 0x112 as text, as a huge array, at an offset outside the block
        TIFF + b"\1\0\x12\1\2\0\4\0\0\0abc\0" + bytes(4),
        TIFF + b"\1\0\x12\1\3\0\xff\xff\xff\x7f\x08\0\0\0" + bytes(4),
        TIFF + b"\1\0\x12\1\3\0\x09\0\0\0\xff\xff\xff\x7f" + bytes(4),
        # the Exif and GPS blocks: nowhere, in themselves, of a strange type
        TIFF + b"\1\0\x69\x87\4\0\1\0\0\0\xff\xff\xff\x7f" + bytes(4),
        TIFF + b"\1\0\x69\x87\4\0\1\0\0\0\x08\0\0\0" + bytes(4),
        TIFF + b"\1\0\x25\x88\2\0\4\0\0\0abc\0" + bytes(4),
        TIFF + b"\1\0\x25\x88\x0b\0\1\0\0\0\0\0\xc0\x7f" + bytes(4),
    ],
)
def test_nonsense_exif_costs_no_photo(decoded: Decoded, nonsense: bytes) -> None:
    data = encoded(quarters(), "JPEG")
    segment = b"\xff\xe1" + (len(nonsense) + 2).to_bytes(2, "big") + nonsense
    photo = decoded("a.jpg", data[:2] + segment + data[2:])
    assert photo.facts == PhotoFacts("JPEG", 400, 300)
    if len(nonsense) > 6:  # Pillow itself writes none that is empty
        png = io.BytesIO(encoded(quarters(), "PNG", exif=nonsense))
        assert decoded("a.png", png.getvalue()).facts == PhotoFacts("PNG", 400, 300)
