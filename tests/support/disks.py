"""Small ext4 disks in files, that can be pulled out, filled up or made read-only."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path


def run(*command: object) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{command}: {done.stderr}")
    return done.stdout


@functools.cache
def impossible() -> str:
    """Return why no disk can be mounted here; empty when one can."""
    if os.geteuid() != 0:
        return "only root may mount a disk"
    if missing := [name for name in ("mkfs.ext4", "mount", "losetup") if not shutil.which(name)]:
        return f"{', '.join(missing)} not installed"
    with tempfile.TemporaryDirectory() as folder:
        try:
            Disk(Path(folder) / "disk", 4).remove()
        except OSError as error:
            return f"no loop device can be mounted here ({error})"
    return ""


class Disk:
    """An ext4 file system in ``image``, mounted at ``path``."""

    def __init__(self, path: Path, megabytes: int, *options: str) -> None:
        self.path = path
        self.image = path.with_suffix(".img")
        path.mkdir()
        with open(self.image, "wb") as file:
            file.truncate(megabytes << 20)
        run("mkfs.ext4", "-q", "-m", "0", "-b", "1024", "-O", "^resize_inode", *options, self.image)
        self.mount()

    def mount(self, *options: str) -> None:
        # A journal written every second: a power cut finds something half written.
        words = ",".join(("loop", "commit=1", *options))
        run("mount", "-t", "ext4", "-o", words, self.image, self.path)

    def unmount(self, *options: str) -> None:
        run("umount", *options, self.path)

    def remount(self, option: str) -> None:
        run("mount", "-o", f"remount,{option}", self.path)

    def fill(self) -> None:
        """Leave no room at all."""
        with open(self.path / "ballast", "wb", buffering=0) as file:
            for size in (1 << 20, 1 << 10, 1):
                try:
                    while file.write(bytes(size)) == size:
                        pass
                except OSError:
                    continue

    def free(self) -> None:
        (self.path / "ballast").unlink()

    def remove(self) -> None:
        while os.path.ismount(self.path):
            run("umount", "-l", self.path)
        self.image.unlink(missing_ok=True)
