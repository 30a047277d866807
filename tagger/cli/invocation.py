"""What :func:`tagger.cli.main` and a command tell each other."""

from __future__ import annotations

from dataclasses import dataclass

import click

KEY = "tagger.invocation"
"""Where it is in click's ``meta`` of the context."""


@dataclass(slots=True)
class Invocation:
    """One call of the command line.

    ``debug`` and ``command`` are what the user gave. ``ends_at_once``: threads still run that
    nothing may be taken from, so that the process must end without the interpreter's clean-up.
    """

    debug: bool = False
    command: str | None = None
    ends_at_once: bool = False


def invocation() -> Invocation:
    """Return that of the command that runs; one that nobody asks when it is called by itself."""
    found = click.get_current_context().meta.get(KEY)
    return found if isinstance(found, Invocation) else Invocation()
