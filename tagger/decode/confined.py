"""The inside of a decoding process: give up every right, then decode what is asked for."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import resource
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from tagger.oom import DECODER, offer_to_end
from tagger.photo import CropSpec

log = logging.getLogger(__name__)

READY = b"ready"
WHOLE, QUICK, CENTRE, VIEW, SQUARE = b"w", b"q", b"c", b"v", b"s"
"""How a request begins, see :func:`serve`."""

UNKNOWN_DATA_MB = 256
ADDRESS_SPACE_MB = 2048
"""The least that the limit on the address space is, of which memory is but a part."""

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_CAP_SYS_ADMIN = 1 << 21


def serve(
    pipe: Connection, memory_mb: int, parent: int, settings: tuple[CropSpec, int, bool]
) -> None:
    """Say READY, then answer each path (:func:`os.fsencode`) that comes, until the pipe ends.

    Before a path stands QUICK, WHOLE when no thumbnail will do, or CENTRE when the photo's ends
    are of no interest. Or VIEW or SQUARE and
    two bytes with a side in pixels: a picture to look at is wanted, see
    :func:`tagger.decode.view.view`.

    ``settings`` are the spec, the limit in pixels, and whether end crops are wanted.
    """
    confine(memory_mb, parent)
    from tagger.decode.answer import pack, pack_view
    from tagger.decode.crop import decode
    from tagger.decode.view import view

    spec, max_pixels, more = settings
    try:
        pipe.send_bytes(READY)
        while True:
            asked = pipe.recv_bytes()
            kind, rest = asked[:1], asked[1:]
            try:
                if kind in (VIEW, SQUARE):
                    side, path = int.from_bytes(rest[:2], "big"), os.fsdecode(rest[2:])
                    seen = view(path, side, square=kind == SQUARE, max_pixels=max_pixels)
                    answer = pack_view(seen)
                else:
                    found = decode(
                        os.fsdecode(rest),
                        spec,
                        max_pixels=max_pixels,
                        more=more and kind != CENTRE,
                        whole=kind == WHOLE,
                    )
                    answer = pack(found)
            except Exception as error:  # noqa: BLE001 (told to the daemon, which logs it)
                answer = pack(error)
            pipe.send_bytes(answer)
    except (EOFError, ConnectionError):
        pass  # the daemon is done, or gone


def confine(memory_mb: int, parent: int) -> None:
    """Give up, for this process, all that opening photos does not need.

    ``parent`` is the process that it must not outlive.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the daemon's to handle
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    quiet = os.open(os.devnull, os.O_WRONLY)
    for fd in (1, 2):  # libtiff and friends print what they think of a file
        os.dup2(quiet, fd)
    os.close(quiet)
    os.nice(5)
    offer_to_end(DECODER)
    libc = ctypes.CDLL(None, use_errno=True)
    _try("die with the daemon", lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(1)  # it died before that was set
    _try("renounce privileges", lambda: libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    _try("leave the network", lambda: _leave_network(libc))

    from tagger.decode import answer, view  # the libraries are mapped before the limit holds

    del answer, view
    _limit_memory(memory_mb)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _limit_memory(memory_mb: int) -> None:
    """Let this process grow until so much memory is in use, and no further.

    What counts is what it writes to (``VmData``): the address space is mostly libraries, and
    stacks of threads that are never used. That has a limit for all else that could be mapped.
    """
    data = memory_mb * 1_000_000
    try:
        now = _memory()
        data = now["VmData"] + max(data - now["VmRSS"], 0)
    except (OSError, KeyError, ValueError, IndexError):
        data += UNKNOWN_DATA_MB << 20  # a /proc that is hidden: what libraries take, at most
    space = max(memory_mb, ADDRESS_SPACE_MB) << 20
    resource.setrlimit(resource.RLIMIT_DATA, (data, data))
    resource.setrlimit(resource.RLIMIT_AS, (space, space))


def _memory() -> dict[str, int]:
    """Return the sizes in bytes that the system tells of this process, see proc(5)."""
    with open("/proc/self/status", "rb") as file:
        lines = [line.split() for line in file if line.startswith(b"Vm")]
    return {words[0].decode().rstrip(":"): int(words[1]) << 10 for words in lines}


def _leave_network(libc: Any) -> int:
    """Move to a network of our own, with nothing in it. Return 0 when that was done."""
    rights = _capabilities()
    if rights & _CAP_SYS_ADMIN:
        return int(libc.unshare(_CLONE_NEWNET))
    if rights:
        return -1  # a user namespace would take them away: perhaps they serve to read photos
    return int(libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET))


def _capabilities() -> int:
    with contextlib.suppress(OSError, ValueError), open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(b"CapEff:"):
                return int(line.split()[1], 16)
    return 0


def _try(what: str, call: Callable[[], int]) -> None:
    if call() != 0:
        log.debug("a decoding process could not %s", what)
