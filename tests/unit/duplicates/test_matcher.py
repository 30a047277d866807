"""Which pictures are held against each other."""

from __future__ import annotations

from collections.abc import Iterable

from tagger.decode.thumbnail import thumbnail
from tagger.duplicates.compare import CLOSE, FAR
from tagger.duplicates.matcher import NEAREST, Matcher, Picture
from tagger.duplicates.picture_hash import distances, picture_hash, words_of
from tagger.duplicates.thumbnails import packed
from tests.unit.duplicates.test_compare import cut, scene

HASH = bytes(range(1, 33))


def nothing_kept(hashes: Iterable[bytes]) -> dict[bytes, bytes]:
    return {}


def matcher(*hashes: bytes) -> Matcher:
    found = Matcher(nothing_kept, nothing_kept, lambda ids: {})
    found.add([Picture(number, one, None) for number, one in enumerate(hashes)])
    return found


def test_of_thousands_of_copies_the_nearest_are_compared():
    """Of 3,000 copies of one photo each new one took longer, until a stop waited for seconds."""
    near = bytes([HASH[0] ^ 1, *HASH[1:]])
    found = matcher(*[near] * 1_000, HASH, HASH).matches([1_001])
    assert min(found, key=lambda match: match.difference) == (1_000, 1_001, 0.0)
    assert 1 < len(found) <= NEAREST


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
            matches = found.matches([2 * seed])
            assert [match[:2] for match in matches] == [(2 * seed, 2 * seed + 1)]
    assert far >= 3
