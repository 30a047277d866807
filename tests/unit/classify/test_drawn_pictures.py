"""Drawn pictures are always the same, and as unlike each other as photos are."""

from __future__ import annotations

import numpy as np

from tagger.classify.drawn_pictures import draw_pictures


def test_the_same_seed_draws_the_same():
    once, again = draw_pictures(3, 48, seed=4), draw_pictures(3, 48, seed=4)
    assert once.shape == (3, 48, 48, 3) and once.dtype == np.uint8
    assert (once == again).all()
    assert (draw_pictures(2, 48, seed=4) == once[:2]).all(), "more of them change none"
    assert not (draw_pictures(3, 48, seed=5) == once).all()


def test_they_differ_in_light_contrast_and_colour():
    pictures = draw_pictures(24, 64).astype(float)
    assert pictures.mean((1, 2, 3)).std() > 20
    assert pictures.std((1, 2, 3)).max() > 2 * pictures.std((1, 2, 3)).min()
    colour = (pictures.max(3) - pictures.min(3)).mean((1, 2))
    assert colour.min() < 20 and colour.max() > 80
    assert pictures.min() == 0 and pictures.max() == 255
