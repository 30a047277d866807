"""The state directory: the lock of the daemon, and the file in which it says how it fares."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tagger.errors import StateError
from tagger.system.files import replace_atomically
from tagger.system.mounts import Mounts, read_mountinfo
from tagger.system.open_beneath import held
from tagger.text.parsing import parse_json

LOCK_NAME = "lock"
STATUS_NAME = "status.json"


@contextmanager
def state_lock(state_dir: str) -> Iterator[None]:
    """Hold the lock of a state directory.

    Raise StateError when another daemon holds it, or the directory cannot be used.
    """
    try:
        _refuse_network(state_dir)
        os.makedirs(state_dir, mode=0o750, exist_ok=True)
        fd = os.open(_lock(state_dir), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise StateError(
            f"cannot use the state directory {state_dir}: {error.strerror}",
            "correct `state_dir` in the config, or the rights of the folder",
        ) from error
    with held(fd):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise StateError(
                f"another tagger (process {pid}) already runs on {state_dir}",
                "stop it first, or give this one a `state_dir` of its own",
            ) from error
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield


def _refuse_network(state_dir: str) -> None:
    """Raise StateError on a file system whose locks and shared memory SQLite cannot trust."""
    mount = Mounts(read_mountinfo()).of(os.path.realpath(state_dir))
    if mount.remote:
        raise StateError(
            f"the state directory {state_dir} is on a network file system ({mount.fstype}),"
            " where an SQLite index gets damaged",
            "set `state_dir` to a folder on a local disk; the photos may stay where they are",
        )


def daemon_runs(state_dir: str) -> bool:
    """Whether a daemon holds the lock of ``state_dir``."""
    try:
        fd = os.open(_lock(state_dir), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    with held(fd):
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def daemon_process(state_dir: str) -> int | None:
    """Return the process that holds the lock of ``state_dir``, or was the last to hold it."""
    try:
        with open(_lock(state_dir), encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def write_heartbeat(state_dir: str, value: Mapping[str, Any]) -> None:
    """Replace the status file. Raise OSError, as when the disk is full."""
    path = os.path.join(state_dir, STATUS_NAME)
    replace_atomically(path, json.dumps(value).encode(), durable=False)


def read_heartbeat(state_dir: str) -> dict[str, Any]:
    """Return what the status file holds; nothing when there is none, or it is malformed."""
    try:
        with open(os.path.join(state_dir, STATUS_NAME), encoding="utf-8") as file:
            value = parse_json(file.read())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _lock(state_dir: str) -> str:
    return os.path.join(state_dir, LOCK_NAME)
