"""Whether two thumbnails show the same picture: cuts, edges, texts, and other pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from tagger.decode.thumbnail import thumbnail
from tagger.duplicates.compare import (
    ALIKE,
    DETAILS_WITHIN,
    NEARLY_ALIKE,
    SAME_DETAILS,
    TEXT,
    WITHIN,
    correlations,
    details,
    found_within,
    same_by_hash,
    same_by_view,
    text_blocks,
)
from tagger.duplicates.thumbnails import packed, unpacked


def scene(seed: int) -> Image.Image:
    """Return a picture with large and small shapes."""
    rng = np.random.default_rng(seed)
    large = Image.fromarray(rng.integers(20, 235, (6, 8), np.uint8)).resize((640, 480), 3)
    small = Image.fromarray(rng.integers(0, 120, (30, 40), np.uint8)).resize((640, 480), 3)
    both = np.asarray(large, float) * 0.7 + np.asarray(small, float) * 0.5
    return Image.fromarray(both.clip(0, 255).astype(np.uint8)).convert("RGB")


def receipt(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    paper = Image.new("RGB", (600, 1000), (252, 252, 250))
    draw, font = ImageDraw.Draw(paper), ImageFont.load_default(size=30)
    draw.text((100, 40), "CORNER MARKET", fill=20, font=ImageFont.load_default(size=48))
    for line in range(14):
        word = "".join(chr(97 + letter) for letter in rng.integers(0, 26, rng.integers(4, 18)))
        draw.text((50, 160 + 45 * line), word, fill=30, font=font)
        draw.text((460, 160 + 45 * line), f"{rng.uniform(1, 99):6.2f}", fill=30, font=font)
    return paper


def seen(*images: Image.Image) -> np.ndarray:
    return unpacked(packed(thumbnail(image, 1, None)) for image in images)


def cut(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = image.size
    box = (left * width, top * height, right * width, bottom * height)
    return image.crop(tuple(map(round, box)))


SCENES = range(12)


@pytest.mark.parametrize(
    "part",
    [
        (0.1, 0, 1, 1), (0, 0, 1, 0.8), (0.05, 0.05, 0.95, 0.95), (0, 0.07, 0.93, 1),
        (0.1, 0.1, 0.9, 0.9), (0.12, 0.12, 1, 1),
    ],
)  # fmt: skip
def test_a_picture_is_found_within_the_one_that_it_was_cut_from(part):
    whole = seen(*map(scene, SCENES))
    parts = seen(*(cut(scene(seed), *part) for seed in SCENES))
    assert same_by_view(whole, parts).mean() > 0.9
    assert np.array_equal(same_by_view(parts, whole), same_by_view(whole, parts))


def test_other_pictures_are_not_found_in_one_another():
    whole = seen(*map(scene, range(30)))
    one, other = np.triu_indices(30, 1)
    assert not same_by_view(whole[one], whole[other]).any()
    fits, _, _ = found_within(whole[:5], whole[5:10])
    assert fits.max() < 0.9


def test_hashes_that_nearly_agree_decide_but_for_texts():
    none = np.zeros(1, np.float32)
    pair = seen(scene(1), scene(1).resize((200, 150)))
    assert same_by_hash(pair[:1], pair[1:], np.array([30]), none)[0]
    papers = seen(*map(receipt, range(8)))
    assert (text_blocks(papers).sum(1) >= TEXT).all()
    one, other = np.triu_indices(8, 1)
    far = np.full(len(one), 20)
    assert not same_by_hash(papers[one], papers[other], far, np.ones(len(one), np.float32)).any()
    assert not same_by_view(papers[one], papers[other]).any()
    copies = seen(*(receipt(seed).resize((300, 500)) for seed in range(8)))
    assert same_by_hash(papers, copies, np.full(8, 20), np.zeros(8, np.float32)).all()


def test_hashes_that_are_further_apart_need_the_pictures_to_agree():
    bits, same = np.array([50]), np.ones(1, np.float32)
    pair = seen(scene(1), scene(1).resize((200, 150)), scene(2))
    assert same_by_hash(pair[:1], pair[1:2], bits, same)[0]
    assert not same_by_hash(pair[:1], pair[2:], bits, same)[0]


def frame(seed: int, share: float) -> Image.Image:
    """Return one view with small things that differ by ``seed``, mixed in by ``share``."""
    fine = np.random.default_rng(seed).integers(0, 255, (60, 80), np.uint8)
    things = Image.fromarray(fine).resize((640, 480), Image.Resampling.BICUBIC)
    return Image.blend(scene(1).convert("L"), things, share).convert("RGB")


@pytest.mark.parametrize(("share", "is_same"), [(0.2, True), (0.25, False)])
def test_frames_whose_small_parts_differ_are_not_one_picture(share, is_same):
    bits, same = np.array([50]), np.ones(1, np.float32)
    one, other = seen(frame(1, share))[:1], seen(frame(2, share))[:1]
    assert NEARLY_ALIKE <= correlations(one, other) < ALIKE
    assert (details(one, other) >= SAME_DETAILS) == is_same
    assert same_by_hash(one, other, bits, same)[0] == is_same


@pytest.mark.parametrize(("share", "is_same"), [(0.2, True), (0.22, False)])
def test_nor_is_a_part_of_one_found_in_the_other(share, is_same):
    whole, part = seen(frame(1, share)), seen(cut(frame(2, share), 0.08, 0.08, 1, 1))
    fits, agreed, _ = found_within(whole, part)
    assert fits >= WITHIN and agreed >= DETAILS_WITHIN
    assert same_by_view(whole, part)[0] == is_same


def test_details_of_flat_pictures_say_nothing():
    flat = np.full((2, 64, 64), 90, np.float32)
    assert details(flat, flat).tolist() == [1, 1]
    fits, agreed, _ = found_within(flat, flat)
    assert (fits < 0.9).all() and (agreed < 0.6).all()
