"""What every stage is given: config, index, the health of the folders, and when to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tagger.config.schema import Config
from tagger.index.store import Store
from tagger.pipeline.blocked_roots import BlockedRoots
from tagger.pipeline.outcome import Outcome
from tagger.records import Candidate


class RootHealth:
    """Which watched folders can be worked in now. Thread-safe.

    ``is_online`` says whether the watched folder of a path can be trusted to be there. Without
    ``blocked``, what a disk refuses is each photo's failure.
    """

    def __init__(
        self,
        is_online: Callable[[str], bool] = lambda path: True,
        blocked: BlockedRoots | None = None,
    ) -> None:
        self.is_online, self._blocked = is_online, blocked

    def is_blocked(self, root: str) -> bool:
        """Whether the photos of a watched folder are to wait; its disk is asked when due."""
        return self._blocked is not None and self._blocked.holds(root)

    def park(self, candidate: Candidate, error: Exception) -> bool:
        """Report an error; return whether the disk is at fault, the photo then :meth:`parked`."""
        return self._blocked is not None and self._blocked.park(candidate, error)

    def parked(self) -> list[Candidate]:
        return self._blocked.parked() if self._blocked is not None else []

    def problem(self) -> str | None:
        return self._blocked.problem() if self._blocked is not None else None


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
    health: RootHealth = field(default_factory=RootHealth)
    stop: threading.Event = field(default_factory=threading.Event)
