"""Keeps what an earlier version leaves on a machine, for tests/end_to_end/test_upgrades.py.

``python -m tools.milestone CHECKOUT FOLDER`` runs the tagger in ``CHECKOUT`` (as of ``git worktree
add --detach``), with this environment's packages, on drawn photos, and writes into ``FOLDER``: for
each target of tags a home with photos, sidecars, config and state directory, its index as SQL, and
what this version says of them. Networks are left out: the tests have those weights.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

HOME = Path("/var/tmp/tagger-milestone")
"""Where the homes are while they are made: the index has whole paths."""
USERS = """<?xpacket begin='\ufeff' id='W5M0MpCehiHzreSzNTczkc9d'?>
<x:xmpmeta xmlns:x='adobe:ns:meta/'>
 <rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'>
  <rdf:Description rdf:about='' xmlns:xmp='http://ns.adobe.com/xap/1.0/'
    xmlns:dc='http://purl.org/dc/elements/1.1/' xmp:Rating='4'>
   <dc:subject><rdf:Bag><rdf:li>Grandma</rdf:li><rdf:li>holiday 2019</rdf:li></rdf:Bag></dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end='w'?>
"""
"""A sidecar that another program wrote before tagger came: keywords and a rating."""


class Machine:
    """One home of ``target``, and the earlier version's command line."""

    def __init__(self, checkout: Path, target: str) -> None:
        self.checkout = checkout
        self.home = HOME / target
        self.inbox, self.state = self.home / "inbox", self.home / "state"
        self.config = self.home / "config.yaml"
        self.inbox.mkdir(parents=True)
        settings = {
            "state_dir": str(self.state),
            "watch": [{"path": str(self.inbox)}],
            "settle_seconds": 0,
            "model": {"weights": str(HOME / "resnet18.pth"), "download": False},
            "decode": {"workers": 1},
            "write": {"target": target},
            "log": {"format": "json"},
        }
        self.config.write_text(yaml.safe_dump(settings, sort_keys=False))

    def python(self, *words: str) -> str:
        """Run Python with that version to be imported; return what it printed."""
        environ = os.environ | {"PYTHONPATH": str(self.checkout), "HOME": str(self.home)}
        words = (sys.executable, "-P", *words)
        return subprocess.run(
            words, env=environ, cwd="/", check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def tagger(self, *words: str) -> str:
        return self.python("-m", "tagger", "--config", str(self.config), *words)


def draw(machine: Machine) -> list[Path]:
    """Have that version make its demo weights and photos; return the photos, made small."""
    folder = HOME / "samples"
    folder.mkdir()
    machine.python(
        "-c",
        "import sys; from tagger.cli import scenes; scenes.demo_weights(sys.argv[1]); "
        "scenes.write_samples(sys.argv[2])",
        str(HOME / "resnet18.pth"),
        str(folder),
    )
    made = []
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            small = image.convert("RGB").resize((360, 270))
        target = HOME / f"{path.stem}.jpg"
        small.save(target, quality=60)
        made.append(target)
    return made


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file in ``folder``."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


def live(machine: Machine, photos: list[Path]) -> dict[str, Any]:
    """Do what people do in a home; return what is to be known of it afterwards."""
    for number, photo in enumerate(photos):
        shutil.copy(photo, machine.inbox)
        os.utime(machine.inbox / photo.name, (1_500_000_000 + number,) * 2)
    first, second, third, *_ = sorted(machine.inbox.iterdir())
    if machine.config.read_text().find("sidecar-xmp") >= 0:
        (machine.inbox / f"{first.name}.xmp").write_text(USERS, encoding="utf-8")
    (machine.inbox / "broken.jpg").write_bytes(b"no photo")
    before = digests(machine.inbox)
    machine.tagger("run", "--once")
    shown = json.loads(machine.tagger("show", str(second), "--json"))
    label = shown["tags"][-1]["label"]
    machine.tagger("untag", "--label", label, str(second))  # never given again
    machine.tagger("untag", str(third))  # tagger keeps out of it
    machine.tagger("run", "--once")
    return {"before": before, "taken": {second.name: label, third.name: None}}


def kept(machine: Machine) -> dict[str, Any]:
    """Return what the version says of its home, with paths from the home on."""
    said: dict[str, Any] = {}
    for path in sorted(machine.inbox.glob("*.jpg")):
        shown = json.loads(machine.tagger("show", str(path), "--json"))
        said[path.name] = {
            "status": shown["status"],
            "tags": sorted(tag["label"] for tag in shown["tags"]),
        }
    files = {path.name: path.stat().st_mtime_ns for path in sorted(machine.inbox.iterdir())}
    return {"photos": said, "mtimes": files, "after": digests(machine.inbox)}


def keep(machine: Machine, folder: Path, told: dict[str, Any]) -> None:
    """Write the home into ``folder``, the index as SQL and without networks."""
    index = machine.state / "index.sqlite3"
    with contextlib.closing(sqlite3.connect(index)) as connection:
        text = "".join(f"{line}\n" for line in connection.iterdump())
    shutil.copytree(
        machine.home,
        folder,
        ignore=shutil.ignore_patterns("index.sqlite3*", "*.onnx", "*.pth", "thumbnails", ".cache"),
    )
    (folder / "state" / "index.sql").write_text(text, encoding="utf-8")
    (folder / "told.json").write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")


@contextlib.contextmanager
def place() -> Iterator[None]:
    """Make the folder HOME, and remove it at the end."""
    HOME.mkdir()
    try:
        yield
    finally:
        shutil.rmtree(HOME)


def main() -> int:
    """Make the homes of one version."""
    parser = argparse.ArgumentParser(description="Keeps what an earlier version leaves.")
    parser.add_argument("checkout", type=Path)
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True)
    with place():
        machines = {t: Machine(asked.checkout, t) for t in ("sidecar-xmp", "sidecar-json", "embed")}
        photos = draw(next(iter(machines.values())))
        for target, machine in machines.items():
            told = live(machine, photos if target == "sidecar-xmp" else photos[:3])
            keep(machine, asked.folder / target, told | kept(machine))
    example = (asked.checkout / "config.example.yaml").read_text(encoding="utf-8")
    (asked.folder / "config.example.yaml").write_text(example, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
