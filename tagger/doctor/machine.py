"""The machine: limits of the kernel, room on the disks, the clock, helper programs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from tagger.doctor.folders import count_folders, writes
from tagger.doctor.report import Installation, Result, name_of, run_as
from tagger.metadata.containers.exiftool import find_exiftool
from tagger.system.humanize import duration, megabytes
from tagger.text.messages import gettext, ngettext, number

LEAST, LITTLE = 50e6, 500e6
"""Bytes on a disk: with less than the first nothing can be relied on to be written."""
FIRST_YEAR = 1_735_689_600.0
"""1 January 2025, before which this program was not there."""
CLOCK_SECONDS = 120.0
"""What a clock may go back, as when it is set by the network."""
_ENOUGH = {"max_user_watches": 524_288, "max_queued_events": 65_536, "max_user_instances": 512}
"""Limits of inotify(7), and to what they are raised at least."""


def check_inotify(patient: Installation) -> Iterator[Result]:
    """Yield whether the kernel lets so many folders be watched."""
    limits = {}
    for limit in _ENOUGH:
        try:
            with open(f"{patient.proc}/sys/fs/inotify/{limit}", encoding="ascii") as file:
                limits[limit] = int(file.read())
        except (OSError, ValueError):
            text = gettext("there is no limit %(limit)s to be read", limit=limit)
            remedy = gettext("use a Linux with inotify; folders are looked at regularly meanwhile")
            yield Result("inotify", "warning", text, remedy)
            return
    roots = [root for root in patient.config.watch if root.mode != "poll"]
    roots = [root for root in roots if not patient.mounts.of(os.path.realpath(root.path)).remote]
    counts = [count_folders(root) for root in roots if os.path.isdir(root.path)]
    folders = sum(counts)
    watches, queued = limits["max_user_watches"], limits["max_queued_events"]
    counted = ngettext("%(n)s folder", "%(n)s folders", folders)
    text = f"{counted}; max_user_watches {number(watches)}, max_queued_events {number(queued)}"
    if folders > watches:
        more = f"{text}: {gettext('not all can be watched')}"
        yield Result("inotify", "error", more, _raise("max_user_watches", folders))
    elif max(counts, default=0) > queued // 2:
        short = gettext("too short a queue to look at all of them after an overflow")
        more = f"{text}: {short}"
        yield Result("inotify", "warning", more, _raise("max_queued_events", folders))
    elif folders * 2 > watches:
        more = f"{text}: {gettext('other programs need watches too')}"
        yield Result("inotify", "warning", more, _raise("max_user_watches", folders))
    elif limits["max_user_instances"] < 4 * len(roots):
        instances = number(limits["max_user_instances"])
        more = gettext("%(limit)s is only %(n)s", limit="max_user_instances", n=instances)
        yield Result("inotify", "warning", more, _raise("max_user_instances"))
    else:
        yield Result("inotify", "ok", text)


def _raise(limit: str, folders: int = 0) -> str:
    value = max(_ENOUGH[limit], 4 * folders)
    return (
        f"echo fs.inotify.{limit}={value} | sudo tee -a /etc/sysctl.d/60-tagger.conf"
        " && sudo sysctl --system"
    )


def check_disks(patient: Installation) -> Iterator[Result]:
    """Yield how much room there is where something is written."""
    config = patient.config
    seen: set[int] = set()
    roots = (root.path for root in config.watch if writes(config, root))
    for path in (_there(config.state_dir), *roots):
        try:
            device, disk = os.stat(path).st_dev, os.statvfs(path)
        except OSError:
            continue  # a folder that is away has its own check
        if device in seen:
            continue
        seen.add(device)
        yield _room(path, disk.f_bavail * disk.f_frsize, disk.f_favail if disk.f_files else None)


def _room(path: str, free: float, files: int | None) -> Result:
    """Judge ``free`` bytes and ``files`` more files (None: without a limit)."""
    name, text = f"disk {path}", gettext("%(size)s are free", size=megabytes(free))
    if free < LEAST:
        said = f"{text}: {gettext('too little to write anything')}"
        return Result(name, "error", said, gettext("make room on it"))
    if files is not None and files < 100:
        remedy = gettext("delete files: it can hold no more of them, whatever their size")
        said = gettext("but room for %(n)s more files only", n=files)
        return Result(name, "error", f"{text}, {said}", remedy)
    if free < LITTLE:
        said = f"{text}, {gettext('which is not much')}"
        return Result(name, "warning", said, gettext("make room on it"))
    return Result(name, "ok", text)


def check_state_dir(patient: Installation) -> Iterator[Result]:
    """Yield whether the state directory can be used."""
    path = patient.config.state_dir
    name = "state directory"
    mount = patient.mounts.of(os.path.realpath(path))
    if mount.remote:
        text = gettext(
            "%(path)s is on a network file system (%(fstype)s), where an index gets damaged",
            path=path,
            fstype=mount.fstype,
        )
        yield Result(name, "error", text, gettext("set `state_dir` to a folder on a local disk"))
        return
    if not os.path.isdir(path):
        over = _there(path)
        if not os.path.isdir(over) or not os.access(over, os.W_OK):
            text = gettext(
                "%(path)s is not there, and cannot be made in %(folder)s", path=path, folder=over
            )
            remedy = gettext("correct `state_dir`, or make it for the daemon")
            yield Result(name, "error", text, remedy)
        else:
            text = gettext("%(path)s is not there yet; the daemon makes it", path=path)
            yield Result(name, "ok", text)
    elif not patient.may(path, write=True):
        who = name_of(patient.user)
        if patient.may(path, write=True) is None:
            text = gettext(
                "%(path)s belongs to %(user)s, so not much can be told", path=path, user=who
            )
            yield Result(name, "warning", text, run_as(who))
        else:
            text = gettext("%(path)s cannot be written to by %(user)s", path=path, user=who)
            remedy = gettext("correct `state_dir`, or the rights of the folder")
            yield Result(name, "error", text, remedy)
    else:
        yield Result(name, "ok", f"{path} ({mount.fstype})")


def _there(path: str) -> str:
    """Return the innermost folder on the way to ``path`` that exists."""
    while not os.path.lexists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


def check_clock(patient: Installation, newest: float | None = None) -> Iterator[Result]:
    """Yield whether the clock can be right; ``newest`` is when a photo was tagged last."""
    remedy = gettext("set it: %(command)s", command="sudo timedatectl set-ntp true")
    text = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(patient.now))
    if patient.now < FIRST_YEAR:
        more = gettext("it says %(time)s, which cannot be", time=text)
        yield Result("clock", "error", more, remedy)
    elif newest is not None and patient.now < newest - CLOCK_SECONDS:
        more = gettext(
            "it says %(time)s, %(behind)s before the newest photo was tagged",
            time=text,
            behind=duration(newest - patient.now),
        )
        yield Result("clock", "error", more, remedy)
    else:
        yield Result("clock", "ok", text)


def check_exiftool(patient: Installation) -> Iterator[Result]:
    """Yield whether exiftool is there when the config asks for it."""
    write, found = patient.config.write, find_exiftool()
    if not write.exiftool:
        yield Result("exiftool", "ok", gettext("not asked for (`write.exiftool`)"))
    elif found is None:
        text = gettext("not installed, so HEIC, AVIF and TIFF photos get sidecars")
        remedy = gettext("sudo apt install libimage-exiftool-perl, or set `write.exiftool: false`")
        yield Result("exiftool", "error", text, remedy)
    elif write.target != "embed":
        text = gettext(
            "%(program)s is not used: `write.target` is %(target)s",
            program=found,
            target=write.target,
        )
        remedy = gettext("set `write.target: embed`, if you want that")
        yield Result("exiftool", "warning", text, remedy)
    else:
        yield Result("exiftool", "ok", found)
