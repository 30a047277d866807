"""What YOLOX is given and how its answer is read, checked against its own plain formulas."""

from __future__ import annotations

import numpy as np
import pytest

from tagger.detect.yolox import cell_count, least_frame, letterbox, read_boxes, surest
from tests.support.detectors import CELLS, SIDE, cell, output_of

WHOLE = (SIDE, SIDE)


def test_the_picture_stands_left_above_on_grey_in_bgr_and_unscaled() -> None:
    picture = np.zeros((40, SIDE, 3), np.uint8)
    picture[0, 0] = (10, 20, 250)
    made = letterbox(picture, SIDE, WHOLE)
    assert made.shape == (1, 3, SIDE, SIDE) and made.dtype == np.float32
    assert made[0, :, 0, 0].tolist() == [250, 20, 10]
    assert made[0, :, :40].sum() == 280
    assert (made[0, :, 40:] == 114).all()
    tall = letterbox(picture.transpose(1, 0, 2), SIDE, WHOLE)
    assert (tall[0, :, :, 40:] == 114).all() and tall[0, :, 0, 0].tolist() == [250, 20, 10]


def test_a_frame_is_no_larger_than_its_picture_needs() -> None:
    sizes = [(312, 416), (416, 234), (416, 416), (320, 416), (321, 416), (1, 416)]
    frames = [least_frame(size) for size in sizes]
    assert frames == [(320, 416), (416, 256), (416, 416), (320, 416), (352, 416), (32, 416)]
    made = letterbox(np.full((40, SIDE, 3), 7, np.uint8), SIDE, (64, SIDE))
    assert made.shape == (1, 3, 64, SIDE)
    assert (made[0, :, :40] == 7).all() and (made[0, :, 40:] == 114).all()
    assert cell_count((320, 416)) == 2730


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((63, 40, 3), np.uint8),
        np.zeros((65, 40, 3), np.uint8),
        np.zeros((64, 40, 3), np.float32),
        np.zeros((64, 40), np.uint8),
        np.zeros((64, 40, 4), np.uint8),
    ],
)
def test_other_pictures_are_refused(picture: np.ndarray) -> None:
    with pytest.raises(ValueError):
        letterbox(picture, SIDE, WHOLE)


def test_cells_of_all_grids() -> None:
    assert cell_count(WHOLE) == CELLS
    assert (cell_count((416, 416)), cell_count((640, 640))) == (3549, 8400)  # of the official files


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_a_box_is_where_it_was_put(stride: int) -> None:
    output = output_of([((35.0, 20.0), (30.0, 24.0), 15, 0.8, 0.9)], stride)
    [box] = read_boxes(output, WHOLE, WHOLE)
    assert box.class_index == 15
    assert box.score == pytest.approx(0.72)
    assert [n * SIDE for n in box[2:]] == pytest.approx([20, 8, 30, 24], abs=1e-3)


def test_boxes_are_relative_to_the_picture_and_cut_at_its_edge() -> None:
    """The picture covers the upper 32 rows; below there is grey."""
    output = output_of(
        [
            ((60.0, 4.0), (20.0, 16.0), 0, 1.0, 0.9),  # beyond right and top
            ((20.0, 28.0), (8.0, 16.0), 0, 1.0, 0.8),  # half of it in the grey
            ((20.0, 52.0), (8.0, 8.0), 0, 1.0, 0.7),  # all of it
        ]
    )
    found = read_boxes(output, WHOLE, (32, SIDE))
    assert [round(box.score, 2) for box in found] == [0.9, 0.8]
    assert found[0][2:] == pytest.approx((50 / 64, 0, 14 / 64, 12 / 32), abs=1e-5)
    assert found[1][2:] == pytest.approx((16 / 64, 20 / 32, 8 / 64, 12 / 32), abs=1e-5)


def test_of_boxes_on_one_thing_the_surest_stays_by_class() -> None:
    output = output_of(
        [
            ((20.0, 20.0), (16.0, 16.0), 16, 1.0, 0.6),
            ((28.0, 20.0), (16.0, 16.0), 16, 1.0, 0.9),  # shares a third of both: stays
            ((27.0, 28.0), (16.0, 16.0), 16, 1.0, 0.5),
            ((28.0, 44.0), (16.0, 60.0), 0, 1.0, 0.7),  # another class
        ]
    )
    output[cell(3, 4)] = output[cell(3, 2)]  # a neighbour that says nearly the same
    output[cell(3, 4), 1] -= 2
    output[cell(3, 4), 5 + 16] = 0.85
    found = read_boxes(output, WHOLE, WHOLE)
    assert [(box.class_index, round(box.score, 2)) for box in found] == [
        (16, 0.9),
        (0, 0.7),
        (16, 0.6),
        (16, 0.5),
    ]


def test_one_cell_may_be_of_two_classes() -> None:
    output = output_of([((20.0, 20.0), (16.0, 16.0), 2, 1.0, 0.6)])
    output[cell(2, 2), 5 + 7] = 0.3
    assert [box.class_index for box in read_boxes(output, WHOLE, WHOLE)] == [2, 7]


def test_unsure_and_senseless_numbers_give_no_box() -> None:
    output = output_of(
        [
            ((4.0, 4.0), (8.0, 8.0), 1, 0.3, 0.3),
            ((20.0, 20.0), (8.0, 8.0), 1, float("nan"), 0.9),
            ((36.0, 36.0), (8.0, 8.0), 1, 1.0, 0.9),
            ((52.0, 52.0), (8.0, 8.0), 1, 1.0, 0.9),
        ]
    )
    output[cell(4, 4), 0] = np.nan
    output[cell(6, 6), 2:4] = 1000.0  # exp() overflows: all of the picture
    [box] = read_boxes(output, WHOLE, WHOLE)
    assert box[2:] == (0, 0, 1, 1)


def test_suppression_is_that_of_the_plain_definition() -> None:
    dice = np.random.default_rng(7)
    first = dice.uniform(0, 1, (200, 2)).astype(np.float32)
    corners = np.concatenate([first, first + dice.uniform(0.05, 0.4, (200, 2))], 1).astype("f4")
    scores = dice.uniform(0, 1, 200).astype("f4")

    def share(one: np.ndarray, other: np.ndarray) -> float:
        width = max(0, min(one[2], other[2]) - max(one[0], other[0]))
        height = max(0, min(one[3], other[3]) - max(one[1], other[1]))
        both = width * height
        areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
        return both / (sum(areas) - both)

    expected: list[int] = []
    for at in np.argsort(-scores):
        if all(share(corners[at], corners[kept]) <= 0.45 for kept in expected):
            expected.append(int(at))
    assert surest(corners, scores).tolist() == expected
    assert 10 < len(expected) < 190
