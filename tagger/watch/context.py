"""What the parts of one root's watch share: the root, the index, the sink, settings, clocks."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from tagger.config.schema import WatchRoot
from tagger.watch.events import EventSourceFactory, WatchdogSource
from tagger.watch.interfaces import CandidateSink, Clock, KnownPhotos, RootClaims
from tagger.watch.stall_timer import StallTimer


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """What is the same for all roots; times are in seconds.

    ``clock`` never goes back, ``wall`` is the time of day since the epoch. ``source`` makes the
    event source of a root, ``claims`` decides which of several taggers writes there.
    """

    settle_seconds: float = 2.0
    rescan_seconds: float = 300.0
    clock: Clock = time.monotonic
    wall: Clock = time.time
    source: EventSourceFactory = WatchdogSource
    claims: RootClaims = field(default_factory=RootClaims)


@dataclass(slots=True)
class RootContext:
    """What the parts of one root's watch share.

    ``stall`` tells whether the root's disk answers. Once ``stop`` is set nothing more is
    delivered; each run has its own.
    """

    root: WatchRoot
    known: KnownPhotos
    sink: CandidateSink
    settings: WatchSettings
    stall: StallTimer
    stop: threading.Event = field(default_factory=threading.Event)
