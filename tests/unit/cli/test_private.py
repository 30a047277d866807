"""What runs for long: its memory is closed to others of its account, and it may open many files."""

from __future__ import annotations

import re
import resource
import subprocess
import sys

import pytest

from tagger.system.process import DESCRIPTORS
from tests.conftest import Home

SCRIPT = """
import ctypes, resource, sys
import {module} as module

class Fake:
    url, left_behind = "http://127.0.0.1/", False
    def __init__(self, *given, **named): pass
    def __enter__(self): return self
    def __exit__(self, *given): pass
    def run(self):
        print("files", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        print("dumpable", ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))

module.{name} = Fake
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
from tagger.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("command", "module", "name"),
    [("run", "tagger.daemon.daemon", "Daemon"), ("web", "tagger.web.server", "WebServer")],
)
def test_it_cannot_be_dumped_or_traced_and_may_open_many_files(tmp_path, command, module, name):
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
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = int(re.search(r"^files (\d+)$", done.stdout, re.MULTILINE)[1])
    assert files == (DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS))
