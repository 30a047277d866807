"""Runs the program of a rule: without a shell, without input, for so long and no longer."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

from tagger.errors import RuleError
from tagger.text.printable import printable

log = logging.getLogger(__name__)

MOST_OUTPUT = 4000
"""Bytes of what it prints that are logged; the rest is read and dropped."""
STOP_SECONDS = 2.0
"""So long a program may go on when the daemon is to end; then it is ended, and run again."""
STEP_SECONDS = 0.2
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "LOGNAME", "TMPDIR")
"""What of our environment a program sees."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class InterruptedProgramError(RuleError):
    """The program was ended because the daemon is to end; it runs again."""


def arguments(words: Sequence[str], path: str, labels: Sequence[str], rule: str) -> list[str]:
    """Return the words of a program with what they stand for; each stays one argument."""
    values = {"{path}": path, "{labels}": ",".join(labels), "{rule}": rule}
    given = list(words) if any("{path}" in word for word in words) else [*words, "{path}"]
    # In one go: a value may look like another placeholder.
    pattern = re.compile("|".join(map(re.escape, values)))
    filled = (pattern.sub(lambda found: values[found[0]], word) for word in given[1:])
    return [given[0], *filled]


def run_program(
    words: Sequence[str], seconds: float, stop: Callable[[], bool] = lambda: False
) -> None:
    """Run a program to its end. Raise RuleError when it fails, takes too long, or is not there.

    It and all that it has started in its group are ended then, and when it has ended by itself.
    What it prints is logged.
    """
    try:
        process = subprocess.Popen(
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=os.sep,
            env={"PATH": PATH} | {name: os.environ[name] for name in _KEPT if name in os.environ},
            start_new_session=True,
        )
    except OSError as error:
        raise RuleError(
            f"cannot run {words[0]}: {error.strerror}",
            "name a program that the daemon's user may run",
        ) from error
    output = bytearray()
    try:
        _wait(process, words[0], seconds, stop, output)
    finally:
        # Not yet reaped, so that its number is nobody else's.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        assert process.stdout is not None
        process.stdout.close()
        said = printable(" ".join(output.decode("utf-8", "replace").split()))
        if said:
            log.info("%s printed: %s", words[0], said)
    if code:
        name = words[0]
        text = f"{name} ended by signal {-code}" if code < 0 else f"{name} ended with {code}"
        last = f": {said[-200:]}" if said else ""
        raise RuleError(text + last, "see what it prints", permanent=True)


def _wait(
    process: subprocess.Popen[bytes],
    name: str,
    seconds: float,
    stop: Callable[[], bool],
    output: bytearray,
) -> None:
    """Wait for its end, and read what it prints."""
    assert process.stdout is not None
    fd = process.stdout.fileno()
    os.set_blocking(fd, False)
    deadline = time.monotonic() + seconds
    stopping: float | None = None
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if selector.get_map():
                if selector.select(STEP_SECONDS) and not _read(fd, output):
                    selector.unregister(fd)  # it prints no more
            else:
                time.sleep(STEP_SECONDS / 10)
            now = time.monotonic()
            if now >= deadline:
                raise RuleError(
                    f"{name} took more than {seconds:g} s and was ended",
                    "raise `timeout_seconds` of the rule, or let it do less",
                    permanent=True,
                )
            if stop():
                stopping = stopping or now
                if now >= stopping + STOP_SECONDS:
                    raise InterruptedProgramError(
                        f"{name} was ended as the daemon is to end",
                        "it is run again at the next start",
                    )
        _read(fd, output)


def _read(fd: int, output: bytearray) -> bool:
    """Read what is there; return False at the end."""
    for _ in range(64):
        try:
            piece = os.read(fd, 1 << 16)
        except BlockingIOError:
            return True
        if not piece:
            return False
        output += piece[: max(0, MOST_OUTPUT - len(output))]
    return True
