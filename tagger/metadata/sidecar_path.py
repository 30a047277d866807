"""Which sidecar belongs to a photo."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from typing import Literal

from tagger.errors import MetadataError
from tagger.metadata.safe_write.replace import MAX_SIDECAR, read_original
from tagger.metadata.xmp import packet as xmp_packet
from tagger.metadata.xmp.packet import SIDECAR_FOR
from tagger.paths import PHOTO_SUFFIXES, RAW_SUFFIXES, sidecar_paths, spellings
from tagger.system.beneath import Beneath


@dataclass(frozen=True, slots=True)
class Sidecars:
    """The XMP sidecars of one photo.

    ``file`` is where ours go, whether it is there or not; ``others`` are there, and only read:
    the keywords in them are the photo's, too.
    """

    file: str
    others: tuple[str, ...] = ()


def sidecars_of(path: str, below: Beneath) -> Sidecars:
    """Return the sidecars of the photo ``path``, of which one may be read ``below``.

    ``photo.jpg.xmp`` before ``photo.xmp``, if both are there. An existing ``photo.xmp`` is used
    unless another photo of that stem owns it, or may.
    """
    long, short, _ = sidecar_paths(path)
    longs, shorts = _there(path + ".xmp"), _there(os.path.splitext(path)[0] + ".xmp")
    claim = _claim(path, short, below) if shorts else "none"
    if claim == "none":
        return Sidecars(long, tuple(longs[1:]))
    if claim == "own" and not longs:
        return Sidecars(short, tuple(shorts[1:]))
    return Sidecars(long, (*longs[1:], *shorts))


def _there(sidecar: str) -> list[str]:
    """Return the spellings of a sidecar that are on the disk, each file once."""
    found: dict[tuple[int, int], str] = {}
    for place in spellings(sidecar):
        with contextlib.suppress(OSError, ValueError):
            st = os.lstat(place)
            found.setdefault((st.st_dev, st.st_ino), place)
    return [*found.values()]


def _claim(path: str, short: str, below: Beneath) -> Literal["own", "shared", "none"]:
    """Return whose ``photo.xmp`` is: this photo's, of several perhaps, or of others only.

    It names its owner's ending itself (``photoshop:SidecarForExtension``), if Lightroom or
    Camera Raw wrote it; else it is the RAW file's, for which they write it. Of two RAW files
    (a NEF and its DNG) it may be either's.
    """
    others = _of_this_stem(path)
    if not others:
        return "own"
    every = [_ending(path), *others]
    named = _named_ending(short, below)
    if every.count(named) == 1:
        return "own" if every[0] == named else "none"
    raws = [ending for ending in every if ending in RAW_SUFFIXES]
    if not raws:
        return "shared"
    if every[0] not in RAW_SUFFIXES:
        return "none"
    return "own" if len(raws) == 1 else "shared"


def _of_this_stem(path: str) -> list[str]:
    """Return the endings, in lower case, of the other photos with this stem.

    Asked for one by one: listing a folder of 40,000 files for each of its photos takes longer.
    """
    stem = os.path.splitext(path)[0]
    seen: set[tuple[int, int]] = set()
    with contextlib.suppress(OSError):
        st = os.lstat(path)
        seen.add((st.st_dev, st.st_ino))
    found = []
    for ending in sorted(PHOTO_SUFFIXES):
        for spelled in (ending, ending.upper(), "." + ending[1:].capitalize()):
            if stem + spelled == path:
                continue
            try:
                st = os.lstat(stem + spelled)
            except (OSError, ValueError):
                continue
            # Where case does not matter all spellings are one file.
            if stat.S_ISREG(st.st_mode) and (st.st_dev, st.st_ino) not in seen:
                seen.add((st.st_dev, st.st_ino))
                found.append(ending)
    return found


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _named_ending(sidecar: str, below: Beneath) -> str:
    """Return the ending that a sidecar says it is for, in lower case; empty without one."""
    try:
        original = read_original(sidecar, below, MAX_SIDECAR)
        texts = xmp_packet.parse(original.data).texts(SIDECAR_FOR) if original else ()
    except MetadataError:
        return ""
    return "." + texts[0].strip().lstrip(".").lower() if texts else ""
