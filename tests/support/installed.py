"""tagger installed somewhere, called without this checkout."""

from __future__ import annotations

import subprocess
from pathlib import Path


class Installed:
    """A command ``binary``, for somebody whose home is the folder ``home``."""

    def __init__(self, binary: Path, home: Path, **environ: str) -> None:
        self.binary, self.home = binary, home
        self.environ = {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"} | environ
        self.inbox = home / "Pictures"
        self.inbox.mkdir()
        self.config = home / ".config" / "tagger" / "config.yaml"

    def run(self, *words: str, code: int = 0) -> str:
        """Run a command of tagger's; return what it printed."""
        done = subprocess.run(
            [self.binary, *words],
            cwd=self.home,
            env=self.environ,
            capture_output=True,
            check=False,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr
