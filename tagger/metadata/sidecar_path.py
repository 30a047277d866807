"""Which sidecar belongs to a photo."""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from typing import Literal

from tagger.errors import MetadataError
from tagger.metadata.safe_write.original import MAX_SIDECAR, read_original
from tagger.metadata.xmp import packet as xmp_packet
from tagger.metadata.xmp.packet import Packet
from tagger.metadata.xmp.properties import SIDECAR_FOR
from tagger.system.open_beneath import Beneath
from tagger.system.paths import PHOTO_SUFFIXES, RAW_SUFFIXES, sidecar_paths, spellings

_CAMERA_RAW = "http://ns.adobe.com/camera-raw-settings/1.0/"


@dataclass(frozen=True, slots=True)
class Sidecars:
    """The XMP sidecars of one photo: in ``file`` go ours, whether it is there or not; ``others``
    are there, and only read: the keywords in them are the photo's, too."""

    file: str
    others: tuple[str, ...] = ()


def sidecars_of(path: str, below: Beneath, name: str = "auto") -> Sidecars:
    """Return the sidecars of the photo ``path``, of which one may be read ``below``.

    ``name`` is ``write.sidecar_name`` of the config. "long": ``photo.jpg.xmp``, which darktable,
    digiKam and Immich read. "short": ``photo.xmp``, as Lightroom and gThumb call it. "auto": the
    long one if it is there, and the short one if that is there alone, or is a camera RAW file's
    that Lightroom or Camera Raw wrote while no other program wrote the long one. A ``photo.xmp``
    that another photo of that stem owns, or may own, is never written to.
    """
    long, short, _ = sidecar_paths(path)
    longs, shorts = _there(path + ".xmp"), _there(os.path.splitext(path)[0] + ".xmp")
    claim = _claim(path, short, below) if shorts or name == "short" else "none"
    if claim == "none":
        return Sidecars(long, tuple(longs[1:]))
    takes_short = not longs or (_ending(path) in RAW_SUFFIXES and _is_adobes(long, short, below))
    if claim == "own" and (name == "short" or (name == "auto" and shorts and takes_short)):
        return Sidecars(short, (*shorts[1:], *longs))
    return Sidecars(long, (*longs[1:], *shorts))


def _is_adobes(long: str, short: str, below: Beneath) -> bool:
    """Whether Adobe's programs wrote the short sidecar, and nobody but us the long one."""
    one, other = _parsed(long, below), _parsed(short, below)
    if other is None or not (other.texts(SIDECAR_FOR) or other.has_namespace(_CAMERA_RAW)):
        return False
    return one is not None and one.is_as_made()


def _parsed(sidecar: str, below: Beneath) -> Packet | None:
    try:
        original = read_original(sidecar, below, MAX_SIDECAR)
        return xmp_packet.parse(original.data) if original else None
    except MetadataError:
        return None


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
    if raws and every[0] not in RAW_SUFFIXES:
        return "none"
    return "own" if len(raws) == 1 else "shared"


def _of_this_stem(path: str) -> list[str]:
    """Return the endings, in lower case, of the other photos with this stem.

    Asked for one by one: listing a folder of 40,000 files for each of its photos takes longer.
    """
    stem = os.path.splitext(path)[0]
    found: dict[tuple[int, int], str] = {}
    with contextlib.suppress(OSError):
        st = os.lstat(path)
        found[st.st_dev, st.st_ino] = ""
    for ending in sorted(PHOTO_SUFFIXES):
        for spelled in (ending, ending.upper(), "." + ending[1:].capitalize()):
            if stem + spelled == path:
                continue
            with contextlib.suppress(OSError, ValueError):
                st = os.lstat(stem + spelled)
                # Where case does not matter all spellings are one file.
                if stat.S_ISREG(st.st_mode):
                    found.setdefault((st.st_dev, st.st_ino), ending)
    return [ending for ending in found.values() if ending]


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _named_ending(sidecar: str, below: Beneath) -> str:
    """Return the ending that a sidecar says it is for, in lower case; empty without one."""
    parsed = _parsed(sidecar, below)
    texts = parsed.texts(SIDECAR_FOR) if parsed is not None else ()
    return "." + texts[0].strip().lstrip(".").lower() if texts else ""
