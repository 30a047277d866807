"""Which process the kernel ends when memory runs out. Imports nothing large: small ones use it."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)

DECODER = 500
"""Ended rather than the daemon: it costs one photo a second try. In the kernel's eyes as much as
half of all memory in use; see proc(5)."""
CONVERTER = 1000
"""Ended before all others: it is large, and what it does can be done later, or not at all."""


def offer_to_end(score: int) -> None:
    """Have the kernel end this process before those with a lower score (0…1000)."""
    try:
        with open("/proc/self/oom_score_adj", "r+b", buffering=0) as file:
            wanted = min(int(file.read()) + score, 1000)
            file.write(b"%d" % wanted)
    except (OSError, ValueError) as error:
        log.debug("this process could not be made the first to be ended: %s", error)
