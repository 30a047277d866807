"""A home for a daemon to be measured in, and what is measured of its processes.

The environment variables ``BENCH_SCENES`` and ``BENCH_DETECTOR`` name further networks that are to
look at the photos, as ``model.scenes`` and ``model.detector`` do; without them there are none.
``BENCH_SCENES=random`` is a ResNet-18 with the shape of that on Places365, and random weights: it
says nothing, in the same time.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parents[1]
if str(PROJECT) not in sys.path:  # run as a script, not installed
    sys.path.insert(0, str(PROJECT))

from bench.machine import describe  # noqa: E402

WAIT_SECONDS = 120.0


SCENES, DETECTOR = (os.environ.get(f"BENCH_{name}", "none") for name in ("SCENES", "DETECTOR"))
RANDOM, PLACES = "random", "resnet18_places365"


class Model:
    """The demo's ResNet-18 and the further networks, converted once; with ``int8`` that too.

    It counts as proven unless a home is to have it ``provisional``. ``refused`` says why networks
    have no int8 version, which is used.
    """

    def __init__(self, folder: Path, *, int8: bool = False) -> None:
        from tagger.cli.demo.scenes import demo_weights

        folder.mkdir(parents=True)
        self._files = folder / "state" / "models"
        self._files.mkdir(parents=True)
        self.weights = folder / "resnet18.pth"
        demo_weights(str(self.weights))
        self.settings: dict[str, Any] = {
            "weights": str(self.weights),
            "download": False,
            "scenes": PLACES if SCENES == RANDOM else SCENES,
            "detector": DETECTOR,
        }
        if SCENES == RANDOM:
            write_random_scenes(self._files / f"{PLACES}.pth.tar")
        self.refused = "" if int8 else "not asked for"
        self._prepare(folder / "config.yaml", int8)

    def _prepare(self, path: Path, int8: bool) -> None:
        """Convert the networks; quantize them if ``int8``."""
        from tagger.classify.child_process import never
        from tagger.classify.int8_agreement import Agreement, int8_state, write_agreement
        from tagger.classify.int8_files import make_int8
        from tagger.config.loader import load_config
        from tagger.pipeline.networks import NetworksLoader

        inbox = path.with_name("nothing")
        inbox.mkdir()
        settings = {
            "state_dir": str(self._files.parent),
            "watch": [{"path": str(inbox)}],
            "model": self.settings | {"precision": "fp32"},
        }
        path.write_text(yaml.safe_dump(settings))
        loader, config = NetworksLoader(never), load_config(str(path))
        if loader.load(config, now=True) is None:
            raise RuntimeError(str(loader.error))
        for kind, (one, own) in loader.loaders(config).items():
            full = one.full(own)
            if not int8 or full is None:
                continue
            record = make_int8(full)
            if record.is_faster:
                write_agreement(full, Agreement(record.sha256, 149, 149, 149, 149))
            else:
                self.refused += f"{kind}: {int8_state(full)}; "

    def place(self, state: Path, *, int8: bool, provisional: bool = False) -> None:
        """Put the converted models where the daemon looks for them."""
        models = state / "models"
        models.mkdir(parents=True)
        for file in self._files.iterdir():
            of_int8 = ".int8" in file.name
            counts = file.name.endswith(".int8-agreement.json")
            if (int8 or not of_int8) and not (provisional and counts) and file.is_file():
                os.link(file, models / file.name)


def write_random_scenes(path: Path) -> None:
    """Write a checkpoint as that of the network of scenes, with random weights."""
    import torch

    from tagger.classify.torchvision_compat import import_torchvision

    torch.manual_seed(1)
    network = import_torchvision().models.resnet18(weights=None, num_classes=365)
    weights = {f"module.{name}": value for name, value in network.state_dict().items()}
    torch.save({"arch": "resnet18", "state_dict": weights}, path)


class Home:
    """A folder with an inbox, a state directory and a config like a user's.

    ``int8``: of the networks that are faster so; ``provisional``: it is still to be proven.
    ``settings`` change the config; everything else has its default.
    """

    def __init__(
        self,
        folder: Path,
        model: Model,
        /,
        *,
        int8: bool,
        provisional: bool = False,
        **settings: Any,
    ) -> None:
        self.inbox, self.state = folder / "inbox", folder / "state"
        self._folder, self._config, self.log = folder, folder / "config.yaml", folder / "log"
        folder.mkdir(parents=True)
        self.inbox.mkdir()
        model.place(self.state, int8=int8, provisional=provisional)
        settings = {
            "state_dir": str(self.state),
            "watch": [{"path": str(self.inbox)}],
            "model": model.settings | {"precision": "auto" if int8 else "fp32"},
            "log": {"format": "json"},
        } | settings
        self._config.write_text(yaml.safe_dump(settings))

    def command(self, *arguments: str) -> list[str]:
        """Return the command line of tagger with this home's config."""
        return [sys.executable, "-m", "tagger", "--config", str(self._config), *arguments]

    def environ(self) -> dict[str, str]:
        """Return an environment without anything of this machine's user."""
        return os.environ | {"HOME": str(self._folder), "XDG_CACHE_HOME": str(self._folder / "c")}

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            check=True,
            text=True,
            cwd=PROJECT,
            env=self.environ(),
        )

    def popen(self, *arguments: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start one command that logs into ``log``."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.command(*arguments),
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=PROJECT,
                env=self.environ(),
                **options,
            )

    @contextmanager
    def daemon(self, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
        """Run the daemon until the block ends."""
        process = self.popen("run", **options)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def heartbeat(self) -> dict[str, Any]:
        """Return what the daemon last said of itself."""
        try:
            said: dict[str, Any] = json.loads((self.state / "status.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}
        return said

    def is_ready(self) -> bool:
        """Whether the daemon says that it has an engine and has scanned its folders."""
        said = self.heartbeat()
        scanned = all(root["last_scan"] for root in said.get("roots", []))
        return bool(said.get("state") == "running" and said.get("engine") and scanned)

    def logged(self) -> list[dict[str, Any]]:
        """Return what has been logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def sidecars(self) -> int:
        """Return how many sidecars there are."""
        return sum(name.endswith(".xmp") for name in os.listdir(self.inbox))


def wait_until(condition: Callable[[], Any], step: float = 0.02) -> None:
    """Return as soon as ``condition`` holds. Raise TimeoutError after two minutes."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so within {WAIT_SECONDS:.0f} s")
        time.sleep(step)


def tree(pid: int) -> list[int]:
    """Return the process and all that it has started, the oldest first."""
    found = [pid]
    for parent in found:
        try:
            threads = os.listdir(f"/proc/{parent}/task")
            for thread in threads:
                children = Path(f"/proc/{parent}/task/{thread}/children").read_text()
                found += [int(child) for child in children.split()]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended meanwhile
    return found


def role(pid: int, main: int) -> str:
    """Return what a process of the daemon is for."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return "gone"
    if pid == main:
        return "daemon"
    return "resource tracker" if "resource_tracker" in line else "decoder"


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the user and system time of processes, without that of their children."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def pss(pid: int) -> float:
    """Return the process's proportional share of memory, in MB (10⁶); 0 when it has ended."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            kib = next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
            return kib * 1024 / 1e6
    except (FileNotFoundError, ProcessLookupError):
        return 0.0


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def quantile(values: Sequence[float], share: float) -> float:
    """Return the smallest of ``values`` that at least ``share`` of them do not exceed."""
    return sorted(values)[max(0, -(-round(share * len(values) * 1000) // 1000) - 1)]


def slope(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the slope of the line of least squares."""
    return statistics.linear_regression(xs, ys).slope


def report(script: str, figures: dict[str, Any], lines: Sequence[str]) -> None:
    """Print the machine and the table, and write the figures beside ``script``."""
    figures = {"machine": describe()} | figures
    print(" | ".join(f"{key}: {value}" for key, value in figures["machine"].items()))
    for line in lines:
        print(line)
    Path(script).with_suffix(".json").write_text(json.dumps(figures, indent=2) + "\n")
