"""Measures the memory of all processes of the daemon while it tags photos of 12 MP.

    python bench/memory.py [PHOTOS] [--workers N]

PHOTOS JPEGs (default 2000, of 4 MB each on disk) with the default config and one decoding
process, by fp32, int8 and int8 that is still to be proven, and once more by fp32 within a limit
of 512 MB for everything. Memory is PSS: pages that processes share are counted once. Steady
state begins after a fifth of the photos; growth is the slope of the line of least squares
since then. The networks: see ``harness.py``.
Writes ``memory.json``.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.harness import Home, Model, median, pss, report, role, slope, tree
from bench.synthetic_photos import write_photos

LIMIT_MB = 512
PAUSE = 0.25


@contextlib.contextmanager
def limited(megabytes: int) -> Iterator[Path | None]:
    """Give a cgroup with a memory limit and no swap below our own; None where that cannot be."""
    made = None
    with contextlib.suppress(OSError):
        made = _make_group(megabytes)
    try:
        yield made
    finally:
        if made is not None:
            for _ in range(50):
                try:
                    made.rmdir()
                    break
                except OSError:  # its processes are still ending
                    time.sleep(0.1)


def _make_group(megabytes: int) -> Path:
    """Make the cgroup, of version 2 or 1. Raise OSError where the system does not let us."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            parent, limit, swap = Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", ""
        elif controllers == "" and Path("/sys/fs/cgroup/cgroup.controllers").exists():
            parent, limit, swap = Path("/sys/fs/cgroup"), "memory.max", "memory.swap.max"
        else:
            continue
        group = Path(f"{parent}{path}", f"tagger-bench-{os.getpid()}")
        group.mkdir()
        try:
            (group / limit).write_text(str(megabytes << 20))
            if swap:
                (group / swap).write_text("0")
        except OSError:
            group.rmdir()
            raise
        return group
    raise OSError("no memory controller")


def killed(group: Path) -> int:
    """Return how many processes of the group the kernel has killed for want of memory."""
    for name in ("memory.events", "memory.oom_control"):
        with contextlib.suppress(OSError):
            for line in (group / name).read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def measure(
    scratch: Path,
    model: Model,
    paths: list[Path],
    *,
    int8: bool,
    workers: int,
    provisional: bool = False,
    limit: int = 0,
) -> dict[str, Any]:
    """Let a daemon tag the photos; return its memory in MB."""
    folder = scratch / "home"
    home = Home(folder, model, int8=int8, provisional=provisional, decode={"workers": workers})
    for path in paths:
        os.link(path, home.inbox / path.name)
    samples: list[tuple[float, int, dict[str, float]]] = []
    with limited(limit) if limit else contextlib.nullcontext() as group:
        if limit and group is None:
            shutil.rmtree(folder)
            return {"skipped": f"no cgroup to limit memory to {limit} MB can be made here"}

        def enter() -> None:
            if group is not None:
                (group / "cgroup.procs").write_text(str(os.getpid()))

        done, offset, started = 0, 0, time.monotonic()
        with home.daemon(preexec_fn=enter) as process:
            while done < len(paths) and process.poll() is None:
                time.sleep(PAUSE)
                with home.log.open("rb") as log:
                    log.seek(offset)
                    new = log.read()
                new = new[: new.rfind(b"\n") + 1]
                offset += len(new)
                done += new.count(b'"event": "photo"')
                parts: dict[str, float] = {}
                for pid in tree(process.pid):
                    kind = role(pid, process.pid)
                    parts[kind] = parts.get(kind, 0) + pss(pid)
                samples.append((time.monotonic() - started, done, parts))
            code = process.poll()
        oom = killed(group) if group is not None else 0
    warnings = [said["message"] for said in home.logged() if said["level"] != "info"]
    shutil.rmtree(folder)
    steady = [sample for sample in samples if sample[1] >= len(paths) / 5] or samples
    totals = [sum(parts.values()) for _, _, parts in steady]
    kinds = {kind for _, _, parts in steady for kind in parts}
    counts = [count for _, count, _ in steady]
    return {
        "photos": done,
        "photos_per_second": done / samples[-1][0],
        "median_mb": median(totals),
        "peak_mb": max(sum(parts.values()) for _, _, parts in samples),
        "mb_per_1000_photos": slope(counts, totals) * 1000 if len(set(counts)) > 1 else 0.0,
        "parts_mb": {kind: median([p.get(kind, 0) for _, _, p in steady]) for kind in kinds},
        "ended_early": code is not None,
        "oom_kills": oom,
        "warnings": warnings[:5],
        "samples": [(count, round(sum(parts.values()), 1)) for _, count, parts in samples],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=int, nargs="?", default=2000)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tagger-bench-") as name:
        scratch = Path(name)
        model = Model(scratch / "model", int8=True)
        paths = write_photos(scratch / "photos", "JPEG 12 MP", options.photos)
        some = paths[: max(options.photos // 5, 40)]
        runs: dict[str, dict[str, Any]] = {}
        runs["fp32"] = measure(scratch, model, paths, int8=False, workers=options.workers)
        runs["int8"] = measure(scratch, model, some, int8=True, workers=options.workers)
        runs["int8 unproven"] = measure(
            scratch, model, some, int8=True, provisional=True, workers=options.workers
        )
        runs[f"fp32 in {LIMIT_MB} MB"] = measure(
            scratch, model, some, int8=False, workers=options.workers, limit=LIMIT_MB
        )
    lines = [
        f"\nPSS of all processes in MB, {options.workers} decoding process(es) (target: 250)",
        f"{'':18}{'photos':>8}{'median':>9}{'peak':>8}{'growth/1000':>13}",
    ]
    for name, run in runs.items():
        if "skipped" in run:
            lines.append(f"{name:18}{run['skipped']}")
            continue
        parts = ", ".join(f"{kind} {mb:.0f}" for kind, mb in run["parts_mb"].items())
        end = " ended early!" if run["ended_early"] else ""
        kills = f", {run['oom_kills']} killed" if run["oom_kills"] else ""
        lines.append(
            f"{name:18}{run['photos']:8}{run['median_mb']:9.1f}{run['peak_mb']:8.1f}"
            f"{run['mb_per_1000_photos']:13.2f}   {parts}{kills}{end}"
        )
    report(__file__, {"runs": runs}, lines)


if __name__ == "__main__":
    main()
