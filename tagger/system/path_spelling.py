"""How a path is really spelled, on file systems that take another spelling for the same name.

Those of Windows and many a NAS ignore case, some the composition of letters (ext4 with casefold,
exFAT, NTFS, SMB). Whoever opens "A.JPG" there gets "a.jpg", and events may tell either name; only
what the folder lists is the name. One photo must not be two because it has two spellings.
"""

from __future__ import annotations

import os
import string
import threading
import time
import unicodedata

LISTED_SECONDS = 1.0
"""For so long a folder's list serves again, if the folder has not changed."""

_OTHER_CASE = str.maketrans(string.ascii_letters, string.ascii_uppercase + string.ascii_lowercase)


def same_letters(name: str) -> str:
    """Return the name of a file as all spellings are compared that look the same: NFC."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def spelled(path: str, top: str = os.sep) -> str:
    """Return the absolute ``path``, below the folder ``top``, as folders list it.

    What is not there, or is spelled right, is returned as it is. Where case matters this costs
    two looks at the disk and reads no folder.
    """
    folder, name = os.path.split(path)
    if not name or len(path) <= len(top):
        return path
    if not os.path.lexists(path):
        folder = spelled(folder, top)
        return os.path.join(folder, name if name.isascii() else _like(name, _listing.names(folder)))
    other = name.translate(_OTHER_CASE)
    if other != name and not os.path.lexists(os.path.join(folder, other)):
        return path  # case matters here, and so above
    names = _listing.names(folder)
    if other != name and {name, other} <= names:
        return path  # two files
    return os.path.join(spelled(folder, top), _like(name, names))


def ignores_case(path: str) -> bool:
    """Whether what is at ``path`` has other spellings too."""
    folder, name = os.path.split(path)
    other = name.translate(_OTHER_CASE)
    if other == name or not os.path.lexists(os.path.join(folder, other)):
        return False
    return not {name, other} <= _listing.names(folder)


def _like(name: str, names: frozenset[str]) -> str:
    """Return which of ``names`` is ``name``, or is called so in another spelling; else itself."""
    if name in names:
        return name
    for key in (same_letters, lambda one: same_letters(same_letters(one).casefold())):
        if found := [one for one in names if key(one) == key(name)]:
            return min(found)
    return name


class _Listing(threading.local):
    """The names in the folder that was asked for last; of each thread, for a disk may be silent."""

    last: tuple[str, int, float, frozenset[str]] | None = None

    def names(self, folder: str) -> frozenset[str]:
        """Return the names in ``folder``; none if it cannot be listed."""
        try:
            changed, now = os.stat(folder).st_mtime_ns, time.monotonic()
            if self.last is not None:
                known, then, at, names = self.last
                if (known, then) == (folder, changed) and now - at < LISTED_SECONDS:
                    return names
            names = frozenset(os.listdir(folder))
        except OSError:
            return frozenset()
        self.last = folder, changed, now, names
        return names


_listing = _Listing()
