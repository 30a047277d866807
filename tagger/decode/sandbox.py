"""The inside of a decoding process: give up every right, then decode what is asked for.

Photos come from strangers and decoders have bugs: whoever takes such a process over shall reach
nothing but the photo that it was given, and its answer. What holds, where the kernel has it (all
of it on Linux 6.12 and x86-64 or aarch64, seccomp since 3.5, Landlock since 5.13):

* each photo comes as a descriptor to read, opened by the daemon;
* no system call that opens, makes, renames or deletes anything by name, no socket, no process,
  no signal to another one, no code besides what is loaded (:mod:`~tagger.decode.seccomp`);
* no file, TCP port, abstract socket or signal by Landlock either (:mod:`~tagger.decode.landlock`);
* a network of its own with nothing in it, where namespaces are allowed, or the service's;
* no capabilities, not even as root, and no way to any;
* so much memory, no byte written to a file, no core dump, an end with the daemon's.

What remains: it may still ask for the size and dates of a file whose name it knows.
"""

from __future__ import annotations

import codecs
import contextlib
import ctypes
import importlib
import locale
import os
import platform
import resource
import signal
import socket
import struct
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any

from tagger.decode import landlock, seccomp
from tagger.records import NO_VIEWS, CropSpec, ExtraViews
from tagger.system.process import DECODER, offer_to_end

READY = b"ready"
"""What a process says first, then a space and what it could not do, see :func:`confine`."""
MAX_READY = 200
START_SECONDS = 60.0
"""A process that is not ready by then will never be."""
DIE, RENOUNCE = "die with the daemon", "renounce privileges"
NETWORK, CAPABILITIES = "leave the network", "drop its capabilities"
LANDLOCK, FILTER = "use Landlock", "filter its system calls"
"""What may be missing, see :func:`confine`."""
WHOLE, QUICK, CENTRE, VIEW, SQUARE = b"w", b"q", b"c", b"v", b"s"
"""How a request begins, see :func:`serve`."""

UNKNOWN_DATA_MB = 256
ADDRESS_SPACE_MB = 2048
"""The least that the limit on the address space is, of which memory is but a part."""

_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP = 1, 24
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _CLEAR_ALL = 38, 47, 4
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_CAPABILITIES_VERSION = 0x20080522
_CAPSET = {"x86_64": 126, "aarch64": 91}

_MAX_TASKS = 64
"""Threads, where they are counted apart from those of the account's other processes."""

_PRELOADED = (
    "rawpy tagger.decode.protocol tagger.decode.preview"
    " _strptime copy fractions mmap random tempfile traceback"
    " PIL.ImageColor PIL.ImageFilter PIL.ImageMath PIL.ImageMode PIL.ImagePalette PIL.ImageSequence"
).split()
"""What is imported before nothing can be any more; Pillow's plugins come with these."""
_CODECS = (
    "ascii latin-1 utf-8 utf-8-sig utf-16 utf-16-le utf-16-be utf-32 cp437 cp1252 idna".split()
)


def serve(
    pipe: Connection,
    memory_mb: int,
    parent: int,
    settings: tuple[CropSpec, int, bool, ExtraViews],
    ffmpeg: bool = False,
) -> None:
    """Say READY, then answer each path (:func:`os.fsencode`) that comes, until the pipe ends.

    After each comes a byte with a descriptor of the photo's file; the path serves messages only.
    Before a path stands QUICK, WHOLE when no thumbnail will do, or CENTRE when nothing but the
    centre is of interest. Or VIEW or SQUARE and two bytes with a side in pixels: a picture to look
    at is wanted, see :func:`tagger.decode.preview.view`.

    ``settings`` are the spec, the limit in pixels, whether end crops are wanted, and what
    further networks want. ``ffmpeg``: HEIC photos will come.
    """
    photos = socket.socket(fileno=os.dup(pipe.fileno()))
    leave_tracker()
    missing = confine(memory_mb, parent, ffmpeg=ffmpeg)
    from tagger.decode.opening import decode
    from tagger.decode.preview import view
    from tagger.decode.protocol import pack, pack_view

    spec, max_pixels, more, views = settings
    try:
        pipe.send_bytes(b" ".join([READY, ", ".join(missing).encode()])[:MAX_READY])
        while True:
            asked = pipe.recv_bytes()
            kind, rest = asked[:1], asked[1:]
            try:
                fd = received(photos)
                if kind in (VIEW, SQUARE):
                    side, path = int.from_bytes(rest[:2]), os.fsdecode(rest[2:])
                    square = kind == SQUARE
                    seen = view(path, side, fd=fd, square=square, max_pixels=max_pixels)
                    answer = pack_view(seen)
                else:
                    found = decode(
                        os.fsdecode(rest),
                        spec,
                        fd=fd,
                        max_pixels=max_pixels,
                        more=more and kind != CENTRE,
                        whole=kind == WHOLE,
                        views=NO_VIEWS if kind == CENTRE else views,
                    )
                    answer = pack(found)
            except NoPhotoError:
                raise
            except Exception as error:  # noqa: BLE001 (told to the daemon, which logs it)
                answer = pack(error)
            pipe.send_bytes(answer)
    except (NoPhotoError, EOFError, ConnectionError):
        os._exit(0)  # the daemon is done, or gone


class NoPhotoError(Exception):
    """No descriptor came after a path: the daemon is gone."""


def received(photos: socket.socket) -> int:
    """Return the descriptor that comes after a path. Raise NoPhotoError when none does."""
    _, fds, _, _ = socket.recv_fds(photos, 1, 1)
    if len(fds) != 1:
        raise NoPhotoError
    os.lseek(fds[0], 0, os.SEEK_SET)  # it may have been given to one that died
    return fds[0]


def leave_tracker() -> None:
    """Close the pipe to the daemon's helper that removes shared memory by any name it is told."""
    tracker: Any = resource_tracker._resource_tracker
    if tracker._fd is not None:
        os.close(tracker._fd)
        tracker._fd = None


def confine(memory_mb: int, parent: int, *, ffmpeg: bool = False) -> list[str]:
    """Give up, for this process, all that opening photos does not need.

    ``parent`` is the process that it must not outlive. Return what could not be done here, in
    words that follow "could not".
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the daemon's to handle
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    quiet = os.open(os.devnull, os.O_WRONLY)
    for fd in (1, 2):  # libtiff and friends print what they think of a file
        os.dup2(quiet, fd)
    os.close(quiet)
    # The networks come first: what is decoded sooner than they look at it waits in memory, and then
    # a core has nothing to do while the detector takes one.
    os.nice(9)
    offer_to_end(DECODER)
    libc = ctypes.CDLL(None, use_errno=True)
    missing: list[str] = []

    def attempt(what: str, done: bool) -> None:
        if not done:
            missing.append(what)

    attempt(DIE, libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) == 0)
    if os.getppid() != parent:
        os._exit(1)  # it died before that was set
    attempt(RENOUNCE, libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        # Tasks of the account are counted anew there, so that the limit is ours alone.
        resource.setrlimit(resource.RLIMIT_NPROC, (_MAX_TASKS, _MAX_TASKS))
    else:
        attempt(NETWORK, libc.unshare(_CLONE_NEWNET) == 0 or _alone())
    preload(ffmpeg=ffmpeg)
    _limit_memory(memory_mb)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    attempt(CAPABILITIES, _drop_capabilities(libc))
    attempt(LANDLOCK, landlock.restrict(libc) > 0)
    attempt(FILTER, seccomp.restrict(libc))
    return missing


def _alone() -> bool:
    """Whether the network has nothing but the machine itself, as in the unit: then it was left."""
    try:
        with open("/proc/self/net/dev", "rb") as file:
            names = {line.split(b":")[0].strip() for line in file.readlines()[2:]}
    except OSError:
        return False
    return names <= {b"lo"}


def preload(*, ffmpeg: bool = False) -> None:
    """Load, while files can be opened, all that opening photos may need of the system."""
    # Threads of it would be no use, and Landlock holds for those only that are started later.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    for module in _PRELOADED:
        importlib.import_module(module)
    for codec in _CODECS:
        codecs.lookup(codec)
    locale.getpreferredencoding(False)
    if ffmpeg:
        importlib.import_module("tagger.decode.heic").load_ffmpeg()


def _limit_memory(memory_mb: int) -> None:
    """Let this process grow until so much memory is in use, and no further.

    What counts is what it writes to (``VmData``): the address space is mostly libraries, and
    stacks of threads that are never used. That has a limit for all else that could be mapped.
    """
    data = memory_mb * 1_000_000
    try:
        now = _status()
        written, resident = (int(now[name].split()[0]) << 10 for name in (b"VmData", b"VmRSS"))
        data = written + max(data - resident, 0)
    except (OSError, KeyError, ValueError, IndexError):
        data += UNKNOWN_DATA_MB << 20  # a /proc that is hidden: what libraries take, at most
    space = max(memory_mb, ADDRESS_SPACE_MB) << 20
    resource.setrlimit(resource.RLIMIT_DATA, (data, data))
    resource.setrlimit(resource.RLIMIT_AS, (space, space))


def _status() -> dict[bytes, bytes]:
    """Return what the system tells of this process, see proc(5). Raise OSError."""
    with open("/proc/self/status", "rb") as file:
        return {name: said for name, _, said in (line.partition(b":") for line in file)}


def _capabilities() -> int:
    with contextlib.suppress(OSError, KeyError, ValueError):
        return int(_status()[b"CapEff"], 16)
    return 0


def _drop_capabilities(libc: Any) -> bool:
    """Give up all capabilities, for good. Photos come open, so none serves to read them."""
    libc.prctl(_PR_CAP_AMBIENT, _CLEAR_ALL, 0, 0, 0)
    for capability in range(64):
        if libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # the last one, or not ours to drop: without new privileges that is the same
    number = _CAPSET.get(platform.machine())
    if number is None:
        return _capabilities() == 0
    head, none = struct.pack("=Ii", _CAPABILITIES_VERSION, 0), bytes(24)
    libc.syscall(ctypes.c_long(number), head, none)
    return _capabilities() == 0
