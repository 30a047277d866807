"""Finds the folders of this machine that hold photos, for somebody who has not named any."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tagger.system.paths import is_inside, is_photo_name

SECONDS = 5.0
"""So long is looked; what was counted until then is said."""
DEPTH = 6
"""Folders below a place that are looked into."""
MOST = 9
"""Places that are said."""

_MOUNTS = ("/mnt", "/media", "/run/media", "/srv", "/data", "/photos", "/pictures", "/volume1")
_LEFT_OUT = frozenset({"node_modules", "__pycache__", "site-packages", "@eaDir", "lost+found"})
_PICTURES = re.compile(r'^XDG_PICTURES_DIR="(.*)"', re.MULTILINE)
_USUAL = "Pictures Photos Bilder Fotos Images Imágenes 图片 画像 ピクチャ DCIM".split()


@dataclass(slots=True)
class Place:
    """A folder, its photos and their bytes. ``whole`` is False when time ran out within it."""

    path: str
    photos: int = 0
    size: int = 0
    whole: bool = True


def photo_folders(
    environ: Mapping[str, str], *, clock: Callable[[], float] = time.monotonic
) -> list[Place]:
    """Return folders with photos: those meant for pictures first, then those with the most."""
    end = clock() + SECONDS
    first = pictures_folder(environ)
    places: list[Place] = []
    for path in _candidates(environ, first):
        if any(is_inside(path, known.path) for known in places):
            continue
        place = _counted(path, end, clock)
        if place.photos:
            places.append(place)
    usual = {first, *(os.path.join(_home(environ), name) for name in _USUAL)}
    places.sort(key=lambda one: (one.path not in usual, -one.photos))
    return places[:MOST]


def pictures_folder(environ: Mapping[str, str]) -> str:
    """Return the folder that the desktop calls that of pictures (xdg-user-dirs(1))."""
    home = _home(environ)
    settings = environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    with contextlib.suppress(OSError, UnicodeDecodeError):
        with open(os.path.join(settings, "user-dirs.dirs"), encoding="utf-8") as file:
            found = _PICTURES.search(file.read())
        if found:
            path = os.path.normpath(found[1].replace("$HOME", home))
            if os.path.isabs(path) and path != os.path.normpath(home):
                return path
    return os.path.join(home, "Pictures")


def _home(environ: Mapping[str, str]) -> str:
    return environ.get("HOME") or os.path.expanduser("~")


def _candidates(environ: Mapping[str, str], first: str) -> Iterator[str]:
    """Yield the places to look at: the likeliest first, each folder of the home, other disks."""
    yield first
    home = _home(environ)
    yield from sorted(_folders(home), key=lambda path: os.path.basename(path) not in _USUAL)
    for mount in _MOUNTS:
        if mount in ("/media", "/run/media"):  # a folder for each user, then one for each disk
            yield from (disk for user in _folders(mount) for disk in _folders(user))
        elif mount == "/mnt":
            yield from _folders(mount)
        else:
            yield mount


def _folders(path: str) -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(path) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            if _is_looked_into(entry):
                yield entry.path


def _is_looked_into(entry: os.DirEntry[str]) -> bool:
    hidden = entry.name.startswith(".") or entry.name in _LEFT_OUT
    return not hidden and entry.is_dir(follow_symlinks=False)


def _counted(path: str, end: float, clock: Callable[[], float]) -> Place:
    """Count the photos below ``path``; links are not followed."""
    place, left = Place(path), [(path, 0)]
    while left:
        if clock() > end:
            place.whole = False
            break
        folder, depth = left.pop()
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if _is_looked_into(entry):
                    if depth < DEPTH:
                        left.append((entry.path, depth + 1))
                elif is_photo_name(entry.name) and entry.is_file(follow_symlinks=False):
                    place.photos += 1
                    place.size += entry.stat(follow_symlinks=False).st_size
    return place
