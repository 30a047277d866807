"""What ``tagger query`` does with the photos it finds, besides printing them."""

from __future__ import annotations

import contextlib
import csv
import errno
import os
import re
import secrets
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO, TextIO

from tagger.cli.speech import tell
from tagger.errors import PhotoError, PhotoVanishedError, TaggerError
from tagger.index.reader import Found
from tagger.system.file_transfer import give_name, numbered_names
from tagger.system.files import open_photo, unreadable
from tagger.system.open_beneath import Folder
from tagger.system.paths import OWN_PREFIX, is_inside

Place = tuple[str, str]
"""A photo's path, and the watched folder that it is in."""


@dataclass(slots=True)
class Exported:
    """How many photos were added to a folder, were in it already, and could not be."""

    added: int = 0
    present: int = 0
    failed: int = 0


_FORMULA = re.compile(r"(^|;)(?=\s*[=+\-@\t\r\n＝＋－＠])")
"""Where a spreadsheet would begin to calculate, some of them after each `;`."""


def write_csv(photos: Iterable[Found], out: TextIO) -> None:
    """Write a line for each photo: path, taken_at, and labels with `;` between.

    What a spreadsheet would take for a formula gets an apostrophe in front, by which it is text
    there; see https://owasp.org/www-community/attacks/CSV_Injection.
    """
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(("path", "taken_at", "labels"))
    for photo in photos:
        labels = ";".join(dict.fromkeys(tag.label for tag in photo.tags))  # each once
        row = (photo.row.path, photo.row.facts.taken_at or "")
        lines.writerow((*map(_as_text, row), _FORMULA.sub(r"\1'", labels)))


def _as_text(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def link_photos(photos: Iterable[Place], folder: str) -> Exported:
    """Make ``folder`` an album: a symbolic link for each photo that has none there yet.

    Nothing that is there is changed. A photo that is none any more is told and passed over.
    Raise TaggerError when the folder cannot be written.
    """
    with _album(folder) as album:
        linked = set(_links(album))

        def link(path: str, root: str) -> bool:
            if path in linked:
                return False
            os.close(open_photo(path, root))
            for name in numbered_names(path):
                with contextlib.suppress(FileExistsError):
                    os.symlink(path, name, dir_fd=album.fd)
                    break
            linked.add(path)
            return True

        return _exported(photos, folder, link)


def copy_photos(photos: Iterable[Place], folder: str) -> Exported:
    """Copy each photo to ``folder``, with its time, unless a copy is there.

    Nothing that is there is changed; a copy appears only when it is complete. A photo
    that cannot be read is told and passed over. Raise TaggerError when the folder cannot be
    written.
    """
    with _album(folder) as album:
        return _exported(photos, folder, lambda path, root: _copied(path, root, album))


@contextmanager
def _album(folder: str) -> Iterator[Folder]:
    """Open ``folder``, made if it is not there. Raise TaggerError when it cannot be written."""
    try:
        os.makedirs(folder, exist_ok=True)
        with Folder(folder, folder) as album:
            yield album
    except OSError as error:
        raise TaggerError(
            f"cannot write to {folder}: {error.strerror}",
            "check the folder, its rights and its free space",
        ) from error


def _exported(photos: Iterable[Place], folder: str, put: Callable[[str, str], bool]) -> Exported:
    """Have ``put`` add each photo that is not in ``folder``; it returns whether it did."""
    done = Exported()
    for path, root in photos:
        try:
            added = not is_inside(path, folder) and put(path, root)
        except PhotoError as error:
            tell(error)
            done.failed += 1
        else:
            done.added += added
            done.present += not added
    return done


def _links(album: Folder) -> Iterator[str]:
    for name in album.names():
        try:
            yield os.readlink(name, dir_fd=album.fd)
        except OSError:
            continue  # it is none


def open_photos(photos: list[Place]) -> None:
    """Show one photo, or a new folder of links to several, in the desktop's program for it.

    Raise TaggerError when there is no desktop to do it.
    """
    target = photos[0][0]
    if len(photos) > 1:
        target = tempfile.mkdtemp(prefix="tagger-query-")  # the viewer outlives us: it stays
        link_photos(photos, target)
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    remedy = "install xdg-utils, or use `--link-to DIR`"
    try:
        code = subprocess.run([opener, target], check=False, stdin=subprocess.DEVNULL).returncode
    except OSError as error:
        raise TaggerError(f"cannot run {opener}: {error.strerror}", remedy) from error
    if code:
        raise TaggerError(f"{opener} could not open {target} (exit {code})", remedy)


def _copied(path: str, root: str, album: Folder) -> bool:
    """Copy a photo; return whether there was no copy yet. Raise PhotoError, OSError.

    The photo's owner, or the folder's, may put a link or a FIFO in any place meanwhile: neither
    is followed or waited for, and nothing is overwritten.
    """
    try:
        fd = open_photo(path, root)
    except PhotoVanishedError as error:
        raise PhotoVanishedError(error.message, "it was not copied") from error
    with open(fd, "rb") as source:
        if _has_copy(source, path, album):
            return False
        partial = f"{OWN_PREFIX}{os.getpid()}-{secrets.token_hex(4)}.tmp"
        out = album.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            source.seek(0)
            with open(out, "wb") as target:
                _copy(source, target, path)
            for name in numbered_names(path):
                with contextlib.suppress(FileExistsError):
                    give_name(album, partial, name)
                    break
        finally:
            with contextlib.suppress(OSError):  # it has its name
                album.unlink(partial)
    return True


def _copy(source: BinaryIO, target: BinaryIO, path: str) -> None:
    """Copy the bytes, the date, the rights and the user's attributes."""
    found = os.fstat(source.fileno())
    try:
        while piece := source.read(1 << 20):
            target.write(piece)
    except OSError as error:
        if error.errno in (errno.EIO, errno.ESTALE, errno.EACCES):
            raise unreadable(path, error) from error
        raise
    target.flush()
    # What a disk refuses of this is no reason to be without the copy.
    with contextlib.suppress(OSError):
        os.fchmod(target.fileno(), found.st_mode & 0o777)
    with contextlib.suppress(OSError):
        for name in os.listxattr(source.fileno()):
            if name.startswith("user."):
                os.setxattr(target.fileno(), name, os.getxattr(source.fileno(), name))
    with contextlib.suppress(OSError):
        os.utime(target.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))


def _has_copy(source: BinaryIO, path: str, album: Folder) -> bool:
    """Whether a file with the photo's bytes is in the folder under one of its names."""
    size = os.fstat(source.fileno()).st_size
    for name in numbered_names(path):
        try:
            with open(album.open(name), "rb") as other:
                found = os.fstat(other.fileno())
                if not stat.S_ISREG(found.st_mode) or found.st_size != size:
                    continue
                source.seek(0)
                while piece := source.read(1 << 20):
                    if other.read(1 << 20) != piece:
                        break
                else:
                    return True
        except FileNotFoundError:
            return False
        except OSError:
            continue  # a link, or none of ours to read
    return False
