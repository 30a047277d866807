"""Keeps track of whether one root is there, and of what is mounted around it."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterable

from tagger.config.schema import WatchRoot
from tagger.system.files import no_descriptors
from tagger.system.mounts import Mount, Mounts, read_mountinfo
from tagger.watch.deletions import away
from tagger.watch.interfaces import RootClaims, State, Unclaimed
from tagger.watch.root_identity import (
    MARKER,
    RootMemory,
    RootRecord,
    Sight,
    Verdict,
    judge,
    look_at_root,
    write_marker,
)

log = logging.getLogger(__name__)

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


class Presence:
    """Whether a root is there. ``reason`` says why it is not.

    ``knows`` says whether the index knows any photo in the root, ``twin`` which other root
    is the same folder and comes first, ``claims`` who writes there. ``foreign`` says why no tags
    are written there.
    """

    def __init__(
        self,
        root: WatchRoot,
        memory: RootMemory,
        knows: Callable[[], bool],
        twin: Callable[[], str | None],
        claims: RootClaims | None = None,
    ) -> None:
        self.root = root
        self.state: State = "missing"
        self.reason = "not looked at yet"
        self.mounts = Mounts("")
        self.foreign = ""
        self._memory, self._knows, self._twin = memory, knows, twin
        self._claims = claims or Unclaimed()
        self._accepted = False
        self._text = ""
        self._real = root.path
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

    def crossed(self, found: Iterable[str], *, forget: bool = False) -> None:
        """Remember the mount points that a scan has met; keep those away unless ``forget``."""
        kept = () if forget else away(self.crossings)
        self._memory.put_crossings(self.root.path, (*kept, *found))

    def accept(self) -> None:
        """Take the folder for the right one at the next check, whatever it looks like."""
        self._accepted = True

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

    def check(self) -> bool:
        """Look whether the root is there; return whether anything has changed."""
        was = (self.state, self.reason)
        try:
            remounted = self._read_mounts()
            if self.online and not remounted and self._as_before():
                return False
            sight = look_at_root(self.root.path, self.mounts)
        except OSError as error:
            if no_descriptors(error):
                raise
            self.state = "missing" if error.errno in _ABSENT else "offline"
            self.reason = error.strerror or str(error)
        else:
            record = None if self._accepted else self._memory.get(self.root.path)
            twin = self._twin()
            verdict = (
                Verdict(False, f"it is the same folder as {twin}, which is watched already")
                if twin is not None
                else judge(record, sight, self._knows_any)
            )
            self._accepted = False
            self.state = "online" if verdict.online else "offline"
            self.reason = verdict.reason
            if verdict.online:
                self._adopt(sight, record)
        self._tell(was)
        return self.online or was[0] == "online"

    def _knows_any(self) -> bool:
        return not self._accepted and self._knows()

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
        known = self._memory.get(self.root.path)
        before, now = known.foreign if known else "", ""
        if not self.root.read_only:
            now = self._claims.claim(self.root.path)
            if before and not now:
                self._claims.regained(self.root.path)
        self.foreign = now
        self._memory.put(self.root.path, RootRecord(marker, sight.place, crossings, now))

    def _tell(self, was: tuple[State, str]) -> None:
        if was == (self.state, self.reason):
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
