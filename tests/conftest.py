"""Shared test data, demo weights, and a home with a config to run tagger in."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[1]
SHARED = PROJECT.parent / "shared"


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
                "model": {"weights": str(weights) if weights else None, "download": False},
                "log": {"format": "json"},
            }
            | settings
        )

    def configure(self, **settings: Any) -> None:
        """Write the config file; keys given before stay."""
        self.settings = getattr(self, "settings", {}) | settings
        self.config.write_text(yaml.safe_dump(self.settings))

    def run(self, *arguments: str | bytes, code: int = 0) -> str:
        """Run one command; return its standard output. Its errors end up in ``err``."""
        done = subprocess.run(
            [sys.executable, "-m", "tagger", "--config", str(self.config), *arguments],
            capture_output=True,
            check=False,
            timeout=120,
            env=self.environ(),
        )
        self.err = done.stderr.decode()
        assert done.returncode == code, self.err + done.stdout.decode()
        return os.fsdecode(done.stdout)

    def environ(self) -> dict[str, str]:
        """Return an environment in which nothing of this machine's user is found."""
        return os.environ | {"HOME": str(self.folder), "XDG_CACHE_HOME": str(self.folder / "c")}

    def json(self, *arguments: str) -> Any:
        """Run one command with ``--json``; return what it printed."""
        return json.loads(self.run(*arguments, "--json"))

    converted: Path | None = None

    def use_converted_model(self) -> None:
        """Put the converted demo weights where the daemon looks, to save each test seconds."""
        models = self.state / "models"
        if self.converted is None or models.exists():
            return
        models.mkdir(parents=True)
        for file in self.converted.glob("resnet18-*"):
            os.link(file, models / file.name)

    def once(self) -> list[dict[str, Any]]:
        """Run ``tagger run --once``; return what it logged of photos."""
        self.use_converted_model()
        self.run("run", "--once")
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
                [sys.executable, "-m", "tagger", "--config", str(self.config), "run"],
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


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the shared test data (../shared) is not there")
    return SHARED


@pytest.fixture(scope="session")
def demo_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ResNet-18 checkpoint that knows the scenes tagger can draw."""
    from tagger.cli.scenes import demo_weights

    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    demo_weights(str(path))
    return path


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return drawn pictures, one of each scene."""
    from tagger.cli.scenes import write_samples

    return [Path(path) for path in write_samples(str(tmp_path_factory.mktemp("scenes")))]


@pytest.fixture(scope="session")
def converted_model(demo_weights: Path | None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the demo weights as the daemon converts them."""
    from tagger.classify.converted import convert

    state = tmp_path_factory.mktemp("converted")
    if demo_weights is not None:
        convert("resnet18", str(demo_weights), str(state))
    return state / "models"


@pytest.fixture
def home(tmp_path: Path, demo_weights: Path, converted_model: Path) -> Iterator[Home]:
    """Return a home whose daemons are stopped at the end."""
    made = Home(tmp_path, demo_weights)
    made.converted = converted_model
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
