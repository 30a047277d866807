"""What the daemon does and how many photos there are, for the command line and the page."""

from __future__ import annotations

import os
import time
from typing import Any

from tagger.config.schema import Config
from tagger.errors import IndexNotReadyError
from tagger.index.conditions import STATES
from tagger.index.connection import index_path
from tagger.index.reader import open_reader
from tagger.system.state_dir import LOCK_NAME, daemon_process, daemon_runs, read_heartbeat


def status_json(config: Config) -> dict[str, Any]:
    """Return the documented JSON of ``tagger status``.

    Raise StateError when the index cannot be read.
    """
    runs = daemon_runs(config.state_dir)
    said = read_heartbeat(config.state_dir)
    starting = runs and said.get("pid") != (process := daemon_process(config.state_dir))
    notice = None
    if starting:  # what the one before it said is no longer true
        last = said.get("last")
        said = {"pid": process, "started_at": _lock_time(config.state_dir), "last": last}
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
    told = {root["path"]: root for root in said.get("roots", ())}
    roots = [
        told.get(root.path, {"path": root.path})
        | ({} if runs and root.path in told else {"state": "not watched"})
        for root in config.watch
    ]
    if runs:
        counts["waiting"] += said.get("queue", 0) + sum(root.get("waiting", 0) for root in roots)
    return {
        "counts": counts,
        "roots": roots,
        "model": said.get("model") if said.get("model") else config.model.name,
        "engine": said.get("engine") or config.model.engine,
        "progress": said.get("progress") if runs else None,
        "last": said.get("last"),
        "memory_mb": said.get("memory_mb") if runs else None,
        "daemon": {
            "running": runs,
            "pid": said.get("pid") if runs else None,
            "version": said.get("version") if runs else None,
            "started_at": said.get("started_at") if runs else None,
            "updated_at": said.get("updated_at"),
            "problem": said.get("problem") or _disk_problem(config.state_dir) if runs else None,
            "notice": notice or said.get("notice") if runs else None,
            "paused_reason": said.get("paused_reason") if runs else None,
            "errors": said.get("errors") if runs else None,
        },
        "state_dir": config.state_dir,
    }


def page_status_json(config: Config) -> dict[str, Any]:
    """Return what the page shows of :func:`status_json`; raise as that does."""
    status = status_json(config)
    daemon = status["daemon"]
    return {key: status[key] for key in ("counts", "model", "engine", "progress", "last")} | {
        key: daemon[key] for key in ("running", "problem", "notice", "paused_reason")
    }


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
