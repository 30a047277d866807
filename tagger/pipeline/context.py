"""What every stage is given: config, index, the health of the folders, and when to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tagger.config.schema import Config
from tagger.index.store import Store
from tagger.pipeline.blocked_roots import BlockedRoots
from tagger.pipeline.outcome import Outcome


@dataclass(frozen=True, slots=True)
class WorkerEvents:
    """What the worker reports, in its own thread.

    ``photo_done`` with every outcome; ``state_changed`` when work begins, ends or meets a
    problem; ``rescan_wanted`` when photos were dropped that the next scan is to find again.
    """

    photo_done: Callable[[Outcome], None] = lambda outcome: None
    state_changed: Callable[[], None] = lambda: None
    rescan_wanted: Callable[[], None] = lambda: None


@dataclass(frozen=True, slots=True)
class Context:
    """What the stages of one config share; ``stop`` is set to have all of them return early."""

    config: Config
    store: Store
    health: BlockedRoots = field(default_factory=lambda: BlockedRoots(Config()))
    stop: threading.Event = field(default_factory=threading.Event)
