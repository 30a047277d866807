"""Where a picture ends, whatever phones, cameras and programs have put behind it."""

from __future__ import annotations

import io
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pillow_heif
import pytest
from PIL import Image

from tagger.watch import file_end
from tagger.watch.file_end import completeness_of
from tagger.watch.stability import Completeness

COMPLETE, INCOMPLETE, UNKNOWN = Completeness

NOISE = random.Random(18).randbytes(40_000)
"""As a video or a sound looks."""


def picture(kind: str = "JPEG", shade: int = 60, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.effect_noise((160, 120), shade).convert("RGB")
    if kind == "HEIF":
        pillow_heif.from_pillow(image).save(buffer, format="HEIF")
    else:
        image.convert("P" if kind == "GIF" else "RGB").save(buffer, kind, **options)
    return buffer.getvalue()


def box(kind: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4) + kind + content


VIDEO = box(b"ftyp", b"mp42\0\0\0\0mp42isom") + box(b"mdat", NOISE) + box(b"moov", b"x" * 300)


def with_segment(marker: int, content: bytes, jpeg: bytes | None = None) -> bytes:
    """Return a JPEG with one more segment at its beginning."""
    body = picture() if jpeg is None else jpeg
    return body[:2] + bytes((0xFF, marker)) + (len(content) + 2).to_bytes(2) + content + body[2:]


def with_xmp(inside: str) -> bytes:
    return with_segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + inside.encode())


def motion_photo() -> bytes:
    """Return a picture that tells in its directory that a gain map and a video follow."""
    gain_map = picture(shade=20)
    told = "".join(
        f'<rdf:li rdf:parseType="Resource"><Container:Item Item:Mime="{mime}" '
        f'Item:Semantic="{what}" Item:Length="{length}" Item:Padding="0"/></rdf:li>'
        for mime, what, length in (
            ("image/jpeg", "Primary", 123456),
            ("image/jpeg", "GainMap", len(gain_map)),
            ("video/mp4", "MotionPhoto", len(VIDEO)),
        )
    )
    return with_xmp(f"<x:xmpmeta>{told}</x:xmpmeta>") + gain_map + VIDEO


def micro_video() -> bytes:
    return with_xmp(f'<x GCamera:MicroVideo="1" GCamera:MicroVideoOffset="{len(VIDEO)}"/>') + VIDEO


def unknown_video() -> bytes:
    """Return one whose video is of no kind that is known; only its length is told."""
    told = f"<GCamera:MicroVideoOffset>{len(NOISE)}</GCamera:MicroVideoOffset>"
    return with_xmp(told) + b"!" + NOISE[1:]


def samsung(kind: bytes, name: bytes, content: bytes) -> bytes:
    """Return a picture with a part of Samsung's trailer."""
    block = b"\0\0" + kind + len(name).to_bytes(4, "little") + name + content
    index = (
        b"SEFH" + struct.pack("<II", 106, 1) + b"\0\0" + kind + struct.pack("<II", len(block), 0)
    )
    return picture() + block + index + len(index).to_bytes(4, "little") + b"SEFT"


def further_picture() -> bytes:
    """Return a picture with a second one, of the other eye, that its MPF index tells of."""
    second = picture(shade=30)

    def index(place: int) -> bytes:
        table = struct.pack(">2sHI", b"MM", 42, 8) + struct.pack(">H", 1)
        table += struct.pack(">HHII", 0xB002, 7, 32, 26) + struct.pack(">I", 0)
        table += struct.pack(">IIIHH", 0x030000, 0, 0, 0, 0)
        return table + struct.pack(">IIIHH", 0x020002, len(second), place, 0, 0)

    body = picture()
    empty = with_segment(0xE2, b"MPF\0" + index(0), body)
    base = empty.index(b"MPF\0") + 4
    return with_segment(0xE2, b"MPF\0" + index(len(empty) - base), body) + second


TOLD: dict[str, Callable[[], bytes]] = {
    "motion photo": motion_photo,
    "micro video": micro_video,
    "video of an unknown kind": unknown_video,
    "video that nothing tells of": lambda: picture() + VIDEO,
    "Samsung's video": lambda: samsung(b"\x30\x0a", b"MotionPhoto_Data", VIDEO),
    "sound and shot": lambda: samsung(b"\0\x08", b"SoundShot_000", NOISE),
    "further picture": further_picture,
    "HEIF with a video": lambda: picture("HEIF") + box(b"mpvd", VIDEO),
    "HEIF with Samsung's data": lambda: picture("HEIF") + box(b"sefd", NOISE),
}
"""Files that tell how long what follows the picture is."""

AFCP = b"AXS!\0\0\0\0" + b"\0\x01\0\0" + NOISE[:200] + b"AXS!" + bytes(8)
FOTOSTATION = NOISE[:500] + bytes.fromhex("00010000020a") + bytes.fromhex("a1b2c3d4")
TRAILERS = {
    "AFCP": AFCP,
    "FotoStation": FOTOSTATION,
    "zeros": bytes(3000),
    "few zeros": bytes(7),
    "a line end": b"\r\n",
    "noise": b"!" + NOISE,
    "video of another kind": b"\0\0\0\x14ftypqt  " + bytes(8) + box(b"mdat", NOISE) + AFCP,
}
KINDS = ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "HEIF", "AVIF"]


def judge(path: Path, data: bytes, *, search: bool = True) -> Completeness:
    path.write_bytes(data)
    fd = os.open(path, os.O_RDONLY)
    try:
        return completeness_of(fd, len(data), search=search)
    finally:
        os.close(fd)


@pytest.mark.parametrize("name", TOLD)
def test_what_follows_a_picture_is_part_of_a_whole_file(name: str, tmp_path: Path) -> None:
    assert judge(tmp_path / "a", TOLD[name]()) is COMPLETE


@pytest.mark.parametrize("name", TOLD)
def test_a_file_cut_in_what_follows_the_picture_is_not_whole(name: str, tmp_path: Path) -> None:
    data = TOLD[name]()
    # A further picture that is cut just before its end may still have one by chance.
    cuts = [len(data) - back for back in (30, 2000, 3500)]
    assert [judge(tmp_path / "a", data[:cut]) for cut in cuts] == [INCOMPLETE] * 3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TRAILERS)
def test_what_says_nothing_of_its_length_is_not_waited_for(
    kind: str, name: str, tmp_path: Path
) -> None:
    verdict = judge(tmp_path / "a", picture(kind) + TRAILERS[name])
    # Zeros at the end of a TIFF file may be pixels that are not written yet.
    assert verdict is (UNKNOWN if kind == "TIFF" and name == "zeros" else COMPLETE)


@pytest.mark.parametrize("kind", KINDS)
def test_no_part_of_a_picture_is_complete(kind: str, tmp_path: Path) -> None:
    data = picture(kind)
    cuts = range(16, len(data) - 2, max(1, len(data) // 100))
    verdicts = {cut: judge(tmp_path / "a", data[:cut]) for cut in cuts}
    assert [cut for cut, verdict in verdicts.items() if verdict is COMPLETE] == []


@pytest.mark.parametrize("kind", KINDS)
def test_room_that_is_not_written_yet_is_not_complete(kind: str, tmp_path: Path) -> None:
    data = picture(kind)
    for share in (0.3, 0.6, 0.9):
        half = data[: int(len(data) * share)].ljust(len(data), b"\0")
        assert judge(tmp_path / "a", half) is not COMPLETE


def test_a_video_that_was_taken_away_is_not_waited_for(tmp_path: Path) -> None:
    """Programs that edit a motion photo leave what it tells of itself."""
    data = motion_photo()
    gain_map = data.index(b"\xff\xd9\xff\xd8") + 2
    assert judge(tmp_path / "a", data[:gain_map]) is COMPLETE
    assert judge(tmp_path / "a", data[: -len(VIDEO)]) is COMPLETE


def test_a_place_that_is_wrong_does_no_harm(tmp_path: Path) -> None:
    """Programs that write into the picture often leave the MPF index as it was."""
    data = with_segment(0xFE, b"a comment " * 400, further_picture())
    assert judge(tmp_path / "a", data) is COMPLETE
    assert judge(tmp_path / "a", data[:-100]) is INCOMPLETE


def test_what_is_being_written_is_not_searched(tmp_path: Path) -> None:
    assert judge(tmp_path / "a", picture() + VIDEO, search=False) is UNKNOWN
    assert judge(tmp_path / "a", picture(), search=False) is COMPLETE


def test_only_so_much_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_end, "MAX_SCAN", 10_000)
    assert judge(tmp_path / "a", picture() + VIDEO) is UNKNOWN


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "jpeg", "tiff_adobe_deflate"])
def test_a_tiff_file_of_any_kind_tells_its_end(compression: str, tmp_path: Path) -> None:
    data = picture("TIFF", compression=compression)
    assert judge(tmp_path / "a", data) is COMPLETE
    big = picture("TIFF", compression=compression, big_tiff=True)
    assert judge(tmp_path / "a", big) is COMPLETE
    assert judge(tmp_path / "a", big[: len(big) // 2]) is INCOMPLETE


def test_pages_of_a_tiff_file_all_count(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    pages = [Image.effect_noise((90, 90), shade) for shade in (20, 40, 60)]
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    data = buffer.getvalue()
    assert judge(tmp_path / "a", data) is COMPLETE
    assert judge(tmp_path / "a", data[: len(data) * 5 // 6]) is INCOMPLETE


def test_a_tiff_file_that_lies_costs_little(tmp_path: Path) -> None:
    """Directories in a ring, and tags with more strips than there are bytes."""
    entry = struct.pack("<HHII", 273, 4, 60_000, 8)
    ring = b"II*\0\x08\0\0\0" + struct.pack("<H", 500) + entry * 500 + struct.pack("<I", 8)
    assert judge(tmp_path / "a", ring + bytes(240_000) + b"x") in (UNKNOWN, INCOMPLETE)


@pytest.mark.parametrize("kind", KINDS)
def test_beginnings_of_a_few_bytes_are_not_whole(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    data = picture(kind)
    for length in range(1, 48):
        assert judge(tmp_path / "a", data[:length]) in (UNKNOWN, INCOMPLETE), length
    assert "cannot be followed" not in caplog.text


@pytest.mark.parametrize("kind", KINDS)
def test_damage_raises_nothing(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    chance = random.Random(7)
    for data in (picture(kind), motion_photo(), further_picture()):
        for _ in range(60):
            changed = bytearray(data)
            for _ in range(8):
                changed[chance.randrange(min(len(changed), 400))] = chance.randrange(256)
            assert judge(tmp_path / "a", bytes(changed)) in set(Completeness)
    assert "cannot be followed" not in caplog.text


def test_a_length_beyond_all_files_is_no_error(tmp_path: Path) -> None:
    huge = b"\0\0\0\x01mdat" + b"\xff" * 8
    heif = picture("HEIF")
    for data in (heif[:16] + huge, box(b"ftyp", b"heic") + huge + bytes(40), heif + huge):
        assert judge(tmp_path / "a", data) in set(Completeness)
