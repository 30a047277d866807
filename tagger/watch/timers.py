"""When each step of one root's watch is due, and how often the root is scanned."""

from __future__ import annotations

import enum
import math

from tagger.watch.interfaces import Clock

POLL_SECONDS = 1.0
"""The shortest time between two scans of a polled root."""
SCAN_SHARE = 20.0
"""A polled root rests for this many times as long as its last scan took."""
AGAIN_SECONDS = 10.0
"""Delay before the full rescan after a stalled disk responds again."""


class Timer(enum.IntEnum):
    """The steps that are due at a time. Files that settle and the events have their own.

    CHECK whether the root is there; SCAN all of it; REARM: listen to events anew after some were
    lost; report the DELETIONS that events have told of.
    """

    CHECK = 0
    SCAN = 1
    REARM = 2
    DELETIONS = 3


class Timers:
    """The table of timers: when each step is due (seconds of ``clock``; infinity: not at all)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due = [math.inf] * len(Timer)

    def at(self, timer: Timer) -> float:
        return self._due[timer]

    def is_due(self, timer: Timer) -> bool:
        return self._clock() >= self._due[timer]

    def set(self, timer: Timer, at: float) -> None:
        """Let the step be due at that time, and at no other."""
        self._due[timer] = at

    def bring_forward(self, timer: Timer, at: float) -> None:
        """Let the step be due at that time at the latest."""
        self._due[timer] = min(self._due[timer], at)

    def cancel(self, *timers: Timer) -> None:
        for timer in timers:
            self._due[timer] = math.inf

    def next_due(self) -> float:
        return min(self._due)


class ScanPace:
    """How long a root rests between two scans, by what a scan costs.

    Times are seconds of the watch's clock.
    """

    def __init__(self, rescan_seconds: float) -> None:
        self._rescan_seconds = rescan_seconds
        self._cost = 0.0
        self._ended = -math.inf
        self._stall_delay = AGAIN_SECONDS

    def note_scan(self, ended: float, cost: float, *, stalled: bool) -> None:
        """Note a scan that ended, how long it took, and whether its disk stalled meanwhile."""
        if stalled:  # hours without an answer say nothing of the next scan
            cost = min(cost, self._rescan_seconds)
        else:
            self._stall_delay = AGAIN_SECONDS
        self._ended, self._cost = ended, cost

    def next_scan(self, *, polled: bool) -> float:
        """Return when the next regular scan is due."""
        rescan = max(self._rescan_seconds, self._cost)
        if polled:
            rescan = min(max(POLL_SECONDS, SCAN_SHARE * self._cost), rescan)
        return self._ended + rescan

    def early_scan(self, now: float) -> float:
        """Return when a scan that something calls for is due, not to have one after another."""
        rest = min(SCAN_SHARE * self._cost, self._rescan_seconds)
        return max(now + 1.0, self._ended + rest)

    def delay_after_stall(self) -> float:
        """Return how long to wait with the scan after a stall: longer and longer."""
        delay = self._stall_delay
        self._stall_delay = min(2 * delay, max(AGAIN_SECONDS, self._rescan_seconds))
        return delay
