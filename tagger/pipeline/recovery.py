"""Settles the writes that a crash interrupted."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence

from tagger.index.store import Store
from tagger.metadata.safe_write.temporary import clean_strays
from tagger.pipeline.commit import Pending, settle

log = logging.getLogger(__name__)


def repair(store: Store, pending: Sequence[Pending]) -> None:
    """Find out what became of writes that a crash left unconfirmed; make the journal say so.

    Temporary files next to them are removed.
    """
    folders = set()
    for one in pending:
        _, path, entry = one
        try:
            row = store.photo(path)
            root = row.root if row is not None else os.path.dirname(path)
            folders.add((os.path.dirname(entry.file), root))
            # A file that somebody else changed since still holds our values: the journal keeps
            # them, so that they are told from the user's own.
            state = settle(store, one, root, ("after", "foreign"))
        except Exception:  # the next start tries it again; all else goes on
            log.exception("it cannot be found out what a crash left of %s", path)
        else:
            log.info("after a crash: %s of %s is as %s our write", entry.file, path, state)
    for folder, root in folders:
        try:
            clean_strays(folder, root)
        except Exception:
            log.exception("what a crash left in %s cannot be removed", folder)
