"""The bar, on a real terminal (a pseudo one)."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys

SCRIPT = """
import logging, sys
from tagger.cli.progress_bar import Bar, wants_bar
from tagger.config.schema import LogConfig
from tagger.system.logs import set_up_logging
from tagger.library.daemon_status import ProgressSnapshot
log = logging.getLogger("tagger.x")
print("wants", wants_bar(LogConfig()), wants_bar(LogConfig(format="json")), flush=True)
with Bar() as bar:
    set_up_logging()
    bar.show(ProgressSnapshot(0, 0))
    log.info("first %s", "/photos/" + "x" * 100 + " [bold]y[/bold].jpg")
    bar.show(ProgressSnapshot(5, 1995, 12.5, 159.6))
    log.info("second")
    bar.show(ProgressSnapshot(1505, 495, 12.5, 39.6))
    bar._progress.refresh()
    log.info("third")
    bar.show(ProgressSnapshot(2000, 0, None, None))
    log.info("fourth")
log.info("fifth")
"""


def on_terminal(code):
    """Return what ``code`` writes to a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    environ = os.environ | {"COLUMNS": "80", "TERM": "xterm"}
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs, env=environ
    )
    os.close(theirs)
    written = b""
    try:
        while some := os.read(ours, 65536):
            written += some
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    assert child.wait() == 0, written.decode()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written.decode())


def test_a_terminal_gets_a_bar_below_the_log():
    text = on_terminal(SCRIPT)
    assert "wants True False" in text
    assert "0 of 1,995 photos" in text
    assert "1,500 of 1,995 photos" in text
    assert "12.5 a second, 40 s left" in text
    for word in ("first", "second", "third", "fourth", "fifth"):
        assert re.search(rf"info {word}\b", text), text
    assert "[bold]y[/bold].jpg" in text, "a path is no markup"
    assert "photos" not in text.split("info fifth")[1]


def test_a_few_photos_need_no_bar():
    code = (
        "from tagger.cli.progress_bar import Bar\n"
        "from tagger.library.daemon_status import ProgressSnapshot\n"
        "with Bar() as bar:\n"
        "    bar.show(ProgressSnapshot(0, 3, 2.0, 1.5)); bar._progress.refresh()"
    )
    assert "photos" not in on_terminal(code)


def test_no_bar_without_a_terminal():
    code = (
        "from tagger.cli.progress_bar import wants_bar\n"
        "from tagger.config.schema import LogConfig\n"
        "print(wants_bar(LogConfig()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
