"""Keeping an uploaded picture in a watched folder: under a safe name, and in no file's place."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import re
import secrets
import stat
import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import IO

from tagger.config.schema import Config, WatchRoot
from tagger.system import open_beneath
from tagger.system.file_transfer import numbered_names
from tagger.system.files import is_writable
from tagger.system.paths import OWN_PREFIX, PHOTO_SUFFIXES, sidecar_paths
from tagger.web.errors import WebError
from tagger.web.services import TagCommands
from tagger.web.uploads import NO_UNNAMED, copy_limited, kind_of

SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png", ".apng"),
    "GIF": (".gif",),
    "WebP": (".webp",),
    "AVIF": (".avif", ".avifs"),
    "HEIC": (".heic", ".heif", ".hif", ".avif"),
}
"""How the names of each kind may end; the first is given to one that ends otherwise."""

MAX_NAME = 180
"""Bytes of a name, so that there is room for the sidecar's ending and a number."""
MOST = 999
"""Pictures of one name in one folder."""

_ELSEWHERE = re.compile(r'[<>:"|?*\\/]')
"""What a name must not have on the systems that share folders with this one."""
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
_REFUSING = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ELOOP, errno.ENOENT)


@dataclass(frozen=True, slots=True)
class Folder:
    """A watched folder that pictures may be put into; ``reason`` says why not just now.

    ``id`` stays when the config changes; ``name`` is short, and no other folder's.
    """

    id: str
    name: str
    root: WatchRoot
    reason: str | None


def folders(config: Config, manager: TagCommands | None) -> list[Folder]:
    """Return the watched folders that may be written to.

    Without the daemon there is none: it alone can tell whether a disk is there, and would tag.
    """
    if manager is None:
        return []
    found = []
    names = Counter(os.path.basename(root.path) for root in config.watch)
    for root in config.watch:
        name = os.path.basename(root.path)
        name = root.path if names[name] > 1 or not name else name
        reason = None
        if not manager.online(root.path):
            reason = "the folder is not there, or its disk is not connected"
        elif not is_writable(root.path):
            reason = "the folder cannot be written to by tagger's user"
        number = hashlib.blake2b(os.fsencode(root.path), digest_size=6).hexdigest()
        if not root.read_only:
            found.append(Folder(number, name, root, reason))
    return found


def keep(
    config: Config, manager: TagCommands | None, folder_id: str, name: str | None, upload: IO[bytes]
) -> str:
    """Store ``upload`` in the folder with that id, under a safe form of ``name``.

    Return its path in the folder, where it appears whole or not at all. Raise WebError when it
    is no picture or too large, or the folder does not take it.
    """
    if manager is None:
        raise WebError(
            "this page keeps nothing, as it runs without the daemon",
            "set `web.enabled: true` in the config, and use the page of `tagger run`",
            status=409,
        )
    folder = next((one for one in folders(config, manager) if one.id == folder_id), None)
    if folder is None:
        raise WebError(
            "there is no such folder to keep pictures in",
            "choose one of /api/v1/folders",
            status=404,
        )
    if folder.reason is not None:
        raise WebError(folder.reason, "choose another folder, or mend that", status=409)
    safe = safe_name(name or "", kind_of(upload))
    below = config.web.inbox if folder.root.recursive else ""
    limit = config.web.max_upload_mb * 1_000_000
    try:
        with _opened(folder.root.path, below) as into:
            owner = config.root_of(os.path.join(folder.root.path, below, safe))
            if owner is not None and owner.read_only:
                raise WebError(
                    f"{owner.path} is never written to", "change `web.inbox`", status=409
                )
            taken = _stored(into, safe, upload, limit)
    except OSError as error:
        raise _refused(folder, error) from error
    path = os.path.join(below, taken)
    manager.scan([os.path.join(folder.root.path, path)])
    return path


def safe_name(given: str, kind: str) -> str:
    """Return a name for a picture of ``kind`` that is safe in a folder of any system.

    ``given`` is what the sender calls it, perhaps with a path.
    """
    name = re.split(r"[/\\]", given)[-1]
    if len(name) > 5 * MAX_NAME:  # to normalise it would take quadratic time; its ending stays
        name = name[: 4 * MAX_NAME] + name[-MAX_NAME:]
    name = unicodedata.normalize("NFC", name)
    name = "".join(" " if unicodedata.category(one)[0] in "CZ" else one for one in name)
    name = " ".join(_ELSEWHERE.sub("_", name).split())
    stem, suffix = os.path.splitext(name)
    if suffix.lower() not in PHOTO_SUFFIXES:
        stem, suffix = name, ""
    if suffix.lower() not in SUFFIXES[kind]:
        suffix = SUFFIXES[kind][0]
    stem = stem.encode()[: MAX_NAME - len(suffix)].decode(errors="ignore")
    # A dot in front hides a file, a hyphen makes it an option, others are temporary files'.
    stem = stem.strip(". ").lstrip(".~-$# ")
    if _DEVICES.fullmatch(stem):
        stem = f"_{stem}"
    return (stem or "photo") + suffix


def _opened(root: str, below: str) -> open_beneath.Folder:
    """Return the folder ``below`` in ``root``; make it when it is not there.

    No link is followed below the root.
    """
    folder = open_beneath.Folder(root, root)
    for name in below.split("/") if below else ():
        with folder, contextlib.suppress(FileExistsError):
            mode = stat.S_IMODE(os.fstat(folder.fd).st_mode)
            os.mkdir(name, mode & 0o777, dir_fd=folder.fd)
        folder = open_beneath.Folder(root, os.path.join(folder.path, name))
    return folder


def _stored(folder: open_beneath.Folder, name: str, upload: IO[bytes], limit: int) -> str:
    """Write ``upload`` into ``folder``, and both to the disk; return the name that it got."""
    # Opened first: where the folder cannot be read, an upload that is refused would stay there.
    with open_beneath.held(folder.open(".", os.O_RDONLY | os.O_DIRECTORY)) as readable:
        taken = _written(folder, name, upload, limit)
        os.fsync(readable)
    return taken


def _written(folder: open_beneath.Folder, name: str, upload: IO[bytes], limit: int) -> str:
    temporary = ""
    try:
        fd = folder.open(".", os.O_WRONLY | os.O_TMPFILE, 0o600)
    except OSError as error:
        if error.errno not in NO_UNNAMED:
            raise
        temporary = f"{OWN_PREFIX}{os.getpid()}-{secrets.token_hex(4)}.tmp"
        fd = folder.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(fd, "wb") as target:
            copy_limited(upload, target, limit)
            target.flush()
            os.fchmod(fd, os.fstat(folder.fd).st_mode & 0o666)
            os.fsync(fd)
            return _named(folder, temporary or f"/proc/self/fd/{fd}", name)
    finally:
        if temporary:
            with contextlib.suppress(FileNotFoundError):
                folder.unlink(temporary)


def _named(folder: open_beneath.Folder, source: str, name: str) -> str:
    """Give the file ``source`` the first free of the names ``name``, ``name (2)`` and so on."""
    for free in itertools.islice(numbered_names(name), MOST):
        # The sidecar of a photo that is gone is not this one's.
        if any(_is_there(folder, other) for other in (free, *sidecar_paths(free))):
            continue
        try:
            os.link(source, free, src_dir_fd=folder.fd, dst_dir_fd=folder.fd, follow_symlinks=True)
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno not in _NO_LINKS or source.startswith("/"):
                raise
            # A disk without hard links: the name is taken by an empty file, then replaced.
            try:
                os.close(folder.open(free, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
            except FileExistsError:
                continue
            folder.rename(source, free)
        return free
    raise WebError(
        f"there are {MOST} pictures of that name already", "give it another name", status=409
    )


def _is_there(folder: open_beneath.Folder, name: str) -> bool:
    try:
        folder.stat(name)
    except FileNotFoundError:
        return False
    return True


def _refused(folder: Folder, error: OSError) -> WebError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WebError("the folder's disk is full", "free some space on it", status=507)
    if error.errno in _REFUSING:
        return WebError(
            f"the picture cannot be stored in {folder.root.path}: {error.strerror}",
            "check the rights of the folder, and that `web.inbox` is a folder in it",
            status=409,
        )
    return WebError(
        f"the picture cannot be stored in {folder.root.path}: {error.strerror}",
        "check that disk",
        status=503,
    )
