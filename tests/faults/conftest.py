"""The suite of faults: a short part that always runs, and a long one, ``make torture``.

The long tests carry the mark ``torture`` and run when TAGGER_TORTURE is set. What they
measure is printed at the end, a line ``FIGURE name: text`` each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT, Home
from tests.support import disks, tracer

Figure = Callable[[str, str], None]

_DROPPED = "-dac_override,-dac_read_search"
WITHOUT_OVERRIDE = ("setpriv", f"--bounding-set={_DROPPED}", f"--inh-caps={_DROPPED}")
"""What runs a command without root's right to ignore the rights of files."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "torture: takes minutes; runs with TAGGER_TORTURE=1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("TAGGER_TORTURE"):
        return
    long = [item for item in items if item.get_closest_marker("torture")]
    if long:
        items[:] = [item for item in items if item not in long]
        config.hook.pytest_deselected(items=long)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call":
                for name, text in report.user_properties:
                    terminalreporter.write_line(f"FIGURE {name}: {text}")


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """Return a function that has a figure printed at the end of the run."""
    return record_property


class Tracer:
    """The server of :mod:`tests.support.tracer`."""

    def __init__(self) -> None:
        self._server = self._started()

    def _started(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.support.tracer"],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        home: Home,
        *command: str,
        calls: Sequence[str] = (),
        at: int = 0,
        action: Sequence[object] = ("kill",),
        under: Sequence[Path] = (),
        seconds: float = 0.0,
    ) -> dict[str, Any]:
        """Run one command line of tagger; return ``code``, ``points``, ``stopped``, ``beside``.

        ``points`` are the (call, path) of all ``calls`` met below ``under`` (the inbox and the
        state directory); at number ``at`` of them, ``stopped``, ``action`` is done. Of an
        action that is a command, ``beside`` is the code that it ended with; where it waits
        for the photo, the run goes on. It is killed after so many ``seconds`` (0: never).
        """
        asked = {
            "argv": ["--config", str(home.config), *command],
            "calls": list(calls),
            "at": at,
            "action": [str(word) for word in action],
            "under": [f"{folder}/" for folder in under or (home.inbox, home.state)],
            "log": str(home.log),
            "environ": home.environ(),
            "seconds": seconds,
        }
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        print(json.dumps(asked), file=self._server.stdin, flush=True)
        line = self._server.stdout.readline()
        if not line:  # one test fails then, not all those that follow
            self.close()
            ended, self._server = self._server, self._started()
            raise AssertionError(f"the tracer ended with {ended.returncode}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(20)
        self._server.stdout.close()


@pytest.fixture(scope="session")
def traced() -> Iterator[Tracer]:
    if not tracer.possible():
        pytest.skip("processes cannot be traced here (machine type, or kernel.yama.ptrace_scope)")
    server = Tracer()
    yield server
    server.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[..., disks.Disk]]:
    """Return a maker of small ext4 disks in files, which are taken away at the end."""
    if why := disks.impossible():
        pytest.skip(why)
    made: list[disks.Disk] = []

    def make(name: str = "disk", megabytes: int = 64, *options: str) -> disks.Disk:
        made.append(disks.Disk(tmp_path / name, megabytes, *options))
        return made[-1]

    yield make
    for one in made:
        one.remove()
