"""What :func:`tagger.cli.main` and a command tell each other."""

from __future__ import annotations

from dataclasses import dataclass

import click

_KEY = "tagger.invocation"


@dataclass(slots=True)
class Invocation:
    """One call of the command line.

    ``debug`` and ``command`` are what the user gave. ``ends_at_once``: threads still run that
    nothing may be taken from, so that the process must end without the interpreter's clean-up.
    """

    debug: bool = False
    command: str | None = None
    ends_at_once: bool = False

    def attach(self, ctx: click.Context) -> None:
        """Let the commands below ``ctx`` find it."""
        ctx.meta[_KEY] = self


def invocation(ctx: click.Context) -> Invocation:
    """Return that of ``ctx``; one that nobody asks when a command is called by itself."""
    found = ctx.meta.get(_KEY)
    return found if isinstance(found, Invocation) else Invocation()
