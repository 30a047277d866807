"""The perceptual hash, its eight turns, and the thumbnails that are kept with it."""

from __future__ import annotations

import contextlib
import os
import sqlite3

import numpy as np
import pytest

from tagger.duplicates import picture_hash
from tagger.duplicates.compare import turned_back
from tagger.duplicates.picture_hash import (
    HASH_BYTES,
    TURNS,
    bit_count,
    mirrored_distances,
    parts_of,
    turned,
    words_of,
)
from tagger.duplicates.thumbnails import NAME, ThumbnailStore, packed, unpacked
from tests.support.hashes import distances


def picture(seed: int = 0) -> np.ndarray:
    """Return a thumbnail of soft shapes."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:1:64j, 0:1:64j]
    waves = sum(
        rng.normal() * np.cos(np.pi * (a * y + b * x) + rng.uniform(0, 6)) / (1 + a + b)
        for a in range(12)
        for b in range(12)
    )
    spread = waves.max() - waves.min()
    return ((waves - waves.min()) / spread * 255).astype(np.uint8)


def hashed(thumbnail: np.ndarray) -> np.ndarray:
    return words_of(picture_hash.picture_hash(np.ascontiguousarray(thumbnail)))[0]


SEEN = [
    lambda one: one,
    lambda one: one[:, ::-1],
    lambda one: one[::-1],
    lambda one: one[::-1, ::-1],
    lambda one: one.T,
    lambda one: one.T[:, ::-1],
    lambda one: one.T[::-1],
    lambda one: one.T[::-1, ::-1],
]


@pytest.mark.parametrize("turn", range(TURNS))
def test_the_hashes_of_all_turns_come_from_one(turn):
    one = picture()
    other = SEEN[turn](one)
    assert np.array_equal(turned(hashed(one)[np.newaxis])[turn, 0], hashed(other))
    assert distances(hashed(one), hashed(other)[np.newaxis])[0] == 0
    back = turned_back(one[np.newaxis].astype(np.float32), np.array([turn]))[0]
    assert np.array_equal(back, other)


def test_other_pictures_differ_in_about_half_of_the_bits():
    hashes = np.stack([hashed(picture(seed)) for seed in range(20)])
    for at, one in enumerate(hashes):
        others = np.delete(hashes, at, axis=0)
        assert distances(one, others).min() > 60
    assert len(np.unique(parts_of(hashes)[:, 0])) == 20


def test_mirrored_pictures_have_the_same_key():
    keys = parts_of(turned(hashed(picture())[np.newaxis])[:, 0])[:, 0]
    assert len(set(keys[:4].tolist())) == len(set(keys[4:].tolist())) == 1


def test_of_the_parts_follow_the_distances_in_all_turns():
    hashes = np.stack([hashed(picture(seed)) for seed in range(12)])
    parts = parts_of(hashes)
    for one in hashes:
        turns = turned(one[np.newaxis])[:, 0]
        exact = [[int(bit_count(other ^ turn).sum()) for turn in turns] for other in hashes]
        found = [mirrored_distances(parts ^ parts_of(turns[half : half + 1])) for half in (0, 4)]
        assert np.concatenate(found, axis=1).tolist() == exact


def test_light_and_contrast_change_nothing():
    one = picture().astype(float)
    assert distances(hashed(one * 0.6 + 40), hashed(one)[np.newaxis])[0] <= 4


def test_a_flat_picture_has_no_hash():
    assert picture_hash.picture_hash(np.full((64, 64), 200, np.uint8)) == b""
    assert len(picture_hash.picture_hash(picture())) == HASH_BYTES


def test_bits_are_counted_with_and_without_the_new_numpy(monkeypatch):
    numbers = np.array([0, 1, 255, 2**64 - 1, 0b1011 << 40], np.uint64)
    counted = [bit_count(numbers).tolist()]
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    counted.append(bit_count(numbers).tolist())
    assert counted == [[0, 1, 8, 64, 3]] * 2


def test_thumbnails_are_kept_in_four_bits():
    one = picture()
    kept = packed(one)
    assert len(kept) == 2048
    [seen] = unpacked([kept])
    assert np.corrcoef(seen.ravel(), one.ravel())[0, 1] > 0.99
    flat = unpacked([packed(np.full((64, 64), 9, np.uint8))])
    assert flat.shape == (1, 64, 64) and not flat.any()


def test_they_are_kept_beside_the_index_and_found_again(tmp_path):
    first, second = (packed(picture(seed)) for seed in (1, 2))
    store = ThumbnailStore(str(tmp_path))
    store.add([(b"a" * 32, first), (b"b" * 32, second), (b"", second), (b"c" * 32, b"short")])
    store.close()
    again = ThumbnailStore(str(tmp_path))
    asked = [b"a" * 32, b"b" * 32, b"c" * 32]
    assert again.get(asked) == {b"a" * 32: first, b"b" * 32: second}
    again.close()


def test_a_damaged_file_is_made_anew(tmp_path):
    (tmp_path / NAME).write_bytes(b"no database, but long enough to be looked at" * 100)
    store = ThumbnailStore(str(tmp_path))
    kept = (b"a" * 32, packed(picture()))
    for _ in range(3):
        store.add([kept])
    assert store.get([kept[0]]) == dict([kept])
    store.close()


def test_where_nothing_can_be_written_there_are_none(tmp_path):
    store = ThumbnailStore(str(tmp_path / "missing"))
    store.add([(b"a" * 32, packed(picture()))])
    assert store.get([b"a" * 32]) == {}


def kept(count: int) -> list[tuple[bytes, bytes]]:
    pictures = [picture(seed) for seed in range(count)]
    return [(picture_hash.picture_hash(one), packed(one)) for one in pictures]


def test_a_coarse_view_is_the_mean_of_each_part(tmp_path):
    store = ThumbnailStore(str(tmp_path))
    pictures = kept(3)
    store.add(pictures)
    views = store.views(key for key, _ in pictures)
    for key, pixels in pictures:
        means = unpacked([pixels])[0].reshape(8, 8, 8, 8).mean((1, 3)).ravel()
        assert np.abs(np.frombuffer(views[key], np.uint8) - means).max() <= 0.5
    store.close()


def test_a_file_of_thumbnails_alone_gets_their_views(tmp_path):
    pictures = kept(5)
    with contextlib.closing(sqlite3.connect(tmp_path / NAME)) as db, db:
        db.execute("CREATE TABLE thumbnails (hash BLOB PRIMARY KEY, pixels BLOB NOT NULL)")
        db.executemany("INSERT INTO thumbnails VALUES (?, ?)", pictures)
    store = ThumbnailStore(str(tmp_path))
    assert len(store.views(key for key, _ in pictures)) == 5
    store.close()


def test_the_file_gets_shorter_by_what_is_forgotten(tmp_path):
    store = ThumbnailStore(str(tmp_path))
    rng = np.random.default_rng(1)
    pictures = [(rng.bytes(32), rng.bytes(2048)) for _ in range(400)]
    store.add(pictures)
    store.begin_sweep()
    assert store.mark(key for key, _ in pictures[:50])
    while store.sweep(100):
        pass
    assert store.get(key for key, _ in pictures) == dict(pictures[:50])
    store.close()
    assert os.path.getsize(tmp_path / NAME) < 400 * 1024
