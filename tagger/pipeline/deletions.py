"""What is done about photos that were deleted elsewhere, once that is believed."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from tagger.config.schema import Config
from tagger.index.store import Store
from tagger.metadata.orphans import remove_sidecars
from tagger.pipeline.write_options import write_options

log = logging.getLogger(__name__)


def mark_deleted(config: Config, store: Store, paths: Sequence[str]) -> None:
    """Note that photos are gone, and remove the sidecars that tagger made for them.

    A sidecar that anybody changed since stays.
    """
    store.mark_missing(paths)
    for path in paths:
        row = store.photo(path)
        options = write_options(config, config.root_of(path), path)
        if row is None or options.read_only or options.target == "none":
            continue
        for file, error in remove_sidecars(path, row.root, store.entries(row.id)):
            if error is None:
                log.info("%s is removed, as its photo was", file)
            else:
                log.warning("%s stays, though its photo is gone: %s", file, error)
