"""How ``tagger run`` ends when a dead disk keeps threads of the daemon."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import Home

SCRIPT = """
import sys, threading
import tagger.daemon.daemon as module
from tagger.errors import SilentDiskError
from tagger.cli import main

class Fake:
    left_behind = {left_behind}
    def __init__(self, *given, **named): pass
    def run(self):
        # The interpreter would wait for it.
        threading.Thread(target=threading.Event().wait, args=({seconds},)).start()
        if {fails}:
            raise SilentDiskError("the work hangs", "start it again")

module.Daemon = Fake
code = main(sys.argv[1:])
print("the interpreter goes on")
sys.exit(code)
"""


@pytest.mark.parametrize(("fails", "code"), [(False, 0), (True, 2)])
@pytest.mark.parametrize("left_behind", [False, True])
def test_the_process_ends_at_once_when_threads_are_left_behind(tmp_path, left_behind, fails, code):
    home = Home(tmp_path, None)
    home.configure()
    seconds = None if left_behind else 0.1
    script = SCRIPT.format(left_behind=left_behind, fails=fails, seconds=seconds)
    done = subprocess.run(
        [sys.executable, "-c", script, "--config", str(home.config), "run"],
        env=home.environ(),
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
    )
    assert done.returncode == code
    assert ("the interpreter goes on" in done.stdout) == (not left_behind)
    said = [line for line in done.stderr.splitlines() if line.startswith("tagger: ")]
    assert said == (["tagger: the work hangs; start it again"] if fails else [])
