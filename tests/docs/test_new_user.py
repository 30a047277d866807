"""The README and the documents as a new user follows them: from them alone, in a fresh home.

The demo weights stand in for the network's own; there is no network.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import wait_until
from tests.docs.test_readme import AFTER, BEFORE, COMMANDS, README, Step, steps


class User:
    """A new user of a machine on which tagger was installed."""

    def __init__(self, home: Path, weights: Path) -> None:
        self.home = home
        self.environ = {
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TAGGER_MODEL_DIR": str(weights.parent),
            "TAGGER_MODEL_URL": "http://127.0.0.1:9/",  # refuses at once: no network
            "XDG_RUNTIME_DIR": str(home / "run"),
            "OMP_NUM_THREADS": "1",
        }

    def types(self, step: Step) -> str:
        """Run a line in a shell; return what it printed. Fail if that is not as it must be."""
        done = subprocess.run(
            ["bash", "-c", step.typed],
            env=self.environ,
            cwd=self.home,
            capture_output=True,
            check=False,
            text=True,
            timeout=600,
        )
        said = f"{step.typed}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == step.code, said
        assert re.search(step.printed, done.stdout, re.MULTILINE), said
        if step.code == 2:  # one line, and what to do
            assert re.search(r"^tagger: .*; .+\n\Z", done.stderr, re.MULTILINE), said
        else:
            assert "Traceback" not in done.stderr, said
        return done.stdout


@pytest.fixture
def user(
    tmp_path: Path, demo_weights: Path, converted_demo: Callable[[Path], Path], scenes: list[Path]
) -> User:
    made = User(tmp_path, demo_weights)
    if not shutil.which("curl"):
        if "TAGGER_CI" in os.environ:
            pytest.fail("curl is missing: apt-get install curl")
        pytest.skip("curl is not installed")
    models = tmp_path / ".local" / "state" / "tagger" / "models"
    models.mkdir(parents=True)
    for file in converted_demo(demo_weights).glob("resnet18-*"):
        os.link(file, models / file.name)
    shutil.copy(scenes[0], tmp_path / "dog.jpg")
    return made


def test_a_new_user_gets_what_the_readme_says(user, scenes):
    """All of it in one: each step needs what those before have left."""
    inbox = user.home / "Pictures" / "inbox"
    for step in BEFORE:
        user.types(step)
    with (user.home / "log").open("wb") as log:
        daemon = subprocess.Popen(
            ["tagger", "run"], env=user.environ, cwd=user.home, stdout=log, stderr=log
        )
    try:
        wait_until((inbox / ".tagger-root").exists, 60)
        for scene in scenes:
            shutil.copy(scene, inbox)
        (inbox / "no photo.jpg").write_bytes(b"no photo")
        wait_until(lambda: len(list(inbox.glob("*.xmp"))) == len(scenes), 60)
        failures = Step("", "tagger failures", "no photo")
        wait_until(lambda: "no photo" in user.types(failures._replace(printed="")), 30)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        shown = {step.typed: user.types(step) for step in steps(port)}
        began = time.monotonic()
        daemon.terminate()
        assert daemon.wait(20) == 0
        assert time.monotonic() - began < 5
    finally:
        daemon.kill()
        daemon.wait()
    line = (
        rf"^ok       folder {inbox}: belongs to \w+, \w+ mounted at \S+; \w+ may read and write it$"
    )
    assert re.search(line, shown["tagger doctor"], re.MULTILINE)
    for step in AFTER:
        user.types(step)
    # What is left after the last page of the README is what was there before, and the mark.
    left = {path.name for path in inbox.iterdir()}
    assert left == {scene.name for scene in scenes} | {"no photo.jpg", ".tagger-root"}
    for scene in scenes:
        assert (inbox / scene.name).read_bytes() == scene.read_bytes()
    assert not [
        path
        for path in user.home.rglob("*tagger*")
        if ".config" in path.parts and "fish" not in path.parts
    ]


def table(head: str) -> list[str]:
    """Return what is set as code in the first column, and after "also" in the second."""
    [rows] = re.findall(rf"^\| {head} \|.*\n\|[-|]+\n((?:\|.*\n)+)", COMMANDS, re.MULTILINE)
    found = []
    for row in rows.splitlines():
        first, second = row.strip("|").split("|", 1)
        found += re.findall(r"`([^`]+)`", first)
        found += re.findall(r"`((?:taken|in):[^`]+)`", second)
    return found


def test_every_query_of_the_table_is_one(home, scenes):
    queries = table("query")
    assert len(queries) > 15
    for scene in scenes[:2]:
        shutil.copy(scene, home.inbox)
    outcomes = home.once()
    assert [outcome["event"] for outcome in outcomes] == ["photo", "photo"], outcomes
    for query in queries:
        home.run("query", query)
        assert home.err == "", query
    for option in (
        ["--min", "0.6"],
        ["--since", "2024-07"],
        ["--until", "2024-07-15"],
        ["--in", str(home.inbox)],
        ["--limit", "1"],
        ["--count"],
        ["--null"],
        ["--json"],
        ["--csv"],
        ["--copy-to", str(home.folder / "copies")],
        ["--link-to", str(home.folder / "links")],
    ):
        assert option[0] in COMMANDS
        home.run("query", *option, "landscape or fruit or vehicle")
    assert len(list((home.folder / "links").iterdir())) == 2
    assert home.run("query", "no-such-thing-at-all") == ""
    home.run("query", "dog and (", code=2)
    assert home.err.count("\n") == 1


def test_the_config_of_the_readme_is_right(home):
    from tagger.config.loader import load_config

    for block in re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL):
        if block.startswith("groups:"):
            continue  # Prometheus' own
        if "password:" in block:
            hashed = home_hash()
            block = re.sub(r"password: .*", f"password: {json.dumps(hashed)}", block)
        home.config.write_text(block)
        load_config(str(home.config))


def home_hash() -> str:
    """Return what `tagger web password` makes of a password."""
    done = subprocess.run(
        [sys.executable, "-m", "tagger", "web", "password"],
        input="correct horse battery\n",
        capture_output=True,
        check=True,
        text=True,
    )
    [found] = re.findall(r"password: (\S+)", done.stdout)
    return found.strip("'\"")
