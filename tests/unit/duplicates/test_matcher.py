"""Which pictures are held against each other."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tagger.decode.thumbnail import thumbnail
from tagger.duplicates.compare import CLOSE, FAR
from tagger.duplicates.joining import Joining
from tagger.duplicates.matcher import NEAREST, Matcher, Picture
from tagger.duplicates.picture_hash import picture_hash, words_of
from tagger.duplicates.thumbnails import packed
from tests.support.hashes import distances
from tests.unit.duplicates.test_compare import cut, receipt, scene

HASH = bytes(range(1, 33))


def nothing_kept(hashes: Iterable[bytes]) -> dict[bytes, bytes]:
    return {}


def matcher(*hashes: bytes) -> Matcher:
    found = Matcher(nothing_kept, nothing_kept, lambda ids: {})
    found.add([Picture(number, one, None) for number, one in enumerate(hashes)])
    return found


class Asked(Joining):
    """Photos that are in no group, and the links that were thought of."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys, lambda one: (), lambda one: ())
        self.links: list[tuple[int, int]] = []

    def settle(self, links, hold=None) -> None:
        self.links += links
        super().settle(links, hold)


def groups(found: Matcher, *ids: int) -> list[list[int]]:
    joining = Asked()
    found.join(ids, joining)
    return sorted(sorted(photos) for photos, _ in joining.found())


def test_of_thousands_of_copies_the_nearest_are_looked_at():
    """Of 3,000 copies of one photo each new one took longer, until a stop waited for seconds."""
    near = bytes([HASH[0] ^ 1, *HASH[1:]])
    joining = Asked()
    matcher(*[near] * 1_000, HASH, HASH).join([1_001], joining)
    assert joining.links[0] in [(1_000, 1_001), (1_001, 1_000)]
    assert 1 < len(joining.links) <= NEAREST
    assert 1_000 in joining.found()[0][0]


def test_copies_are_not_compared_by_their_thumbnails_but_where_text_may_differ():
    """Of each ten copies of 2,000 photos all pairs of thumbnails were compared: 25 ms a photo."""
    kept, asked = {}, []

    def thumbnails(wanted: Iterable[bytes]) -> dict[bytes, bytes]:
        asked.extend(wanted)
        return {one: kept[one] for one in asked if one in kept}

    found = Matcher(thumbnails, nothing_kept, lambda ids: {})
    hashes = []
    for at in range(12):
        image = scene(1).resize((640 - 20 * at, 480 - 15 * at))
        small = thumbnail(image, 1, None)
        hashes.append(picture_hash(small) if at < 10 else hashes[at - 10])
        kept[hashes[-1]] = packed(small)
    found.add([Picture(at, one, None) for at, one in enumerate(hashes)])
    assert groups(found, *range(12)) == [[*range(12)]]
    assert len(asked) <= 12


def test_two_receipts_are_told_apart_by_their_thumbnails():
    kept = {}
    found = Matcher(lambda wanted: kept, nothing_kept, lambda ids: {})
    papers = [receipt(0), receipt(1), receipt(0).resize((300, 500))]
    for at, image in enumerate(papers):
        small = thumbnail(image, 1, None)
        made = bytes(byte ^ 255 * (at > 0 and place // 2 == at) for place, byte in enumerate(HASH))
        kept[made] = packed(small)
        found.add([Picture(at, made, None)])
    assert groups(found, 0, 1, 2) == [[0, 2]]


def test_directions_are_learnt_in_which_features_differ():
    dice = np.random.default_rng(1)
    along = np.linalg.qr(dice.standard_normal((200, 5)))[0]
    rows = dice.standard_normal((300, 5)) @ along.T * 10 + dice.standard_normal((300, 200)) * 0.01
    found = matcher()
    found.learn(Picture(at, b"", row.astype(np.float32)) for at, row in enumerate(rows))
    assert np.abs(np.linalg.svd(found._directions.T @ along)[1] - 1).max() < 0.01
    found = matcher()
    found.learn([])
    found.learn([Picture(1, b"", rows[0].astype(np.float32))])
    found.add([Picture(1, b"", rows[0].astype(np.float32))])
    assert groups(found, 1) == []


def test_one_that_lost_a_thin_edge_is_found_without_features():
    """Of a copy of 10 % the border of two pixels is not seen: hashes differ in some 50 bits."""
    kept, far, found = {}, 0, Matcher(lambda wanted: kept, nothing_kept, lambda ids: {})
    for seed in range(12):
        whole, part = scene(seed), cut(scene(seed), 0.025, 0.025, 0.975, 0.975)
        hashes = []
        for image in (whole, part):
            small = thumbnail(image, 1, None)
            hashes.append(picture_hash(small))
            kept[hashes[-1]] = packed(small)
        bits = int(distances(words_of(hashes[0])[0], words_of(hashes[1]))[0])
        found.add([Picture(2 * seed + at, one, None) for at, one in enumerate(hashes)])
        if CLOSE < bits <= FAR:
            far += 1
            assert groups(found, 2 * seed) == [[2 * seed, 2 * seed + 1]]
    assert far >= 3
