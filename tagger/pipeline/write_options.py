"""How the tags of one photo are written, as config, folder and other taggers have it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence

from tagger.config.schema import Config, WatchRoot
from tagger.metadata.options import WriteOptions
from tagger.records import Keyword
from tagger.watch.root_owner import writers_of


def write_options(config: Config, root: WatchRoot | None, path: str = "") -> WriteOptions:
    """Return how to write the tags of the photo ``path`` in the watched folder ``root``."""
    write = config.write
    others = bool(
        root is not None
        and path
        and write.target != "none"
        and writers_of(config.state_dir).foreign(os.path.dirname(path), root.path)
    )
    return WriteOptions(
        target=write.target,
        preserve_mtime=write.preserve_mtime,
        exif=write.exif,
        exiftool=write.exiftool,
        provenance=write.provenance,
        sidecar_name=write.sidecar_name,
        read_only=others or (root is not None and root.read_only),
        others=others,
    )


def keywords_hash(keywords: Sequence[Keyword], options: WriteOptions) -> str:
    """Return a digest of what is to be written, and how."""
    return digest_of(repr(options), json.dumps([(k.tag, k.path, k.leaf) for k in keywords]))


def digest_of(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()
