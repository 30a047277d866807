"""What kind of photo a file says it is."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from tagger.decode.kinds import kinds_of, packet_of
from tagger.decode.opening import decode
from tagger.records import PHOTO_KINDS, CropSpec
from tests.support import jpegs
from tests.support.kind_files import FILES, IFD, apple_note, packet


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Screenshot_20240102-101112.png", "screenshot"),
        ("Screenshot_20240102_101112_Chrome.jpg", "screenshot"),
        ("Screenshot_2024-01-02-10-11-12-123_com.android.chrome.jpg", "screenshot"),
        ("Screenshot (12).png", "screenshot"),
        ("Screenshot from 2024-01-02 10-11-12.png", "screenshot"),
        ("Screen Shot 2020-01-02 at 10.11.12.png", "screenshot"),
        ("Bildschirmfoto 2024-01-02 um 10.11.12.png", "screenshot"),
        ("截屏2024-01-02 10.11.12.png", "screenshot"),
        ("PANO_20170102_101112.jpg", "panorama"),
        ("PANO_20170102_101112.vr.jpg", "panorama"),
        ("PXL_20210102_101112345.PORTRAIT.jpg", "portrait"),
        ("PXL_20210102_101112345.PORTRAIT-01.COVER.jpg", "portrait"),
        ("00100lPORTRAIT_00100_BURST20190102101112345_COVER.jpg", "portrait"),
        ("IMG_20180102_101112_BURST001_COVER.jpg", "burst"),
        ("00000IMG_00000_BURST20190102101112345_COVER.jpg", "burst"),
        ("MVIMG_20190102_101112.jpg", "motion photo"),
        ("PXL_20210102_101112345.MP.jpg", "motion photo"),
        ("PXL_20210102_101112345.NIGHT.MP.jpg", "motion photo"),
        ("IMG_E1234.JPG", "edited"),
        ("PXL_20210102_101112345~2.jpg", "edited"),
        ("IMG_20200102_101112-edited.jpg", "edited"),
    ],
)
def test_names_that_phones_give_tell_it(name, kind):
    assert kind in kinds_of(name, {}, {})


@pytest.mark.parametrize(
    "name",
    [
        "IMG_1234.JPG",
        "DSC_0001.jpg",
        "20240102_101112.jpg",
        "PXL_20210102_101112345.jpg",
        "holiday in Portugal.jpg",
        "my screenshots are elsewhere.jpg",
        "portrait of Ann.jpg",
        "bursting balloon.jpg",
        "credited.jpg",
        "companorama.jpg",
        ".jpg",
        "",
    ],
)
def test_names_that_people_give_tell_nothing(name):
    assert kinds_of(name, {}, {}) == ()


@pytest.mark.parametrize(
    ("main", "details", "kind"),
    [
        ({}, {IFD.UserComment: b"ASCII\0\0\0Screenshot"}, "screenshot"),
        ({}, {IFD.UserComment: "Screenshot"}, "screenshot"),
        ({}, {IFD.UserComment: b"UNICODE\0" + "Screenshot".encode("utf-16-be")}, "screenshot"),
        ({}, {IFD.CustomRendered: 6}, "panorama"),
        ({}, {IFD.CustomRendered: 8}, "portrait"),
        ({}, {IFD.MakerNote: apple_note((0x14, 9, 1, 2))}, "portrait"),
        ({}, {IFD.LensModel: "iPhone 12 front camera 2.71mm f/2.2"}, "selfie"),
        ({}, {IFD.LensModel: "iPhone 14 Pro front TrueDepth camera 2.69mm f/1.9"}, "selfie"),
        ({}, {IFD.LensModel: "Pixel 7 front camera 2.74mm f/2.2"}, "selfie"),
        ({}, {IFD.MakerNote: apple_note((1, 9, 1, 14), (0x0B, 2, 37, 200))}, "burst"),
        ({}, {IFD.MakerNote: apple_note((0x11, 2, 37, 200))}, "motion photo"),
        ({IFD.Software: "Adobe Lightroom 6.0 (Macintosh)"}, {}, "edited"),
        ({IFD.Software: "Snapseed 2.0\0"}, {}, "edited"),
    ],
)
def test_exif_tells_it(main, details, kind):
    assert kinds_of("IMG_1234.JPG", main, details) == (kind,)


@pytest.mark.parametrize(
    ("main", "details"),
    [
        ({IFD.Software: "15.1"}, {IFD.CustomRendered: 3}),
        ({IFD.Software: "HDR+ 1.0.3"}, {IFD.LensModel: "iPhone 12 back camera 4.2mm f/1.6"}),
        ({}, {IFD.UserComment: b"ASCII\0\0\0seen on a screenshot", IFD.LensModel: "Frontier 50"}),
        ({}, {IFD.MakerNote: b"Apple iOS\0\0\1MM\0"}),
        ({}, {IFD.MakerNote: b"Apple iOS\0\0\1MM\xff\xff\0\x0b"}),
        ({}, {IFD.MakerNote: b"Nikon\0\2\x10\0\0MM"}),
        ({IFD.Software: None}, {IFD.UserComment: 7, IFD.LensModel: (1, 2), IFD.MakerNote: "x"}),
    ],
)
def test_other_exif_tells_nothing(main, details):
    assert kinds_of("IMG_1234.JPG", main, details) == ()


@pytest.mark.parametrize(
    ("inside", "kind"),
    [
        ('GPano:UsePanoramaViewer="True"', "panorama"),
        ('GPano:ProjectionType="equirectangular"', "panorama"),
        ('GCamera:MicroVideo="1"', "motion photo"),
        ('GCamera:MotionPhoto="1"', "motion photo"),
        ('Camera:MotionPhoto="1"', "motion photo"),
        ('GCamera:BurstID="5e8d2c1f"', "burst"),
        (
            'GCamera:SpecialTypeID="com.google.android.apps.camera.gallery.specialtype.'
            'SpecialType-PORTRAIT"',
            "portrait",
        ),
        ('crs:HasSettings="True"', "edited"),
    ],
)
def test_xmp_tells_it(inside, kind):
    assert kinds_of("a.jpg", {}, {}, packet(inside)) == (kind,)


@pytest.mark.parametrize(
    "inside",
    ['GCamera:MotionPhoto="0"', 'crs:HasSettings="False"', 'dc:description="a GCamera panorama"'],
)
def test_other_xmp_tells_nothing(inside):
    assert kinds_of("a.jpg", {}, {}, packet(inside)) == ()


def test_what_a_heif_file_holds_tells_it():
    matte = b"auxC\0\0\0\0urn:com:apple:photo:2018:aux:portraiteffectsmatte\0"
    assert kinds_of("a.heic", {}, {}, parts=matte) == ("portrait",)
    assert kinds_of("a.heic", {}, {}, parts=b"\0\0\1\0mpvd") == ("motion photo",)


def samsung(*types: int) -> bytes:
    """Return a trailer with parts of these types, each of 10 bytes, as Samsung's phones write."""
    parts = b"".join(
        b"\0\0" + kind.to_bytes(2, "little") + bytes([2, 0, 0, 0]) + b"ab" for kind in types
    )
    head = b"SEFH" + (106).to_bytes(4, "little") + len(types).to_bytes(4, "little")
    for number, kind in enumerate(types):
        behind = len(parts) - 10 * number
        head += b"\0\0" + kind.to_bytes(2, "little")
        head += behind.to_bytes(4, "little") + (10).to_bytes(4, "little")
    return parts + head + len(head).to_bytes(4, "little") + b"SEFT"


@pytest.mark.parametrize(
    ("trailer", "kinds"),
    [
        (samsung(0x0A01, 0x0A30, 0x0A31), ("motion photo",)),
        (samsung(0x0A01), ()),  # the time zone, which every photo of theirs has
        (samsung(0x0A30)[:-4], ()),
        (samsung(0x0A30)[:-8] + b"\xff\xff\xff\xffSEFT", ()),
        (samsung(0x0A30)[:-8] + b"\0\0\0\0SEFT", ()),
        (b"SEFT", ()),
    ],
)
def test_samsungs_trailer_tells_of_a_film(trailer, kinds, tmp_path):
    photo = tmp_path / "20210102_101112.jpg"
    photo.write_bytes(jpegs.plain() + bytes(9000) + trailer)
    assert decode(str(photo), CropSpec()).facts.kinds == kinds


@pytest.mark.parametrize("who", FILES)
def test_a_file_tells_it_whatever_its_name_is(who, tmp_path):
    kind, suffix, make = FILES[who]
    photo = tmp_path / f"a.{suffix}"
    photo.write_bytes(make(jpegs.picture(3, (320, 240))))
    assert decode(str(photo), CropSpec()).facts.kinds == (kind,)


def test_there_is_a_file_of_every_kind():
    assert {kind for kind, _, _ in FILES.values()} == set(PHOTO_KINDS)


def test_several_are_told_in_one_order():
    found = kinds_of(
        "PXL_20210102_101112345.PORTRAIT.jpg",
        {IFD.Software: "GIMP 2.10"},
        {IFD.LensModel: "Pixel 7 front camera 2.74mm f/2.2"},
    )
    assert found == ("selfie", "portrait", "edited")
    assert list(found) == [kind for kind in PHOTO_KINDS if kind in found]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_the_packet_of_a_file_is_found(form):
    said = packet('GPano:UsePanoramaViewer="True"')
    file = io.BytesIO()
    picture = Image.new("RGB", (8, 8))
    if form == "PNG":
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", said.decode())
        picture.save(file, form, pnginfo=info)
    else:
        picture.save(file, form, xmp=said)
    with Image.open(file) as image:
        assert kinds_of("a.jpg", {}, {}, packet_of(image)) == ("panorama",)
    with Image.open(io.BytesIO(file.getvalue())) as image:
        image.info.clear()
        assert packet_of(image) == b""
