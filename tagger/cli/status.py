"""``tagger status``."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from tagger.cli.common import config_or_default, json_option, print_json
from tagger.config import Config
from tagger.errors import IndexNotReadyError, TaggerError
from tagger.index.database import index_path
from tagger.index.search import open_reader
from tagger.logs import printable
from tagger.progress import Standing
from tagger.state import LOCK_NAME, daemon_process, daemon_runs, read_heartbeat

WATCH_SECONDS = 2.0


def status_json(config: Config) -> dict[str, Any]:
    """Return the documented JSON of ``tagger status``."""
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
        counts = dict.fromkeys(("tagged", "untagged", "waiting", "failed", "missing"), 0)
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
            "resting": said.get("resting") if runs else None,
        },
        "state_dir": config.state_dir,
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


@click.command("status")
@json_option
@click.option("--watch", is_flag=True, help="Go on showing it, every two seconds, until Ctrl-C.")
@click.pass_context
def status_command(ctx: click.Context, as_json: bool, watch: bool) -> None:
    """Say what the daemon does, and how many photos there are."""
    config = config_or_default(ctx)
    if watch:
        if as_json or not sys.stdout.isatty():
            raise click.UsageError("--watch is for a terminal, and not for --json", ctx)
        _watch(config)
    elif as_json:
        print_json(status_json(config))
    else:
        click.echo("\n".join(_lines(status_json(config))))


def _watch(config: Config) -> None:
    """Show the status anew every two seconds, until Ctrl-C."""
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as live:
        try:
            while True:
                try:
                    lines = list(_lines(status_json(config)))
                except TaggerError as error:  # the index is just being made, or mended
                    lines = [printable(str(error))]
                live.update(Text("\n".join(lines)), refresh=True)
                time.sleep(WATCH_SECONDS)
        except KeyboardInterrupt:
            return


def _lines(status: dict[str, Any]) -> Iterator[str]:
    """Yield the status as a person reads it."""
    daemon, counts = status["daemon"], status["counts"]
    if daemon["running"]:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(daemon["started_at"]))
        yield f"running since {since} (process {daemon['pid']})"
    else:
        yield "not running; start it with `tagger run`"
    if daemon["problem"]:
        yield f"problem: {daemon['problem']}"
    if daemon["resting"]:
        yield f"resting: {daemon['resting']}"
    if daemon["notice"]:
        yield f"note: {printable(daemon['notice'])}"
    yield f"model: {status['model']} ({status['engine']})"
    yield f"photos: {', '.join(f'{n:,} {name}' for name, n in counts.items())}"
    progress = Standing(**status["progress"]) if status["progress"] else Standing()
    if progress.remaining:
        yield f"progress: {progress}"
    if last := status["last"]:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(last["at"]))
        yield f"last: {printable(last['path'])} ({when}, {last['milliseconds']:.0f} ms)"
    if status["memory_mb"]:
        yield f"memory: {status['memory_mb']:.0f} MB"
    for root in status["roots"]:
        reason = f", {root['reason']}" if root.get("reason") else ""
        mode = f" ({root['mode']})" if root.get("mode") else ""
        yield f"folder: {root['path']}: {root['state']}{mode}{reason}"
    if counts["failed"]:
        yield "see `tagger failures`"
