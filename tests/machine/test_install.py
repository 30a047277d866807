"""docs/install.md in a fresh bookworm and a fresh trixie: ``make test-install``.

Each Debian is made with debootstrap, or is a copy of the folder that ``TAGGER_INSTALL_BOOKWORM`` or
``TAGGER_INSTALL_TRIXIE`` names (with apt and pip set up so that they find their packages), and its
commands are run by systemd-nspawn. Needs root and a network; where PyTorch's own index is out of
reach, much of a disk, too. It prints how long each command takes, and what it leaves on the disk.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.docs.test_readme import README, without_comment
from tests.support.debian import fresh_debian
from tools import dist

PACKAGES = "sudo,python3,make,cron,ca-certificates"
HOME = "home/alice"

pytestmark = pytest.mark.skipif(
    "TAGGER_INSTALL" not in os.environ, reason="installs in a fresh Debian: `make test-install`"
)


class Machine:
    """A Debian in the folder ``root`` with an account alice, who may use sudo."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / HOME

    def types(self, line: str, *, printed: str = "") -> str:
        """Run a line in alice's checkout, in a shell of a new login, saying yes to questions."""
        enter = ["systemd-nspawn", "-q", "-D", str(self.root), "--register=no", "--keep-unit"]
        enter += ["--pipe", f"--machine=tagger-install-{os.getpid()}", "--user=alice"]
        enter += [f"--chdir=/{HOME}/tagger", "--setenv=LANG=C.UTF-8"]
        began = time.monotonic()
        done = subprocess.run(
            [*enter, "bash", "-lc", f"exec 2>&1; {line}"],  # apart from nspawn's
            input="y\n",
            capture_output=True,
            check=False,
            text=True,
            errors="replace",
            timeout=1200,
            # Else /tmp is in memory, where a torch with CUDA does not fit.
            env=os.environ | {"SYSTEMD_NSPAWN_TMPFS_TMP": "0"},
        )
        print(f"{time.monotonic() - began:6.1f} s  {line}")
        assert done.returncode == 0, (
            f"{line}: {done.returncode}\n{done.stdout[-5000:]}{done.stderr}"
        )
        assert re.search(printed, done.stdout), f"{line}: {done.stdout[-5000:]}"
        return done.stdout

    def size(self, *places: str) -> None:
        """Print what is in folders of alice's, in megabytes."""
        print(
            self.types(f"du -sm --apparent-size {' '.join(places)}").replace("\t", " MB "), end=""
        )


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    suite = str(request.param)
    kept = os.environ.get(f"TAGGER_INSTALL_{suite.upper()}")
    root = fresh_debian(tmp_path_factory.mktemp(suite), PACKAGES, kept, suite)
    made = Machine(root)
    subprocess.run(["chroot", root, "useradd", "-m", "-s", "/bin/bash", "alice"], check=True)
    (root / "etc" / "sudoers.d" / "alice").write_text("alice ALL=(ALL) NOPASSWD: ALL\n")
    subprocess.run(["git", "clone", "-q", PROJECT, made.home / "tagger"], check=True)
    subprocess.run(["chroot", root, "chown", "-R", "alice:", f"/{HOME}"], check=True)
    made.types("sudo apt-get -qq update")
    yield made
    shutil.rmtree(root)


def lines(start: str) -> list[str]:
    """Return the lines of the documents' shell block that begins so, wherever it is told."""
    found = re.findall(rf"^```sh\n({re.escape(start)}.*?)^```", README, re.MULTILINE | re.DOTALL)
    [block] = set(found)
    return [without_comment(line) for line in block.splitlines()]


def line(start: str) -> str:
    """Return the only line of the documents' shell blocks that begins so."""
    found = {one for one in map(without_comment, README.splitlines()) if one.startswith(start)}
    [told] = found
    return told


def test_without_torch_from_the_wheel(
    machine: Machine,
    demo_weights: Path,
    converted_demo: Callable[[Path], Path],
    scenes: list[Path],
    tmp_path: Path,
):
    """On a small machine: what another one converted is imported, and the first photos tagged."""
    from tagger.classify.onnx_store import convert
    from tagger.classify.ready_network import write_network

    _, wheel = dist.build(PROJECT, tmp_path)
    state = converted_demo(demo_weights).parent
    made = convert("resnet18", str(demo_weights), str(state))
    pictures, networks = machine.home / "Pictures", machine.home / "networks"
    for folder in (pictures, networks):
        folder.mkdir()
    write_network(made, str(networks / "resnet18.onnx"))
    shutil.copy(wheel, machine.home)
    for scene in scenes:
        shutil.copy(scene, pictures)
    machine.types("sudo chown -R alice: ~/Pictures ~/networks")

    machine.types(lines("sudo apt install pipx")[0])
    machine.types(f"cd ~ && {line('pipx install ./tagger')}", printed="installed package tagger")
    machine.size("~/.local")
    machine.types("! ~/.local/*/pipx/venvs/tagger/bin/python -c 'import torch' 2>/dev/null")
    machine.types(line("tagger model import"), printed=r"resnet18-.*\.onnx")
    said = machine.types("tagger init --yes --no-service")
    print(said)
    assert re.search(r"seaside|beach|6 photos", said), said
    machine.types("tagger query beach", printed=r"\A/.*/Pictures/seaside\.jpg\n\Z")
    machine.types("tagger untag --all && pipx uninstall tagger")
    machine.types("rm -r ~/.config/tagger ~/.local/state/tagger ~/Pictures ~/networks ~/tagger-*")


def test_for_the_whole_machine_and_the_demo(machine):
    first, *others = lines("sudo apt install python3-venv")
    machine.types(first)
    for told in others:
        machine.types(told)
    machine.size("/opt/tagger/.venv")
    machine.types("cd / && tagger --version", printed=r"\d+\.\d+")
    owners = {path.lstat().st_uid for path in (machine.home / "tagger").rglob("*")}
    assert owners == {machine.home.stat().st_uid}, "root left something in alice's checkout"
    [upgrade] = [told for told in others if "pip install" in told]
    machine.types(upgrade)

    demo, _tests = lines("make demo")
    said = machine.types(demo, printed="seaside.jpg: landscape > coast > beach 1.00")
    assert re.search(r"query 'landscape'\n(/.*\n)*/.*/inbox/seaside\.jpg\n", said), said

    assert '`make demo PHOTOS="a.jpg b.jpg"`' in " ".join(README.split())
    machine.types('make demo PHOTOS="docs/page.png"', printed=r"  page\.png: ")

    for told in lines("pipx uninstall tagger"):
        if told.startswith("sudo"):
            machine.types(told)
    machine.types("test ! -e /opt/tagger && ! command -v tagger")


def test_for_oneself_with_pipx_and_cron(machine, demo_weights, scenes):
    inbox = machine.home / "Pictures" / "inbox"
    inbox.mkdir(parents=True)
    for scene in scenes:
        shutil.copy(scene, inbox)
    models = machine.home / ".local" / "state" / "tagger" / "models"
    models.mkdir(parents=True, exist_ok=True)  # a demo makes it, too
    shutil.copy(demo_weights, models)
    machine.types("sudo chown -R alice: ~/Pictures ~/.local")

    apt, install = lines("sudo apt install pipx")
    machine.types(apt)
    machine.types(install, printed="installed package tagger")
    machine.types(line("tagger init ~/Pictures/inbox"))
    tagged_by_cron(machine)
    assert {path.name for path in inbox.glob("*.xmp")} == {f"{scene.name}.xmp" for scene in scenes}
    machine.types("tagger query beach", printed=r"\A/.*/inbox/seaside\.jpg\n\Z")

    assert "`pipx install --force`" in README
    machine.types(install.replace("pipx install", "pipx install --force"), printed="installed")
    machine.types("tagger query beach", printed=r"\A/.*/inbox/seaside\.jpg\n\Z")

    assert "`tagger untag --all`" in README
    machine.types("tagger untag --all")
    for told in lines("pipx uninstall tagger"):
        if not told.startswith("sudo"):
            machine.types(told)
    machine.types("! command -v tagger")
    left = {path.name for path in inbox.iterdir()}
    assert left == {scene.name for scene in scenes} | {".tagger-root"}
    for scene in scenes:
        assert (inbox / scene.name).read_bytes() == scene.read_bytes()
    checkout = machine.home / "tagger"
    named = {path for path in machine.home.rglob("*tagger*") if not path.is_relative_to(checkout)}
    assert named == {inbox / ".tagger-root"}


def tagged_by_cron(machine: Machine) -> None:
    """Have the document's line run by cron, at the next minute instead of once an hour."""
    [told] = re.findall(r"^```crontab\n(.*)\n```", README, re.MULTILINE)
    assert told.startswith("15 * * * * ")
    script = f"sleep 1; printf '%s\\n' {told.replace('15', '*', 1)!r} >>\"$1\""
    (machine.home / "editor").write_text(f"#!/bin/sh\n{script}\n")  # crontab counts seconds
    (machine.home / "editor").chmod(0o755)
    machine.types("EDITOR=~/editor crontab -e", printed="installing new crontab")
    machine.types(
        "sudo cron && for i in $(seq 150); do ls ~/Pictures/inbox/*.xmp 2>/dev/null | wc -l |"
        " grep -qx 6 && break; sleep 1; done; sleep 3; crontab -r; rm ~/editor"
    )
