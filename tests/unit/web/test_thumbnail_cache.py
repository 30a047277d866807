"""The cache of thumbnails on the disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tagger.web.thumbnail_cache import STRAY_SECONDS, USED_SECONDS, ThumbnailCache


def key(number: int) -> str:
    return f"{number * 37 % 256:02x}{number:030x}"


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in files(folder))


def test_what_is_kept_comes_back_also_to_another_process(tmp_path, clock):
    cache = ThumbnailCache(str(tmp_path), 10_000, clock=clock)
    assert cache.get(key(1)) is None
    cache.put(key(1), b"a picture")
    assert cache.get(key(1)) == b"a picture"
    assert ThumbnailCache(str(tmp_path), 10_000).get(key(1)) == b"a picture"
    cache.put(key(1), b"another")
    assert cache.get(key(1)) == b"another"
    [file] = files(tmp_path)
    assert file.stat().st_mode & 0o777 == 0o640
    for folder in (file.parent, file.parent.parent):
        assert folder.stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: data[:10],
        lambda data: data + b"x",
        lambda data: bytes(len(data)),
        lambda data: data[:20] + bytes([data[20] ^ 1]) + data[21:],
    ],
)
def test_a_damaged_one_is_none(tmp_path, damage):
    cache = ThumbnailCache(str(tmp_path), 10_000)
    cache.put(key(1), b"a picture of some length")
    [file] = files(tmp_path)
    file.write_bytes(damage(file.read_bytes()))
    assert cache.get(key(1)) is None
    assert files(tmp_path) == []


def test_the_oldest_go_when_there_is_too_much(tmp_path, clock):
    cache = ThumbnailCache(str(tmp_path), 50_000, clock=clock)
    for number in range(300):
        clock.now += 1
        cache.put(key(number), bytes(984))
        assert size(tmp_path) <= 50_000
    kept = [number for number in range(300) if cache.get(key(number)) is not None]
    assert kept == list(range(kept[0], 300))
    assert 44 <= len(kept) <= 50


def test_use_makes_it_new_again(tmp_path, clock):
    cache = ThumbnailCache(str(tmp_path), 5_000, clock=clock)
    for number in range(5):
        cache.put(key(number), bytes(984))
        clock.now += 1
    clock.now += USED_SECONDS
    assert cache.get(key(0)) is not None
    cache.put(key(5), bytes(984))
    kept = [number for number in range(6) if cache.get(key(number)) is not None]
    assert 0 in kept and 1 not in kept and 5 in kept


def test_two_processes_keep_twice_the_bound_at_most(tmp_path, clock):
    caches = [ThumbnailCache(str(tmp_path), 20_000, clock=clock) for _ in range(2)]
    for number in range(100):
        clock.now += 1
        caches[number % 2].put(key(number), bytes(984))
    # Each counts what it put itself since it last looked.
    assert size(tmp_path) <= 2 * 20_000
    caches[0].put(key(100), bytes(984))
    assert caches[0].get(key(100)) is not None


def test_what_a_killed_process_left_is_removed(tmp_path, clock):
    cache = ThumbnailCache(str(tmp_path), 3_000, clock=clock)
    cache.put(key(1), bytes(100))
    [file] = files(tmp_path)
    old, new = (file.with_name(f"{file.name}.{n}.part") for n in (1, 2))
    for part, age in ((old, STRAY_SECONDS + 10), (new, 10)):
        part.write_bytes(b"half")
        os.utime(part, (clock.now - age, clock.now - age))
    ThumbnailCache(str(tmp_path), 3_000, clock=clock).put(key(2), bytes(100))
    assert not old.exists() and new.exists()


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path):
    (tmp_path / "thumbnails").write_bytes(b"in the way")
    cache = ThumbnailCache(str(tmp_path), 1_000)
    cache.put(key(1), b"a picture")
    assert cache.get(key(1)) is None


def test_a_link_in_the_cache_is_not_written_through(tmp_path):
    cache = ThumbnailCache(str(tmp_path), 1_000)
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    place = tmp_path / "thumbnails" / key(1)[:2] / key(1)
    place.parent.mkdir(parents=True)
    place.symlink_to(secret)
    cache.put(key(1), b"a picture")
    assert secret.read_bytes() == b"secret"
    assert cache.get(key(1)) == b"a picture"
