"""Stops tagger just before a chosen system call, to kill it there or to meddle with its files.

A server: each line of its input is a run as JSON, answered by a line. A run forks, and the
child, in which everything is imported already, runs one command line of tagger under ptrace.
A seccomp filter lets only the system calls of interest stop, so the rest goes at full speed.
Of all threads and processes together those calls are counted that concern a file below one of
``under``; strace counts each thread for itself and cannot tell a photo from a pipe.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import platform
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tagger.pipeline.photo_lock import LOCK_NAME

NUMBERS: dict[str, dict[str, int]] = {
    "x86_64": {
        "write": 1,
        "pwrite64": 18,
        "writev": 20,
        "fsync": 74,
        "fdatasync": 75,
        "ftruncate": 77,
        "rename": 82,
        "unlink": 87,
        "link": 86,
        "unlinkat": 263,
        "renameat": 264,
        "linkat": 265,
        "renameat2": 316,
        "openat": 257,
        "openat2": 437,
        "newfstatat": 262,
        "lstat": 6,
        "statx": 332,
    },
    "aarch64": {
        "write": 64,
        "pwrite64": 68,
        "writev": 66,
        "fsync": 82,
        "fdatasync": 83,
        "ftruncate": 46,
        "unlinkat": 35,
        "renameat": 38,
        "linkat": 37,
        "renameat2": 276,
        "openat": 56,
        "openat2": 437,
        "newfstatat": 79,
        "statx": 291,
    },
}
CALLS = NUMBERS.get(platform.machine(), {})
LOOKING = [name for name in CALLS if name in ("openat", "openat2", "newfstatat", "lstat", "statx")]
CHANGING = [name for name in CALLS if name not in LOOKING]
_BY_FD = ("write", "pwrite64", "writev", "fsync", "fdatasync", "ftruncate")
_FIRST_IS_FOLDER = (
    *(name for name in LOOKING if name != "lstat"),
    *("unlinkat", "renameat", "linkat", "renameat2"),
)

_TRACEME, _CONT, _SETOPTIONS, _GET_SYSCALL_INFO = 0, 7, 0x4200, 0x420E
_FORK, _VFORK, _CLONE, _SECCOMP, _EXITKILL = 2, 4, 8, 0x80, 0x100000
_EVENT_SECCOMP = 7
_WALL = 0x40000000
_RET_ALLOW, _RET_TRACE = 0x7FFF0000, 0x7FF00000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


def normal(path: str) -> str:
    """Return the path without what differs from run to run."""
    return re.sub(r"(\.tagger-[a-z-]*)[0-9a-f-]{5,}", r"\1*", path)


class Run:
    """One command line of tagger, stopped at one call (``at``, from 1; 0: at none)."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.asked = asked
        self.under = tuple(asked["under"])
        self.points: list[tuple[str, str]] = []
        self.stopped: tuple[str, str] | None = None
        self.beside: subprocess.Popen[bytes] | None = None

    def trace(self) -> dict[str, Any]:
        leader = os.fork()
        if leader == 0:
            self._child()
        os.waitpid(leader, os.WUNTRACED)
        options = _FORK | _VFORK | _CLONE | _SECCOMP | _EXITKILL
        _ptrace(_SETOPTIONS, leader, 0, options)
        _ptrace(_CONT, leader, 0, 0)
        code = -1
        kill = threading.Timer(self.asked["seconds"], os.kill, (leader, signal.SIGKILL))
        if self.asked["seconds"]:
            kill.start()
        for tid, status in _changes():
            if os.WIFSTOPPED(status):
                if status >> 16 == _EVENT_SECCOMP:
                    self._call(leader, tid)
                number = os.WSTOPSIG(status)
                quiet = status >> 16 or number in (signal.SIGSTOP, signal.SIGTRAP)
                _ptrace(_CONT, tid, 0, 0 if quiet else number)
            elif tid == leader:
                code = os.waitstatus_to_exitcode(status)
                kill.cancel()
            elif self.beside is not None and tid == self.beside.pid:
                self.beside.returncode = os.waitstatus_to_exitcode(status)
        beside = None if self.beside is None else self.beside.returncode
        return {"code": code, "points": self.points, "stopped": self.stopped, "beside": beside}

    def _child(self) -> None:
        log = os.open(self.asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.environ.update(self.asked["environ"])
        try:
            _ptrace(_TRACEME, 0, 0, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            _filter([CALLS[name] for name in self.asked["calls"]])
            from tagger.cli import main

            code = main(self.asked["argv"])
            sys.stderr.flush()
        except BaseException as error:  # noqa: BLE001 (it must never return to the server)
            os.write(2, f"{error!r}\n".encode())
            code = 70
        os._exit(code)

    def _call(self, leader: int, tid: int) -> None:
        call = _describe(tid)
        if call is None or not call[1].startswith(self.under):
            return
        self.points.append((call[0], normal(call[1])))
        if len(self.points) != self.asked["at"]:
            return
        self.stopped = self.points[-1]
        action, *paths = self.asked["action"]
        if action == "kill":
            os.kill(leader, signal.SIGKILL)
        elif action == "rename":
            os.rename(*paths)
        elif action == "replace":
            os.replace(*paths)
        elif action == "remove":
            os.unlink(paths[0])
        elif action == "run":
            command = [sys.executable, "-m", "tagger", *paths]
            self.beside = subprocess.Popen(
                command, env=os.environ | self.asked["environ"], stdout=subprocess.DEVNULL
            )
            ended_or_waits(self.beside)
        elif action == "edit":
            with open(paths[0], "ab") as file:
                file.write(b"edited by somebody else")


def ended_or_waits(command: subprocess.Popen[bytes]) -> None:
    """Return when a command of tagger's has ended, or asks for the lock of a photo.

    One that is about a photo that is being changed goes on when that is done, so who
    changes the photo must not wait for its end.
    """
    descriptors = Path(f"/proc/{command.pid}/fd")
    while command.poll() is None:
        for one in descriptors.glob("*"):
            try:
                if os.path.basename(os.readlink(one)) == LOCK_NAME:
                    return
            except OSError:  # closed meanwhile
                continue
        time.sleep(0.01)


def _changes() -> Iterator[tuple[int, int]]:
    """Yield what becomes of the threads traced, and of a command beside, until there is none."""
    while True:
        try:
            yield os.waitpid(-1, _WALL)
        except ChildProcessError:
            return


def _ptrace(request: int, tid: int, address: int, data: int) -> int:
    done = int(_libc.ptrace(request, tid, address, data))
    if done < 0 and ctypes.get_errno() != errno.ESRCH:  # killed meanwhile
        raise OSError(ctypes.get_errno(), f"ptrace {request}")
    return done


def _filter(numbers: list[int]) -> None:
    """Let the calls ``numbers`` of this process, and of those it makes, stop for the tracer."""
    program = [struct.pack("HBBI", 0x20, 0, 0, 0)]  # load the number
    program += [
        struct.pack("HBBI", 0x15, len(numbers) - at, 0, number)  # equal: jump to the last line
        for at, number in enumerate(numbers)
    ]
    program += [struct.pack("HBBI", 0x06, 0, 0, result) for result in (_RET_ALLOW, _RET_TRACE)]
    code = ctypes.create_string_buffer(b"".join(program))
    what = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(program), ctypes.addressof(code))
    )
    if _libc.prctl(38, 1, 0, 0, 0) or _libc.prctl(22, 2, what, 0, 0):
        raise OSError(ctypes.get_errno(), "no seccomp filter")


def _describe(tid: int) -> tuple[str, str] | None:
    """Return the system call that a thread is about to make, and the file it concerns."""
    info = ctypes.create_string_buffer(88)
    if _ptrace(_GET_SYSCALL_INFO, tid, len(info), ctypes.addressof(info)) < 0:
        return None
    number, *arguments = struct.unpack_from("7Q", info, 24)
    name = next(name for name, one in CALLS.items() if one == number)
    try:
        if name in _BY_FD:
            return name, os.readlink(f"/proc/{tid}/fd/{arguments[0]}")
        if name not in _FIRST_IS_FOLDER:
            return name, _string(tid, arguments[0])
        path = _string(tid, arguments[1])
        if not path.startswith("/") and arguments[0] < 1 << 31:  # below a descriptor
            path = os.path.join(os.readlink(f"/proc/{tid}/fd/{arguments[0]}"), path)
        return name, path
    except OSError:
        return None


def _string(tid: int, address: int) -> str:
    with open(f"/proc/{tid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        return os.fsdecode(memory.read(min(4096, 4096 - address % 4096 + 512)).split(b"\0")[0])


def serve() -> None:
    """Answer the runs on standard input until it ends."""
    import onnxruntime  # noqa: F401

    import tagger.cli.run
    import tagger.daemon.daemon
    import tagger.decode.pool
    import tagger.pipeline.pipeline  # noqa: F401

    for line in sys.stdin:
        signal.alarm(400)
        print(json.dumps(Run(json.loads(line)).trace()), flush=True)
        signal.alarm(0)


def possible() -> bool:
    """Whether this kernel and machine let one process trace another like this."""
    try:
        scope = int(Path("/proc/sys/kernel/yama/ptrace_scope").read_text())
    except OSError:
        scope = 0
    return bool(CALLS) and scope < 3


if __name__ == "__main__":
    serve()
