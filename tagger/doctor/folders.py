"""The watched folders: there, with the rights they need, and telling of what happens in them."""

from __future__ import annotations

import os
import shlex
import threading
import time
from collections.abc import Iterator

from tagger.config.schema import Config, WatchRoot
from tagger.doctor.report import Installation, Result, name_of
from tagger.metadata.safe_write.folder_capabilities import refusals
from tagger.watch.interfaces import RootStatus
from tagger.watch.root_owner import writers_of

MOST_FOLDERS = 1_000_000
WALK_SECONDS = 20.0
"""Folders are counted for so long at most."""
_BY_CHOICE = ("mode: poll", "no events from others")


def writes(config: Config, root: WatchRoot) -> bool:
    """Whether tags are to be written into a watched folder."""
    return config.write.target != "none" and not root.read_only


def check_folders(patient: Installation) -> Iterator[Result]:
    """Yield how each watched folder is."""
    if not patient.config.watch:
        yield Result(
            "folders", "error", "no folder is watched", "add one under `watch:` in the config"
        )
    for root in patient.config.watch:
        yield _folder(patient, root)


def _folder(patient: Installation, root: WatchRoot) -> Result:
    name, path = f"folder {root.path}", root.path
    try:
        st = os.stat(path)
    except OSError as error:
        return Result(
            name, "error", f"{error.strerror}", "mount its disk, or correct `watch` in the config"
        )
    if not os.path.isdir(path):
        return Result(name, "error", "it is a file", "name a folder under `watch` in the config")
    mount = patient.mounts.of(os.path.realpath(path))
    user, wanted = name_of(patient.user), writes(patient.config, root)
    of = f"belongs to {name_of(st.st_uid)}, {mount.fstype} mounted at {mount.mountpoint}"
    told = _told(patient, root)
    if told and told.state != "online":
        why = told.reason or told.state
        remedy = "mount its disk again; nothing is forgotten meanwhile"
        return Result(name, "error", f"{of}; the daemon reports it offline: {why}", remedy)
    if wanted and (foreign := writers_of(patient.config.state_dir).foreign(path, path)):
        text, _, remedy = foreign.rpartition("; ")
        return Result(name, "warning", f"{of}; {text}; those of this one are in its index", remedy)
    if wanted and os.statvfs(path).f_flag & os.ST_RDONLY:
        return Result(
            name,
            "error",
            f"{of}, read-only, so that no tag can be written there",
            "mount it for writing, or give it `read_only: true` in the config",
        )
    for write in (False, True) if wanted else (False,):
        may = patient.may(path, write=write)
        if may is None:
            remedy = f"run this as {user}, or with sudo"
            return Result(name, "warning", f"{of}; what {user} may do there is not known", remedy)
        if not may:
            rights = "rwX" if wanted else "rX"
            who = f"u:{user.removeprefix('user ')}:{rights}"
            return Result(
                name,
                "error",
                f"{of}; {user} may not {'write to' if write else 'read'} it",
                f"setfacl -R -m {who},d:{who} {shlex.quote(path)}",
            )
    text = f"{of}; {user} may {'read and write' if wanted else 'read'} it"
    return _refused(name, path, text) if wanted else Result(name, "ok", text)


def _refused(name: str, path: str, text: str) -> Result:
    """Return how a folder is that may be written to: some refuse single operations."""
    try:
        refused = refusals(path)
    except OSError as error:
        remedy = "see whether it is immutable (`lsattr -d`), and how it is mounted"
        return Result(name, "error", f"{text}, but no file can be made: {error.strerror}", remedy)
    if not refused:
        return Result(name, "ok", text)
    text += f", but it refuses {', '.join(refused)}"
    if {"rename", "delete"} & {*refused}:
        remedy = (
            "mount it so that files can be renamed and deleted, or set `read_only: true` for it: "
            "tags may be in the index only"
        )
        return Result(name, "warning", text, remedy)
    return Result(name, "ok", f"{text}: sidecars are written without that")


def _told(patient: Installation, root: WatchRoot) -> RootStatus | None:
    """Return what the running daemon says of a watched folder."""
    return patient.status.root(root.path) if patient.runs else None


def check_events(patient: Installation) -> Iterator[Result]:
    """Yield, for each watched folder, whether the kernel tells of what happens in it."""
    for root in patient.config.watch:
        if not os.path.isdir(root.path):
            continue
        name = f"events {root.path}"
        told = _told(patient, root)
        if told and told.state == "online":
            reason = told.reason if told.mode == "poll" else None
            if reason is not None:
                reason = reason.removesuffix(told.not_written).removesuffix("; ")
            by = "by the running daemon"
        else:
            reason, by = _prove(patient, root)
        if reason is None:
            yield Result(name, "ok", f"changes are noticed at once ({by})")
            continue
        text = f"scanned every {patient.config.rescan_seconds:.0f} s: {reason}"
        if reason.startswith(_BY_CHOICE):
            yield Result(name, "ok", text)
            continue
        remedy = "use `mode: poll` if it stays so"
        if "raise " in reason:
            remedy = "raise the limit, see inotify"
        yield Result(name, "warning", text, remedy)


def _prove(patient: Installation, root: WatchRoot) -> tuple[str | None, str]:
    """Return why events cannot be relied on (None: they can), and what says so."""
    from tagger.watch.event_feed import EventFeed
    from tagger.watch.events import WatchdogSource

    wake = threading.Event()
    # The folder itself is enough; those below it are counted for the limits.
    only = WatchRoot(root.path, recursive=False, mode=root.mode, read_only=root.read_only)
    feed = EventFeed(only, WatchdogSource, wake)
    try:
        feed.arm(patient.mounts)
        asked = feed.next_due() < float("inf") and feed.mode == "events"
        while asked and feed.mode == "events" and feed.next_due() < float("inf"):
            wake.wait(max(0.0, feed.next_due() - time.monotonic()))
            wake.clear()
            list(feed.hints())
            feed.check(patient.mounts)
    finally:
        feed.disarm()
    if feed.mode == "poll":
        return feed.reason, ""
    return None, "proved by a test file" if asked else "not proven: nothing written there"


def count_folders(root: WatchRoot) -> int:
    """Return how many folders a watch takes; those that cannot be read have none below them."""
    count, waiting = 0, [root.path]
    deadline = time.monotonic() + WALK_SECONDS
    while waiting and count < MOST_FOLDERS and time.monotonic() < deadline:
        folder = waiting.pop()
        count += 1
        if not root.recursive:
            break
        try:
            with os.scandir(folder) as entries:
                waiting += [e.path for e in entries if e.is_dir(follow_symlinks=False)]
        except OSError:
            continue
    return count
