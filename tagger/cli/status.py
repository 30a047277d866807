"""``tagger status``."""

from __future__ import annotations

import time
from typing import Any

import click

from tagger.cli.common import config_or_default, json_option, print_json
from tagger.config import Config
from tagger.errors import StateError
from tagger.index.search import open_reader
from tagger.logs import printable
from tagger.progress import Standing
from tagger.state import daemon_runs, read_heartbeat


def status_json(config: Config) -> dict[str, Any]:
    """Return the documented JSON of ``tagger status``."""
    runs = daemon_runs(config.state_dir)
    said = read_heartbeat(config.state_dir)
    try:
        with open_reader(config.state_dir) as reader:
            counts = reader.counts()
    except StateError:
        if runs:
            raise
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
            "problem": said.get("problem") if runs else None,
            "notice": said.get("notice") if runs else None,
            "resting": said.get("resting") if runs else None,
        },
        "state_dir": config.state_dir,
    }


@click.command("status")
@json_option
@click.pass_context
def status_command(ctx: click.Context, as_json: bool) -> None:
    """Say what the daemon does, and how many photos there are."""
    status = status_json(config_or_default(ctx))
    if as_json:
        print_json(status)
        return
    daemon, counts = status["daemon"], status["counts"]
    if daemon["running"]:
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(daemon["started_at"]))
        click.echo(f"running since {since} (process {daemon['pid']})")
    else:
        click.echo("not running; start it with `tagger run`")
    if daemon["problem"]:
        click.echo(f"problem: {daemon['problem']}")
    if daemon["resting"]:
        click.echo(f"resting: {daemon['resting']}")
    if daemon["notice"]:
        click.echo(f"note: {printable(daemon['notice'])}")
    click.echo(f"model: {status['model']} ({status['engine']})")
    click.echo(f"photos: {', '.join(f'{n:,} {name}' for name, n in counts.items())}")
    progress = Standing(**status["progress"]) if status["progress"] else Standing()
    if progress.remaining:
        click.echo(f"progress: {progress}")
    if last := status["last"]:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(last["at"]))
        click.echo(f"last: {printable(last['path'])} ({when}, {last['milliseconds']:.0f} ms)")
    if status["memory_mb"]:
        click.echo(f"memory: {status['memory_mb']:.0f} MB")
    for root in status["roots"]:
        reason = f", {root['reason']}" if root.get("reason") else ""
        mode = f" ({root['mode']})" if root.get("mode") else ""
        click.echo(f"folder: {root['path']}: {root['state']}{mode}{reason}")
    if counts["failed"]:
        click.echo("see `tagger failures`")
