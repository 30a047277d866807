"""``tagger doctor``."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict

import click

from tagger.cli.common import json_option, print_json
from tagger.cli.terminal import raw
from tagger.text.messages import gettext, ngettext, noop
from tagger.text.printable import printable

_MARKS = {
    "ok": (noop("ok"), "green"),
    "warning": (noop("warning"), "yellow"),
    "error": (noop("ERROR"), "red"),
}


@click.command("doctor")
@json_option
@click.pass_context
def doctor_command(ctx: click.Context, as_json: bool) -> int:
    """Check the installation, and say what to do where something is wrong.

    Changes nothing, and works whether or not the daemon runs. The exit code is 1 when
    something is wrong.
    """
    from tagger.doctor.checks import examine

    results = []
    for result in examine(ctx.find_root().obj, os.environ):
        results.append(result)
        if as_json:
            continue
        mark, color = _MARKS[result.state]
        lines = [printable(line) for line in result.message.split("\n")]
        click.secho(f"{gettext(mark):<8} ", raw(sys.stdout), nl=False, fg=color)
        click.echo(f"{printable(result.name)}: {lines[0]}")
        for line in lines[1:]:
            click.echo(f"           {line}")
        if result.remedy:
            click.echo(f"           -> {printable(result.remedy)}")
    if as_json:
        print_json([asdict(result) for result in results])
    errors = sum(result.state == "error" for result in results)
    if not as_json:
        warnings = sum(result.state == "warning" for result in results)
        said = (
            ngettext("%(n)s error", "%(n)s errors", errors),
            ngettext("%(n)s warning", "%(n)s warnings", warnings),
            ngettext("%(n)s check", "%(n)s checks", len(results)),
        )
        click.echo(", ".join(said))
    return 1 if errors else 0
