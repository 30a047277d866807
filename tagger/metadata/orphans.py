"""Sidecars of ours whose photo was deleted by somebody: they go, too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tagger.errors import MetadataError
from tagger.metadata.safe_write import undo
from tagger.metadata.safe_write.original import MAX_SIDECAR, read_original
from tagger.metadata.safe_write.replace import stage
from tagger.records import JournalEntry
from tagger.system.files import is_absent
from tagger.system.open_beneath import Beneath
from tagger.system.paths import sidecar_paths


def remove_sidecars(
    path: str, root: str, entries: Iterable[JournalEntry]
) -> Iterator[tuple[str, MetadataError | None]]:
    """Remove what we made beside the photo ``path``, which is gone from the folder ``root``.

    Yield each sidecar that is gone now, and each that could not be removed with the reason. One
    that anybody changed since stays, and so do all while a photo of that name is there.
    """
    below, beside = Beneath(root), sidecar_paths(path)
    for entry in entries:
        if entry.file not in beside or not entry.created or not is_absent(path, root):
            continue
        try:
            original = read_original(entry.file, below, MAX_SIDECAR)
            if original is None or undo.digest(original.data) != entry.after:
                continue
            stage(entry.file, None, original, below).commit()
        except MetadataError as error:
            yield entry.file, error
        else:
            yield entry.file, None
