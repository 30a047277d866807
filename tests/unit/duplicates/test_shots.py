"""What names, dates and cameras tell: files of one shot, other shots, and series."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tagger.duplicates.shots import (
    Shot,
    different_frames,
    frame_of,
    one_shot,
    series_of,
    stack_key,
)


def shot(name: str, taken_at: str = "", camera: str = "", number: int = 0, **more: int) -> Shot:
    size = {"width": 4000, "height": 3000} | more
    return Shot(
        number, f"/p/{name}", "/p", taken_at, camera, format="JPEG", content_hash=b"", **size
    )


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("IMG_1.HEIC", "IMG_1.JPG"),
        ("IMG_1.jpg", "IMG_1~2.jpg"),
        ("DSC01.ARW", "dsc01.jpg"),
        ("IMG_0042.HEIC", "IMG_E0042.JPG"),
        ("a.jpg", "a-edited.jpg"),
        ("a.jpg", "a-Edit-2.tif"),
        ("PXL_1.RAW-02.ORIGINAL.dng", "PXL_1.RAW-02.ORIGINAL.jpg"),
        ("PXL_1.jpg", "PXL_1.COVER.jpg"),
    ],
)
def test_names_of_one_shot(name, other):
    assert stack_key(f"/p/{name}") == stack_key(f"/p/{other}")


@pytest.mark.parametrize(
    ("name", "other"), [("IMG_1.jpg", "IMG_2.jpg"), ("IMG_1.jpg", "IMG_10.jpg"), ("a.jpg", "b.jpg")]
)
def test_names_of_other_shots(name, other):
    assert stack_key(f"/p/{name}") != stack_key(f"/p/{other}")
    assert stack_key("/p/a.jpg") != stack_key("/q/a.jpg")


def test_a_version_or_raw_file_belongs_to_its_shot_by_name():
    assert one_shot(shot("IMG_1.jpg"), shot("IMG_1~2.jpg"), alike=False)
    assert one_shot(shot("a.arw"), shot("a.jpg"), alike=False)
    assert one_shot(shot("a.heic", "T1"), shot("a.jpg", "T1"), alike=False)
    assert one_shot(shot("a.heic"), shot("a.jpg"), alike=True)


def test_a_name_alone_does_not_make_one_shot_of_two_pictures():
    assert not one_shot(shot("1.png"), shot("1.jpg"), alike=False)
    assert not one_shot(shot("a.arw", "T1"), shot("a.jpg", "T2"), alike=False)
    assert not one_shot(shot("a.heic", "T", "Pixel"), shot("a.jpg", "T", "iPhone"), alike=True)


def different_shots(one: Shot, other: Shot) -> bool:
    frames = frame_of(one), frame_of(other)
    return frames[0] is not None and frames[1] is not None and different_frames(*frames)


def test_a_camera_tells_shots_apart():
    first = shot("IMG_0001.jpg", "2024-01-01T10:00:00", "Pixel")
    assert different_shots(first, shot("IMG_0002.jpg", "2024-01-01T10:00:01", "Pixel"))
    assert different_shots(first, shot("IMG_0002.jpg", "2024-01-01T10:00:00", "Pixel"))
    assert different_shots(first, shot("IMG_0001.jpg", "2024-01-01T10:00:00", "iPhone"))


@pytest.mark.parametrize(
    "other",
    [
        shot("IMG_0001 (1).jpg", "2024-01-01T10:00:00", "Pixel"),
        shot("IMG_0001-edited.jpg", "2024-01-01T10:00:00", "Pixel"),
        shot("IMG_0002.jpg", "2024-01-01T10:00:00", "Pixel", width=1000, height=750),
        shot("IMG-2024-WA0003.jpg"),
        shot("IMG_0002.jpg", "2024-01-01T10:00:00"),
        shot("8e7f2a.jpg", "2024-01-01T10:00:00", "Pixel"),
    ],
)
def test_what_may_be_a_copy_is_not_held_apart(other):
    assert not different_shots(shot("IMG_0001.jpg", "2024-01-01T10:00:00", "Pixel"), other)


def at(second: int) -> str:
    return f"2024-01-01T10:{second // 60:02d}:{second % 60:02d}"


def alike(cosine: Callable[[int, int], bool]) -> Callable[[list[int]], list[list[bool]]]:
    return lambda ids: [[cosine(one, other) for other in ids] for one in ids]


def frames(*seconds: int) -> list[Shot]:
    return [shot(f"{n}.jpg", at(second), "Pixel", n) for n, second in enumerate(seconds)]


def test_a_series_goes_on_as_long_as_the_next_is_near_and_alike():
    found = series_of(frames(0, 30, 85, 140, 300), alike(lambda one, other: True))
    assert [[one.id for one in series] for series in found] == [[0, 1, 2, 3]]


def test_a_stranger_in_between_does_not_end_it():
    strange = {2, 3}

    view = alike(lambda one, other: (one in strange) == (other in strange))
    found = series_of(frames(0, 5, 10, 15, 20, 25), view)
    assert sorted([one.id for one in series] for series in found) == [[0, 1, 4, 5], [2, 3]]


def test_it_is_held_together_by_its_last_three():
    view = alike(lambda one, other: abs(one - other) == 3)
    assert series_of(frames(0, 1, 2, 3), view) != []
    assert series_of(frames(0, 1, 2), view) == []


def test_only_what_is_within_a_minute_holds_it_together():
    """The one a minute before is like it, but a stranger of its series is nearer."""
    view = alike(lambda one, other: {one, other} in ({0, 1}, {1, 2}, {0, 3}))
    found = series_of(frames(0, 30, 55, 70), view)
    assert [[one.id for one in series] for series in found] == [[0, 1, 2]]


def test_no_date_no_series():
    assert series_of([shot("a.jpg", "", "Pixel", 1)] * 2, alike(lambda one, other: True)) == []
    assert series_of([shot("a.jpg", "soon", "Pixel", 1)] * 2, alike(lambda one, other: True)) == []
