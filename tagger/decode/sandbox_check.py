"""Which walls stand around decoding processes on this machine, told by one that is put behind them.

See :mod:`~tagger.decode.sandbox` for what they are.
"""

from __future__ import annotations

import ctypes
import json
import logging
import multiprocessing
import os
import socket
from dataclasses import dataclass
from multiprocessing.connection import Connection

from tagger.decode import landlock
from tagger.decode.sandbox import START_SECONDS, confine, leave_tracker, received

log = logging.getLogger(__name__)

_FIRST = 16
"""Bytes of the file that is passed, which come back."""


@dataclass(frozen=True, slots=True)
class SandboxCheck:
    """What one process found: ``missing`` in the words of :func:`~tagger.decode.sandbox.confine`.

    ``landlock`` is the kernel's version of it, or 0 and ``refusal`` the number of the error.
    ``passed``: a file that was passed open could be read. ``reached``: one could be opened by name.
    """

    missing: tuple[str, ...]
    landlock: int
    refusal: int
    passed: bool
    reached: bool


def ask(memory_mb: int, *, timeout: float = START_SECONDS) -> SandboxCheck:
    """Start a process, have it confine itself and try, and return what it found.

    ``memory_mb`` is its limit. Raise ChildProcessError when it does not get so far within
    ``timeout`` seconds.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(
        target=_report, args=(theirs, memory_mb, os.getpid()), name="tagger-walls", daemon=True
    )
    process.start()
    theirs.close()
    try:
        with (
            ours,
            open(__file__, "rb") as file,
            socket.socket(fileno=os.dup(ours.fileno())) as photos,
        ):
            socket.send_fds(photos, [b"\0"], [file.fileno()])
            said = ours.recv_bytes() if ours.poll(timeout) else b""
            first = os.pread(file.fileno(), _FIRST, 0)  # the position is the same file's
    except (OSError, EOFError) as error:
        log.debug("no answer: %r", error)
        said = b""
    finally:
        process.join(0.2)
        process.kill()
        process.join()
    if not said:
        raise ChildProcessError(f"it ended with code {process.exitcode}")
    found = json.loads(said)
    return SandboxCheck(
        missing=tuple(found["missing"]),
        landlock=found["landlock"],
        refusal=found["refusal"],
        passed=found["first"] == first.hex(),
        reached=found["reached"],
    )


def _report(pipe: Connection, memory_mb: int, parent: int) -> None:
    """Confine this process, try what it can reach, and tell it."""
    photos = socket.socket(fileno=os.dup(pipe.fileno()))
    leave_tracker()
    version, refusal = landlock.asked(ctypes.CDLL(None, use_errno=True))
    found: dict[str, object] = {"landlock": version, "refusal": refusal}
    found["missing"] = confine(memory_mb, parent)
    try:
        found["first"] = os.read(received(photos), _FIRST).hex()
    except (OSError, EOFError):
        found["first"] = ""
    try:
        os.close(os.open("/", os.O_RDONLY))
        found["reached"] = True
    except OSError:
        found["reached"] = False
    pipe.send_bytes(json.dumps(found).encode())
    os._exit(0)
