"""Reports to the service manager: the protocol of sd_notify(3).

The packages for this either are without releases for years or bind libsystemd; it is one
datagram. Without ``$NOTIFY_SOCKET`` (no systemd, another type of unit) nothing is done.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import MutableMapping

log = logging.getLogger(__name__)

SEND_SECONDS = 1.0
"""How long a manager that does not read may hold the daemon up."""


class Notifier:
    """Tells the service manager that started this process.

    ``interval`` is how often, in seconds, :meth:`alive` is to be called, half of what the
    manager allows; None: it does not watch. The variables are taken out of ``environ``, so
    that no process started later speaks in the daemon's name. A manager that cannot be
    reached is logged, never raised: photos matter more. For any thread.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "")
        self._socket: socket.socket | None = None
        microseconds = environ.pop("WATCHDOG_USEC", "")
        for_process = environ.pop("WATCHDOG_PID", "")
        watched = microseconds.isdecimal() and for_process in ("", str(os.getpid()))
        self.interval = int(microseconds) / 2e6 or None if watched else None
        self._status = ""
        self._failure = ""

    def ready(self) -> None:
        """Say that the daemon has started, or has read its config again."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Say in one line, for ``systemctl status``, what the daemon does; again only if new."""
        line = " ".join(text.split())
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def reloading(self) -> None:
        """Say that the config is being read again; :meth:`ready` must follow, whatever comes."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now}")

    def alive(self) -> None:
        """Feed the watchdog. Only for a daemon whose work really moves."""
        if self.interval is not None:
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A leading @ stands for the NUL of a name that is in no file system.
        name = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        try:
            if self._socket is None:  # kept: later there may be no descriptor left
                self._socket = socket.socket(
                    socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC
                )
                self._socket.settimeout(SEND_SECONDS)
            self._socket.sendto(message.encode("utf-8", "backslashreplace"), os.fsencode(name))
        except OSError as error:
            if str(error) != self._failure:
                self._failure = str(error)
                log.warning("the service manager at %s is not told: %s", self._address, error)
        else:
            self._failure = ""

    def __del__(self) -> None:
        if self._socket is not None:
            self._socket.close()
