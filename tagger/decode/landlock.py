"""Landlock: no file by its name, no TCP, no socket or signal to another process (landlock(7)).

A second wall behind :mod:`~tagger.decode.seccomp`, of another kind; Linux 5.13 has it, when it
is not left out or turned off. It holds for the thread that asks, and those it starts.
"""

from __future__ import annotations

import ctypes
import os
import struct
from typing import Any

_CREATE, _RESTRICT = 444, 446
"""The numbers of landlock_create_ruleset(2) and landlock_restrict_self(2) on all machines."""
_VERSION = 1
_FILES = ((1, 13), (2, 14), (3, 15), (5, 16))
"""From which version on how many rights on files are known."""
_TCP, _SCOPES = 0b11, 0b11


def asked(libc: Any) -> tuple[int, int]:
    """Return the kernel's version of Landlock, and if it is 0 the number of the error."""
    found = int(libc.syscall(ctypes.c_long(_CREATE), None, ctypes.c_size_t(0), _VERSION))
    return (found, 0) if found > 0 else (0, ctypes.get_errno())


def restrict(libc: Any) -> int:
    """Give up every right that Landlock knows of. Return its version, 0 when it is not there.

    Needs PR_SET_NO_NEW_PRIVS.
    """
    abi, _ = asked(libc)
    if not abi:
        return 0
    rights = max(count for since, count in _FILES if abi >= since)
    words = [(1 << rights) - 1]
    if abi >= 4:
        words.append(_TCP)
    if abi >= 6:
        words.append(_SCOPES)
    wanted = struct.pack(f"={len(words)}Q", *words)
    rules = libc.syscall(ctypes.c_long(_CREATE), wanted, ctypes.c_size_t(len(wanted)), 0)
    if rules < 0:
        return 0
    try:
        return abi if libc.syscall(ctypes.c_long(_RESTRICT), rules, 0) == 0 else 0
    finally:
        os.close(rules)
