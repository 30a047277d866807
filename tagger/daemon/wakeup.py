"""What wakes the main thread: safe to ring from a signal handler, unlike threading.Event."""

from __future__ import annotations

import os
import select


class WakeupFd:
    """Wakes whoever waits for it. A ring nobody waits for is kept, several count as one.

    ``Event.set`` takes a lock, and a signal handler runs in the middle of whatever the main
    thread does: were that the same lock, it would wait for itself. See eventfd(2).
    """

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def ring(self) -> None:
        """Wake the waiting thread, or let its next wait return at once."""
        os.eventfd_write(self._fd, 1)

    def wait(self, seconds: float) -> bool:
        """Wait for a ring, for ``seconds`` at most; return whether there was one."""
        ready, _, _ = select.select([self._fd], [], [], max(0.0, seconds))
        if ready:
            os.eventfd_read(self._fd)
        return bool(ready)

    def __del__(self) -> None:
        os.close(self._fd)
