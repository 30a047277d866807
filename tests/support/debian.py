"""A Debian's files in a folder, made with debootstrap."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

NEEDED = {"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container"}


def fresh_debian(folder: Path, packages: str, kept: str | None, suite: str | None = None) -> Path:
    """Return a folder in ``folder`` with a Debian that has ``packages``.

    ``kept`` names a folder with one to be copied, or without, where it is made and stays for the
    next time. ``suite`` is the name of the Debian, this machine's by default. Skip the test
    without root or a command that it needs.
    """
    if os.geteuid() != 0:
        pytest.skip("only root can boot a container")
    if missing := [package for command, package in NEEDED.items() if not shutil.which(command)]:
        pytest.skip(f"apt-get install {' '.join(missing)}")
    base = Path(kept) if kept else folder / "base"
    if not (base / "etc" / "os-release").exists():
        known = dict(
            line.split("=", 1) for line in Path("/etc/os-release").read_text().split("\n") if line
        )
        own = known.get("VERSION_CODENAME", "stable") if known["ID"] == "debian" else "stable"
        suite = suite or own
        # With --include it cannot install packages that need others configured before (trixie's
        # systemd); apt can.
        words = ["debootstrap", "--variant=minbase", suite, str(base)]
        _made(words, base)
        enter = ["systemd-nspawn", "-q", "-D", str(base), "--register=no", "--keep-unit", "--pipe"]
        enter += ["--setenv=DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-q"]
        _made([*enter, "update"], base)
        _made([*enter, "install", "--no-install-recommends", *packages.split(",")], base)
    root = folder / "root"
    subprocess.run(["cp", "-a", str(base), str(root)], check=True)
    return root


def _made(words: list[str], base: Path) -> None:
    """Run what makes ``base``; where that fails, take it away again, and the test fails."""
    done = subprocess.run(words, capture_output=True, check=False, text=True)
    if done.returncode:
        shutil.rmtree(base, ignore_errors=True)
        pytest.fail(f"{words[0]} failed: {(done.stdout + done.stderr).strip().splitlines()[-3:]}")
