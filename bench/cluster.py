"""What a cluster costs, and how far one coordinator goes.

    python bench/cluster.py [--photos N] [--rounds N] [--workers N,N,…] [--ms MS]

First, photos of 12 megapixels by `tagger run --once` alone, and by turns with one worker on this
machine with as many threads: the overhead a photo. Then simulated workers, 1 to 64, in a process of
their own, each of which sleeps ``--ms`` a photo (by default what a photo took on this machine, all
cores counted as one worker) and answers with evidence of the usual size; photos are small files
on this disk, hashed, tagged and written by a real run. Of each number of workers: photos a second,
the share of what as many times one worker would do, and the CPU time a photo of the scheduler and
of each thread of the daemon. Writes ``cluster.json``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench.harness import PROJECT, Home, Model, cpu_seconds, median, report, tree, wait_until
from bench.synthetic_photos import write_photos
from tagger.cluster.messages import join, unpack_request
from tagger.cluster.offer import Offer, difference
from tagger.duplicates.thumbnails import packed
from tagger.index.rows import TOP_KEPT, StoredPrediction, pack_top
from tagger.labels.evidence import Evidence
from tagger.pipeline.recognition import Seen
from tagger.pipeline.seen_bytes import pack_answer
from tagger.records import THUMBNAIL_SIDE, PhotoFacts

COUNTS = (1, 2, 4, 8, 16, 32, 64)
SECONDS = 12.0
"""Of simulated work, so many for each number of workers, as far as the photos reach."""
MOST_PHOTOS = 4000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=160)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", default=",".join(map(str, COUNTS)))
    parser.add_argument("--ms", type=float)
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--coordinate", nargs=5, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        asyncio.run(serve(given.serve[0], int(given.serve[1]), float(given.serve[2])))
        return
    if given.coordinate:
        coordinate(*given.coordinate)
        return
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="cluster-") as scratch:
        model = Model(Path(scratch, "model"), int8=True)
        ms = given.ms
        if given.photos:
            figures["overhead"] = overhead(Path(scratch), model, given.photos, given.rounds)
            ms = ms or figures["overhead"]["ms"]
        figures["ms"] = ms = ms or 40.0
        counts = [int(one) for one in given.workers.split(",") if one]
        figures["simulated"] = simulate(Path(scratch), model, ms, counts)
    report(__file__, figures, list(shown(figures)))


def overhead(scratch: Path, model: Model, count: int, rounds: int) -> dict[str, float]:
    """Compare a run alone with one by a worker of this machine, in rate and in CPU time."""
    kind = "JPEG 12 MP"
    photos = write_photos(scratch / "large", kind, count)
    found: dict[str, list[tuple[float, float]]] = {"alone": [], "worker": []}
    one = photos[:1]
    run_of(scratch, model, one, shared=True)  # weights are sent once
    start = {name: run_of(scratch, model, one, shared=name == "worker")[1] for name in found}
    for number in range(rounds):
        for name in list(found) if number % 2 else reversed(list(found)):
            rate, cpu = run_of(scratch, model, photos, shared=name == "worker")
            found[name].append((rate, (cpu - start[name]) / (count - 1)))
            print(f"{name}: {rate:.2f} photos/s, CPU ms {found[name][-1][1] * 1000:.1f}",
                  file=sys.stderr)  # fmt: skip
    rates = {name: median([rate for rate, _ in rows]) for name, rows in found.items()}
    cpus = {name: median([cpu for _, cpu in rows]) for name, rows in found.items()}
    shutil.rmtree(scratch / "large")
    return {
        "alone": round(rates["alone"], 2),
        "worker": round(rates["worker"], 2),
        "overhead": round(rates["alone"] / rates["worker"] - 1, 3),
        "alone_cpu_ms": round(cpus["alone"] * 1000, 1),
        "worker_cpu_ms": round(cpus["worker"] * 1000, 1),
        "cpu_overhead": round(cpus["worker"] / cpus["alone"] - 1, 3),
        "ms": round(1000 / rates["alone"], 1),
    }


def run_of(
    scratch: Path, model: Model, photos: Sequence[Path], *, shared: bool
) -> tuple[float, float]:
    """Return photos a second, and CPU seconds; ``shared``: with a new scheduler and worker.

    The rate is from the end of the first batch to the end of the last.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=scratch))
        home = Home(Path(folder, "home"), model, int8=True)
        for path in photos:
            os.link(path, home.inbox / path.name)
        time.sleep(2.5)  # links change ctime: until they have settled
        words, others = ["run", "--once"], []
        if shared:
            address, central = stack.enter_context(scheduler(scratch))
            threads = len(os.sched_getaffinity(0))
            others = [central.pid, stack.enter_context(worker(scratch, address, threads)).pid]
            words += ["--cluster", address]
        process = home.popen(*words)
        _, status, usage = os.wait4(process.pid, 0)  # of it and all that it has started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise RuntimeError(home.log.read_text()[-2000:])
        cpu = usage.ru_utime + usage.ru_stime + used_by(others)
        moments = [line for line in home.logged() if line.get("event") == "photo"]
        if len(moments) != len(photos):
            raise RuntimeError(f"{len(moments)} of {len(photos)} photos were tagged")
        times = [stamp(line) for line in moments]
        first = sum(one - times[0] < 0.02 for one in times)
        return (len(times) - first) / max(times[-1] - times[0], 1e-3), cpu


def used_by(pids: Sequence[int]) -> float:
    """Return the CPU seconds of processes and of all that they have started and that runs."""
    return sum(cpu_seconds(tree(pid)) for pid in pids)


def stamp(line: dict[str, Any]) -> float:
    """Return when a line was logged, in seconds."""
    from datetime import datetime

    return datetime.fromisoformat(str(line["time"])).timestamp()


@contextlib.contextmanager
def scheduler(scratch: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a scheduler; give its address and its process."""
    said = scratch / "scheduler.json"
    said.unlink(missing_ok=True)
    words = ("scheduler", "--no-dashboard", "--no-show", "--host", "127.0.0.1", "--port", "0")
    with dask(*words, "--scheduler-file", str(said)) as process:
        wait_until(lambda: said.exists() and said.stat().st_size > 10)
        yield json.loads(said.read_text())["address"], process


@contextlib.contextmanager
def worker(scratch: Path, address: str, threads: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run one worker; give its process."""
    with dask(
        *("worker", address, "--nthreads", str(threads), "--no-dashboard", "--no-nanny"),
        *("--local-directory", str(scratch / "dask")),
        XDG_CACHE_HOME=str(scratch / "cache"),
    ) as process:
        yield process


@contextlib.contextmanager
def dask(*words: str, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "dask", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | environ,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def simulate(scratch: Path, model: Model, ms: float, counts: Sequence[int]) -> list[dict[str, Any]]:
    """Measure each number of sleeping workers."""
    most = max(min(int(count * SECONDS * 1000 / ms), MOST_PHOTOS) for count in counts)
    kind = "JPEG 500x375"
    photos = write_photos(scratch / "small", kind, most)
    found: list[dict[str, Any]] = []
    for count in counts:
        some = photos[: min(int(count * SECONDS * 1000 / ms), MOST_PHOTOS)]
        found.append({"workers": count} | simulated(scratch, model, ms, count, some))
        print(json.dumps(found[-1]), file=sys.stderr)
    one = found[0]["rate"] / found[0]["workers"]
    for row in found:
        row["efficiency"] = round(row["rate"] / (row["workers"] * one), 3)
    return found


def simulated(
    scratch: Path, model: Model, ms: float, count: int, photos: Sequence[Path]
) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory(dir=scratch) as folder,
        scheduler(scratch) as (address, central),
    ):
        home = Home(Path(folder, "home"), model, int8=False, log={"level": "warning"})
        for path in photos:
            os.link(path, home.inbox / path.name)
        time.sleep(2.5)
        serving = subprocess.Popen(
            [sys.executable, __file__, "--serve", address, str(count), str(ms)],
            env=os.environ | {"XDG_CACHE_HOME": str(scratch / "cache")},
        )
        try:
            done = subprocess.run(
                [
                    *(sys.executable, __file__, "--coordinate", home.command()[-1], address),
                    *(str(len(photos)), str(central.pid), str(serving.pid)),
                ],
                stdout=subprocess.PIPE,
                check=True,
                cwd=PROJECT,
                env=home.environ(),
            )
        finally:
            serving.terminate()
            serving.wait(20)
    found = json.loads(done.stdout)
    return {
        "photos": len(photos),
        "rate": round(found["rate"], 1),
        "cpu_ms": {name: round(value * 1000, 2) for name, value in found["cpu"].items()},
    }


def coordinate(config_path: str, address: str, photos: str, *pids: str) -> None:
    """Run the daemon once in this process; print the rate, and the CPU seconds a photo by part.

    ``pids`` are those of the scheduler and of the process with the workers.
    """
    others = dict(zip(("scheduler", "simulated workers"), map(int, pids), strict=True))
    from tagger.config.loader import load_config
    from tagger.daemon.daemon import Daemon
    from tagger.pipeline.outcome import Outcome, Tagged
    from tagger.system.logs import set_up_logging

    config = load_config(config_path)
    config = replace(config, cluster=replace(config.cluster, scheduler=address, lost="wait"))
    set_up_logging("warning", "text")
    moments: list[float] = []
    threads: dict[int | None, tuple[str, float]] = {}  # those that have ended, too
    used: list[tuple[float, dict[str, float]]] = []
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(0.25):
            now = {name: cpu_seconds([pid]) for name, pid in others.items()}
            used.append((time.perf_counter(), now | by_part(threads)))
        print(json.dumps(told(moments, used)), flush=True)
        os._exit(0)

    def noted(outcome: Outcome) -> None:
        if isinstance(outcome, Tagged):
            moments.append(time.perf_counter())
            if len(moments) == int(photos):  # the rest is to compare pictures
                ended.set()

    threading.Thread(target=sample, name="sampler", daemon=True).start()
    Daemon(config, observer=noted).run_once()
    raise RuntimeError(f"{len(moments)} of {photos} photos were tagged")


def told(
    moments: Sequence[float], used: Sequence[tuple[float, dict[str, float]]]
) -> dict[str, Any]:
    """Return the rate, and the CPU seconds a photo by part.

    The first and the last tenth are left out: workers come, and have nothing more to do.
    """
    low, high = len(moments) // 10, len(moments) * 9 // 10
    rate = (high - low) / (moments[high] - moments[low])
    first, last = (min(used, key=lambda one: abs(one[0] - moments[at])) for at in (low, high))
    spent = {name: value - first[1].get(name, 0.0) for name, value in last[1].items()}
    shares = {name: value / (last[0] - first[0]) / rate for name, value in spent.items()}
    return {"rate": rate, "cpu": shares}


def by_part(threads: dict[int | None, tuple[str, float]]) -> dict[str, float]:
    """Return the CPU seconds of this process's threads, by their names; ``threads`` are kept."""
    ticks = os.sysconf("SC_CLK_TCK")
    total = time.process_time()
    for thread in threading.enumerate():
        with contextlib.suppress(OSError):
            text = Path(f"/proc/self/task/{thread.native_id}/stat").read_text()
            fields = text.rpartition(")")[2].split()
            name = thread.name.partition(" ")[0]
            threads[thread.native_id] = name, (int(fields[11]) + int(fields[12])) / ticks
    found: dict[str, float] = {}
    for name, seconds in threads.values():
        found[name] = found.get(name, 0.0) + seconds
    return found | {"other threads": total - sum(found.values())}


async def serve(address: str, count: int, ms: float) -> None:
    """Be so many workers that sleep."""
    import dask
    from distributed import Worker

    from tagger.cluster.worker import SIDE

    # What each worker does on a machine of its own is not to be done here for all of them.
    dask.config.set(
        {
            "distributed.admin.tick.interval": "60s",
            "distributed.admin.system-monitor.interval": "60s",
            "distributed.worker.profile.enabled": False,
            "distributed.admin.tick.limit": "1h",
        }
    )
    workers = [
        Worker(address, nthreads=1, name=f"sleeper{n}", memory_limit=0) for n in range(count)
    ]
    for one in workers:
        setattr(one, SIDE, Sleeper(ms))
        await one
    await asyncio.gather(*(one.finished() for one in workers))


class Sleeper:
    """Answers with evidence of the usual size after a sleep, one photo after the other."""

    def __init__(self, ms: float) -> None:
        self._ms = ms
        self._lock = threading.Lock()
        self._stored: list[StoredPrediction] = []

    async def greet(self, data: bytes) -> dict[str, Any]:
        said, problem = difference(data)
        if problem:
            return {"problem": problem}
        self._stored = invented(Offer.from_said(said).ids)
        return {"ready": 0}

    def look(self, request: bytes) -> bytes:
        photos, _ = unpack_request(request)
        answers = []
        for photo in photos:
            digest = hashlib.blake2b(os.fsencode(photo.path), digest_size=48).digest()
            stored = replace(
                self._stored[digest[0] % len(self._stored)],
                crop_hash=digest[:16],
                picture_hash=digest[16:],
                thumbnail=thumbnail(digest),
            )
            answers.append(pack_answer(Seen(PhotoFacts("JPEG", 500, 375), stored, self._ms)))
        with self._lock:
            time.sleep(self._ms * len(photos) / 1000)
        return join(answers)


@functools.cache
def invented(ids: tuple[str | None, str | None, str | None]) -> list[StoredPrediction]:
    """Return what networks with these ids might say of some photos."""
    dice = np.random.default_rng(7)
    found = []
    for _ in range(64):
        row = dice.dirichlet(np.full(1000, 0.01)).astype(np.float32)
        best = np.argsort(-row)[:TOP_KEPT]
        found.append(
            StoredPrediction(
                str(ids[0]),
                pack_top((int(index), float(row[index])) for index in best),
                Evidence.of(row).to_bytes(),
                dice.normal(size=512).astype("<f2").tobytes(),
                b"",
                ids[1],
                ids[2],
            )
        )
    return found


def thumbnail(seed: bytes) -> bytes:
    """Return one of a picture of large patches, which is like no other."""
    patches = np.frombuffer(hashlib.blake2b(seed).digest(), np.uint8).reshape(8, 8)
    side = THUMBNAIL_SIDE // 8
    return packed(patches.repeat(side, 0).repeat(side, 1))


def shown(figures: dict[str, Any]) -> Iterator[str]:
    """Yield the table."""
    if told := figures.get("overhead"):
        yield (
            f"photos a second: {told['alone']} alone, {told['worker']} by one worker of this"
            f" machine: {told['overhead']:+.1%} a photo"
        )
        yield (
            f"CPU ms a photo: {told['alone_cpu_ms']} alone, {told['worker_cpu_ms']} with scheduler"
            f" and worker: {told['cpu_overhead']:+.1%}"
        )
    yield f"simulated workers, {figures['ms']:.0f} ms a photo each"
    yield "workers  photos/s  efficiency  CPU ms a photo"
    for row in figures["simulated"]:
        parts = ", ".join(
            f"{name} {value}" for name, value in row["cpu_ms"].items() if value >= 0.05
        )
        yield f"{row['workers']:7} {row['rate']:9} {row['efficiency']:11.2f}  {parts}"


if __name__ == "__main__":
    main()
