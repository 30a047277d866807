"""The image, built and run by the commands of the documents, with podman and with Docker.

``TAGGER_PODMAN=ACCOUNT`` names an account that may run ``podman`` without root, and
``TAGGER_DOCKER=ACCOUNT`` one that may use Docker. The build takes a minute and some gigabytes, of
a base and packages that the engine must be able to get. To be run as root.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import PROJECT, wait_until
from tests.support.terminal import at_a_terminal

CHAPTER = (PROJECT / "docs" / "container.md").read_text(encoding="utf-8")
CLUSTER = (PROJECT / "docs" / "cluster.md").read_text(encoding="utf-8")
ONE_LINE = " ".join(CHAPTER.split())
CODES = re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", ONE_LINE))
SENT = ["tagger", "data", "packaging", "Containerfile", ".dockerignore", "LICENSE", "README.md"]
SENT += ["pyproject.toml", "requirements.lock"]
PASSWORD = "correct horse battery"


class Engine(NamedTuple):
    """``podman`` or ``docker``, and the account that calls it, whose home is ``home``."""

    name: str
    home: Path
    account: pwd.struct_passwd

    @property
    def environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),  # the photos are there; images and the engine's config are not
            "XDG_DATA_HOME": f"{self.account.pw_dir}/.local/share",
            "XDG_CONFIG_HOME": f"{self.account.pw_dir}/.config",
            "XDG_RUNTIME_DIR": f"{self.account.pw_dir}/.run",
        }

    def typed(self, line: str) -> list[str]:
        """Return what runs a line of the README in the account's shell, with this engine."""
        if self.name == "docker":  # "With Docker it is ..., and the rest without ..."
            [(build, left_out)] = re.findall(r"With Docker .*?`(.*?)`.*?without `(.*?)`", ONE_LINE)
            line = line.replace("podman build --format docker", build.partition(" -t ")[0])
            line = line.replace(f" {left_out}", "")
            line = re.sub(r"^podman", "docker", line)
        account = [f"--reuid={self.account.pw_uid}", f"--regid={self.account.pw_gid}"]
        return ["setpriv", *account, "--init-groups", "sh", "-c", f"cd ~/tagger && {line}"]

    def shell(self, line: str) -> str:
        done = subprocess.run(
            self.typed(line),
            env=self.environ,
            capture_output=True,
            check=False,
            text=True,
            errors="replace",
        )
        assert done.returncode == 0, f"{line}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout


@pytest.fixture(params=["podman", "docker"])
def engine(
    request: pytest.FixtureRequest, demo_weights: Path, scenes: list[Path]
) -> Iterator[Engine]:
    """Give an engine and a home with the checkout, demo weights in it, and photos."""
    variable = f"TAGGER_{request.param.upper()}"
    if variable not in os.environ:
        pytest.skip(f"needs an account for {request.param}, which {variable} names")
    with tempfile.TemporaryDirectory(prefix="tagger-") as name:
        made = Engine(request.param, Path(name), pwd.getpwnam(os.environ[variable]))
        context, photos = made.home / "tagger", made.home / "Pictures"
        for folder in (context / "weights", photos):
            folder.mkdir(parents=True)
        subprocess.run(["cp", "-r", *(PROJECT / name for name in SENT), context], check=True)
        shutil.copy(demo_weights, context / "weights")
        for scene in scenes:
            shutil.copy(scene, photos)
        subprocess.run(["chown", "-R", f"{made.account.pw_name}:", name], check=True)
        yield made


def code(start: str) -> str:
    """Return the only code in the chapter's text that begins so."""
    [found] = [code for code in CODES if code.startswith(start)]
    return found


def test_the_image_is_built_and_run_by_the_commands_of_the_readme(engine, scenes):
    photos = engine.home / "Pictures"
    [block] = re.findall(r"```sh\n(.*?)```", CHAPTER, re.DOTALL)
    build, state, run, query = block.splitlines()
    for line in (build, state, run):
        engine.shell(line)
    try:
        wait_until(lambda: len(list(photos.glob("*.xmp"))) == len(scenes), 120)
        beach = query.replace("dog", "beach")
        wait_until(lambda: "/photos/seaside.jpg" in engine.shell(beach), 20)
        assert engine.shell(query) == ""  # no scene shows one
        healthy(engine)
        began = time.monotonic()
        engine.shell(f"{code('podman stop')} tagger")
        assert time.monotonic() - began < 8, "stopped in order, not killed after ten seconds"
        assert engine.shell("podman inspect -f '{{.State.ExitCode}}' tagger") == "0\n"
        assert {path.stat().st_uid for path in photos.glob("*.xmp")} == {engine.account.pw_uid}

        engine.shell("podman rm tagger")
        the_page_is_reached(engine, run, photos / scenes[0].name)
    finally:
        print(engine.shell("podman logs tagger 2>&1 || true"))
        engine.shell("podman rm -f tagger")
        engine.shell("podman rmi tagger")


def test_it_is_a_worker_of_a_cluster(engine, home, scenes, tmp_path):
    """By the line of docs/cluster.md, of an image that was built with Dask."""
    pytest.importorskip("distributed")
    from tests.support.clusters import running

    photos = engine.home / "Pictures"
    build = re.findall(r"^podman build .*", CHAPTER, re.MULTILINE)[0]
    [told] = re.findall(r"^podman run -d --name tagger-worker .*", CLUSTER, re.MULTILINE)
    assert "`--build-arg CLUSTER=1`" in CLUSTER
    engine.shell(build.replace(" -t ", " --build-arg CLUSTER=1 -t "))
    home.configure(watch=[{"path": str(photos)}], cluster={"lost": "wait"})
    home.use_converted_model()
    with running(tmp_path / "cluster", workers=0) as cluster:
        told = told.replace("/mnt/nas/photos", str(photos))
        try:
            engine.shell(re.sub(r"tcp://\S+", cluster.address, told))
            home.run("run", "--once", "--cluster", cluster.address)
            assert len(list(photos.glob("*.xmp"))) == len(scenes)
            log = engine.shell("podman logs tagger-worker 2>&1")
            assert "rror" not in log, log
        finally:
            engine.shell("podman rm -f tagger-worker")
            engine.shell("podman rmi tagger")


def healthy(engine: Engine) -> None:
    """Wait until the engine says so; podman without systemd has to be asked to look."""
    if engine.name == "podman":
        engine.shell(code("podman healthcheck"))
    state = "podman inspect -f '{{.State.Health.Status}}' tagger"
    wait_until(lambda: engine.shell(state) == "healthy\n", 90)


def the_page_is_reached(engine: Engine, run: str, photo: Path) -> None:
    """Do what the README says for the page; ask it from outside of the container."""
    config = engine.shell(code("podman run --rm --entrypoint cat"))
    [added] = re.findall(r"```yaml\n(.*?)```", CHAPTER, re.DOTALL)
    asked = engine.typed(code("podman run -it --rm"))
    shown = at_a_terminal(asked, [PASSWORD, PASSWORD], engine.environ)
    assert PASSWORD not in shown
    made = shown.rpartition("password: ")[2].strip()
    (engine.home / "tagger" / "config.yaml").write_text(
        config + re.sub(r"password: .*", f"password: {json.dumps(made)}", added)
    )
    engine.shell(run.replace("--network none", code("-v ")))
    form = f"-F file=@{photo} http://localhost:5000/predict"
    ask = f"curl -s -H 'Authorization: Bearer {PASSWORD}' {form} || true"
    answer = json.loads(wait_until(lambda: engine.shell(ask), 60))
    assert set(answer[0]) == {"label", "probability"}, answer
    refused = engine.shell(f"curl -s -o /dev/null -w '%{{http_code}}' {form}")
    assert refused == "401"
