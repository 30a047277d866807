"""Measures the daemon's start with a converted model, and what it does while idle.

    python bench/startup.py [SECONDS] [--starts N]

Start: seconds from exec until the log says that the engine is loaded, until the status says
so and that the folders were scanned, and until a photo that lay in the inbox is in the
index. Idle: CPU time, context switches and the wake-ups they stand for, by process and
thread, over SECONDS (default 60). Writes ``startup.json``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.harness import Home, Model, cpu_seconds, median, report, role, tree, wait_until
from bench.synthetic_photos import write_photos

QUIET_SECONDS = 5.0
"""After the start, before idling is measured."""


def start(folder: Path, model: Model, photo: Path) -> dict[str, float]:
    """Start a daemon with one new photo; return seconds from exec."""
    home = Home(folder, model, int8=False)
    os.link(photo, home.inbox / photo.name)
    time.sleep(2.5)  # until the photo has settled
    wall, started = time.time(), time.monotonic()
    found: dict[str, float] = {}
    with home.daemon():
        wait_until(home.is_ready, 0.002)
        found["status says ready"] = time.monotonic() - started
        wait_until(lambda: any(said.get("event") == "photo" for said in home.logged()))
    for said in home.logged():
        moment = datetime.fromisoformat(said["time"]).timestamp() - wall
        if " loaded from " in said["message"]:
            found["engine loaded"] = moment
        elif said["message"].startswith("watching "):
            found["threads started"] = moment
        elif said.get("event") == "photo":
            found["first photo tagged"] = moment
    return dict(sorted(found.items(), key=lambda item: item[1]))


def threads(pids: list[int]) -> dict[tuple[int, int], int]:
    """Return the context switches so far by (process, thread): each is one wake-up or more."""
    found = {}
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            lines = Path(f"/proc/{pid}/task/{thread}/status").read_text().splitlines()
            switches = [int(line.split()[1]) for line in lines if "ctxt_switches" in line]
            found[pid, int(thread)] = sum(switches)
    return found


def written(pid: int) -> int:
    """Return the bytes that the process has written to disk so far."""
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        if line.startswith("write_bytes:"):
            return int(line.split()[1])
    return 0


def idle(folder: Path, model: Model, photo: Path, seconds: float) -> dict[str, Any]:
    """Return what a daemon does that has nothing to do, a second."""
    home = Home(folder, model, int8=False)
    os.link(photo, home.inbox / photo.name)
    with home.daemon() as process:
        wait_until(lambda: any(said.get("event") == "photo" for said in home.logged()))
        time.sleep(QUIET_SECONDS)
        pids = tree(process.pid)
        before, cpu, disk = threads(pids), cpu_seconds(pids), written(process.pid)
        started = time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - started
        after = threads(pids)
        rows = [
            {
                "process": role(pid, process.pid),
                "thread": thread,
                "wakeups_per_second": (count - before.get((pid, thread), 0)) / took,
            }
            for (pid, thread), count in after.items()
        ]
        return {
            "seconds": took,
            "cpu_percent": (cpu_seconds(pids) - cpu) / took * 100,
            "wakeups_per_second": sum(row["wakeups_per_second"] for row in rows),
            "disk_bytes_per_second": (written(process.pid) - disk) / took,
            "threads": sorted(rows, key=lambda row: -row["wakeups_per_second"]),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seconds", type=float, nargs="?", default=60.0)
    parser.add_argument("--starts", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tagger-bench-") as name:
        scratch = Path(name)
        model = Model(scratch / "model")
        photo = write_photos(scratch / "photos", "JPEG 12 MP", 1)[0]
        starts = [start(scratch / f"{n}", model, photo) for n in range(options.starts + 1)][1:]
        quiet = idle(scratch / "idle", model, photo, options.seconds)
    medians = {step: median([one[step] for one in starts]) for step in starts[0]}
    lines = [f"\nseconds from exec, medians of {options.starts} starts (target: ready in 1 s)"]
    lines += [f"{step:24}{seconds:8.2f}" for step, seconds in medians.items()]
    lines += [
        f"\nidle for {quiet['seconds']:.0f} s: {quiet['cpu_percent']:.2f} % of a core, "
        f"{quiet['wakeups_per_second']:.1f} wake-ups a second, "
        f"{quiet['disk_bytes_per_second']:.0f} bytes a second to disk"
    ]
    for row in quiet["threads"]:
        if row["wakeups_per_second"] > 0.01:
            lines.append(
                f"{row['process']:18} thread {row['thread']:<8}"
                f"{row['wakeups_per_second']:8.2f} a second"
            )
    report(__file__, {"start": medians, "starts": starts, "idle": quiet}, lines)


if __name__ == "__main__":
    main()
