"""The machine: limits of the kernel, room on the disks, the clock, helper programs."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from tagger.doctor.folders import count_folders, writes
from tagger.doctor.report import Installation, Result, name_of
from tagger.metadata.containers.exiftool import find_exiftool
from tagger.system.humanize import duration, megabytes

LEAST, LITTLE = 50e6, 500e6
"""Bytes on a disk: with less than the first nothing can be relied on to be written."""
FIRST_YEAR = 1_735_689_600.0
"""1 January 2025, before which this program was not there."""
CLOCK_SECONDS = 120.0
"""What a clock may go back, as when it is set by the network."""


def check_inotify(patient: Installation) -> Iterator[Result]:
    """Yield whether the kernel lets so many folders be watched."""
    limits = {}
    for limit in ("max_user_watches", "max_queued_events", "max_user_instances"):
        try:
            with open(f"{patient.proc}/sys/fs/inotify/{limit}", encoding="ascii") as file:
                limits[limit] = int(file.read())
        except (OSError, ValueError):
            remedy = "use a Linux with inotify; folders are looked at regularly meanwhile"
            yield Result("inotify", "warning", f"there is no limit {limit} to be read", remedy)
            return
    roots = [root for root in patient.config.watch if root.mode != "poll"]
    roots = [root for root in roots if not patient.mounts.of(os.path.realpath(root.path)).remote]
    counts = [count_folders(root) for root in roots if os.path.isdir(root.path)]
    folders = sum(counts)
    watches, queued = limits["max_user_watches"], limits["max_queued_events"]
    text = (
        f"{folders:,} folder{'s'[: folders != 1]};"
        f" max_user_watches {watches:,}, max_queued_events {queued:,}"
    )
    if folders > watches:
        more = f"{text}: not all can be watched"
        yield Result("inotify", "error", more, _raise("max_user_watches", folders * 4))
    elif max(counts, default=0) > queued // 2:
        more = f"{text}: too short a queue to look at all of them after an overflow"
        yield Result("inotify", "warning", more, _raise("max_queued_events", folders * 4))
    elif folders * 2 > watches:
        more = f"{text}: other programs need watches too"
        yield Result("inotify", "warning", more, _raise("max_user_watches", folders * 4))
    elif limits["max_user_instances"] < 4 * len(roots):
        more = f"max_user_instances is only {limits['max_user_instances']:,}"
        yield Result("inotify", "warning", more, _raise("max_user_instances", 512))
    else:
        yield Result("inotify", "ok", text)


def _raise(limit: str, least: int) -> str:
    value = max(524_288, least) if limit == "max_user_watches" else max(65_536, least)
    value = least if limit == "max_user_instances" else value
    return (
        f"echo fs.inotify.{limit}={value} | sudo tee -a /etc/sysctl.d/60-tagger.conf"
        " && sudo sysctl --system"
    )


def check_disks(patient: Installation) -> Iterator[Result]:
    """Yield how much room there is where something is written."""
    config = patient.config
    seen: set[int] = set()
    places = [_there(config.state_dir)]
    places += [root.path for root in config.watch if writes(config, root)]
    for path in places:
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
    name, text = f"disk {path}", f"{megabytes(free)} are free"
    if free < LEAST:
        return Result(name, "error", f"{text}: too little to write anything", "make room on it")
    if files is not None and files < 100:
        remedy = "delete files: it can hold no more of them, whatever their size"
        return Result(name, "error", f"{text}, but room for {files} more files only", remedy)
    if free < LITTLE:
        return Result(name, "warning", f"{text}, which is not much", "make room on it")
    return Result(name, "ok", text)


def check_state_dir(patient: Installation) -> Iterator[Result]:
    """Yield whether the state directory can be used."""
    path = patient.config.state_dir
    name = "state directory"
    mount = patient.mounts.of(os.path.realpath(path))
    if mount.remote:
        text = f"{path} is on a network file system ({mount.fstype}), where an index gets damaged"
        yield Result(name, "error", text, "set `state_dir` to a folder on a local disk")
        return
    if not os.path.isdir(path):
        over = _there(path)
        if not os.path.isdir(over) or not os.access(over, os.W_OK):
            text = f"{path} is not there, and cannot be made in {over}"
            yield Result(name, "error", text, "correct `state_dir`, or make it for the daemon")
        else:
            yield Result(name, "ok", f"{path} is not there yet; the daemon makes it")
    elif not patient.may(path, write=True):
        who = name_of(patient.user)
        if patient.may(path, write=True) is None:
            text = f"{path} belongs to {who}, so not much can be told"
            yield Result(name, "warning", text, f"run this as {who}, or with sudo")
        else:
            text = f"{path} cannot be written to by {who}"
            yield Result(name, "error", text, "correct `state_dir`, or the rights of the folder")
    else:
        yield Result(name, "ok", f"{path} ({mount.fstype})")


def _there(path: str) -> str:
    """Return the innermost folder on the way to ``path`` that exists."""
    while not os.path.lexists(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    return path


def check_clock(patient: Installation, newest: float | None = None) -> Iterator[Result]:
    """Yield whether the clock can be right; ``newest`` is when a photo was tagged last."""
    remedy = "set it: sudo timedatectl set-ntp true"
    text = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(patient.now))
    if patient.now < FIRST_YEAR:
        yield Result("clock", "error", f"it says {text}, which cannot be", remedy)
    elif newest is not None and patient.now < newest - CLOCK_SECONDS:
        behind = duration(newest - patient.now)
        more = f"it says {text}, {behind} before the newest photo was tagged"
        yield Result("clock", "error", more, remedy)
    else:
        yield Result("clock", "ok", text)


def check_exiftool(patient: Installation) -> Iterator[Result]:
    """Yield whether exiftool is there when the config asks for it."""
    write, found = patient.config.write, find_exiftool()
    if not write.exiftool:
        yield Result("exiftool", "ok", "not asked for (`write.exiftool`)")
    elif found is None:
        yield Result(
            "exiftool",
            "error",
            "not installed, so HEIC, AVIF and TIFF photos get sidecars",
            "sudo apt install libimage-exiftool-perl, or set `write.exiftool: false`",
        )
    elif write.target != "embed":
        text = f"{found} is not used: `write.target` is {write.target}"
        yield Result("exiftool", "warning", text, "set `write.target: embed`, if you want that")
    else:
        yield Result("exiftool", "ok", found)
