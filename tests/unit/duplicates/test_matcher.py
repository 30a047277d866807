"""Which pictures are held against each other."""

from __future__ import annotations

from collections.abc import Iterable

from tagger.duplicates.matcher import NEAREST, Matcher, Picture

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
