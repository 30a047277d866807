"""Which files beside a photo are its own, and travel with it: its sidecars, and a short film."""

from __future__ import annotations

import os
import re
from collections.abc import Collection

from tagger.system.paths import is_photo_name

_OF_NAME = frozenset(
    ".xmp .tags.json .pp3 .out.pp3 .dop .arp .json .supplemental-metadata.json".split()
)
"""What may follow the whole name, as in ``photo.jpg.xmp``: of darktable and digiKam, our own, of
RawTherapee, DxO, ART and Google Takeout."""
_OF_STEM = frozenset((".xmp", ".aae", ".thm", ".on1"))
"""What may stand instead of the ending, as in ``photo.xmp``: of Lightroom, Apple, cameras, ON1."""
_FILMS = frozenset((".mov", ".mp4"))
"""What stands instead of the ending for the film of a live photo."""


def sidecars_among(photo: str, names: Collection[str]) -> dict[str, bool]:
    """Return the sidecars of ``photo`` among the ``names`` in its folder.

    With each, whether it belongs to another photo as well: ``a.xmp`` is that of ``a.jpg`` and of
    ``a.cr2``.
    """
    stem, suffix = os.path.splitext(photo)
    twins = _twins(photo, names)
    # darktable's further versions of one photo: photo_01.jpg.xmp
    version = re.compile(f"{re.escape(stem)}_[0-9]{{2,3}}{re.escape(suffix)}")
    found = {}
    for name in names:
        above, ending = os.path.splitext(name)
        if name.startswith(photo) and name[len(photo) :].lower() in _OF_NAME:
            found[name] = False
        elif above == stem and ending.lower() in _OF_STEM:
            found[name] = bool(twins)
        elif ending.lower() == ".xmp" and version.fullmatch(above) and above not in names:
            found[name] = False
    return found


def films_among(photo: str, names: Collection[str]) -> list[str]:
    """Return the films called like ``photo`` in its folder.

    None when another photo has that name too, as the HEIC and the JPEG of one shot: with that the
    film stays.
    """
    stem = os.path.splitext(photo)[0]
    films = [
        name
        for name in names
        if os.path.splitext(name)[0] == stem and os.path.splitext(name)[1].lower() in _FILMS
    ]
    return films if films and not _twins(photo, names) else []


def _twins(photo: str, names: Collection[str]) -> list[str]:
    stem = os.path.splitext(photo)[0]
    return [
        name
        for name in names
        if name != photo and os.path.splitext(name)[0] == stem and is_photo_name(name)
    ]


def renamed(name: str, photo: str, new: str) -> str:
    """Return what a file of ``photo`` is called when the photo is called ``new``."""
    stem, new_stem = os.path.splitext(photo)[0], os.path.splitext(new)[0]
    return new_stem + name[len(stem) :]
