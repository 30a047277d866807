"""Builds the Debian packages: ``make deb``.

A package holds an environment of Python, ``/usr/lib/tagger``, with tagger and all that it needs but
torch, as wheels from a package index. Nothing of it is run or compiled here, so that each machine
can build for every Debian and architecture. It depends on the Debian's own Python, whose version
the wheels are for: bookworm has 3.11, trixie 3.13.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tagger import __version__
from tagger.config.example import example_config
from tagger.service.units import unit_text
from tools.dist import PROJECT, build, source_date

PACKAGING = PROJECT / "packaging" / "debian"
HOME = "usr/lib/tagger"
SUITES = {"bookworm": ("12", "3.11", (2, 36)), "trixie": ("13", "3.13", (2, 41))}
"""Each Debian's number, Python and glibc."""
MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
MAINTAINER = "tagger maintainers <maintainers@tagger.invalid>"
SCRIPT = """#!/{home}/bin/python3
# The command of this package.
import sys

from tagger.cli import main

if __name__ == "__main__":  # processes that open photos import this file
    sys.exit(main())
"""
CONTROL = """Package: tagger
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {size}
Depends: adduser, libc6 (>= 2.28), libgcc-s1, libstdc++6, {pythons}
Suggests: libimage-exiftool-perl
Section: graphics
Priority: optional
Description: finds out what each new photo shows, and makes it findable
 A daemon for a home server: it watches folders, classifies each new photo on
 the processor, offline, and writes tags that other programs can search into
 sidecars or photos. Pixels, keywords and ratings of yours never change.
 .
 Networks come apart from it: tagger model import takes those that another
 machine converted, see tagger model --help.
"""


@dataclass(frozen=True, slots=True)
class Target:
    """What a package is for: ``suite``, a Debian's name, and ``architecture``, as dpkg calls it."""

    suite: str
    architecture: str

    @property
    def python(self) -> str:
        return SUITES[self.suite][1]

    def platforms(self) -> list[str]:
        """Return the tags of wheels that run there, see PEP 600."""
        machine, (major, newest) = MACHINES[self.architecture], SUITES[self.suite][2]
        tags = [f"manylinux_{major}_{minor}_{machine}" for minor in range(newest, 16, -1)]
        return [*tags, f"manylinux2014_{machine}", f"linux_{machine}"]

    def version(self, base: str) -> str:
        """Return the package's version: of two Debians the later has the greater one."""
        return f"{base}-1~deb{SUITES[self.suite][0]}u1"


def build_package(
    target: Target, wheel: Path, to: Path, base: str, date: int, compression: str = "xz"
) -> Path:
    """Build one package into the folder ``to``; return its path."""
    version = target.version(base)
    with tempfile.TemporaryDirectory(prefix="tagger-deb-") as name:
        root = Path(name) / "root"
        _environment(root / HOME, target, wheel)
        _files(root, date, version)
        _control(root, target, version)
        # Equal packages from equal files: dpkg-deb dates what is newer by SOURCE_DATE_EPOCH.
        for path in [*root.rglob("*"), root]:
            os.utime(path, (date, date), follow_symlinks=False)
        path = to / f"tagger_{version}_{target.architecture}.deb"
        words = [
            "dpkg-deb",
            "--root-owner-group",
            f"-Z{compression}",
            "--build",
            str(root),
            str(path),
        ]
        environ = os.environ | {"SOURCE_DATE_EPOCH": str(date)}
        subprocess.run(words, check=True, env=environ, stdout=subprocess.DEVNULL)
    return path


def _environment(home: Path, target: Target, wheel: Path) -> None:
    """Make the environment with tagger in it, as `python3 -m venv` would on that machine."""
    site = home / "lib" / f"python{target.python}" / "site-packages"
    words = [sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--target", str(site)]
    words += ["--python-version", target.python, "--implementation", "cp", "--only-binary=:all:"]
    words += [f"--platform={tag}" for tag in target.platforms()]
    subprocess.run([*words, "-c", str(PROJECT / "requirements.lock"), str(wheel)], check=True)
    shutil.rmtree(site / "bin", ignore_errors=True)  # for this machine's Python
    shutil.rmtree(site / "share", ignore_errors=True)  # manual pages, which go elsewhere
    for noise in [
        *site.rglob("__pycache__"),
        *site.rglob("direct_url.json"),
        *site.rglob("REQUESTED"),
    ]:
        shutil.rmtree(noise) if noise.is_dir() else noise.unlink()
    binary = home / "bin"
    binary.mkdir()
    (binary / "python3").symlink_to(f"/usr/bin/python{target.python}")
    (binary / "python").symlink_to("python3")
    (binary / "tagger").write_text(SCRIPT.format(home=HOME))
    (home / "pyvenv.cfg").write_text(
        f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {target.python}\n"
    )


def _files(root: Path, date: int, version: str) -> None:
    """Write what is not Python's: the command, the unit, the config, the documents."""

    def write(place: str, data: str | bytes) -> None:
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.encode() if isinstance(data, str) else data)

    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/tagger").symlink_to(f"../lib/{HOME.rpartition('/')[2]}/bin/tagger")
    command = (f"/{HOME}/bin/tagger",)
    unit = unit_text(command, "/etc/tagger/config.yaml", user=False)
    write("usr/lib/systemd/system/tagger.service", unit)
    write("etc/tagger/config.yaml", (PACKAGING / "config.yaml").read_bytes())
    doc = "usr/share/doc/tagger"
    example = example_config(("/srv/photos",), state_dir="/var/lib/tagger")
    write(f"{doc}/examples/config.example.yaml", example)
    lines = (PROJECT / "LICENSE").read_text(encoding="utf-8").strip().splitlines()
    licence = "\n".join(f" {line}" if line else " ." for line in lines)
    text = (PACKAGING / "copyright").read_text(encoding="utf-8")
    write(f"{doc}/copyright", text.replace("@LICENSE@", licence))
    when = time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime(date))
    entry = f"tagger ({version}) stable; urgency=medium\n\n  * See changelog.gz.\n\n"
    write(f"{doc}/changelog.Debian.gz", _zipped(f"{entry} -- {MAINTAINER}  {when}\n"))
    write(f"{doc}/changelog.gz", _zipped((PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")))
    for page in sorted((PROJECT / "data/share/man/man1").glob("*.1")):
        write(f"usr/share/man/man1/{page.name}.gz", _zipped(page.read_text(encoding="utf-8")))
    write("usr/share/lintian/overrides/tagger", (PACKAGING / "lintian-overrides").read_bytes())
    for path in root.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)


def _zipped(text: str) -> bytes:
    """Return ``text`` as gzip makes it, without a date."""
    return gzip.compress(text.encode(), 9, mtime=0)


def _control(root: Path, target: Target, version: str) -> None:
    """Write the package's own records and scripts."""
    control = root / "DEBIAN"
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    sums = [f"{hashlib.md5(p.read_bytes()).hexdigest()}  {p.relative_to(root)}" for p in files]
    size = sum(-(-path.lstat().st_size // 1024) for path in root.rglob("*"))
    major, minor = target.python.split(".")
    control.mkdir()
    control.chmod(0o755)
    text = CONTROL.format(
        version=version,
        architecture=target.architecture,
        maintainer=MAINTAINER,
        size=size,
        pythons=f"python3 (>= {target.python}~), python3 (<< {major}.{int(minor) + 1}~)",
    )
    (control / "control").write_text(text)
    (control / "md5sums").write_text("\n".join(sums) + "\n")
    (control / "conffiles").write_text("/etc/tagger/config.yaml\n")
    for name in ("control", "md5sums", "conffiles"):
        (control / name).chmod(0o644)
    for name in ("postinst", "prerm", "postrm"):
        shutil.copy(PACKAGING / name, control / name)
        (control / name).chmod(0o755)


def main() -> int:
    """Build what is asked for, and say what it is."""
    parser = argparse.ArgumentParser(description="Builds the Debian packages.")
    parser.add_argument("--to", type=Path, default=PROJECT / "dist", help="the folder")
    parser.add_argument("--suite", choices=SUITES, action="append", help="default: all")
    parser.add_argument("--architecture", choices=MACHINES, action="append", help="default: all")
    parser.add_argument("--version", default=__version__, help="another version, for tests")
    parser.add_argument("--compression", default="xz", choices=("xz", "none"), help="for tests")
    asked = parser.parse_args()
    asked.to.mkdir(parents=True, exist_ok=True)
    date = source_date(PROJECT)
    with tempfile.TemporaryDirectory(prefix="tagger-deb-") as folder:
        _, wheel = build(PROJECT, Path(folder))
        for suite in asked.suite or SUITES:
            for architecture in asked.architecture or MACHINES:
                target = Target(suite, architecture)
                made = build_package(
                    target, wheel, asked.to, asked.version, date, asked.compression
                )
                print(f"{made} ({made.stat().st_size / 1e6:.0f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
