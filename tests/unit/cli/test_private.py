"""The memory of what runs for long is closed to other processes of its account."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import Home

SCRIPT = """
import ctypes, sys
import {module} as module

class Fake:
    url = "http://127.0.0.1/"
    def __init__(self, *given, **named): pass
    def __enter__(self): return self
    def __exit__(self, *given): pass
    def run(self): print("dumpable", ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))

module.{name} = Fake
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
from tagger.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("command", "module", "name"),
    [("run", "tagger.daemon.daemon", "Daemon"), ("web", "tagger.web.server", "WebServer")],
)
def test_it_cannot_be_dumped_or_traced(tmp_path, command, module, name):
    home = Home(tmp_path, None)
    home.configure()
    script = SCRIPT.format(module=module, name=name)
    done = subprocess.run(
        [sys.executable, "-c", script, "--config", str(home.config), command],
        env=home.environ(),
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.stdout.endswith("dumpable 0\n"), done.stdout + done.stderr
