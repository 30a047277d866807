"""What the daemon holds from its start to its end: the index, the commands, what a crash left."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from tagger.config.schedule import DailyWindow
from tagger.config.schema import Config
from tagger.daemon.commands import DaemonCommands
from tagger.daemon.crash_repair import CrashRepair
from tagger.daemon.lifecycle import Lifecycle
from tagger.daemon.worker import Worker
from tagger.errors import StateError
from tagger.index.store import Store
from tagger.records import ANOTHER_TAGGER
from tagger.watch.root_owner import OwnerClaims, writers_of
from tagger.watch.watcher import Watcher


class DaemonResources:
    """The daemon at work on one state directory, whose lock is held.

    ``config`` is the present one, which a reload replaces; ``watcher`` and ``worker`` are those of
    the present config, None before the first. ``notice`` is what is worth knowing of the index.
    """

    def __init__(
        self, config: Config, store: Store, lifecycle: Lifecycle, *, take_over: bool = False
    ) -> None:
        self.config, self.store, self.lifecycle = config, store, lifecycle
        self.watcher: Watcher | None = None
        self.worker: Worker | None = None
        self.notice: str | None = None
        self.repairs = CrashRepair(store, self.root_of, lifecycle.thread, self.rescan)
        self.claims = OwnerClaims(
            writers_of(config.state_dir),
            lambda root: store.write_anew(root, ANOTHER_TAGGER),
            take_over=take_over,
        )
        self.commands = DaemonCommands(
            store,
            config=lambda: self.config,
            watcher=self._present_watcher,
            online=self.is_online,
            changed=self.wake,
        )

    def root_of(self, path: str) -> str:
        """Return the watched folder of a photo, "" when it is in none."""
        root = self.config.root_of(path)
        return root.path if root is not None else ""

    def is_online(self, path: str) -> bool:
        """Whether the watched folder of ``path`` can be worked in now."""
        root = self.root_of(path)
        if self.watcher is None or self.repairs.hold(root):
            return False
        return self.watcher.is_online(root)

    def rescan(self) -> None:
        if self.watcher is not None:  # else the first scan is still to come
            self.watcher.rescan()

    def wake(self) -> None:
        """Have worker and main thread look at what has changed."""
        if self.worker is not None:
            self.worker.wake()
        self.lifecycle.wakeup.ring()

    def paused_reason(self) -> str | None:
        """Return why photos are to wait now; None when they are not."""
        if self.commands.paused:
            return "paused until `tagger resume`"
        schedule = self.config.schedule
        if schedule is not None:
            window = DailyWindow.parse(schedule)
            if not window.holds(datetime.now()):
                return f"paused until {window.opens()} (schedule)"
        return None

    @contextmanager
    def rebuilding(self) -> Iterator[None]:
        """When the index was damaged, fill it from the tags in files, beside the work."""
        problem = self.store.meta("rebuild")
        if not problem:
            yield
            return
        from tagger.pipeline.rebuild import fill

        self.notice = f"the index was damaged and is built anew: {problem}"
        lifecycle = self.lifecycle
        thread = lifecycle.thread(
            "rebuild", fill, self.store, self.config.watch, lambda: lifecycle.told_to_stop
        )
        thread.start()
        try:
            yield
        finally:
            if self.watcher is not None:
                lifecycle.stalls.join(thread, self.watcher)

    def _present_watcher(self) -> Watcher:
        if self.watcher is None:
            raise StateError("the daemon is starting", "try again in a few seconds")
        return self.watcher
