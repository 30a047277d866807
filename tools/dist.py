"""Builds the sdist and the wheel: ``make dist``. Two builds of one commit are the same bytes.

Of what lies in the checkout only the files that git knows are taken. All of them are dated by
``SOURCE_DATE_EPOCH``, by default the time of the last commit (in an unpacked sdist that of
``pyproject.toml``); see https://reproducible-builds.org/specs/source-date-epoch/.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
LEFT_OUT = {".git", ".venv", "build", "dist", "__pycache__"}


def known_files(project: Path) -> list[str]:
    """Return the files of the project: those that git knows, or all of an unpacked sdist."""
    words = ["git", "-C", str(project), "ls-files", "-z"]
    if (project / ".git").exists():
        listed = subprocess.run(words, check=True, capture_output=True).stdout
        names = [os.fsdecode(name) for name in listed.split(b"\0") if name]
        return sorted(name for name in names if (project / name).is_file())
    return sorted(
        str(path.relative_to(project))
        for path in project.rglob("*")
        if path.is_file() and not LEFT_OUT & set(path.relative_to(project).parts)
    )


def source_date(project: Path) -> int:
    """Return the seconds since the epoch that all files are dated with."""
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(given)
    if (project / ".git").exists():
        words = ["git", "-C", str(project), "log", "-1", "--format=%ct"]
        return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return int((project / "pyproject.toml").stat().st_mtime)


@contextlib.contextmanager
def clean_copy(project: Path) -> Iterator[Path]:
    """Give a copy of the files of the project, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tagger-dist-") as name:
        folder = Path(name) / "tagger"
        for file in known_files(project):
            target = folder / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(project / file, target)
        yield folder


def build(project: Path, to: Path) -> list[Path]:
    """Build both into the folder ``to``; return their paths. It needs flit_core."""
    to.mkdir(parents=True, exist_ok=True)
    script = (
        "import sys; from flit_core import buildapi; "
        "print(buildapi.build_sdist(sys.argv[1])); print(buildapi.build_wheel(sys.argv[1]))"
    )
    environ = os.environ | {"SOURCE_DATE_EPOCH": str(source_date(project))}
    with clean_copy(project) as copy:
        done = subprocess.run(
            [sys.executable, "-c", script, str(to.resolve())],
            cwd=copy,
            env=environ,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    return [to / name for name in done.stdout.split()]


def main() -> int:
    """Build both, and say what they are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=PROJECT / "dist", help="the folder")
    for path in build(PROJECT, parser.parse_args().to):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{digest}  {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
