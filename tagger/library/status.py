"""What the daemon does and how many photos there are, for the command line and the page."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from typing import Any

from tagger.config.schema import Config, WatchRoot
from tagger.errors import IndexNotReadyError
from tagger.index.conditions import STATES
from tagger.index.connection import index_path
from tagger.index.reader import open_reader
from tagger.library.daemon_status import DaemonStatus, read_status
from tagger.system.state_dir import LOCK_NAME, daemon_process, daemon_runs


@dataclass(frozen=True, slots=True)
class SeenDaemon:
    """The daemon as it is seen from outside.

    ``process`` holds the lock, None when none does. ``starting``: it has said nothing yet, and
    ``status`` is what the one before it said.
    """

    process: int | None
    starting: bool
    status: DaemonStatus

    @property
    def running(self) -> bool:
        """Whether there is one."""
        return self.process is not None


def see_daemon(state_dir: str) -> SeenDaemon:
    """Return how the daemon of ``state_dir`` is seen from outside."""
    status = read_status(state_dir)
    if not daemon_runs(state_dir):
        return SeenDaemon(None, False, status)
    process = daemon_process(state_dir) or 0  # 0: its number is just being written
    return SeenDaemon(process, status.pid != process, status)


def status_json(config: Config, status: DaemonStatus | None = None) -> dict[str, Any]:
    """Return the documented JSON of ``tagger status``.

    ``status`` is the record of the daemon, when the caller has it. Raise StateError when the index
    cannot be read.
    """
    seen = see_daemon(config.state_dir) if status is None else SeenDaemon(status.pid, False, status)
    runs, starting = seen.running, seen.starting
    latest, notice = seen.status, seen.status.notice
    if starting:  # the rest is of the one before it
        latest = DaemonStatus(
            pid=seen.process or None, started_at=_lock_time(config.state_dir), last=latest.last
        )
        notice = "it starts"
    try:
        with open_reader(config.state_dir) as reader:
            counts = reader.counts()
    except IndexNotReadyError:
        if runs and not starting:
            raise
        if starting and os.path.exists(index_path(config.state_dir)):
            notice = "it brings the index up to date, as after an upgrade; photos wait"
        counts = dict.fromkeys(STATES, 0)
    roots = [_root_json(root, latest, runs) for root in config.watch]
    if runs:
        counts["waiting"] += latest.queue + sum(root.get("waiting", 0) for root in roots)
    now = latest if runs else DaemonStatus()
    return {
        "counts": counts,
        "roots": roots,
        "model": latest.model or config.model.name,
        "engine": latest.engine or config.model.engine,
        "networks": [asdict(network) for network in now.networks],
        "int8": [asdict(one) for one in now.int8],
        "incomplete": now.incomplete,
        "progress": asdict(now.progress) if now.progress else None,
        "last": asdict(latest.last) if latest.last else None,
        "rules": asdict(now.rules) if now.rules else None,
        "cluster": asdict(now.cluster) if now.cluster else None,
        "memory_mb": now.memory_mb,
        "daemon": {
            "running": runs,
            "pid": now.pid,
            "version": now.version,
            "started_at": now.started_at,
            "updated_at": latest.updated_at,
            "problem": now.problem or (_disk_problem(config.state_dir) if runs else None),
            "notice": notice if runs else None,
            "paused_reason": now.paused_reason,
            "errors": asdict(now.errors) if now.errors else None,
        },
        "state_dir": config.state_dir,
    }


def page_status_json(config: Config, status: DaemonStatus | None = None) -> dict[str, Any]:
    """Return what the page shows of :func:`status_json`; take and raise as that does."""
    told = status_json(config, status)
    daemon = told["daemon"]
    return {key: told[key] for key in ("counts", "model", "engine", "progress", "last")} | {
        key: daemon[key] for key in ("running", "problem", "notice", "paused_reason")
    }


def _root_json(root: WatchRoot, latest: DaemonStatus, runs: bool) -> dict[str, Any]:
    status = latest.root(root.path)
    if status is None:
        return {"path": root.path, "state": "not watched"}
    return asdict(status) | ({} if runs else {"state": "not watched"})


def _lock_time(state_dir: str) -> float:
    """Return when the lock was taken: the daemon's start."""
    try:
        return os.stat(os.path.join(state_dir, LOCK_NAME)).st_mtime
    except OSError:
        return time.time()


def _disk_problem(state_dir: str) -> str | None:
    """Return what the daemon cannot write down: that the disk of its index takes nothing."""
    try:
        found = os.statvfs(state_dir)
    except OSError as error:
        return f"{state_dir}: {error.strerror}"
    if found.f_flag & os.ST_RDONLY:
        return f"the disk of {state_dir} is read-only: mount it for writing"
    if found.f_bavail * found.f_frsize < 1 << 20:
        return f"the disk of {state_dir} is full: free some space, photos wait for it"
    return None
