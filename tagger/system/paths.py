"""What a path tells by its name alone: photo, RAW, sidecar, inside a folder. No file is opened."""

from __future__ import annotations

import os

RAW_SUFFIXES = frozenset(
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .iiq .kdc .mef .mos .mrw .nef .nrw .orf .pef "
    ".raf .raw .rw2 .rwl .sr2 .srf .srw .x3f".split()
)
PHOTO_SUFFIXES = RAW_SUFFIXES | frozenset(
    ".jpg .jpeg .jpe .jfif .png .apng .webp .gif .bmp .dib .tif .tiff .heic .heif .hif .avif "
    ".avifs".split()
)
"""Lower-case file name endings of what we read."""


def is_photo_name(path: str) -> bool:
    """Whether the file's name ends like a photo's, in any case."""
    return os.path.splitext(path)[1].lower() in PHOTO_SUFFIXES


def is_raw_name(path: str) -> bool:
    """Whether the file's name ends like that of a camera's RAW file, in any case."""
    return os.path.splitext(path)[1].lower() in RAW_SUFFIXES


def is_heic_name(path: str) -> bool:
    """Whether the file's name ends as phones name HEIC photos, in any case."""
    return os.path.splitext(path)[1].lower() in (".heic", ".heif", ".hif")


def sidecar_names(photo: str) -> tuple[str, str, str]:
    """Return how the sidecar of a photo (its name or path) is called, in the order of preference.

    ``photo.jpg.xmp`` (digiKam, darktable), ``photo.xmp`` (Lightroom), and our own JSON
    ``photo.jpg.tags.json``; ``photo.jpg.json`` belongs to Google Takeout.
    """
    return photo + ".xmp", os.path.splitext(photo)[0] + ".xmp", photo + ".tags.json"


def sidecar_paths(path: str) -> tuple[str, str, str]:
    """Return where the sidecar of the photo ``path`` may be, in the order of preference.

    As :func:`sidecar_names` says; but one that is on the disk as ``.XMP`` is named so. Cameras
    and programs for Windows write such.
    """
    long, short, ours = sidecar_names(path)
    return _spelled(long), _spelled(short), ours


def spellings(sidecar: str) -> tuple[str, ...]:
    """Return how a sidecar, one of :func:`sidecar_names`, may be spelled; the usual way first."""
    stem, ending = os.path.splitext(sidecar)
    return tuple(stem + one for one in XMP_SPELLINGS) if ending == ".xmp" else (sidecar,)


XMP_SPELLINGS = (".xmp", ".XMP", ".Xmp")
"""How the ending of a sidecar is written, in the order of preference."""


def _spelled(sidecar: str) -> str:
    """Return the path of a sidecar with its ending as it is on the disk; `.xmp` without any."""
    return next((place for place in spellings(sidecar) if os.path.lexists(place)), sidecar)


def is_inside(path: str, folder: str) -> bool:
    """Whether the absolute ``path`` is ``folder`` or lies below it (no links followed)."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


OWN_PREFIX = ".tagger-"
"""How the names of all our own temporary files begin."""


def moved_file(file: str, old: str, new: str) -> str:
    """Return where a file that belonged to the photo ``old`` belongs now that it is ``new``."""
    if file == old:
        return new
    stem, ending = os.path.splitext(file)
    if ending in XMP_SPELLINGS:  # it keeps its own
        stems = {old: new, os.path.splitext(old)[0]: os.path.splitext(new)[0]}
        return stems[stem] + ending if stem in stems else file
    return sidecar_names(new)[2] if file == sidecar_names(old)[2] else file


_SIDECAR_SUFFIXES = (".xmp", ".tags.json")


def is_sidecar_name(name: str) -> bool:
    """Whether the name is one that a photo's sidecar may have."""
    return name.lower().endswith(_SIDECAR_SUFFIXES)


def photos_of_sidecar(path: str) -> list[str]:
    """Return where the photos may be that the sidecar ``path`` belongs to.

    ``photo.jpg.xmp`` belongs to ``photo.jpg``; ``photo.xmp`` to every ``photo.*``.
    """
    for suffix in _SIDECAR_SUFFIXES:
        if path.lower().endswith(suffix):
            stem = path[: -len(suffix)]
            if is_photo_name(stem):
                return [stem]
            if suffix == ".xmp":
                both = (str.lower, str.upper)
                return [stem + case(s) for s in sorted(PHOTO_SUFFIXES) for case in both]
    return []
