"""Shared test data, demo weights, and a home with a config to run tagger in."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[1]
SHARED = PROJECT.parent / "shared"
COMMAND_SECONDS = 600

# What is said is compared with English; a test of another language sets one.
os.environ["LANG"] = "C.UTF-8"
for _name in ("LC_ALL", "LC_MESSAGES", "LANGUAGE"):
    os.environ.pop(_name, None)

# Every core has a test to run: a torch that waits for its other threads in a loop, here or in
# a process that a test starts, takes the time of the other tests. It is read at torch's import.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# NumPy's second thread waits so for a tenth of a second at each start of a process.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def wait_until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Return what ``condition`` gives as soon as it is true; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not true within {seconds} s")
        time.sleep(0.05)
    return found


class Home:
    """A folder with an inbox, a state directory, a config, and tagger's command line."""

    def __init__(self, folder: Path, weights: Path | None, **settings: Any) -> None:
        self.folder = folder
        self.inbox = folder / "inbox"
        self.state = folder / "state"
        self.config = folder / "config.yaml"
        self.log = folder / "daemon.log"
        self.inbox.mkdir()
        self.configure(
            **{
                "state_dir": str(self.state),
                "watch": [{"path": str(self.inbox)}],
                "settle_seconds": 0.5,
                "model": {
                    "weights": str(weights) if weights else None,
                    "download": False,
                    "scenes": "none",
                    "detector": "none",
                    "precision": "fp32",  # int8 versions are not made beside every test
                },
                "decode": {"workers": 1},
                # A command may run in the process of the tests, which is to stay as it is.
                "priority": {"nice": 0, "io": "normal"},
                "log": {"format": "json"},
            }
            | settings
        )

    def configure(self, **settings: Any) -> None:
        """Write the config file; keys given before stay."""
        self.settings = getattr(self, "settings", {}) | settings
        self.config.write_text(yaml.safe_dump(self.settings))

    def run(self, *arguments: str | bytes, code: int = 0) -> str:
        """Run one command in this process; return its standard output. ``err`` has its errors."""
        from tagger.cli import main

        words = ["--config", str(self.config), *map(os.fsdecode, arguments)]
        out, err = io.BytesIO(), io.BytesIO()
        with (
            mock.patch.dict(os.environ, self.environ()),
            logging_kept(),
            at_most(COMMAND_SECONDS),
            contextlib.chdir(os.curdir),  # commands may leave the folder that they begin in
            # As Python makes them for a process whose locale is UTF-8.
            redirect_stdout(io.TextIOWrapper(out, "utf-8", write_through=True)),
            redirect_stderr(io.TextIOWrapper(err, "utf-8", "backslashreplace", write_through=True)),
        ):
            returned = main(words)
            sys.stdout.flush()
            sys.stderr.flush()
            return self._checked(returned, out.getvalue(), err.getvalue(), code)

    def run_process(self, *arguments: str | bytes, code: int = 0) -> str:
        """Run one command as :meth:`run` does, but in a process of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "tagger", "--config", str(self.config), *arguments],
            capture_output=True,
            check=False,
            timeout=COMMAND_SECONDS,
            env=self.environ(),
        )
        return self._checked(done.returncode, done.stdout, done.stderr, code)

    def _checked(self, returned: int, out: bytes, err: bytes, code: int) -> str:
        self.err = err.decode()
        assert returned == code, self.err + out.decode(errors="replace")
        return os.fsdecode(out)

    def environ(self) -> dict[str, str]:
        """Return an environment in which nothing of this machine's user is found."""
        return os.environ | {"HOME": str(self.folder), "XDG_CACHE_HOME": str(self.folder / "c")}

    def json(self, *arguments: str) -> Any:
        """Run one command with ``--json``; return what it printed."""
        return json.loads(self.run(*arguments, "--json"))

    converted: Callable[[], Path] | None = None
    within: tuple[str, ...] = ()
    """A command that the daemon is started with: it runs another one."""

    def use_converted_model(self) -> None:
        """Put the converted demo weights where the daemon looks, to save each test seconds."""
        models = self.state / "models"
        if self.converted is None or models.exists():
            return
        converted = self.converted()
        models.mkdir(parents=True)
        for file in converted.glob("resnet18-*"):
            os.link(file, models / file.name)

    def once(self, *, process: bool = False) -> list[dict[str, Any]]:
        """Run ``tagger run --once``, here or in a process; return what it logged of photos."""
        self.use_converted_model()
        (self.run_process if process else self.run)("run", "--once")
        return [
            line
            for line in map(json.loads, self.err.splitlines())
            if line.get("event") in ("photo", "failure")
        ]

    def start(self) -> subprocess.Popen[bytes]:
        """Start the daemon; return at once."""
        if self.settings["model"].get("weights"):
            self.use_converted_model()
        with self.log.open("ab") as log:
            daemon = subprocess.Popen(
                [
                    *self.within,
                    sys.executable,
                    *("-m", "tagger", "--config"),
                    str(self.config),
                    "run",
                ],
                stdout=log,
                stderr=log,
                env=self.environ(),
            )
        self.daemons.append(daemon)
        return daemon

    daemons: list[subprocess.Popen[bytes]]

    def heartbeat(self) -> dict[str, Any]:
        """Return what the daemon says of itself."""
        try:
            return json.loads((self.state / "status.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}

    def logged(self) -> list[dict[str, Any]]:
        """Return what the daemon has logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@contextmanager
def logging_kept() -> Iterator[None]:
    """Undo, at the end, what a command does to the logging of its process."""
    loggers = [logging.getLogger(), logging.getLogger("tagger")]
    before = [(logger.handlers[:], logger.level) for logger in loggers]
    try:
        yield
    finally:
        for logger, (handlers, level) in zip(loggers, before, strict=True):
            logger.handlers[:] = handlers
            logger.setLevel(level)


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Fail after so many seconds: a command that runs in this process cannot be killed."""

    def fail(*_: object) -> None:
        pytest.fail(f"not done within {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


MakeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def make_once(tmp_path_factory: pytest.TempPathFactory) -> MakeOnce:
    """Return a function that lets ``make`` fill a folder, once for all workers of this run.

    What is in the folder, whose path it returns, is not to be changed.
    """
    base = tmp_path_factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made-once"
    place.mkdir(exist_ok=True)

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, part = place / name, place / f"{name}.part"
        with open(place / f"{name}.lock", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                shutil.rmtree(part, ignore_errors=True)  # of a worker that failed
                part.mkdir()
                make(part)
                part.rename(folder)
        return folder

    return made


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the shared test data (../shared) is not there")
    return SHARED


@pytest.fixture(scope="session")
def demo_weights(make_once: MakeOnce) -> Path:
    """Return a ResNet-18 checkpoint that knows the scenes tagger can draw."""
    from tagger.cli.demo.scenes import demo_weights

    name = "resnet18.pth"
    return make_once("weights", lambda folder: demo_weights(str(folder / name))) / name


@pytest.fixture(scope="session")
def scenes(make_once: MakeOnce) -> list[Path]:
    """Return drawn pictures, one of each scene."""
    from tagger.cli.demo.scenes import SCENES, write_samples

    folder = make_once("scenes", lambda folder: write_samples(str(folder)))
    return [next(folder.glob(f"{scene.name}.*")) for scene in SCENES]


@pytest.fixture(scope="session")
def converted_demo(make_once: MakeOnce) -> Callable[[Path], Path]:
    """Return a function that gives a folder with the demo weights as the daemon converts them.

    It is one, and not the folder, because many a test needs neither torch's time nor weights.
    """
    from tagger.classify.onnx_store import convert

    def converted(weights: Path) -> Path:
        folder = make_once(
            "converted", lambda folder: convert("resnet18", str(weights), str(folder))
        )
        return folder / "models"

    return converted


@pytest.fixture(scope="session")
def converted_mobilenet(shared: Path, make_once: MakeOnce) -> Path:
    """Return a state directory in which the real MobileNet V2 has been converted."""
    from tagger.classify.onnx_store import convert

    weights = shared / "models" / "mobilenet_v2.pth"
    return make_once("mobilenet", lambda folder: convert("mobilenet_v2", str(weights), str(folder)))


@pytest.fixture
def home(
    tmp_path: Path, demo_weights: Path | None, converted_demo: Callable[[Path], Path]
) -> Iterator[Home]:
    """Return a home whose daemons are stopped at the end."""
    made = Home(tmp_path, demo_weights)
    if demo_weights is not None:
        made.converted = lambda: converted_demo(demo_weights)
    made.daemons = []
    yield made
    for daemon in made.daemons:
        if daemon.poll() is None:
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


@pytest.fixture
def eventually() -> Callable[..., Any]:
    return wait_until


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say in three lines at most what was skipped, and what runs it."""
    kinds: dict[str, set[str]] = {}
    numbers: dict[str, int] = {}
    for report in terminalreporter.stats.get("skipped", ()):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        reason = reason.removeprefix("Skipped: ")
        kind = next((name for name, marks in SKIPPED if any(m in reason for m in marks)), OTHERWISE)
        kinds.setdefault(kind, set()).add(reason.split(";")[0][:60])
        numbers[kind] = numbers.get(kind, 0) + 1
    for kind, reasons in kinds.items():
        shown = "" if kind == SHARED_ABSENT else f": {', '.join(sorted(reasons))}"[:300]
        terminalreporter.write_line(f"skipped {numbers[kind]}, {kind}{shown}")


SHARED_ABSENT = "for the shared test data (../shared) is not there"
OTHERWISE = "for this machine or account cannot show it, or Debian's package is missing"
SKIPPED = (
    (SHARED_ABSENT, ("../shared",)),
    ("run by a command of their own", ("make test-", "make torture", "TAGGER_")),
)
"""Kinds of reasons for a skipped test, by what its text holds."""
