"""``tagger status``."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from tagger.cli.common import config_or_default, json_option, print_json
from tagger.cli.speech import in_words, stored_text
from tagger.config.schema import Config
from tagger.errors import TaggerError
from tagger.library.daemon_status import ProgressSnapshot
from tagger.library.status import see_daemon, status_json
from tagger.system.humanize import duration, moment
from tagger.text.error_texts import all_in_language
from tagger.text.messages import gettext, ngettext, noop, number
from tagger.text.printable import printable

WATCH_SECONDS = 2.0
START_SECONDS = 2.0
"""So long a start is waited for; most take less than one."""

SHOWN_WORDS = (
    *(noop("tagged"), noop("untagged"), noop("waiting"), noop("failed"), noop("missing")),
    *(noop("online"), noop("offline"), noop("not watched")),
    *(noop("subjects"), noop("scenes"), noop("detector")),
    *(noop("due"), noop("done"), noop("undone")),
    *(noop("greeted"), noop("ready"), noop("silent"), noop("refused")),
)
"""Words of the status that are shown as they are: states of photos, folders, rules, workers."""


@click.command("status")
@json_option
@click.option("--watch", is_flag=True, help="Go on showing it, every two seconds, until Ctrl-C.")
def status_command(as_json: bool, watch: bool) -> None:
    """Show what the daemon does, and how many photos there are."""
    config = config_or_default()
    if watch:
        if as_json or not sys.stdout.isatty():
            raise click.UsageError(gettext("--watch is for a terminal, and not for --json"))
        _watch(config)
        return
    _await_start(config.state_dir)
    if as_json:
        print_json(status_json(config))
    else:
        click.echo("\n".join(_lines(status_json(config))))


def _await_start(state_dir: str) -> None:
    """Wait for what a daemon that has just been started says: until then nothing is known of it."""
    deadline = time.monotonic() + START_SECONDS
    while see_daemon(state_dir).starting and time.monotonic() < deadline:
        time.sleep(0.05)


def _watch(config: Config) -> None:
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as live:
        try:
            while True:
                try:
                    lines = list(_lines(status_json(config)))
                except TaggerError as error:  # the index is just being made, or mended
                    lines = [printable(in_words(error))]
                live.update(Text("\n".join(lines)), refresh=True)
                time.sleep(WATCH_SECONDS)
        except KeyboardInterrupt:
            return


def _lines(status: dict[str, Any]) -> Iterator[str]:
    daemon, counts = status["daemon"], status["counts"]
    if daemon["running"]:
        since = moment(daemon["started_at"])
        yield gettext("running since %(since)s (process %(pid)s)", since=since, pid=daemon["pid"])
    else:
        yield gettext("not running; start it with `tagger run`")
    if daemon["problem"]:
        yield gettext("problem: %(what)s", what=stored_text(daemon["problem"]))
    if daemon["paused_reason"]:
        yield stored_text(daemon["paused_reason"])
    if errors := daemon["errors"]:
        yield gettext(
            "errors: %(n)s unexpected since the start, the last at %(when)s: %(last)s; report them",
            n=number(errors["count"]),
            when=moment(errors["at"]),
            last=printable(errors["last"]),
        )
    if daemon["notice"]:
        yield gettext("note: %(text)s", text=stored_text(daemon["notice"]))
    model = f"{printable(str(status['model']))} ({status['engine']})"
    yield gettext("model: %(model)s", model=model)
    for network in status["networks"]:
        why = all_in_language(network["problem"] or "") or gettext("it is being loaded")
        state = network["model"] or gettext("not there: %(why)s", why=why)
        yield printable(f"{gettext(network['kind'])}: {state}")
    for one in status["int8"]:
        name = gettext("int8 of the %(network)s", network=gettext(one["kind"]))
        yield f"{name}: {stored_text(one['text'])}"
    if status["incomplete"]:
        yield ngettext(
            "to be completed: %(n)s photo, which a network has not seen yet",
            "to be completed: %(n)s photos, which a network has not seen yet",
            status["incomplete"],
        )
    states = ", ".join(f"{number(n)} {gettext(name)}" for name, n in counts.items())
    yield gettext("photos: %(counts)s", counts=states)
    progress = ProgressSnapshot(**status["progress"]) if status["progress"] else None
    if progress and progress.remaining:
        yield gettext("progress: %(text)s", text=_progress(progress))
    if last := status["last"]:
        took = f"{moment(last['at'])}, {last['milliseconds']:.0f} ms"
        yield gettext("last: %(what)s", what=f"{printable(last['path'])} ({took})")
    if rules := status["rules"]:
        yield gettext(
            "rules: %(done)s done, %(failed)s failed since the start, %(waiting)s waiting",
            done=number(rules["done"]),
            failed=number(rules["failed"]),
            waiting=number(rules["waiting"]),
        )
        if rules["notice"]:
            yield gettext("rules: %(text)s", text=stored_text(rules["notice"]))
        if rules["last_failure"]:
            when, why = moment(rules["last_failed_at"]), stored_text(rules["last_failure"])
            yield gettext("rules: failed last at %(when)s: %(why)s", when=when, why=why)
    if cluster := status["cluster"]:
        yield from map(printable, _cluster_lines(cluster))
    if status["memory_mb"]:
        yield gettext("memory: %(n)s MB", n=number(status["memory_mb"]))
    for root in status["roots"]:
        reason = f", {all_in_language(root['reason'])}" if root.get("reason") else ""
        mode = f" ({root['mode']})" if root.get("mode") else ""
        what = f"{root['path']}: {gettext(root['state'])}{mode}{reason}"
        yield printable(gettext("folder: %(what)s", what=what))
    if counts["failed"]:
        yield gettext("see `tagger failures`")


def _cluster_lines(cluster: dict[str, Any]) -> Iterator[str]:
    workers = ngettext("%(n)s worker", "%(n)s workers", len(cluster["workers"]))
    parts = [cluster["scheduler"], all_in_language(cluster["problem"] or "") or workers]
    if waiting := cluster["waiting"]:
        parts.append(ngettext("%(n)s photo waiting", "%(n)s photos waiting", waiting))
    yield gettext("cluster: %(text)s", text=", ".join(parts))
    for worker in cluster["workers"]:
        reason = f": {all_in_language(worker['reason'])}" if worker["reason"] else ""
        name = f"{worker['name']} ({worker['address']})"
        done = ngettext("%(n)s photo", "%(n)s photos", worker["photos"])
        rate = gettext("%(n)s a second", n=number(worker["rate"], 1))
        said = f"{name}, {gettext(worker['state'])}{reason}, {done}, {rate}"
        yield gettext("worker: %(text)s", text=said)


def _progress(progress: ProgressSnapshot) -> str:
    done, n = number(progress.done), number(progress.remaining)
    parts = [gettext("%(done)s photos done, %(n)s to go", done=done, n=n)]
    if progress.rate is not None:
        parts.append(gettext("%(n)s a second", n=number(progress.rate, 1)))
    if progress.seconds_left is not None:
        parts.append(gettext("about %(time)s left", time=duration(progress.seconds_left)))
    return ", ".join(parts)
