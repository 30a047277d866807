"""Files that are looked at later."""

from __future__ import annotations

import math

from tagger.watch.postponed import (
    MISSING_SIDECAR_SECONDS,
    QUIET_SECONDS,
    MissingSidecars,
    PostponedPaths,
)


def test_a_path_is_due_so_much_later_once() -> None:
    paths = PostponedPaths(2.0)
    assert paths.next_due() == math.inf and paths.pop(1e9) is None
    paths.put("/a", 10.0)
    paths.put("/b", 11.0)
    paths.put("/a", 11.5)  # written again
    assert paths.next_due() == 13.0
    assert paths.pop(12.9) is None
    assert [paths.pop(20.0), paths.pop(20.0), paths.pop(20.0)] == ["/b", "/a", None]
    paths.put("/a", 10.0)
    paths.clear()
    assert paths.next_due() == math.inf


def test_a_missing_sidecar_waits_until_nothing_is_deleted() -> None:
    photos = MissingSidecars()
    assert photos.next_due() == math.inf and not photos.holds("/a", 0.0)
    photos.put("/a", 100.0)
    photos.note_deletion(105.0)
    assert photos.holds("/a", 105.0)
    assert list(photos.take(105.0 + QUIET_SECONDS - 0.1)) == []
    assert list(photos.take(105.0 + QUIET_SECONDS)) == ["/a"]
    assert not photos.holds("/a", 200.0) and photos.next_due() == math.inf


def test_a_scan_looks_at_it_though_deletions_never_end() -> None:
    photos = MissingSidecars()
    photos.put("/a", 100.0)
    photos.put("/a", 300.0)
    assert photos.holds("/a", 100.0 + MISSING_SIDECAR_SECONDS - 1)
    assert not photos.holds("/a", 100.0 + MISSING_SIDECAR_SECONDS)
