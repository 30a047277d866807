"""The watched folders: there, with the rights they need, and telling of what happens in them."""

from __future__ import annotations

import os
import shlex
import threading
import time
from collections.abc import Iterator

from tagger.config.schema import Config, WatchRoot
from tagger.doctor.report import Installation, Result, name_of, run_as
from tagger.metadata.safe_write.folder_capabilities import refusals
from tagger.text.error_texts import all_in_language, in_language
from tagger.text.messages import gettext
from tagger.watch.interfaces import RootStatus
from tagger.watch.root_owner import writers_of

MOST_FOLDERS = 1_000_000
WALK_SECONDS = 20.0
"""Folders are counted for so long at most."""


def writes(config: Config, root: WatchRoot) -> bool:
    """Whether tags are to be written into a watched folder."""
    return config.write.target != "none" and not root.read_only


def check_folders(patient: Installation) -> Iterator[Result]:
    """Yield how each watched folder is."""
    if not patient.config.watch:
        remedy = gettext("add one under `watch:` in the config")
        yield Result("folders", "error", gettext("no folder is watched"), remedy)
    for root in patient.config.watch:
        yield _folder(patient, root)


def _folder(patient: Installation, root: WatchRoot) -> Result:
    name, path = f"folder {root.path}", root.path
    try:
        st = os.stat(path)
    except OSError as error:
        remedy = gettext("mount its disk, or correct `watch` in the config")
        return Result(name, "error", in_language(str(error.strerror)), remedy)
    if not os.path.isdir(path):
        remedy = gettext("name a folder under `watch` in the config")
        return Result(name, "error", gettext("it is a file"), remedy)
    mount = patient.mounts.of(os.path.realpath(path))
    user, wanted = name_of(patient.user), writes(patient.config, root)
    of = gettext(
        "belongs to %(owner)s, %(fstype)s mounted at %(mountpoint)s",
        owner=name_of(st.st_uid),
        fstype=mount.fstype,
        mountpoint=mount.mountpoint,
    )
    told = _told(patient, root)
    if told and told.state != "online":
        why = all_in_language(told.reason) if told.reason else gettext(told.state)
        remedy = gettext("mount its disk again; nothing is forgotten meanwhile")
        offline = gettext("the daemon reports it offline: %(why)s", why=why)
        return Result(name, "error", f"{of}; {offline}", remedy)
    if wanted and (foreign := writers_of(patient.config.state_dir).foreign(path, path)):
        text, _, remedy = all_in_language(foreign).rpartition("; ")
        own = gettext("those of this one are in its index")
        return Result(name, "warning", f"{of}; {text.strip()}; {own}", remedy)
    if wanted and os.statvfs(path).f_flag & os.ST_RDONLY:
        readonly = gettext("read-only, so that no tag can be written there")
        remedy = gettext("mount it for writing, or give it `read_only: true` in the config")
        return Result(name, "error", f"{of}, {readonly}", remedy)
    for write in (False, True) if wanted else (False,):
        may = patient.may(path, write=write)
        if may is None:
            unknown = gettext("what %(user)s may do there is not known", user=user)
            return Result(name, "warning", f"{of}; {unknown}", run_as(user))
        if not may:
            rights = "rwX" if wanted else "rX"
            who = f"u:{user.removeprefix('user ')}:{rights}"
            barred = gettext("%(user)s may not read it", user=user)
            if write:
                barred = gettext("%(user)s may not write to it", user=user)
            remedy = f"setfacl -R -m {who},d:{who} {shlex.quote(path)}"
            return Result(name, "error", f"{of}; {barred}", remedy)
    if not wanted:
        return Result(name, "ok", f"{of}; {gettext('%(user)s may read it', user=user)}")
    allowed = gettext("%(user)s may read and write it", user=user)
    return _refused(name, path, f"{of}; {allowed}")


def _refused(name: str, path: str, text: str) -> Result:
    """Return how a folder is that may be written to: some refuse single operations."""
    try:
        refused = refusals(path)
    except OSError as error:
        remedy = gettext("see whether it is immutable (`lsattr -d`), and how it is mounted")
        barred = gettext("but no file can be made: %(why)s", why=in_language(str(error.strerror)))
        return Result(name, "error", f"{text}, {barred}", remedy)
    if not refused:
        return Result(name, "ok", text)
    text += ", " + gettext("but it refuses %(what)s", what=", ".join(refused))
    if {"rename", "delete"} & {*refused}:
        remedy = gettext(
            "mount it so that files can be renamed and deleted, or set `read_only: true` for it: "
            "tags may be in the index only"
        )
        return Result(name, "warning", text, remedy)
    return Result(name, "ok", f"{text}: {gettext('sidecars are written without that')}")


def _told(patient: Installation, root: WatchRoot) -> RootStatus | None:
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
            by = gettext("by the running daemon")
        else:
            reason, by = _prove(patient, root)
        if reason is None:
            yield Result(name, "ok", gettext("changes are noticed at once (%(by)s)", by=by))
            continue
        text = gettext(
            "scanned every %(n)s s: %(why)s",
            n=f"{patient.config.rescan_seconds:.0f}",
            why=all_in_language(reason),
        )
        remedy = gettext("use `mode: poll` if it stays so")
        if "raise " in reason:
            remedy = gettext("raise the limit, see inotify")
        by_choice = reason.startswith(("mode: poll", "no events from others"))
        yield Result(name, "ok", text) if by_choice else Result(name, "warning", text, remedy)


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
    proved = gettext("proved by a test file")
    return None, proved if asked else gettext("not proven: nothing written there")


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
