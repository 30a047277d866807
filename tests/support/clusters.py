"""A Dask scheduler and its workers as processes of their own, on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.conftest import wait_until

START_SECONDS = 60


class Cluster:
    """A scheduler, and workers by name. ``tls`` are the options for certificates."""

    def __init__(self, folder: Path, *, tls: Sequence[str] = ()) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.tls = folder, tls
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.address = ""

    def start_scheduler(self) -> None:
        """Start a scheduler; where the last one was, if there was one."""
        said = self.folder / "scheduler.json"
        said.unlink(missing_ok=True)
        port = self.address.rpartition(":")[2] or "0"
        self.scheduler = self._start(
            *("scheduler", "--no-dashboard", "--no-show", "--host", "127.0.0.1"),
            *("--port", port, "--scheduler-file", str(said)),
            *(("--protocol", "tls") if self.tls else ()),
            log="scheduler",
        )
        wait_until(lambda: _read(said), START_SECONDS)
        self.address = _read(said)["address"]

    def start_worker(
        self,
        name: str,
        *,
        threads: int = 1,
        nanny: bool = False,
        host: str = "127.0.0.1",
        **environ: str,
    ) -> subprocess.Popen[bytes]:
        """Start a worker; without a nanny it is one process, which is not started again."""
        self.workers[name] = self._start(
            *("worker", self.address, "--name", name, "--nthreads", str(threads)),
            *("--no-dashboard", "--local-directory", str(self.folder / name)),
            *("--host", host, "--memory-limit", "0"),
            "--nanny" if nanny else "--no-nanny",
            log=name,
            environ=environ,
        )
        return self.workers[name]

    def _start(
        self, *words: str, log: str, environ: dict[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        with (self.folder / f"{log}.log").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *words, *self.tls],
                stdout=output,
                stderr=output,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"XDG_CACHE_HOME": str(self.folder / "cache")} | (environ or {}),
                start_new_session=True,
            )

    def log(self, name: str) -> str:
        """Return what a process has logged."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def kill(self, name: str) -> None:
        """Kill a worker with all that it has started, as a power cut does."""
        kill_tree(self.workers.pop(name))

    def kill_scheduler(self) -> None:
        """Kill the scheduler."""
        assert self.scheduler is not None
        kill_tree(self.scheduler)
        self.scheduler = None

    def close(self) -> None:
        """End all."""
        for process in (*self.workers.values(), self.scheduler):
            if process is not None:
                kill_tree(process)
        self.workers.clear()


def tree(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Return a process and all that it has started, itself last."""
    try:
        first = psutil.Process(process.pid)
        return [*first.children(recursive=True), first]
    except psutil.NoSuchProcess:
        return []


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and all that it has started."""
    for one in reversed(tree(process)):
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def running(
    folder: Path, workers: int = 1, *, tls: Sequence[str] = (), **environ: str
) -> Iterator[Cluster]:
    """Give a cluster of so many workers; end it."""
    cluster = Cluster(folder, tls=tls)
    try:
        cluster.start_scheduler()
        for number in range(workers):
            cluster.start_worker(f"worker{number}", **environ)
        yield cluster
    finally:
        cluster.close()


def wait_for(state: Any, seconds: float = 60.0) -> Any:
    """Wait until a function returns something true, and return that."""
    ends = time.monotonic() + seconds
    while not (found := state()):
        if time.monotonic() > ends:
            raise AssertionError(f"not so within {seconds} s")
        time.sleep(0.1)
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
