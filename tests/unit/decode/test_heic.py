"""HEIC by FFmpeg's decoder: the same crops as libheif's, and libheif for whatever is unusual."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tagger.decode import heic, opening
from tagger.decode.heic_items import UnusualError, read_picture, read_spans
from tagger.decode.hevc_header import check_units, read_coding
from tagger.decode.opening import decode
from tagger.decode.pixels import Loaded
from tagger.decode.pool import DecodePool
from tagger.decode.preview import view
from tagger.errors import PhotoError
from tagger.records import CropSpec, DecodedPhoto, ExtraViews
from tests.support import heics
from tests.support.pictures import grid_heic

pytestmark = pytest.mark.skipif(not heic.load_ffmpeg(), reason="PyAV is not installed")

MAKERS = heics.KINDS | heics.LEFT
VIEWS = ExtraViews(CropSpec(squash=True), 416, thumbnail=True)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Return a list that gets, of each HEIC file, whether FFmpeg decoded it."""
    found: list[bool] = []

    def decode_heic(*arguments: object) -> Loaded | None:
        loaded = heic.decode_heic(*arguments)  # type: ignore[arg-type]
        found.append(loaded is not None)
        return loaded

    monkeypatch.setattr(opening, "decode_heic", decode_heic)
    return found


def both(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[DecodedPhoto, DecodedPhoto]:
    """Return a photo as it is decoded now, and as libheif alone decodes it."""
    ours = decode(str(path), CropSpec(), whole=True, more=True, views=VIEWS)
    with monkeypatch.context() as patch:
        patch.setattr(heic, "load_ffmpeg", lambda: None)
        return ours, decode(str(path), CropSpec(), whole=True, more=True, views=VIEWS)


def apart(one: np.ndarray | None, other: np.ndarray | None) -> float:
    assert one is not None and other is not None and one.shape == other.shape
    return float(np.abs(one.astype(int) - other.astype(int)).mean()) if one.size else 0.0


def check_alike(ours: DecodedPhoto, theirs: DecodedPhoto) -> None:
    assert ours.facts == theirs.facts
    for name in ("crop", "more", "other", "picture"):
        assert apart(getattr(ours, name), getattr(theirs, name)) <= 1, name
    # Of a large picture that takes single pixels, one for all that have become one.
    assert apart(ours.thumbnail, theirs.thumbnail) <= 2


@pytest.mark.parametrize("name", MAKERS)
def test_the_same_as_libheif(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: list[bool]
) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(MAKERS[name]())
    check_alike(*both(path, monkeypatch))
    assert taken[:1] == ([False] if name == "lossless" else [True] * (name in heics.KINDS))


def test_the_files_of_phones(
    shared: Path, monkeypatch: pytest.MonkeyPatch, taken: list[bool]
) -> None:
    """With depth maps, gain maps and thumbnails, which are passed over."""
    paths = [one for one in shared.rglob("*") if one.suffix.lower() in (".heic", ".heif", ".hif")]
    assert paths
    for path in paths:
        check_alike(*both(path, monkeypatch))
    assert taken[::2] == [True] * len(paths)


@pytest.mark.parametrize("square", [True, False])
def test_what_people_see_is_the_same_too(
    square: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("single", "orientation 6", "tiles, orientation 7", "tiles of an odd picture"):
        path = tmp_path / "a.heic"
        path.write_bytes(MAKERS[name]())
        ours = view(str(path), 320, square=square)
        with monkeypatch.context() as patch:
            patch.setattr(heic, "load_ffmpeg", lambda: None)
            assert apart(ours, view(str(path), 320, square=square)) <= 1, name


def test_the_thumbnail_is_still_taken_where_it_serves(tmp_path: Path, taken: list[bool]) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(grid_heic(4, 3, thumbnail=True))
    assert decode(str(path), CropSpec()).from_thumbnail
    assert taken == []


def test_orientations_follow_one_another() -> None:
    """As turning and mirroring a picture does."""
    from tagger.decode.heic_items import _MIRRORED, _ONCE_MORE
    from tagger.decode.pixels import turn

    picture = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3))
    up_and_down, left_and_right = (
        Image.Transpose.FLIP_TOP_BOTTOM,
        Image.Transpose.FLIP_LEFT_RIGHT,
    )
    for orientation in range(1, 9):
        seen = turn(picture, orientation)
        for method, then in (
            (Image.Transpose.ROTATE_90, _ONCE_MORE[orientation]),
            (up_and_down, _MIRRORED[0][orientation]),
            (left_and_right, _MIRRORED[1][orientation]),
        ):
            assert np.array_equal(seen.transpose(method), turn(picture, then))


def lies() -> dict[str, bytes]:
    """Return files that contradict themselves, or that hold what no camera writes."""
    data = heics.heic(heics.detailed(400, 300))
    tiles = heics.heic(heics.detailed(400, 300), tile_size=128)
    grid = tiles.index(b"\0\0\2\3\1\x90\1\x2c")  # three by four tiles, 400 x 300
    return {
        "ispe says more than the stream": heics.whole_size(data, (4000, 3000)),
        "ispe says less": heics.whole_size(data, (200, 150)),
        "a grid of more tiles": tiles[:grid] + b"\0\0\3\3" + tiles[grid + 4 :],
        "a grid of another size": tiles[:grid] + b"\0\0\2\3\1\x90\4\x2c" + tiles[grid + 8 :],
        "an unknown version": heics.replaced(data, b"hvcC\1", b"hvcC\2"),
        "no properties": data.replace(b"ipma", b"free"),
        "no places": data.replace(b"iloc", b"free"),
    }


@pytest.mark.parametrize("name", lies())
def test_what_contradicts_itself_is_left_to_libheif(
    name: str, tmp_path: Path, taken: list[bool]
) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(lies()[name])
    with contextlib.suppress(PhotoError):
        decode(str(path), CropSpec())
    assert True not in taken


def parts(data: bytes) -> tuple[bytes, bytes]:
    """Return the record and the picture of a file with one tile."""
    source = io.BytesIO(data)
    picture = read_picture(source)
    return picture.setup, read_spans(source, picture.tiles[0])


def test_the_size_is_known_before_it_is_decoded() -> None:
    for size, chroma, kind in (((1403, 1051), "420", 1), ((400, 300), "444", 3)):
        setup, _ = parts(heics.heic(heics.detailed(*size), chroma=chroma))
        coding = read_coding(setup)
        assert (coding.chroma, coding.depth) == (kind, 8)
        assert all(0 <= c - s <= 64 for c, s in zip(coding.size, coding.shown, strict=True))
        assert all(0 <= s - w <= 1 for s, w in zip(coding.shown, size, strict=True))
    assert read_coding(parts(heics.deep_heic(heics.detailed(400, 300)))[0]).depth == 10


def test_parameters_among_the_pictures_are_refused() -> None:
    """They could say another size than the one that was looked at."""
    setup, data = parts(heics.heic(heics.detailed(400, 300)))
    check_units(data, setup)
    sequence = setup[setup.index(b"\x42\x01") :][:40]
    for unit in (sequence, b"\x02\x01" + bytes(20)):  # one that needs another picture
        with pytest.raises(ValueError, match="a unit of kind"):
            check_units(len(unit).to_bytes(4) + unit + data, setup)
    for cut in (data[:-1], data + b"\0\0\0\1"):
        with pytest.raises(ValueError, match="cut off"):
            check_units(cut, setup)


def test_a_damaged_record_raises_what_is_caught() -> None:
    setup, _ = parts(heics.heic(heics.detailed(400, 300)))
    for at in range(len(setup)):
        for value in (0, 1, 0x7F, 0xFF):
            with contextlib.suppress(ValueError, IndexError):
                read_coding(setup[:at] + bytes([value]) + setup[at + 1 :])
        with contextlib.suppress(ValueError, IndexError):
            read_coding(setup[:at])


def test_damaged_tables_raise_what_is_caught() -> None:
    data = heics.heic(heics.detailed(400, 300), tile_size=128)
    end = data.index(b"mdat")
    for at in range(end):
        for value in (0, 0x81, 0xFF):
            with contextlib.suppress(UnusualError):
                read_picture(io.BytesIO(data[:at] + bytes([value]) + data[at + 1 :]))


Decoded = Callable[..., DecodedPhoto]


def test_behind_the_walls_it_is_there_for_what_is_called_heic(tmp_path: Path) -> None:
    data = heics.KINDS["single"]()
    with DecodePool(CropSpec(), workers=1) as pool:
        found = []
        for name in ("a.jpg", "a.HEIC"):
            (tmp_path / name).write_bytes(data)
            found.append(pool.submit(str(tmp_path / name)).result(60).crop)
    assert 0 < apart(*found) <= 1
    assert apart(found[1], decode(str(tmp_path / "a.HEIC"), CropSpec(), more=True).crop) == 0


def test_without_pyav_libheif_does_all(decoded: Decoded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heic, "load_ffmpeg", lambda: None)
    photo = decoded("a.heic", heics.heic(heics.detailed(400, 300)))
    assert (photo.facts.width, photo.facts.height) == (400, 300)
