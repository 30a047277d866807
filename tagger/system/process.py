"""This process: priority, cores, memory, and what the OOM killer takes first."""

from __future__ import annotations

import ctypes
import logging
import os
import resource

import psutil

log = logging.getLogger(__name__)

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_MIB = 1 << 20
DESCRIPTORS = 16_384
"""Open files: far more than the page's visitors and the watched folders need."""
_PR_SET_DUMPABLE = 4


def give_memory_back() -> None:
    """Have the C library return large blocks to the system as soon as they are free.

    glibc raises by itself the size from which it does so, up to 32 MiB, and keeps what was
    smaller: a network's activations, some 100 MB. See mallopt(3); other C libraries have no
    such thing. To be called before the network is loaded.

    The 3.2 MB of an fp32 layer of four crops are large: from the heap, where aligned blocks that
    were freed do not fit again, a page under load made it grow to 700 MB. So are the layers of
    1 to 2 MB of one crop and of a detector: 10 MB less with three networks, for 1 % of CPU.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _MIB)
        mallopt(_TRIM_THRESHOLD, 32 * _MIB)
        mallopt(_ARENA_MAX, 1)


def trim_memory() -> None:
    """Return to the system what is free in the middle of the heap as well; see malloc_trim(3).

    One small block at its end otherwise keeps tens of MB for as long as the daemon runs.
    """
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)


def be_nice(nice: int, io: str) -> None:
    """Lower the priority of this thread, and of all threads and processes it starts.

    ``nice`` is the niceness (0…19), ``io`` is ``idle``, ``low`` or ``normal``.

    A machine that does not allow it is no reason to stop.
    """
    classes = {"idle": psutil.IOPRIO_CLASS_IDLE, "low": psutil.IOPRIO_CLASS_BE}
    try:
        if os.getpriority(os.PRIO_PROCESS, 0) < nice:
            os.setpriority(os.PRIO_PROCESS, 0, nice)
        if io != "normal":
            # Zero is the calling thread; psutil asks for a process, which is its first one.
            psutil.Process().ionice(classes[io], 7 if io == "low" else None)
    except Exception as error:  # noqa: BLE001 - logged; no figure or right is worth a stop
        log.warning("the priority stays as it is: %s", error)


def cores() -> int:
    """Return how many cores this process may use: a container or unit may have fewer."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except OSError:
        return os.cpu_count() or 1


def raise_descriptors() -> None:
    """Let this process, and those it starts, open as many files as its hard limit allows.

    The soft limit is low for the sake of programs that use select(2); see getrlimit(2).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError) as error:
            log.debug("the limit on open files stays %d: %s", soft, error)


def keep_private() -> None:
    """Close this process's memory to others of the same account, as root's is: no tracing either.

    Processes that it starts are not closed by that. There is no core dump of it any more.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        log.debug("this process could not be closed to others of its account")


def memory_mb() -> float | None:
    """Return the memory of this process and its children in MB (10⁶ bytes).

    Shared pages are counted once (the proportional set size of smaps, see proc(5)). None
    when the system does not say.
    """
    total = 0
    try:
        for process in (one := psutil.Process(), *one.children(recursive=True)):
            try:
                total += process.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue  # it has ended meanwhile
    except Exception as error:  # noqa: BLE001 - logged; a /proc may be hidden, or look otherwise
        log.debug("no memory figure: %r", error)
        return None
    return round(total / 1e6, 1)


DECODER = 500
"""Ended rather than the daemon: it costs one photo a second try. In the kernel's eyes as much as
half of all memory in use; see proc(5)."""
CONVERTER = 1000
"""Ended before all others: it is large, and what it does can be done later, or not at all."""


def offer_to_end(score: int) -> None:
    """Have the kernel end this process before those with a lower score (0…1000)."""
    try:
        with open("/proc/self/oom_score_adj", "r+b", buffering=0) as file:
            wanted = min(int(file.read()) + score, 1000)
            file.write(b"%d" % wanted)
    except (OSError, ValueError) as error:
        log.debug("this process could not be made the first to be ended: %s", error)
