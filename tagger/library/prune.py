"""Forgets photos that are gone."""

from __future__ import annotations

import os
from collections.abc import Iterable

from tagger.config.schema import Config
from tagger.errors import StateError
from tagger.index.store import Store
from tagger.pipeline.deletions import mark_deleted
from tagger.system.files import is_absent


def mark_absent(config: Config, store: Store, folders: Iterable[str]) -> dict[str, int]:
    """Take photos that are gone from ``folders`` for deleted, however many; return the counts.

    Sidecars that tagger made for them, and nobody changed, go with them.

    Raise StateError when a folder is not there, or seems to be an unmounted disk.
    """
    from tagger.system.mounts import Mounts, read_mountinfo
    from tagger.watch.root_identity import RootMemory, judge, look_at_root

    memory = RootMemory(config.state_dir)
    counts: dict[str, int] = {}
    for folder in folders:
        try:
            sight = look_at_root(folder, Mounts(read_mountinfo()))
        except OSError as error:
            raise StateError(
                f"{folder} cannot be looked at: {error.strerror}", "mount it first"
            ) from error
        if reason := judge(memory.get(folder), sight, lambda: True):
            raise StateError(f"{folder} is offline: {reason}", "mount it first")
        top = os.path.normpath(folder)
        gone = [path for path in store.known_under(top) if is_absent(path, top)]
        mark_deleted(config, store, gone)
        counts[folder] = len(gone)
    return counts
