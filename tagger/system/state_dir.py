"""The state directory as seen from outside the index: the daemon's lock and its heartbeat."""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tagger.errors import StateError
from tagger.system.mounts import Mounts, read_mountinfo
from tagger.text.parsing import parse_json

log = logging.getLogger(__name__)

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
    try:
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
    finally:
        os.close(fd)


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
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def daemon_process(state_dir: str) -> int | None:
    """Return the process that holds the lock of ``state_dir``, or was the last to hold it."""
    try:
        with open(_lock(state_dir), encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def write_heartbeat(state_dir: str, said: Mapping[str, Any]) -> None:
    """Replace the heartbeat file. A full disk is no reason to stop, so it is only logged."""
    path = os.path.join(state_dir, STATUS_NAME)
    try:
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(said, file)
        os.replace(path + ".new", path)
    except OSError as error:
        log.debug("cannot write %s: %s", path, error)


def read_heartbeat(state_dir: str) -> dict[str, Any]:
    """Return what the daemon last said of itself; empty when it never ran."""
    try:
        with open(os.path.join(state_dir, STATUS_NAME), encoding="utf-8") as file:
            said = parse_json(file.read())
    except (OSError, ValueError):
        return {}
    if not isinstance(said, dict):
        return {}
    return {key: value for key, value in said.items() if _is_sound(key, value)}


_NUMBER = (int, float)
_SAID: dict[str, tuple[type, ...]] = {
    "pid": (int,),
    "version": (str,),
    "started_at": _NUMBER,
    "updated_at": _NUMBER,
    "memory_mb": _NUMBER,
    "queue": (int,),
    **dict.fromkeys(("state", "model", "engine", "problem", "notice", "paused_reason"), (str,)),
    **dict.fromkeys(("progress", "last", "errors"), (dict,)),
    **dict.fromkeys(("roots", "unconfined"), (list,)),
}
_INSIDE: dict[str, dict[str, tuple[type, ...]]] = {
    "progress": {"done": (int,), "remaining": (int,)},
    "last": {"path": (str,), "at": _NUMBER, "milliseconds": _NUMBER},
    "errors": {"count": (int,), "last": (str,), "at": _NUMBER},
}
_LATEST = 1e11
"""Seconds since the epoch; what is later is no time that can be shown."""


def _is_sound(key: str, given: Any) -> bool:
    """Whether what a heartbeat says is of the kind that :func:`write_heartbeat` gets."""
    if given is None:
        return True
    value: Any = given  # of whatever type, for the type checker
    if not isinstance(given, _SAID.get(key, (object,))):
        return False
    if key.endswith("_at"):
        return bool(0 <= value < _LATEST)
    if key == "roots":
        return all(
            isinstance(root, dict) and all(isinstance(root.get(k), str) for k in ("path", "state"))
            for root in value
        )
    if key == "unconfined":
        return all(isinstance(what, str) for what in value)
    inside = _INSIDE.get(key, {})
    if not all(isinstance(value.get(name), kinds) for name, kinds in inside.items()):
        return False
    return "at" not in inside or bool(0 <= value["at"] < _LATEST)


def _lock(state_dir: str) -> str:
    return os.path.join(state_dir, LOCK_NAME)
