"""The system calls that are left to a decoding process: those that need no name of anything.

It reads, writes and maps what is open, starts threads, and sleeps. It opens no file, starts no
process, makes no socket, and sends a signal to nobody but itself. All else fails: with "not
permitted", or as unknown where libraries then take an older call. A filter of our own (BPF, see
seccomp(2)) for x86-64 and aarch64, for it is short, and libseccomp is not on every system.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from typing import Any

_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ARCHITECTURE, _ARGUMENTS = 4, 16
"""Where these are in what the filter looks at; the number of the call is at 0."""
_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_PR_SET_SECCOMP = 22
_RECENT = 424
"""From this number on calls have the same number everywhere, and libraries do without them."""

_MACHINES = {"x86_64": (0, 0xC000003E, 317), "aarch64": (1, 0xC00000B7, 277)}
"""The column of ALLOWED, the architecture, and the number of seccomp(2)."""

ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "futex": (202, 98),
    "munmap": (11, 215),
    "madvise": (28, 233),
    "brk": (12, 214),
    "write": (1, 64),
    "lseek": (8, 62),
    "recvmsg": (47, 212),
    "close": (3, 57),
    "mremap": (25, 216),
    "fstat": (5, 80),
    "pread64": (17, 67),
    "readv": (19, 65),
    "writev": (20, 66),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "sched_yield": (24, 124),
    "dup": (32, 23),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "set_robust_list": (273, 99),
    "get_robust_list": (274, 100),
    "set_tid_address": (218, 96),
    "restart_syscall": (219, 128),
    "rseq": (334, 293),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "gettid": (186, 178),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "sched_getaffinity": (204, 123),
    "getcpu": (309, 168),
    "membarrier": (324, 283),
    "getrandom": (318, 278),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    "getrusage": (98, 165),
    "getrlimit": (97, 163),
    "sysinfo": (99, 179),
    "uname": (63, 160),
    "fadvise64": (221, 223),
}
"""Calls with any arguments, and their numbers on x86-64 and aarch64; often used ones first."""

_MMAP, _MPROTECT = (9, 222), (10, 226)
_CLONE, _CLONE_THREAD = (56, 220), 0x10000
_FCNTL, _FCNTL_COMMANDS = (72, 25), (0, 1, 2, 3, 1030)  # duplicate, flags: not who gets signals
_IOCTL, _IOCTL_REQUESTS = (16, 29), (0x5401, 0x5450, 0x5451)  # a terminal? close on exec?
_PRCTL, _PRCTL_OPTIONS = (157, 167), (15, 16, 0x53564D41)  # names of threads and of memory
_PRLIMIT64, _TGKILL, _FSTATAT, _STATX = (302, 261), (234, 131), (262, 79), (332, 291)
_PROT_EXEC, _AT_EMPTY_PATH = 4, 0x1000

Step = tuple[int, int, int, int]
"""An instruction: what, how many to skip if true and if false, and a number."""


def restrict(libc: Any) -> bool:
    """Leave this process, with all its threads, the calls above. Return whether that was done.

    ``libc`` as of :class:`ctypes.CDLL`. Needs PR_SET_NO_NEW_PRIVS.
    """
    machine = platform.machine()
    if machine not in _MACHINES or struct.calcsize("P") != 8:
        return False
    steps = _program(*_MACHINES[machine][:2], os.getpid())
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    buffer = ctypes.create_string_buffer(code, len(code))
    filters = ctypes.create_string_buffer(
        struct.pack("@HP", len(steps), ctypes.addressof(buffer)), struct.calcsize("@HP")
    )
    call = ctypes.c_long(_MACHINES[machine][2])
    if libc.syscall(call, _SET_MODE_FILTER, ctypes.c_ulong(_ALL_THREADS), filters) == 0:
        return True
    # A service's own filter may not know the call.
    return bool(libc.prctl(_PR_SET_SECCOMP, 2, filters, 0, 0) == 0)


def _program(column: int, architecture: int, pid: int) -> list[Step]:
    """Return the filter for a machine and a process."""
    deny, unknown = _returns(_ERROR | errno.EPERM), _returns(_ERROR | errno.ENOSYS)
    steps = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture), deny]
    steps += [(_LOAD, 0, 0, 0), (_AT_LEAST, 0, 1, _RECENT), unknown]
    steps += [(_EQUAL, 0, 1, _STATX[column]), unknown]

    def when(numbers: tuple[int, int], conditions: list[Step]) -> None:
        """Let a call pass if its ``conditions``, which are steps that end it, say so."""
        steps.append((_EQUAL, 0, len(conditions), numbers[column]))
        steps.extend(conditions)

    # Nothing becomes code any more.
    for numbers in (_MMAP, _MPROTECT):
        when(numbers, [_low(2), (_ANY_BIT, 0, 1, _PROT_EXEC), deny, _returns(_ALLOW)])
    for name_numbers in ALLOWED.values():
        if (number := name_numbers[column]) is not None:
            steps += [(_EQUAL, 0, 1, number), _returns(_ALLOW)]
    when(_CLONE, [_low(0), (_ANY_BIT, 0, 1, _CLONE_THREAD), _returns(_ALLOW), deny])
    when(_FCNTL, _one_of(1, _FCNTL_COMMANDS))
    when(_IOCTL, _one_of(1, _IOCTL_REQUESTS))
    when(_PRCTL, _one_of(0, _PRCTL_OPTIONS))
    when(_TGKILL, _one_of(0, (pid,)))
    # How an open file is looked at; no bit tells whether a name is given as well.
    when(_FSTATAT, [_low(3), (_ANY_BIT, 0, 1, _AT_EMPTY_PATH), _returns(_ALLOW), deny])
    # To read a limit, not to set it.
    none = [_low(2), (_EQUAL, 0, 3, 0), _high(2), (_EQUAL, 0, 1, 0), _returns(_ALLOW), deny]
    when(_PRLIMIT64, none)
    return [*steps, deny]


def _returns(value: int) -> Step:
    return (_RETURN, 0, 0, value)


def _low(argument: int) -> Step:
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * argument)


def _high(argument: int) -> Step:
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * argument + 4)


def _one_of(argument: int, values: tuple[int, ...]) -> list[Step]:
    steps: list[Step] = [_low(argument)]
    for value in values:
        steps += [(_EQUAL, 0, 1, value), _returns(_ALLOW)]
    return [*steps, _returns(_ERROR | errno.EPERM)]
