"""The photos that a command is to look at: files and folders that are named, or the index's."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tagger.cli.common import ask_path
from tagger.errors import PhotoVanishedError
from tagger.system.paths import is_photo_name


def photos_in(places: Sequence[str]) -> list[str]:
    """Return the photos among ``places`` and in the folders among them.

    Raise PhotoVanishedError for one that is not there.
    """
    found: list[str] = []
    for place in map(ask_path, places):
        if os.path.isdir(place):
            for folder, _, names in os.walk(place):
                found += [os.path.join(folder, name) for name in names if is_photo_name(name)]
        elif os.path.exists(place):
            found.append(place)
        else:
            raise PhotoVanishedError(f"there is no photo {place}", "correct the path")
    return sorted(set(found))


def indexed_photos(state_dir: str) -> list[str]:
    """Return the photos in the index that have been looked at. Raise StateError without one."""
    from tagger.index.reader import open_reader

    with open_reader(state_dir) as reader:
        return [path for status in ("tagged", "untagged") for path in reader.paths(status)]
