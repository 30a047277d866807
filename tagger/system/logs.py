"""Logging: one line a record, as text or JSON, with nothing in a path that breaks the line."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from tagger.text.printable import ascii_json, escaped, printable

_PRIORITIES = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}
"""By level, as syslog(3) and the journal number them."""
_EXTRA = ("event", "path", "how", "tags", "ms", "kind")


class TextFormatter(logging.Formatter):
    """``2026-01-31 12:00:00 info message``; a traceback follows on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created).isoformat(" ", "seconds")
        line = f"{moment} {record.levelname.lower()} {printable(record.getMessage())}"
        if record.exc_info:
            line += f"\n{escaped(self.formatException(record.exc_info))}"
        return line


class JournalFormatter(logging.Formatter):
    """``<6>message``: the journal knows the time, and reads the priority from the beginning.

    Each line of a traceback has it, as each becomes an entry of its own; see sd-daemon(3).
    """

    def format(self, record: logging.LogRecord) -> str:
        text = printable(record.getMessage())
        if record.exc_info:
            text += f"\n{escaped(self.formatException(record.exc_info))}"
        mark = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(mark + line for line in text.split("\n"))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time`` (UTC), ``level``, ``logger``, ``message`` and details."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": printable(record.getMessage()),
        }
        entry |= {name: getattr(record, name) for name in _EXTRA if hasattr(record, name)}
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return ascii_json(entry)  # so that any byte in a path survives


def goes_to_journal(fd: int, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the open file ``fd`` is the journal's, by ``$JOURNAL_STREAM``; see systemd.exec(5).

    The variable is inherited by processes whose output goes elsewhere, so it is compared.
    """
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(fd)
    except OSError:
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


def set_up_logging(level: str = "info", format: str = "text") -> None:
    """Send the log to standard error, replacing what was set up before.

    ``format`` is ``text`` or ``json``.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(format))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("tagger").setLevel(level.upper())


def _formatter(format: str) -> logging.Formatter:
    if format == "json":
        return JsonFormatter()
    try:
        fd = sys.stderr.fileno()
    except (OSError, ValueError):  # no file of the system
        return TextFormatter()
    return JournalFormatter() if goes_to_journal(fd) else TextFormatter()


class Once:
    """Warnings that are said once per cause and place."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: set[tuple[str, str]] = set()

    def warn(self, cause: str, place: str, message: str) -> None:
        """Log ``message`` unless this ``cause`` was already reported of this ``place``."""
        if (cause, place) not in self._said:
            self._said.add((cause, place))
            self._log.warning("%s", message)


class Unforeseen(logging.Handler):
    """Counts the errors that nobody foresaw: those that are logged with where they arose.

    A context manager, in which it listens. ``last`` says what the last one was.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count = 0
        self.last: str | None = None
        self.at = 0.0

    def __enter__(self) -> Unforeseen:
        logging.getLogger("tagger").addHandler(self)
        return self

    def __exit__(self, *exc: object) -> None:
        logging.getLogger("tagger").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return
        said = f"{record.getMessage()}: {type(error).__name__}: {error}"
        self.count, self.last, self.at = self.count + 1, said[:500], record.created

    def told(self) -> dict[str, Any] | None:
        """Return ``count``, ``last`` and ``at`` (seconds since the epoch); None without any."""
        return {"count": self.count, "last": self.last, "at": self.at} if self.count else None
