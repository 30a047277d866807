"""Compares /predict under load with the service that a tutorial would have one write.

    python bench/predict.py [PHOTOS] [--rounds N] [--clients N]

CLIENTS (default 16) clients post JPEGs of 12 MP at the same time, each the next when its
answer is there, to the page inside a daemon (int8 where it was accepted, else fp32) and to
``baselines.py serve``. Every round gives PHOTOS (default 160) to ours and a quarter of them to the
other, by turns. Both run all the time; memory (PSS of all processes) is the most seen while
its load lasted. A refusal that names a time to come back (503) is tried again after it, and
its time counts. Writes ``predict.json``.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import itertools
import json
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.harness import (
    Home,
    Model,
    cpu_seconds,
    median,
    pss,
    quantile,
    report,
    tree,
    wait_until,
)
from bench.synthetic_photos import write_photos

BASELINES = Path(__file__).with_name("baselines.py")
BOUNDARY = "4f1d8a0c62be97351d0ac8f4e6b27395"
"""32 hexadecimal digits, as Python's urllib3 makes them; browsers' are as long."""
PAUSE = 1.0
"""Seconds between looks at the memory, which cost the kernel milliseconds each."""


@dataclass(frozen=True)
class Load:
    """What one load showed: times in seconds of each answer, memory in MB."""

    seconds: float
    latencies: list[float]
    errors: int
    refusals: int
    memory: float
    cpu: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds


def body(path: Path) -> bytes:
    """Return the form that holds one picture."""
    head = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return head.encode() + path.read_bytes() + f"\r\n--{BOUNDARY}--\r\n".encode()


class Client:
    """Posts what is left, one after the other; for a thread of its own."""

    def __init__(self, port: int, bodies: Iterator[bytes], lock: threading.Lock) -> None:
        self._port, self._bodies, self._lock = port, bodies, lock
        self.latencies: list[float] = []
        self.errors: list[str] = []
        self.refusals = 0

    def run(self) -> None:
        while True:
            with self._lock:
                data = next(self._bodies, None)
            if data is None:
                return
            before = time.perf_counter()
            try:
                self._post(data)
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.errors.append(repr(error))
            else:
                self.latencies.append(time.perf_counter() - before)

    def _post(self, data: bytes) -> None:
        """Raise ValueError for an answer that is none."""
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
            with contextlib.closing(connection):
                kind = f"multipart/form-data; boundary={BOUNDARY}"
                connection.request("POST", "/predict", data, {"Content-Type": kind})
                answer = connection.getresponse()
                said = json.loads(answer.read())
            if answer.status == 503 and answer.headers["Retry-After"]:
                self.refusals += 1
                time.sleep(float(answer.headers["Retry-After"]))
                continue
            if answer.status != 200 or len(said) != 3:
                raise ValueError(f"{answer.status}: {said}")
            return


def load(port: int, pid: int, bodies: list[bytes], clients: int) -> Load:
    """Send all of ``bodies`` to one server, and watch the memory of its processes."""
    left, lock = iter(bodies), threading.Lock()
    work = [Client(port, left, lock) for _ in range(clients)]
    threads = [threading.Thread(target=client.run) for client in work]
    before = cpu_seconds(tree(pid))
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    most = 0.0
    for thread in threads:
        while thread.is_alive():
            most = max(most, sum(pss(one) for one in tree(pid)))
            thread.join(PAUSE)
    seconds = time.perf_counter() - started
    for client in work:
        for error in client.errors[:1]:
            print(error, file=sys.stderr)
    return Load(
        seconds,
        sorted(itertools.chain.from_iterable(client.latencies for client in work)),
        sum(len(client.errors) for client in work),
        sum(client.refusals for client in work),
        most,
        (cpu_seconds(tree(pid)) - before) / len(bodies),
    )


@contextlib.contextmanager
def ours(home: Home) -> Iterator[tuple[int, int]]:
    """Run a daemon with its page; give port and process id."""
    address = re.compile(r"the page is at http://127\.0\.0\.1:(\d+)/")

    def told() -> list[str]:
        lines = [line["message"] for line in home.logged()]
        return [match[1] for match in map(address.match, lines) if match]

    with home.daemon() as process:
        wait_until(lambda: home.is_ready() and told())
        yield int(told()[0]), process.pid


@contextlib.contextmanager
def theirs(weights: Path) -> Iterator[tuple[int, int]]:
    """Run the other service; give port and process id."""
    command = [sys.executable, str(BASELINES), "serve", str(weights)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline()), process.pid
    finally:
        process.terminate()
        process.communicate()


def figures_of(rounds: list[Load]) -> dict[str, Any]:
    """Return medians of the rounds; latencies in ms of all of them together."""
    together = sorted(itertools.chain.from_iterable(one.latencies for one in rounds))
    return {
        "answers": len(together),
        "per_second": median([one.rate for one in rounds]),
        "p50_ms": 1000 * quantile(together, 0.5),
        "p99_ms": 1000 * quantile(together, 0.99),
        "errors": sum(one.errors for one in rounds),
        "refusals": sum(one.refusals for one in rounds),
        "cpu_ms": 1000 * median([one.cpu for one in rounds]),
        "memory_mb": [one.memory for one in rounds],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=int, nargs="?", default=160)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    found: dict[str, list[Load]] = {"tagger": [], "tutorial": []}
    with tempfile.TemporaryDirectory(prefix="tagger-bench-") as name:
        scratch = Path(name)
        model = Model(scratch / "model", int8=True)
        home = Home(
            scratch / "home",
            model,
            int8=True,
            web={"enabled": True, "listen": "127.0.0.1:0"},
            # As the other: what else the machine does shall weigh on both the same.
            priority={"nice": 0, "io": "normal"},
        )
        paths = write_photos(scratch / "photos", "JPEG 12 MP", min(options.photos, 16))
        bodies = list(itertools.islice(itertools.cycle(map(body, paths)), options.photos))
        fewer = bodies[: max(options.clients, options.photos // 4)]
        with ours(home) as (port, pid), theirs(model.weights) as (other, other_pid):
            load(port, pid, bodies[:2], 1)
            load(other, other_pid, bodies[:2], 1)
            for number in range(options.rounds):
                print(f"round {number + 1} of {options.rounds} ...", file=sys.stderr, flush=True)
                found["tagger"].append(load(port, pid, bodies, options.clients))
                found["tutorial"].append(load(other, other_pid, fewer, options.clients))
    shown = {way: figures_of(rounds) for way, rounds in found.items()}
    ratio = median([a.rate / b.rate for a, b in zip(*found.values(), strict=True)])
    lines = [
        f"{options.clients} clients, JPEGs of 12 MP of {len(bodies[0]) / 1e6:.1f} MB;"
        f" int8{', but ' + model.refused if model.refused else ''}",
        f"{'':10}{'answers/s':>10}{'p50':>10}{'p99':>10}{'errors':>8}{'refused':>9}"
        f"{'CPU each':>10}{'memory of each round':>24}",
    ]
    for way, one in shown.items():
        memory = " ".join(f"{value:.0f}" for value in one["memory_mb"])
        lines.append(
            f"{way:10}{one['per_second']:10.1f}{one['p50_ms']:7.0f} ms{one['p99_ms']:7.0f} ms"
            f"{one['errors']:8}{one['refusals']:9}{one['cpu_ms']:7.0f} ms{memory:>21} MB"
        )
    lines.append(f"{ratio:.2f} times the throughput (median of the rounds')")
    report(__file__, {"rounds": options.rounds, "ratio": ratio, "ways": shown}, lines)


if __name__ == "__main__":
    main()
