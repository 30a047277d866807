"""Drives the real photo programs on a display of its own; run inside a Debian that has them.

``python3 -m tests.support.program_guest PROGRAM HOME FOLDER ACTION`` starts a program for the
photos of FOLDER, has it do the ACTION with the first of them, stops it, and prints as JSON what it
holds of that photo: ``{"tags": ["animal/dog"], "rating": 4}``, the steps of a path with slashes.
HOME keeps the program's database from one call to the next. An ACTION is ``look``, ``rate``,
``add`` ("Rex"), ``delete`` (the tag called ``$TAG``), ``rename`` (that one to "Renamed") or
``move`` (the photo itself gets the name ``moved.jpg``). Only the standard library is used.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support.program_guest.darktable import Darktable
from tests.support.program_guest.desktop import SCREEN, Program
from tests.support.program_guest.digikam import DigiKam, DigiKamAtDefaults
from tests.support.program_guest.gnome import Gthumb, Shotwell, localsearch

PROGRAMS: dict[str, type[Program]] = {
    "digikam": DigiKam,
    "digikam-defaults": DigiKamAtDefaults,
    "darktable": Darktable,
    "shotwell": Shotwell,
    "gthumb": Gthumb,
}


def main(name: str, home: Path, folder: Path, action: str) -> dict[str, Any]:
    """Have one program do one thing; return what it holds of the first photo."""
    if name == "localsearch":
        return localsearch(min(folder.glob("*.jpg")))
    return PROGRAMS[name](home, folder).act(action)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if "DISPLAY" not in os.environ and arguments[0] != "localsearch":
        Path(arguments[1]).mkdir(parents=True, exist_ok=True)
        runtime = tempfile.mkdtemp()
        environ = os.environ | {
            "HOME": arguments[1],
            "XDG_RUNTIME_DIR": runtime,
            "QTWEBENGINE_DISABLE_SANDBOX": "1",
            "QT_QPA_PLATFORM": "xcb",
            "GDK_BACKEND": "x11",
            "GSETTINGS_BACKEND": "keyfile",
        }
        inner = [
            "dbus-run-session",
            "--",
            sys.executable,
            "-m",
            "tests.support.program_guest",
            *arguments,
        ]
        os.execvpe("xvfb-run", ["xvfb-run", "-a", "-s", f"-screen 0 {SCREEN}", *inner], environ)
    print(json.dumps(main(arguments[0], Path(arguments[1]), Path(arguments[2]), arguments[3])))
