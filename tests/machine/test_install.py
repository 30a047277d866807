"""README's chapter "Install" in a fresh Debian: ``make test-install``, ten minutes.

The Debian is made with debootstrap, or is a copy of the folder that ``TAGGER_INSTALL_ROOT`` names
(with apt and pip set up so that they find their packages), and its commands are run by
systemd-nspawn. Needs root and a network.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.docs.test_readme import README, without_comment
from tests.support.debian import fresh_debian

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
        done = subprocess.run(
            [*enter, "bash", "-lc", f"exec 2>&1; {line}"],  # apart from nspawn's
            input="y\n",
            capture_output=True,
            check=False,
            text=True,
            errors="replace",
            timeout=1200,
        )
        assert done.returncode == 0, (
            f"{line}: {done.returncode}\n{done.stdout[-5000:]}{done.stderr}"
        )
        assert re.search(printed, done.stdout), f"{line}: {done.stdout[-5000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    root = fresh_debian(
        tmp_path_factory.mktemp("machine"), PACKAGES, os.environ.get("TAGGER_INSTALL_ROOT")
    )
    made = Machine(root)
    subprocess.run(["chroot", root, "useradd", "-m", "-s", "/bin/bash", "alice"], check=True)
    (root / "etc" / "sudoers.d" / "alice").write_text("alice ALL=(ALL) NOPASSWD: ALL\n")
    subprocess.run(["git", "clone", "-q", PROJECT, made.home / "tagger"], check=True)
    subprocess.run(["chroot", root, "chown", "-R", "alice:", f"/{HOME}"], check=True)
    made.types("sudo apt-get -qq update")
    yield made
    shutil.rmtree(root)


def lines(start: str) -> list[str]:
    """Return the lines of the README's shell block that begins so."""
    [block] = re.findall(rf"^```sh\n({re.escape(start)}.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [without_comment(line) for line in block.splitlines()]


def test_for_the_whole_machine_and_the_demo(machine):
    first, *others = lines("sudo apt install python3-venv")
    machine.types(first)
    for line in others:
        machine.types(line)
    machine.types("cd / && tagger --version", printed=r"\d+\.\d+")
    owners = {path.lstat().st_uid for path in (machine.home / "tagger").rglob("*")}
    assert owners == {machine.home.stat().st_uid}, "root left something in alice's checkout"
    [upgrade] = [line for line in others if "pip install" in line]
    machine.types(upgrade)

    demo, _tests = lines("make demo")
    said = machine.types(demo, printed="seaside.jpg: landscape > coast > beach 1.00")
    assert re.search(r"query 'landscape'\n(/.*\n)*/.*/inbox/seaside\.jpg\n", said), said

    assert '`make demo PHOTOS="a.jpg b.jpg"`' in " ".join(README.split())
    machine.types('make demo PHOTOS="docs/page.png"', printed=r"  page\.png: ")

    away = [line for line in lines("pipx uninstall tagger") if line.startswith("sudo")]
    for line in away:
        machine.types(line)
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
    machine.types(lines("tagger init ~/Pictures/inbox")[0])
    tagged_by_cron(machine)
    assert {path.name for path in inbox.glob("*.xmp")} == {f"{scene.name}.xmp" for scene in scenes}
    machine.types("tagger query beach", printed=r"\A/.*/inbox/seaside\.jpg\n\Z")

    assert "`pipx install --force`" in README
    machine.types(install.replace("pipx install", "pipx install --force"), printed="installed")
    machine.types("tagger query beach", printed=r"\A/.*/inbox/seaside\.jpg\n\Z")

    assert "`tagger untag --all`" in README
    machine.types("tagger untag --all")
    for line in lines("pipx uninstall tagger"):
        if not line.startswith("sudo"):
            machine.types(line)
    machine.types("! command -v tagger")
    left = {path.name for path in inbox.iterdir()}
    assert left == {scene.name for scene in scenes} | {".tagger-root"}
    for scene in scenes:
        assert (inbox / scene.name).read_bytes() == scene.read_bytes()
    checkout = machine.home / "tagger"
    named = {path for path in machine.home.rglob("*tagger*") if not path.is_relative_to(checkout)}
    assert named == {inbox / ".tagger-root"}


def tagged_by_cron(machine: Machine) -> None:
    """Have the README's line run by cron, at the next minute instead of once an hour."""
    [line] = re.findall(r"^```crontab\n(.*)\n```", README, re.MULTILINE)
    assert line.startswith("15 * * * * ")
    script = f"sleep 1; printf '%s\\n' {line.replace('15', '*', 1)!r} >>\"$1\""
    (machine.home / "editor").write_text(f"#!/bin/sh\n{script}\n")  # crontab counts seconds
    (machine.home / "editor").chmod(0o755)
    machine.types("EDITOR=~/editor crontab -e", printed="installing new crontab")
    machine.types(
        "sudo cron && for i in $(seq 150); do ls ~/Pictures/inbox/*.xmp 2>/dev/null | wc -l |"
        " grep -qx 6 && break; sleep 1; done; sleep 3; crontab -r; rm ~/editor"
    )
