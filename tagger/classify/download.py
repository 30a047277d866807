"""Downloads weights: resumed, verified, never over HTTP to somewhere else."""

from __future__ import annotations

import contextlib
import fcntl
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from email.message import Message
from http.client import HTTPException, HTTPResponse
from typing import IO, BinaryIO

from tagger.classify.catalog import ModelInfo, weights_of
from tagger.classify.weights import (
    FIRST_DIGEST,
    NO_RIGHTS,
    NO_SPACE,
    file_digest,
    first_digest,
    keep_digest,
    models_dir,
)
from tagger.errors import DownloadError
from tagger.system.files import move_into_place

Progress = Callable[[int, int | None], None]
"""Called with the bytes there are, and the bytes there will be if the server says."""
CHUNK = 1 << 18
URL_VARIABLE = "TAGGER_MODEL_URL"
"""Environment variable: a mirror's address, instead of where the weights are published."""
SIZE_TOLERANCE = 0.1
"""A file without a published hash may have so much more or less than its size."""


def download(
    name: str,
    *,
    state_dir: str,
    url: str | None = None,
    progress: Progress | None = None,
    timeout: float = 30.0,
    environ: Mapping[str, str] = os.environ,
) -> str:
    """Fetch the preferred weights of a model of any kind; return the path of the file.

    It goes to ``models/`` in the state directory; see :func:`fetch_weights`. ``url`` is the
    file's address (default: where it is published, or below ``$TAGGER_MODEL_URL``). Raise
    DownloadError, ModelError for an unknown model.
    """
    info = weights_of(name)[0]
    mirror = environ.get(URL_VARIABLE)
    address = url or (
        urllib.parse.urljoin(f"{mirror.rstrip('/')}/", info.file) if mirror else info.address
    )
    return fetch_weights(info, address, models_dir(state_dir), progress=progress, timeout=timeout)


def fetch_weights(
    info: ModelInfo,
    address: str,
    folder: str,
    *,
    progress: Progress | None = None,
    timeout: float = 30.0,
) -> str:
    """Fetch one weights file from ``address`` into ``folder``; return its path.

    It has a name ending in ``.part`` until it is whole and its hash is right; a next call
    resumes there. Where no hash is published the size has to be right, and the hash is kept
    beside the file: what comes under this name later has to have it too. What ``progress``
    raises ends the download. ``timeout`` is in seconds without a byte. Raise DownloadError.
    """
    target = os.path.join(folder, info.file)
    with _storing(address, target) as part:
        expected = info.hash_prefix or first_digest(target)
        if os.path.isfile(target) and file_digest(target).startswith(expected):
            return target
        with _sole_writer(part) as file:
            _fetch(address, file, progress, timeout)
            _check_content(part, info, address, expected)
            move_into_place(part, target)
            if not expected:
                keep_digest(target)
    return target


def fetch_file(
    address: str, target: str, *, progress: Progress | None = None, timeout: float = 30.0
) -> None:
    """Fetch a file of which nothing is known before; else as :func:`fetch_weights`."""
    with _storing(address, target) as part, _sole_writer(part) as file:
        _fetch(address, file, progress, timeout)
        move_into_place(part, target)


@contextlib.contextmanager
def _storing(address: str, target: str) -> Iterator[str]:
    """Yield the name of what ``target`` will be. Raise DownloadError as the disk refuses."""
    _check_address(address)
    part = target + ".part"
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        yield part
    except OSError as error:
        remedy = "check the disk"
        if error.errno in NO_SPACE:
            remedy = "free some space"
        elif error.errno in NO_RIGHTS:
            remedy = "check the rights of the folder"
        raise DownloadError(f"cannot store {part}: {error.strerror or error}", remedy) from error


def _check_content(part: str, info: ModelInfo, address: str, expected: str) -> None:
    """Raise DownloadError when what came is not what was wanted; it is removed then."""
    if not file_digest(part).startswith(expected):
        os.unlink(part)
        remedy = "try again, or fetch the file another way"
        if not info.hash_prefix:
            remedy += f"; if its authors replaced it, delete {info.file}{FIRST_DIGEST} beside it"
        raise DownloadError(
            f"what came from {address} is not {info.file}: its SHA-256 does not begin "
            f"with {expected}",
            remedy,
        )
    megabytes = os.path.getsize(part) / 1e6
    if not expected and abs(megabytes - info.megabytes) > SIZE_TOLERANCE * info.megabytes:
        os.unlink(part)
        raise DownloadError(
            f"what came from {address} is not {info.file}: it has {megabytes:.1f} MB, not "
            f"{info.megabytes:.1f}",
            "try again, or fetch the file another way",
        )


def _check_address(address: str) -> None:
    try:
        parts = urllib.parse.urlsplit(address)
        local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        allowed = parts.scheme == "https" or (parts.scheme == "http" and local)
    except ValueError:
        allowed = False  # no address at all
    if not allowed:
        raise DownloadError(
            f"weights are not fetched from {address}", "give an address that begins with https://"
        )


@contextlib.contextmanager
def _sole_writer(part: str) -> Iterator[BinaryIO]:
    """Open ``part`` to append to it, while no other process does.

    Two writers (the daemon, and `tagger model download`) would spoil each other's file.
    """
    with open(part, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The other one may have finished, and renamed the file, just before the lock.
            alone = os.path.samestat(os.stat(part), os.fstat(file.fileno()))
        except (BlockingIOError, FileNotFoundError):
            alone = False
        if not alone:
            raise DownloadError(f"{part} is being downloaded already", "wait until that has ended")
        try:
            yield file
        except BaseException:
            if not os.fstat(file.fileno()).st_size:  # nothing that a next call could go on from
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(part)
            raise


def _fetch(address: str, file: BinaryIO, progress: Progress | None, timeout: float) -> None:
    """Append to ``file`` what it lacks of ``address``, and bring it to the disk."""
    have = file.seek(0, os.SEEK_END)
    response = _open(address, have, timeout)
    if response is None:
        return  # nothing is left to fetch; the hash will tell
    with contextlib.closing(response):
        if have and response.status != 206:
            file.truncate(0)  # the server sends all of it
            have = 0
        length = response.headers.get("Content-Length", "")
        total = have + int(length) if length.isdigit() else None
        if progress is not None:
            progress(have, total)
        while chunk := _read(response, address):
            file.write(chunk)
            have += len(chunk)
            if progress is not None:
                progress(have, total)
    file.flush()
    os.fsync(file.fileno())
    if total is not None and have < total:
        raise DownloadError(
            f"{address} broke off after {have} of {total} bytes", "try again; it resumes there"
        )


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but only to where weights may be fetched from."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> urllib.request.Request | None:
        try:
            _check_address(newurl)
        except DownloadError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _open(address: str, start: int, timeout: float) -> HTTPResponse | None:
    """Return the answer from byte ``start`` on; None when there is nothing from there on."""
    try:
        request = urllib.request.Request(  # noqa: S310 - checked before
            address, headers={"User-Agent": "tagger"}
        )
        if start:
            request.add_header("Range", f"bytes={start}-")
        response = urllib.request.build_opener(_Redirects).open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and start:
            return None
        raise DownloadError(
            f"{address} cannot be fetched: the server answers {error.code} {error.reason}",
            "check the address, or fetch the file another way",
        ) from error
    except (OSError, HTTPException, ValueError) as error:
        raise _unreachable(address, error) from error
    assert isinstance(response, HTTPResponse)
    return response


def _read(response: HTTPResponse, address: str) -> bytes:
    try:
        return response.read1(CHUNK)  # what has come so far: a timeout loses nothing
    except (OSError, HTTPException) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> DownloadError:
    reason = getattr(error, "reason", None) or error
    return DownloadError(
        f"{address} cannot be fetched: {reason}", "check the network; the next try resumes"
    )
