"""The daemon in a process of its own, for as long as a command needs it."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import IO


def tagger_command(config_path: str, *arguments: str) -> list[str]:
    """Return how another process of this tagger is called."""
    return [sys.executable, "-m", "tagger", "--config", config_path, *arguments]


def start_daemon(config_path: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start the daemon, whose output goes to ``log``; see :func:`stop_daemon`."""
    command = tagger_command(config_path, "run")
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def stop_daemon(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Ask the daemon to end; kill it when it has not within so many seconds."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
