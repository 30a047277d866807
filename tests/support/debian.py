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
    next time. ``suite`` is the name of the Debian, this machine's by default. Skip the test where
    that cannot be.
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
        words = ["debootstrap", "--variant=minbase", f"--include={packages}", suite, str(base)]
        made = subprocess.run(words, capture_output=True, check=False, text=True)
        if made.returncode:
            shutil.rmtree(base, ignore_errors=True)
            pytest.skip(f"debootstrap failed: {made.stdout.strip().splitlines()[-1:]}")
    root = folder / "root"
    subprocess.run(["cp", "-a", str(base), str(root)], check=True)
    return root
