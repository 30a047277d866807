"""Tracks whether one root is there, and what is mounted around it."""

from __future__ import annotations

import enum
import errno
import logging
import os
import threading
from collections.abc import Iterable
from dataclasses import replace

from tagger.system.files import no_descriptors
from tagger.system.mounts import Mount, Mounts, read_mountinfo
from tagger.watch.context import RootContext
from tagger.watch.deletions import away
from tagger.watch.interfaces import State
from tagger.watch.root_identity import (
    MARKER,
    RootMemory,
    RootRecord,
    Sight,
    judge,
    look_at_root,
    write_marker,
)
from tagger.watch.root_scope import RootScope

log = logging.getLogger(__name__)

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Change(enum.Enum):
    """What a check of a root has found."""

    NONE = "as before"
    RETURNED = "it is there again, or something else is mounted in it"
    GONE = "it is not there any more"


class Presence:
    """Whether a root is there. ``reason`` says why it is not.

    ``foreign`` says why no tags are written there: another tagger does. ``checked`` is set once
    the root was checked, and its watch was begun or ended by that.
    """

    def __init__(self, context: RootContext, scope: RootScope, memory: RootMemory) -> None:
        self.root = context.root
        self.checked = threading.Event()
        self.state: State = "missing"
        self.reason = "not looked at yet"
        self.mounts = Mounts("")
        self.foreign = ""
        self._memory, self._scope = memory, scope
        self._claims = context.settings.claims
        self._text = ""
        self._real = context.root.path
        self._around: tuple[Mount, ...] = ()
        self._identity: tuple[int, int] | None = None
        self._marked = False
        self._by_device: dict[int, Mount] = {}

    @property
    def online(self) -> bool:
        """Whether the root's photos can be looked at."""
        return self.state == "online"

    @property
    def crossings(self) -> tuple[str, ...]:
        """The folders below the root where other file systems are, or were, mounted."""
        record = self._memory.get(self.root.path)
        return record.crossings if record else ()

    def note_crossings(self, found: Iterable[str]) -> None:
        """Remember the mount points that a scan has met; those that are away stay remembered."""
        if (record := self._memory.get(self.root.path)) is not None:
            crossings = tuple(sorted({*away(record.crossings), *found}))
            self._memory.put(self.root.path, replace(record, crossings=crossings))

    def forget(self) -> None:
        """Act at the next check as if the folder had never been looked at."""
        self.state, self.reason = "missing", "not looked at yet"

    def mount_of(self, path: str, st: os.stat_result) -> Mount:
        """Return the mount that holds ``path``, a file of the root with the stat ``st``."""
        mount = self._by_device.get(st.st_dev)
        if mount is None:
            mount = self.mounts.of(self._real + path[len(self.root.path) :])
            self._by_device[st.st_dev] = mount
        return mount

    def check(self) -> Change:
        """Look whether the root is there. Raise OSError when no file descriptor is left."""
        before = (self.state, self.reason)
        try:
            remounted = self._read_mounts()
            if self.online and not remounted and self._as_before():
                return Change.NONE
            sight = look_at_root(self.root.path, self.mounts)
        except OSError as error:
            if no_descriptors(error):
                raise
            self.state = "missing" if error.errno in _ABSENT else "offline"
            self.reason = error.strerror or str(error)
        else:
            self._judge(sight)
        self._log_change(before)
        if self.online:
            return Change.RETURNED
        return Change.GONE if before[0] == "online" else Change.NONE

    def _judge(self, sight: Sight) -> None:
        twin = self._scope.twin()
        if twin is not None:
            reason = f"it is the same folder as {twin}, which is watched already"
            self.state, self.reason = "offline", reason
            return
        self._scope.take_over_former(sight.marker)
        record = self._memory.get(self.root.path)
        self.reason = judge(record, sight, self._scope.knows_any)
        self.state = "offline" if self.reason else "online"
        if self.online:
            self._adopt(sight, record)

    def _as_before(self) -> bool:
        st = os.stat(self.root.path)
        if (st.st_dev, st.st_ino) != self._identity:
            return False
        if not self.root.read_only and self._claims.foreign(self.root.path) != self.foreign:
            return False
        return not self._marked or os.path.lexists(os.path.join(self.root.path, MARKER))

    def _read_mounts(self) -> bool:
        """Read what is mounted; return whether it changed in, on or below the root."""
        text, real = read_mountinfo(), os.path.realpath(self.root.path)
        if text != self._text or real != self._real:
            self._text, self._real, self.mounts = text, real, Mounts(text)
            around = (self.mounts.of(self._real), *self.mounts.below(self._real))
            if around != self._around:
                self._around = around
                self._by_device.clear()
                return True
        return False

    def _adopt(self, sight: Sight, record: RootRecord | None) -> None:
        marker = sight.marker
        if marker is None and not self.root.read_only:
            marker = write_marker(self.root.path)
        crossings = record.crossings if record else ()
        self._identity, self._marked = sight.identity, marker is not None
        before, now = record.foreign if record else "", ""
        if not self.root.read_only:
            now = self._claims.claim(self.root.path)
            if before and not now:
                self._claims.regained(self.root.path)
        self.foreign = now
        self._memory.put(self.root.path, RootRecord(marker, sight.place, crossings, now))

    def _log_change(self, before: tuple[State, str]) -> None:
        if before == (self.state, self.reason):
            return
        if self.online:
            log.info("%r is here and watched", self.root.path)
        else:
            log.warning(
                "%r is %s (%s); nothing in it is touched or forgotten, and it is looked for "
                "every few seconds",
                self.root.path,
                self.state,
                self.reason,
            )
