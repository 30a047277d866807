"""What is read from photos and sidecars without a journal: our provenance tells what is ours."""

from __future__ import annotations

import contextlib

from tagger.errors import RefusedError
from tagger.metadata import json_sidecar
from tagger.metadata.capture_date import taken_at
from tagger.metadata.containers.reader import inside_file
from tagger.metadata.managed_file import readable, users_packet
from tagger.metadata.safe_write.original import MAX_SIDECAR
from tagger.metadata.sidecar_path import sidecars_of
from tagger.metadata.xmp import packet as xmp_packet
from tagger.metadata.xmp.keywords import KeywordPath, merged, user_paths, with_parents
from tagger.metadata.xmp.packet import remembering
from tagger.system.open_beneath import Beneath
from tagger.system.paths import sidecar_paths


@remembering()
def read_keywords(path: str, root: str) -> tuple[KeywordPath, ...]:
    """Return the user's keywords in a photo of the folder ``root`` and its sidecars, and all above.

    For photos beside which nothing can be written. Unreadable ones have none.
    """
    found = inside_file(path, root)
    paths: list[KeywordPath] = []
    for packet in [*found.packets, *_packets_beside(path, Beneath(root))]:
        paths += user_paths(users_packet(packet))
    paths += user_paths(None, found.iptc)
    return with_parents(merged(paths))


def read_taken_at(path: str, root: str) -> str | None:
    """Return when a picture was taken, as its file and its sidecars tell; for photos beside
    which nothing can be written."""
    return taken_at(inside_file(path, root), _packets_beside(path, Beneath(root)))


def _packets_beside(path: str, below: Beneath) -> list[bytes]:
    """Return what is in the XMP sidecars of a photo."""
    places = sidecars_of(path, below)
    found = (readable(file, below, MAX_SIDECAR) for file in (places.file, *places.others))
    return [original.data for original in found if original is not None]


@remembering()
def read_tags(path: str, root: str) -> tuple[tuple[KeywordPath, float | None], ...]:
    """Return the keywords in a photo's sidecars and in the photo, with everything above them.

    Each comes with its confidence if it is ours, else None. For an index that is lost: of a
    photo only the metadata is read.
    """
    paths: list[KeywordPath] = []
    ours: dict[str, float] = {}
    below = Beneath(root)
    json_file = readable(sidecar_paths(path)[-1], below, MAX_SIDECAR)
    if json_file is not None:
        with contextlib.suppress(RefusedError):
            found = json_sidecar.parse(json_file.data)
            paths += json_sidecar.paths_in(found)
            ours |= json_sidecar.confidences(found)
    held = inside_file(path, root)
    for packet in [*_packets_beside(path, below), *held.packets]:
        paths += user_paths(packet)
        parsed = xmp_packet.understood(packet)
        labels = parsed.labels() if parsed is not None else {}
        for word, confidence in labels.items():
            with contextlib.suppress(ValueError):
                ours[word] = float(confidence)
    every = with_parents(merged([*paths, *user_paths(None, held.iptc)]))
    return tuple((one, ours.get(one[-1])) for one in every)
