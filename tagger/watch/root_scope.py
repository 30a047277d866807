"""Which photos, on the disk and in the index, belong to one root and to none inside it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from tagger.watch.context import RootContext
from tagger.watch.root_identity import RootMemory
from tagger.watch.root_layout import RootLayout
from tagger.watch.walk import Seen, WalkReport, WalkRules, walk

log = logging.getLogger(__name__)


class RootScope:
    """What belongs to one root. ``rules`` are those of the last :meth:`refresh`."""

    def __init__(self, context: RootContext, layout: RootLayout, memory: RootMemory) -> None:
        self._context, self._layout, self._memory = context, layout, memory
        self._took_over = False
        self.rules = WalkRules(context.root)

    def refresh(self) -> None:
        """Find out anew which folders inside the root are roots of their own."""
        with self._context.stall.paused():  # it waits for other disks
            self.rules = self.current_rules()

    def current_rules(self) -> WalkRules:
        """Return the rules as they are now. Thread-safe."""
        return WalkRules(self._context.root, self._layout.inside(self._context.root))

    def twin(self) -> str | None:
        """Return an earlier root that is the same folder, if there is one."""
        with self._context.stall.paused():
            return self._layout.twin(self._context.root)

    def walk(self, top: str, report: WalkReport) -> Iterator[Seen]:
        """Yield the photos in the folder ``top`` of the root, see :mod:`tagger.watch.walk`."""
        return walk(self.rules, top, report, self._context.stall.reset)

    def known(self, top: str) -> Iterable[str]:
        """Return the photos of the root that the index has in the folder ``top``."""
        return (path for path in self._context.known.known_under(top) if self.rules.owns(path))

    def knows_any(self) -> bool:
        return any(True for _ in self.known(self._context.root.path))

    def take_over_former(self, marker: str | None) -> None:
        """Give the root the rows of a former root that is the same folder by another path.

        As when the config named a link before, and names the folder behind it now. Done once.
        ``marker`` is the identifier found in the root: it may be that of another disk.
        """
        if self._took_over:
            return
        root, known = self._context.root.path, self._context.known
        for former in self._memory.roots():
            if self._layout.is_watched(former) or not any(True for _ in known.known_under(former)):
                continue
            with self._context.stall.paused():  # it may wait for another disk
                renamed = self._layout.renamed(former, root)
            if renamed is None:
                continue
            if renamed == (former, root):
                record = self._memory.get(former)
                if marker and record and record.marker and record.marker != marker:
                    continue
                if record is not None and self._memory.get(root) is None:
                    self._memory.put(root, record)
            count = known.move_folder(*renamed, root)
            log.info("%r was watched as %r: its %d photos are taken over", *renamed[::-1], count)
        self._took_over = True
