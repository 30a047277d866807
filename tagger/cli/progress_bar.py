"""The progress bar of ``tagger run`` on a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tagger.config.schema import LogConfig
from tagger.library.daemon_status import ProgressSnapshot
from tagger.system.humanize import duration
from tagger.text.messages import gettext, number

if TYPE_CHECKING:
    from rich.progress import TaskID

ENOUGH = 10
"""Fewer photos than this are done before a bar can be read."""


class Bar:
    """Shows how the work stands below the log, while there is much to do. A context manager.

    Set the log up within, so that its lines go above the bar.
    """

    def __init__(self) -> None:
        # A daemon has no terminal, and starts sooner without these.
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._task: TaskID | None = None
        self._began = 0
        self._progress = Progress(
            TextColumn("{task.fields[done]}"),
            BarColumn(),
            TextColumn("{task.fields[rate]}"),
            console=Console(stderr=True, soft_wrap=True),
            transient=True,
        )

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def show(self, standing: ProgressSnapshot) -> None:
        """Draw the bar anew; take it away when nothing is left."""
        if not standing.remaining:
            if self._task is not None:
                self._progress.remove_task(self._task)
                self._task = None
            return
        if self._task is None:
            if standing.remaining < ENOUGH:
                return
            self._began = standing.done
            self._task = self._progress.add_task("", rate="", done="")
        done = standing.done - self._began
        rate = gettext("%(n)s a second", n=number(standing.rate, 1)) if standing.rate else ""
        if standing.seconds_left is not None:
            rate += ", " + gettext("%(time)s left", time=duration(standing.seconds_left))
        total = done + standing.remaining
        said = gettext("%(done)s of %(n)s photos", done=number(done), n=number(total))
        self._progress.update(self._task, completed=done, total=total, rate=rate, done=said)


def wants_bar(log: LogConfig) -> bool:
    """Whether a person is looking on."""
    return log.format == "text" and sys.stderr.isatty()
