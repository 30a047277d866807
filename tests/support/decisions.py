"""Decisions of the user: an index that has some, and what an index says of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tagger.index.connection import index_path
from tagger.index.rows import SavedPhoto
from tagger.index.salvage import open_sound
from tagger.index.store import Store

MakePhoto = Callable[..., SavedPhoto]
NOTHING: tuple[set[str], bool] = (set(), False)


def decided(state: Path) -> dict[str, tuple[set[str], bool]]:
    """Return what the index says after a start: by photo the labels gone, and kept out or not."""
    with open_sound(str(state)) as store, store.transaction() as db:
        rows = db.execute("SELECT id, path, keep_out FROM photos ORDER BY path").fetchall()
        found = {
            os.fsdecode(row["path"]): (set(store.tombstones(row["id"])), bool(row["keep_out"]))
            for row in rows
        }
    return {path: one for path, one in found.items() if one != NOTHING}


def lose(state: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(index_path(str(state)) + suffix).unlink(missing_ok=True)


def id_of(store: Store, path: str) -> int:
    row = store.photo(path)
    assert row is not None
    return row.id


def with_decisions(state_dir: Path, make_photo: MakePhoto) -> Path:
    """Return a state directory whose index has the decisions WANTED."""
    with open_sound(str(state_dir)) as store:
        photos = [make_photo(f"/photos/{name}.jpg", "cat") for name in ("a", "b", "c", "d\udcff")]
        photos[1] = replace(photos[1], deleted=("dog", "wolf"))
        store.save(photos)
        store.keep_out(id_of(store, photos[0].path), True)
        store.set_tombstones(id_of(store, photos[3].path), ["bird"])
    return state_dir


WANTED = {
    "/photos/a.jpg": (set[str](), True),
    "/photos/b.jpg": ({"dog", "wolf"}, False),
    "/photos/d\udcff.jpg": ({"bird"}, False),
}
