"""Rules under the sandbox of the system's unit, as docs/rules.md tells: ``make test-systemd``.

The container shares the network of this machine, where webhooks are received.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.systemd_container import CONFIG, PICTURES, Container, until
from tests.support.webhook_listener import Listener

HOME = "/home/alice"
INSTALL = f"tagger --config {CONFIG} service install"
KINDS = ("moved", "copied", "ran", "failed", "told", "closed", "hidden")
"""A folder of photos for each rule."""

PROGRAM = """#!/bin/sh
echo "user $(id -un), in $(pwd), photo $1, home: $(ls /home/alice)"
touch /etc/made || echo "etc is closed"
touch /home/alice/bin/made || echo "its folder is closed"
echo mine > /tmp/mine && echo "tmp is open"
grep NoNewPrivs /proc/self/status
ls /dev/sda /dev/kmsg /dev/fuse
python3 -c 'import mmap; mmap.mmap(-1, 4096, prot=7)' || echo "no memory for code"
python3 -c 'import socket; socket.create_connection(("127.0.0.1", 1))' || echo "no network"
"""

pytestmark = pytest.mark.skipif(
    "TAGGER_SYSTEMD" not in os.environ, reason="boots a container: `make test-systemd` runs it"
)


class Machine:
    """A container with the service, a photo folder for each rule, and a server for webhooks."""

    def __init__(self, container: Container, scenes: Sequence[Path], listener: Listener) -> None:
        self.container, self.scenes, self.listener = container, scenes, listener
        self.root = container.root
        self.pictures = self.root / PICTURES.lstrip("/")
        self._count = 0

    def write(self, place: str, text: str) -> None:
        """Write a program of alice's."""
        path = self.root / place.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def photo(self, kind: str) -> Path:
        """Put a photo of alice's, unlike any other, into a folder."""
        self._count += 1
        path = self.pictures / kind / f"{self._count}.jpg"
        part = path.with_suffix(".part")
        shutil.copy(next(one for one in self.scenes if one.suffix == ".jpg"), part)
        with part.open("ab") as file:
            file.write(b"%d" % self._count)
        owner = self.pictures.stat()
        os.chown(part, owner.st_uid, owner.st_gid)
        return part.rename(path)

    def configure(self, rules: Sequence[dict[str, Any]]) -> None:
        path = self.root / CONFIG.lstrip("/")
        settings = yaml.safe_load(path.read_text()) | {"rules": list(rules)}
        path.write_text(yaml.safe_dump(settings))

    def restart(self, how: str = INSTALL) -> None:
        """Start the service anew, and wait until its folder has once been looked through."""
        self.container.shell(how)
        until(lambda: self.container.property("ActiveState") == "active", 30)
        until(self._looked, 60)

    def _looked(self) -> bool:
        index = self.root / "var" / "lib" / "tagger" / "index.sqlite3"
        with sqlite3.connect(index) as db:
            return bool(db.execute("SELECT 1 FROM rule_roots").fetchall())

    def failures(self) -> dict[str, str]:
        """Return why rules failed last, by rule."""
        return {
            one["rule"]: one["reason"]
            for one in self.container.tagger_json("rules", "list")["failures"]
        }

    def done(self, rule: str) -> int:
        """Return how often a rule was followed."""
        told = self.container.tagger_json("rules", "list")["rules"]
        return next(one["counts"].get("done", 0) for one in told if one["rule"] == rule)

    def doctor(self, name: str) -> list[str]:
        """Return what the doctor says of a rule that is not well."""
        said = json.loads(
            self.container.run("tagger", "--config", CONFIG, "doctor", "--json", check=False)
        )
        return [
            f"{one['message']}; {one['remedy']}"
            for one in said
            if one["name"] == name and one["state"] != "ok"
        ]

    def status(self) -> str:
        return self.container.run("tagger", "--config", CONFIG, "status")

    def log(self) -> str:
        return self.container.run("journalctl", "-t", "tagger", "-o", "cat")


@pytest.fixture(scope="module")
def machine(container: Container, scenes: Sequence[Path]) -> Iterator[Machine]:
    listener = Listener()
    made = Machine(container, scenes, listener)
    for kind in KINDS:
        container.run("mkdir", "-p", f"{PICTURES}/{kind}", user="alice")
    container.run("mkdir", f"{HOME}/Papers", f"{HOME}/secret", user="alice")
    container.run("mkdir", "/srv/frame", "/srv/closed")
    container.run("chown", "alice:", "/srv/frame", "/srv/closed")
    made.write(f"{HOME}/bin/report", PROGRAM)
    made.write(f"{HOME}/bin/fail", "#!/bin/sh\necho out of paper\nexit 3\n")
    made.write(f"{HOME}/other/hidden", "#!/bin/sh\n")
    container.run("chown", "-R", "alice:", f"{HOME}/bin", f"{HOME}/other")
    container.shell(f"tagger --config {CONFIG} init {PICTURES}")
    made.configure(rules(listener))
    made.restart()
    yield made
    container.shell(f"tagger --config {CONFIG} service uninstall")
    listener.close()


def rules(listener: Listener) -> list[dict[str, Any]]:
    """Return the rules that are there when the service is installed."""
    return [
        {"name": "moved", "query": "in:moved", "move_to": f"{HOME}/Papers"},
        {"name": "copied", "query": "in:copied", "copy_to": "/srv/frame"},
        {"name": "ran", "query": "in:ran", "run": [f"{HOME}/bin/report"]},
        {"name": "failed", "query": "in:failed", "run": [f"{HOME}/bin/fail"]},
        {"name": "told", "query": "in:told", "webhook": listener.url},
    ]


LATER = [
    {"name": "closed", "query": "in:closed", "move_to": "/srv/closed"},
    {"name": "hidden", "query": "in:hidden", "run": [f"{HOME}/other/hidden"]},
]
"""Rules that are written into the config later: the service is not open to them yet."""


def test_a_photo_is_moved_and_copied_to_the_folders_of_rules(machine):
    moved, copied = machine.photo("moved"), machine.photo("copied")
    papers, frame = machine.root / "home/alice/Papers", machine.root / "srv/frame"
    until(lambda: machine.done("moved") and machine.done("copied"), 60)
    assert not moved.exists()
    assert copied.exists()
    owner = machine.pictures.stat().st_uid
    for folder, photo in ((papers, moved), (frame, copied)):
        names = {path.name for path in folder.iterdir()}
        assert names == {photo.name, f"{photo.name}.xmp"}
        assert {path.stat().st_uid for path in folder.iterdir()} == {owner}
    assert machine.failures() == {}


def test_a_program_runs_under_the_limits_of_the_service(machine):
    photo = machine.photo("ran")
    until(lambda: machine.done("ran"), 60)
    [said] = [line for line in machine.log().splitlines() if "bin/report printed: " in line]
    place = f"{PICTURES}/ran/{photo.name}"
    assert f"user alice, in /, photo {place}, home: Papers Pictures bin " in said
    assert "etc is closed" in said and not (machine.root / "etc/made").exists()
    assert "its folder is closed" in said and not (machine.root / "home/alice/bin/made").exists()
    assert "tmp is open" in said and not (machine.root / "tmp/mine").exists()
    assert "NoNewPrivs: 1" in said
    assert said.count("cannot access '/dev/") == 3
    assert "no memory for code" in said
    assert "no network" in said


def test_a_program_that_fails_is_told_of(machine):
    machine.photo("failed")
    until(lambda: "failed" in machine.failures(), 60)
    assert "bin/fail ended with 3: out of paper" in machine.failures()["failed"]
    assert "1 failed since the start" in machine.container.run(
        "tagger", "--config", CONFIG, "status"
    )
    assert "ended with 3" in machine.log()


def test_without_a_network_a_webhook_waits_and_that_is_said(machine):
    off = "the service may not use the network"
    assert any(off in one for one in machine.doctor("rules"))
    assert off in machine.status()
    assert "webhooks are off: http://127.0.0.1" in machine.log()
    photo = machine.photo("told")
    until(lambda: machine.container.tagger_json("status")["rules"]["waiting"] == 1, 60)
    assert machine.listener.bodies == []
    assert "told" not in machine.failures()
    machine.restart(f"{INSTALL} --network")
    until(lambda: machine.listener.bodies, 60)
    assert machine.listener.bodies[0]["path"] == f"{PICTURES}/told/{photo.name}"
    assert not machine.doctor("rules")
    machine.restart()


def test_what_the_service_is_not_open_to_is_said_and_done_after_the_next_install(machine):
    machine.configure([*rules(machine.listener), *LATER])
    machine.restart("systemctl restart tagger")
    again = "run `tagger service install` again, which opens it to the service"
    assert machine.doctor("rule closed") == [
        f"move_to: the daemon may not write to /srv/closed; {again}"
    ]
    assert machine.doctor("rule hidden") == [
        f"run: the daemon does not see {HOME}/other/hidden; {again}"
    ]
    assert not machine.doctor("rule moved") and not machine.doctor("rule ran")
    closed, hidden = machine.photo("closed"), machine.photo("hidden")
    until(lambda: {"closed", "hidden"} <= set(machine.failures()), 60)
    assert "Read-only file system" in machine.failures()["closed"]
    assert f"cannot run {HOME}/other/hidden: No such file" in machine.failures()["hidden"]
    assert closed.exists() and Path(f"{closed}.xmp").exists(), "it stays, and is tagged"
    assert not list((machine.root / "srv/closed").iterdir())
    machine.restart()
    assert not machine.doctor("rule closed") and not machine.doctor("rule hidden")
    machine.container.run("tagger", "--config", CONFIG, "rules", "retry")
    until(lambda: machine.done("closed") and machine.done("hidden"), 60)
    assert (machine.root / "srv/closed" / closed.name).exists()
    assert not closed.exists() and hidden.exists()
