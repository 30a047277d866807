"""What runs in a Dask worker: it takes the daemon's offer and its weights, and looks at photos.

The functions here are what the daemon calls; each worker keeps a :class:`WorkerSide`. The config of
the worker's machine is not used, and photos are only read.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import functools
import json
import logging
import os
import re
import shutil
import tempfile
import weakref
from typing import TYPE_CHECKING, Any

from tagger.cluster.looker_process import LookerProcess
from tagger.cluster.messages import join, unpack_request
from tagger.cluster.offer import Offer, SharedRoot, difference, digest
from tagger.errors import ModelError
from tagger.pipeline.portable_networks import is_sound, place_file
from tagger.watch.root_identity import read_marker

if TYPE_CHECKING:
    from distributed import Worker

log = logging.getLogger(__name__)

SIDE = "tagger_side"
"""The attribute of a Dask worker under which it keeps what looks at photos."""


async def greet(data: bytes, dask_worker: Worker) -> bytes:
    """Take an offer, see :mod:`tagger.cluster.offer`; return JSON.

    That has ``problem`` (why it is no worker for this daemon, and what to do), or ``missing`` (the
    SHA-256 of files to be sent first), or ``ready``.
    """
    return json.dumps(await _side(dask_worker).greet(data)).encode("ascii")


async def take_file(file_digest: str, at: int, data: bytes, last: bool) -> bool:
    """Take a part of a network's file; return whether the file is there, and what it should be.

    ``at`` is the part's place in bytes; False also when other parts are missing.
    """
    return await asyncio.to_thread(_store, file_digest, at, data, last)


def look(request: bytes) -> bytes:
    """Look at some photos; the Dask task. It leaves its place to others while it waits."""
    from distributed import get_worker, secede

    worker = get_worker()
    secede()
    return _side(worker).look(request)


def _side(worker: Worker) -> WorkerSide:
    side: WorkerSide | None = getattr(worker, SIDE, None)
    if side is None:
        side = WorkerSide(worker.state.nthreads)
        weakref.finalize(worker, side.close)
        setattr(worker, SIDE, side)
    return side


class WorkerSide:
    """Looks at photos in a process of its own, on ``threads`` cores."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._looker: LookerProcess | None = None
        self._offer = ""
        self._lock = asyncio.Lock()

    async def greet(self, data: bytes) -> dict[str, Any]:
        async with self._lock:
            return await asyncio.to_thread(self._greet, data)

    def _greet(self, data: bytes) -> dict[str, Any]:
        said, problem = difference(data)
        if problem:
            return {"problem": problem}
        offer = Offer.from_said(said)
        if problem := "; ".join(filter(None, map(unseen, offer.roots))):
            return {"problem": problem}
        folder = files_folder()
        missing = [one for one in dict.fromkeys(offer.files) if not is_sound(folder, one)]
        if missing:
            return {"missing": missing}
        if self._looker is None or self._looker.broken or self._offer != digest(data):
            self.close()
            looker = LookerProcess({"offer": said, "folder": folder, "threads": self._threads})
            try:
                looker.start()
            except ModelError as error:
                return {"problem": str(error)}
            self._looker, self._offer = looker, digest(data)
        return {"ready": self._looker.pid}

    def look(self, request: bytes) -> bytes:
        """Return what is seen in some photos, as :func:`tagger.cluster.messages.join` has it.

        Raise RuntimeError when no process can look at them.
        """
        looker = self._looker
        if looker is None:
            raise RuntimeError("it took no offer; the daemon greets it again")
        photos, readers = unpack_request(request)
        futures = [looker.submit(photo, readers) for photo in photos]
        return join(future.result() for future in futures)

    def close(self) -> None:
        if self._looker is not None:
            self._looker.close()
        self._looker, self._offer = None, ""


def unseen(root: SharedRoot) -> str:
    """Return why the photos of a watched folder are not seen here; empty when they are."""
    if not os.path.isdir(root.there):
        return (
            f"there is no folder {root.there} on it, where {root.path} should be; mount it there,"
            " or correct `cluster.paths`"
        )
    if root.marker is not None and read_marker(root.there) != root.marker:
        return (
            f"the folder {root.there} on it is not {root.path}; correct `cluster.paths`, or mount"
            " the right one there"
        )
    if not os.access(root.there, os.R_OK | os.X_OK):
        return f"it may not read {root.there}; let its user read the photos"
    return ""


def files_folder() -> str:
    """Return where a worker keeps networks: of a service, its cache directory.

    Where it may not write there, it is a temporary folder that goes with this process.
    """
    cache = os.environ.get("CACHE_DIRECTORY", "").split(":")[0]
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return _writable(os.path.join(cache or os.path.join(home, "tagger"), "networks"))


@functools.cache
def _writable(folder: str) -> str:
    with contextlib.suppress(OSError):
        os.makedirs(folder, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
    # A container may be run by another account than the one that its folders are made for.
    made = tempfile.mkdtemp(prefix="tagger-networks-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    log.warning("%s cannot be written to: networks are kept in %s until this ends", folder, made)
    return made


def _store(wanted: str, at: int, data: bytes, last: bool) -> bool:
    if not re.fullmatch("[0-9a-f]{64}", wanted):
        raise ValueError("no SHA-256")
    folder = files_folder()
    os.makedirs(folder, exist_ok=True)
    part = os.path.join(folder, f"{wanted}.{os.getpid()}.part")
    with open(part, "r+b" if at else "wb") as file:
        if os.fstat(file.fileno()).st_size != at:
            return False
        file.seek(at)
        file.write(data)
        file.flush()
        if last:
            os.fsync(file.fileno())
    if not last:
        return True
    return place_file(folder, wanted, part)
