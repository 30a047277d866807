"""A Python that has all packages of the tests' but torch: a real environment, made of links."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

ABSENT = ("torch", "torchvision", "torchgen", "functorch", "tagger", "flit_core")


def python_without_torch(folder: Path, *, checkout: Path | None) -> Path:
    """Make an environment in ``folder``, and return its interpreter.

    ``checkout`` is where tagger is imported from; None: it is not there yet, to be installed.
    """
    # Not `venv.create`, which would link to the interpreter of this environment.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    [site] = folder.glob("lib/python3*/site-packages")
    for place in {Path(str(one.locate_file(""))) for one in distributions()}:
        for entry in place.iterdir():
            name = entry.name.partition("-")[0].partition(".")[0]
            link = site / entry.name
            if name not in ABSENT and entry.suffix != ".pth" and not link.exists():
                link.symlink_to(entry)
    if checkout is not None:
        (site / "tagger.pth").write_text(f"{checkout}\n")
    return folder / "bin" / "python"
