"""What YOLOX wants and what it says (Ge et al., "YOLOX: Exceeding YOLO Series in 2021").

The network takes a picture in BGR, 0…255 without any scaling, in the left upper corner of a
square of grey, or of a smaller frame where its layers take one. For each cell of three grids it
gives the offset of a box's centre from the cell and the logarithm of its size, both in cells, then
how likely something is there at all, and how likely it is of each class. Source:
``yolox/data/data_augment.py`` (``preproc``) and ``yolox/utils/demo_utils.py``
(``demo_postprocess``) of Megvii-BaseDetection/YOLOX 0.1.1rc0.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from tagger.records import Box

CLASSES = 80
"""Of COCO 2017; the vocabulary has their names."""
STRIDES = (8, 16, 32)
"""Pixels a side of one cell, by grid."""
GREY = 114
"""What is beside the picture."""
OVERLAP = 0.45
"""Of two boxes of one class that share more of what they cover together, the surer one stays."""
Frame = tuple[int, int]
"""Height and width in pixels of what the network looks at, multiples of the largest stride."""
LEAST_SCORE = 0.1
"""Boxes that are less sure are of no use: on home photos no class is right so rarely."""


def least_frame(size: tuple[int, int]) -> Frame:
    """Return the least frame around a picture of ``size``, its height and width in pixels."""
    most = STRIDES[-1]
    return (-(-size[0] // most) * most, -(-size[1] // most) * most)


def letterbox(picture: NDArray[np.uint8], side: int, frame: Frame) -> NDArray[np.float32]:
    """Return the network's input, float32 (1, 3, *``frame``), for an RGB ``picture`` (h, w, 3).

    Raise ValueError unless the longer side of the picture has ``side`` pixels.
    """
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a picture must be uint8 (H, W, 3), not {picture.dtype} {picture.shape}")
    height, width = picture.shape[:2]
    if max(height, width) != side:
        raise ValueError(f"the longer side must have {side} pixels, not {max(height, width)}")
    made = np.full((1, 3, *frame), GREY, np.float32)
    made[0, :, :height, :width] = picture[:, :, ::-1].transpose(2, 0, 1)
    return made


def cell_count(frame: Frame) -> int:
    """Return how many cells the grids of a frame have."""
    return sum((frame[0] // stride) * (frame[1] // stride) for stride in STRIDES)


@functools.lru_cache(maxsize=4)
def _grids(frame: Frame) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return each cell's column and row (N, 2), and its side in pixels (N, 1)."""
    cells, strides = [], []
    for stride in STRIDES:
        down, across = frame[0] // stride, frame[1] // stride
        rows, columns = np.divmod(np.arange(down * across), across)
        cells.append(np.stack([columns, rows], 1))
        strides.append(np.full((down * across, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(strides).astype(np.float32)


def read_boxes(output: NDArray[np.float32], frame: Frame, size: tuple[int, int]) -> tuple[Box, ...]:
    """Return the boxes in the network's ``output`` (N, 5 + C) for a frame, the surest first.

    ``size`` is height and width of the picture in pixels, to which the boxes are relative;
    what reaches out of it is cut off.
    """
    # In most cells there is nothing at all; a score is no higher than that something is there.
    some = np.flatnonzero(output[:, 4] >= LEAST_SCORE)  # not NaN
    output = output[some]
    scores = output[:, 4:5] * output[:, 5:]
    cells, classes = np.nonzero(scores >= LEAST_SCORE)
    if not len(cells):
        return ()
    offsets, strides = (of_cells[some] for of_cells in _grids(frame))
    with np.errstate(over="ignore"):
        centres = (output[cells, 0:2] + offsets[cells]) * strides[cells]
        halves = np.exp(output[cells, 2:4]) * strides[cells] / 2
    edge = np.array([size[1], size[0]], np.float32)
    first = np.clip(centres - halves, 0, edge) / edge
    last = np.clip(centres + halves, 0, edge) / edge
    corners = np.concatenate([first, last], 1)
    shown = (last > first).all(1)  # not in the grey, and not NaN
    corners, classes, sure = corners[shown], classes[shown], scores[cells, classes][shown]
    kept: list[int] = []
    for index in sorted(set(classes.tolist())):  # np.unique imports numpy.ma
        members = np.flatnonzero(classes == index)
        kept += members[surest(corners[members], sure[members])].tolist()
    kept.sort(key=lambda at: -sure[at])
    return tuple(_box(int(classes[at]), float(sure[at]), corners[at]) for at in kept)


def _box(index: int, score: float, corners: NDArray[np.float32]) -> Box:
    left, top, right, bottom = (float(share) for share in corners)
    return Box(index, min(score, 1.0), left, top, right - left, bottom - top)


def surest(corners: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return which boxes stay, the surest first: non-maximum suppression.

    ``corners`` is (N, 4): left, top, right, bottom. A box goes when what it shares with a surer
    one is more than OVERLAP of what both cover.
    """
    areas = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    left = np.argsort(-scores, kind="stable")
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        top_left = np.maximum(corners[best, :2], corners[left, :2])
        bottom_right = np.minimum(corners[best, 2:], corners[left, 2:])
        shared = np.clip(bottom_right - top_left, 0, None).prod(1)
        left = left[shared <= OVERLAP * (areas[best] + areas[left] - shared)]
    return np.array(kept, np.intp)
