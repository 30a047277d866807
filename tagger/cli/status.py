"""``tagger status``."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from tagger.cli.common import config_or_default, json_option, print_json
from tagger.config.schema import Config
from tagger.errors import TaggerError
from tagger.library.daemon_status import ProgressSnapshot
from tagger.library.status import status_json
from tagger.system.logs import printable

WATCH_SECONDS = 2.0


@click.command("status")
@json_option
@click.option("--watch", is_flag=True, help="Go on showing it, every two seconds, until Ctrl-C.")
@click.pass_context
def status_command(ctx: click.Context, as_json: bool, watch: bool) -> None:
    """Show what the daemon does, and how many photos there are."""
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
        yield f"problem: {printable(daemon['problem'])}"
    if daemon["paused_reason"]:
        yield printable(daemon["paused_reason"])
    if errors := daemon["errors"]:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(errors["at"]))
        last = f"the last at {when}: {printable(errors['last'])}"
        yield f"errors: {errors['count']:,} unexpected since the start, {last}; report them"
    if daemon["notice"]:
        yield f"note: {printable(daemon['notice'])}"
    yield f"model: {printable(str(status['model']))} ({status['engine']})"
    for network in status["networks"]:
        state = network["model"] or f"not there: {network['problem'] or 'it is being loaded'}"
        yield printable(f"{network['kind']}: {state}")
    for one in status["int8"]:
        yield printable(f"int8 of the {one['kind']}: {one['text']}")
    if status["incomplete"]:
        yield f"to be completed: {status['incomplete']:,} photos, which a network has not seen yet"
    yield f"photos: {', '.join(f'{n:,} {name}' for name, n in counts.items())}"
    progress = ProgressSnapshot(**status["progress"]) if status["progress"] else ProgressSnapshot()
    if progress.remaining:
        yield f"progress: {progress}"
    if last := status["last"]:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(last["at"]))
        yield f"last: {printable(last['path'])} ({when}, {last['milliseconds']:.0f} ms)"
    if rules := status["rules"]:
        done = f"{rules['done']:,} done, {rules['failed']:,} failed since the start"
        yield f"rules: {done}, {rules['waiting']:,} waiting"
        if rules["notice"]:
            yield printable(f"rules: {rules['notice']}")
        if rules["last_failure"]:
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(rules["last_failed_at"]))
            yield printable(f"rules: failed last at {when}: {rules['last_failure']}")
    if status["memory_mb"]:
        yield f"memory: {status['memory_mb']:.0f} MB"
    for root in status["roots"]:
        reason = f", {root['reason']}" if root.get("reason") else ""
        mode = f" ({root['mode']})" if root.get("mode") else ""
        yield printable(f"folder: {root['path']}: {root['state']}{mode}{reason}")
    if counts["failed"]:
        yield "see `tagger failures`"
