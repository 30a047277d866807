"""Opening a photo's file for a decoding process, which opens nothing itself."""

from __future__ import annotations

import errno
import os
import stat

from tagger.errors import NotAnImageError, PhotoVanishedError
from tagger.system.files import open_photo, open_untrusted, unreadable


def open_file(path: str, root: str | None = None) -> int:
    """Return a descriptor to read the regular file ``path``; no link in its place is followed.

    With ``root`` none between that folder and the file is either. Raise PhotoVanishedError,
    PhotoUnreadableError, or NotAnImageError for an empty file.
    """
    try:
        fd = open_untrusted(path) if root is None else open_photo(path, root)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO):
            raise PhotoVanishedError(f"{path} is gone", "nothing to do") from error
        raise unreadable(path, error) from error
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise PhotoVanishedError(f"{path} is no regular file any more", "nothing to do")
        if found.st_size == 0:
            raise NotAnImageError(f"{path} is empty", "copy it again, if it should not be")
    except BaseException:
        os.close(fd)
        raise
    return fd
