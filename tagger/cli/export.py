"""What ``tagger query`` does with the photos it finds, besides printing them."""

from __future__ import annotations

import csv
import filecmp
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TextIO

from tagger.config import is_inside
from tagger.errors import PhotoError, PhotoVanishedError, TaggerError
from tagger.files import OWN_PREFIX, unreadable
from tagger.index.search import Found
from tagger.logs import printable


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


def link_photos(paths: Iterable[str], folder: str) -> Exported:
    """Make ``folder`` an album: a symbolic link for each photo that has none there yet.

    Nothing that is there is changed. Raise TaggerError when the folder cannot be written.
    """
    done = Exported()
    with _writing(folder):
        os.makedirs(folder, exist_ok=True)
        linked = {os.readlink(entry) for entry in os.scandir(folder) if entry.is_symlink()}
        for path in paths:
            if path in linked or is_inside(path, folder):
                done.present += 1
                continue
            for name in _names(path):
                try:
                    os.symlink(path, os.path.join(folder, name))
                    break
                except FileExistsError:
                    continue
            linked.add(path)
            done.added += 1
    return done


def copy_photos(paths: Iterable[str], folder: str) -> Exported:
    """Copy each photo to ``folder``, with its time, unless a copy is there.

    Nothing that is there is changed; a copy appears only when it is complete. A photo
    that cannot be read is told and passed over. Raise TaggerError when the folder cannot be
    written.
    """
    done = Exported()
    with _writing(folder):
        os.makedirs(folder, exist_ok=True)
        for path in paths:
            try:
                added = not is_inside(path, folder) and _copied(path, folder)
            except PhotoError as error:
                print(f"tagger: {printable(str(error))}", file=sys.stderr)
                done.failed += 1
                continue
            done.added += added
            done.present += not added
    return done


def open_photos(paths: list[str]) -> None:
    """Show one photo, or a new folder of links to several, in the desktop's program for it.

    Raise TaggerError when there is no desktop to do it.
    """
    target = paths[0]
    if len(paths) > 1:
        target = tempfile.mkdtemp(prefix="tagger-query-")  # the viewer outlives us: it stays
        link_photos(paths, target)
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    remedy = "install xdg-utils, or use `--link-to DIR`"
    try:
        code = subprocess.run([opener, target], check=False, stdin=subprocess.DEVNULL).returncode
    except OSError as error:
        raise TaggerError(f"cannot run {opener}: {error.strerror}", remedy) from error
    if code:
        raise TaggerError(f"{opener} could not open {target} (exit {code})", remedy)


def _copied(path: str, folder: str) -> bool:
    """Copy a photo; return whether there was no copy yet. Raise PhotoError."""
    try:
        if _has_copy(path, folder):
            return False
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise PhotoVanishedError(f"{path} is gone", "it was not copied") from error
    except OSError as error:
        raise unreadable(path, error) from error
    handle, partial = tempfile.mkstemp(prefix=OWN_PREFIX, dir=folder)
    try:
        with open(source, "rb") as bytes_in, open(handle, "wb") as out:
            shutil.copyfileobj(bytes_in, out, 1 << 20)
        shutil.copystat(path, partial)
        for name in _names(path):
            target = os.path.join(folder, name)
            try:  # claims the name; every file system can do this, unlike hard links
                os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            except FileExistsError:
                continue
            os.replace(partial, target)
            break
    except BaseException:
        os.unlink(partial)
        raise
    return True


def _has_copy(path: str, folder: str) -> bool:
    """Whether a file with the photo's bytes is in ``folder`` under one of its names."""
    size = os.stat(path).st_size
    for name in _names(path):
        target = os.path.join(folder, name)
        if not os.path.lexists(target):
            return False
        same = os.path.isfile(target) and os.path.getsize(target) == size
        if same and filecmp.cmp(path, target, shallow=False):
            return True
    return False


def _names(path: str) -> Iterator[str]:
    """Yield names for a photo in another folder: its own, then `name (2).jpg` and on."""
    name = os.path.basename(path)
    stem, suffix = os.path.splitext(name)
    yield name
    for number in itertools.count(2):
        yield f"{stem} ({number}){suffix}"


@contextmanager
def _writing(folder: str) -> Iterator[None]:
    """Turn what the operating system says of ``folder`` into TaggerError."""
    try:
        yield
    except OSError as error:
        raise TaggerError(
            f"cannot write to {folder}: {error.strerror}",
            "check the folder, its rights and its free space",
        ) from error
