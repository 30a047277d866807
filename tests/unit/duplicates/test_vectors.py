"""Features as rows of numbers."""

from __future__ import annotations

import numpy as np
import pytest

from tagger.duplicates.vectors import direction_of, rows_of


def test_what_is_no_number_is_nothing():
    stored = np.array([1.5, np.nan, np.inf, -np.inf, -2], "<f2")
    signalling = np.array([0x7D00], "<u2").view("<f2")  # the other kind of nan
    blob = stored.tobytes() + signalling.tobytes()
    ids, rows = rows_of([(7, blob), (8, b"short")], 6)
    assert ids.tolist() == [7]
    assert rows.tolist() == [[1.5, 0, 0, 0, -2, 0]]


def test_a_direction_has_length_1_or_there_is_none():
    direction = direction_of(np.array([3, -4], "<f2").tobytes())
    assert direction is not None and direction.tolist() == pytest.approx([0.6, -0.8])
    assert direction_of(np.array([0, np.nan], "<f2").tobytes()) is None
