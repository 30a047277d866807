"""Tags the first photos at the end of ``tagger init``, and says what was found."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import tempfile
import time
from collections.abc import Iterator

import click

from tagger.cli.daemon_process import start_daemon, stop_daemon
from tagger.cli.speech import note, stored_text
from tagger.cli.summary import summary
from tagger.config.loader import load_config
from tagger.errors import StateError
from tagger.index.reader import open_reader
from tagger.library.daemon_status import read_status
from tagger.library.found import FoundLabels, found_since
from tagger.text.messages import ngettext
from tagger.text.printable import printable

START_SECONDS = 900.0
"""The networks may have to be fetched first."""
QUIET_SECONDS = 20.0
"""So long after the start, without a photo to come, there is none."""
PROBLEM_SECONDS = 8.0
"""So long a problem may last, as a download that fails, before the user is told of it."""
STOP_SECONDS = 15.0
LOOK_SECONDS = 0.3


def tag_first(place: str, count: int, *, runs: bool) -> None:
    """Wait until ``count`` photos are tagged, or all that there are; say what was found.

    With ``runs`` the service does it; else a daemon is started for it, and stopped again. Ctrl-C
    ends the wait.
    """
    config = load_config(place)
    began = time.time()
    click.echo(
        ngettext("Tagging the first %(n)s photo ...", "Tagging the first %(n)s photos ...", count)
    )
    with contextlib.ExitStack() as opened:
        daemon = None if runs else opened.enter_context(_daemon(place))
        try:
            found = _wait(config.state_dir, count, began, daemon)
        except KeyboardInterrupt:
            found = _found(config.state_dir, began)
    if problem := read_status(config.state_dir).problem:
        note(stored_text(problem))
        if not (found.photos or found.failed):
            return
    for line in summary(found, f"tagger --config {shlex.quote(place)}"):
        click.echo(line)


@contextlib.contextmanager
def _daemon(place: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon in a process of its own, for a while."""
    with tempfile.TemporaryFile() as log:
        process = start_daemon(place, log)
        try:
            yield process
            if process.poll() not in (None, 0):
                log.seek(0)
                for line in log.read().decode(errors="replace").splitlines()[-3:]:
                    click.echo(f"  {printable(line)}")
        finally:
            stop_daemon(process, STOP_SECONDS)


def _wait(
    state_dir: str, count: int, began: float, daemon: subprocess.Popen[bytes] | None
) -> FoundLabels:
    end = time.monotonic() + START_SECONDS
    quiet = hindered = 0.0  # since when
    found = FoundLabels()
    while time.monotonic() < end and (daemon is None or daemon.poll() is None):
        found = _found(state_dir, began)
        if found.photos + found.failed >= count:
            break
        status = read_status(state_dir)
        news = (status.updated_at or 0) >= began
        hindered = (hindered or time.monotonic()) if news and status.problem else 0.0
        if hindered and time.monotonic() - hindered > PROBLEM_SECONDS:
            break
        scanned = all(root.last_scan is not None for root in status.roots)
        if news and status.model is not None and status.queue == 0 and scanned:
            quiet = quiet or time.monotonic()
            if time.monotonic() - quiet > QUIET_SECONDS or found.photos:
                break
        else:
            quiet = 0.0
        time.sleep(LOOK_SECONDS)
    return found


def _found(state_dir: str, began: float) -> FoundLabels:
    """Return what was found until now; nothing while there is no index."""
    try:
        with open_reader(state_dir) as reader:
            return found_since(reader, began)
    except StateError:  # it is just being made
        return FoundLabels()
