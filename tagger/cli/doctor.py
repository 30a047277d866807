"""``tagger doctor``."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict

import click

from tagger.cli.common import json_option, named_config, print_json
from tagger.cli.terminal import raw
from tagger.text.messages import ENGLISH, gettext, ngettext, noop, speaking
from tagger.text.printable import printable

_MARKS = {
    "ok": (noop("ok"), "green"),
    "warning": (noop("warning"), "yellow"),
    "error": (noop("ERROR"), "red"),
}
_CHECKS = frozenset(
    (
        *(noop("config"), noop("daemon"), noop("work"), noop("problem"), noop("notice")),
        *(noop("heartbeat"), noop("folders"), noop("folder"), noop("events")),
        *(noop("programs"), noop("weights"), noop("engine"), noop("scenes")),
        *(noop("int8 of scenes"), noop("detector"), noop("int8 of detector"), noop("decoding")),
        *(noop("state directory"), noop("disks"), noop("disk"), noop("index"), noop("old index")),
        *(noop("failures"), noop("rules"), noop("rule"), noop("clock")),
        *(noop("metrics"), noop("page")),
    )
)
"""The names of checks; behind one of them there may be what it is about."""


@click.command("doctor")
@json_option
def doctor_command(as_json: bool) -> int:
    """Check the installation, and say what to do where something is wrong.

    Changes nothing, and works whether or not the daemon runs. The exit code is 1 when
    something is wrong.
    """
    from tagger.doctor.checks import examine

    if as_json:
        with speaking(ENGLISH):
            results = list(examine(named_config(), os.environ))
        print_json([asdict(result) for result in results])
        return 1 if any(result.state == "error" for result in results) else 0
    results = []
    for result in examine(named_config(), os.environ):
        results.append(result)
        mark, color = _MARKS[result.state]
        text = "\n           ".join(map(printable, result.message.split("\n")))
        click.secho(f"{gettext(mark):<8} ", raw(sys.stdout), nl=False, fg=color)
        click.echo(f"{printable(_name(result.name))}: {text}")
        if result.remedy:
            click.echo(f"           -> {printable(result.remedy)}")
    errors = sum(result.state == "error" for result in results)
    warnings = sum(result.state == "warning" for result in results)
    said = (
        ngettext("%(n)s error", "%(n)s errors", errors),
        ngettext("%(n)s warning", "%(n)s warnings", warnings),
        ngettext("%(n)s check", "%(n)s checks", len(results)),
    )
    click.echo(", ".join(said))
    return 1 if errors else 0


def _name(name: str) -> str:
    """Return the name of a check in the language that is spoken."""
    if name in _CHECKS:
        return gettext(name)
    kind, space, what = name.partition(" ")
    return f"{gettext(kind)}{space}{what}" if kind in _CHECKS else name
