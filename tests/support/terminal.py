"""A command that asks, answered as at a terminal."""

from __future__ import annotations

import contextlib
import os
import pty
from collections.abc import Mapping, Sequence


def at_a_terminal(
    command: Sequence[str], answers: Sequence[str], environ: Mapping[str, str] | None = None
) -> str:
    """Run ``command`` on a terminal of its own; return what that showed.

    Each answer is typed when a question stands there, for what is typed before a password is
    asked for is thrown away. Fail if the command does, or if there were fewer questions.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        try:
            os.execvpe(command[0], command, os.environ if environ is None else environ)
        finally:
            os._exit(127)
    shown, left = b"", list(answers)
    with contextlib.suppress(OSError):  # EIO: the other end is gone
        while some := os.read(terminal, 1024):
            shown += some
            if left and some.rstrip().endswith(b":"):
                os.write(terminal, left.pop(0).encode() + b"\n")
    os.close(terminal)
    assert os.waitpid(pid, 0)[1] == 0, shown
    assert not left, shown
    return shown.decode()
