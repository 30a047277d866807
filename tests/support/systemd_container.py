"""A Debian booted with systemd in a container, with this project and its environment in it.

It is made with debootstrap and booted by systemd-nspawn; needs root.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from PIL import Image

from tests.conftest import PROJECT

PACKAGES = "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,procps,python3,acl"
CONFIG = "/etc/tagger/config.yaml"
PICTURES = "/home/alice/Pictures"


class Container:
    """A booted container. ``leader`` is its first process, as the host counts."""

    def __init__(self, root: Path, leader: int) -> None:
        self.root = root
        self.leader = leader

    def run(self, *words: str, check: bool = True, user: str = "root", timeout: float = 400) -> str:
        """Run a command in there; return what it printed."""
        home = "/root" if user == "root" else f"/home/{user}"
        environ = [f"HOME={home}", "LANG=C.UTF-8"]
        environ.append("PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        if user != "root":
            environ.append(f"XDG_RUNTIME_DIR=/run/user/{self.run('id', '-u', user).strip()}")
            words = ("runuser", "-u", user, "--", *words)
        enter = ["nsenter", "-t", str(self.leader), "-m", "-u", "-i", "-n", "-p", "--"]
        done = subprocess.run(
            [*enter, "env", "-i", *environ, *words],
            capture_output=True,
            check=False,
            text=True,
            timeout=timeout,
        )
        assert not check or done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def shell(self, line: str, *, user: str = "root", answer: str = "y") -> str:
        """Run a line of the README, without sudo, as ``user``, who answers what is asked."""
        line = line.removeprefix("sudo ")
        return self.run("sh", "-c", f"echo {answer} | {line}", user=user)

    def property(self, name: str, *how: str, user: str = "root", unit: str = "tagger") -> str:
        """Return what systemd says of a service."""
        shown = ("systemctl", *how, "show", "--value", "-p", name, f"{unit}.service")
        return self.run(*shown, user=user).strip()

    def processes(self) -> list[str]:
        """Return the command lines of tagger's processes in the container."""
        script = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null; echo; done"
        lines = self.run("sh", "-c", script).splitlines()
        return [line for line in lines if f"{sys.prefix}/bin/" in line]

    def tagger_json(self, *words: str) -> Any:
        return json.loads(self.run("tagger", "--config", CONFIG, *words, "--json"))


@contextmanager
def booted(debian: Path, models: Sequence[Path], log: Path, *options: str) -> Iterator[Container]:
    """Boot it, with a user alice, the files of ``models``, and tagger on the path.

    ``options`` are systemd-nspawn's.
    """
    for folder in (sys.prefix, sys.base_prefix, str(PROJECT), "/etc/tagger"):
        (debian / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    (debian / "root").chmod(0o755)  # an interpreter in there is to be alice's, too
    subprocess.run(["chroot", debian, "useradd", "-m", "-s", "/bin/bash", "alice"], check=True)
    (debian / "home" / "alice").chmod(0o700)
    (debian / "usr" / "local" / "bin" / "tagger").symlink_to(f"{sys.prefix}/bin/tagger")
    place = debian / "var" / "lib" / "tagger" / "models"
    place.mkdir(parents=True)
    for file in models:
        shutil.copy(file, place)
    mounts = sorted({str(PROJECT), sys.prefix, sys.base_prefix} - {"/usr"})
    with running(debian, log, *options, *(f"--bind-ro={path}" for path in mounts)) as made:
        yield made


@contextmanager
def running(debian: Path, log: Path, *options: str, **environ: str) -> Iterator[Container]:
    """Boot what is in a folder; ``environ`` is more of systemd-nspawn's environment."""
    boot = ["systemd-nspawn", "-q", "-D", str(debian), "--register=no", "--keep-unit", "--boot"]
    boot += ["--console=pipe", f"--machine=tagger-test-{os.getpid()}", *options]
    # Landlock, which the filter of older versions of nspawn does not know.
    boot += ["--system-call-filter=landlock_create_ruleset landlock_restrict_self"]
    with log.open("wb") as out:
        nspawn = subprocess.Popen(
            boot, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=os.environ | environ
        )
    try:
        yield Container(debian, leader(nspawn, log))
    finally:
        nspawn.terminate()  # asks the container to halt; the second time it is ended
        time.sleep(1)
        nspawn.terminate()
        try:
            nspawn.wait(10)
        except subprocess.TimeoutExpired:
            nspawn.kill()
            nspawn.wait()


def leader(nspawn: subprocess.Popen[bytes], log: Path) -> int:
    """Return the first process of the container once its boot is over; skip if it cannot boot."""
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and nspawn.poll() is None:
        if found := children.read_text().split():
            probe = ["nsenter", "-t", found[0], "-m", "-p", "systemctl", "is-system-running"]
            done = subprocess.run(probe, capture_output=True, check=False, text=True)
            if done.stdout.strip() in ("running", "degraded"):
                return int(found[0])
        time.sleep(0.2)
    nspawn.kill()
    pytest.skip(f"a container cannot be booted here: {log.read_text(errors='replace')[-300:]}")


def photos(scenes: Sequence[Path], folder: Path, owner: Path, count: int = 20) -> list[Path]:
    """Put different photos of what the demo weights know into ``folder``, in many formats."""
    pillow_heif.register_heif_opener()
    whose = owner.stat()
    made = []
    for number in range(count):
        with Image.open(scenes[number % len(scenes)]) as scene:
            suffix = ("heic", "webp", "png", "tiff")[number] if number < 4 else "jpg"
            path = folder / f"photo {number:02}.{suffix}"
            scene.convert("RGB").save(path, quality=95 - number)
        os.chown(path, whose.st_uid, whose.st_gid)
        made.append(path)
    return made


def until(condition: Callable[[], Any], seconds: float) -> float:
    """Return how many seconds it takes until ``condition`` is true; fail after ``seconds``."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not true within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - began
