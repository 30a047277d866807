"""The units of a cluster under a real systemd, in a container: ``make test-systemd``.

Scheduler, worker and daemon are in one container, whose network is its own.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from tests.conftest import PROJECT
from tests.support.systemd_container import CONFIG, Container, photos, until

NSPAWN = ("--private-network",)
SCHEDULER, WORKER = "tagger-scheduler", "tagger-worker"
UNITS = (SCHEDULER, WORKER)
ADDRESS = "tcp://127.0.0.1:8786"
PHOTOS = "/srv/photos"
DOCUMENT = (PROJECT / "docs" / "cluster.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.skipif(
    "TAGGER_SYSTEMD" not in os.environ, reason="boots a container: `make test-systemd` runs it"
)
pytest.importorskip("distributed")


def lines(start: str) -> list[str]:
    """Return the lines of the document's shell blocks that begin so."""
    return [line for line in DOCUMENT.splitlines() if line.startswith(start)]


def environment() -> str:
    """Return the document's /etc/tagger/cluster.env with the addresses of this machine."""
    [(name, text)] = re.findall(r"```text\n# (/etc/\S+)\n(.*?)```", DOCUMENT, re.DOTALL)
    assert name == "/etc/tagger/cluster.env"
    return re.sub(r"192\.168\.\d+\.\d+", "127.0.0.1", text).replace("THREADS=4", "THREADS=2")


@pytest.fixture(scope="module")
def cluster(container: Container, scenes: Sequence[Path]) -> Iterator[Container]:
    """Install the units as the document says, and start them; photos are in PHOTOS."""
    root = container.root
    (root / "opt" / "tagger").mkdir(parents=True)
    (root / "opt" / "tagger" / ".venv").symlink_to(sys.prefix)
    for unit in UNITS:
        text = (PROJECT / "systemd" / f"{unit}.service").read_bytes()
        (root / "etc" / "systemd" / "system" / f"{unit}.service").write_bytes(text)
        if sys.base_prefix.startswith(("/root/", "/home/")):  # its interpreter is nobody's else
            drop_in = root / "etc" / "systemd" / "system" / f"{unit}.service.d"
            drop_in.mkdir()
            opened = f"[Service]\nProtectHome=tmpfs\nBindReadOnlyPaths={sys.base_prefix}\n"
            (drop_in / "interpreter.conf").write_text(opened)
    (root / "etc" / "tagger" / "cluster.env").write_text(environment())
    folder = root / PHOTOS.lstrip("/")
    folder.mkdir()
    photos(scenes, folder, folder, 8)
    settings = {
        "state_dir": "/var/lib/tagger",
        "watch": [{"path": PHOTOS}],
        "model": {"download": False, "scenes": "none", "detector": "none", "precision": "fp32"},
        "cluster": {"lost": "wait"},
        "settle_seconds": 0.5,
        "priority": {"nice": 0, "io": "normal"},
    }
    (root / CONFIG.lstrip("/")).write_text(yaml.safe_dump(settings))
    container.run("systemctl", "daemon-reload")
    started = lines("sudo systemctl enable --now tagger-")
    assert len(started) == len(UNITS)
    for line in started:
        container.shell(line)
    yield container
    for unit in UNITS:
        container.run("systemctl", "stop", unit, check=False)


def new_folder(container: Container, name: str) -> Path:
    """Make a folder among the photos."""
    folder = container.root / PHOTOS.lstrip("/") / name
    folder.mkdir()
    return folder


def active(container: Container, unit: str, old: str = "0") -> bool:
    """Whether a unit is at work, by another main process than ``old``."""
    state = container.property("ActiveState", unit=unit)
    return state == "active" and container.property("MainPID", unit=unit) not in ("0", old)


def journal(container: Container, unit: str) -> str:
    return container.run("journalctl", "-u", unit, "-o", "cat")


def tagged_by_the_worker(container: Container) -> str:
    """Have a single run tag what is new, by the worker alone; return what it says."""
    call = f"tagger --config {CONFIG} run --once --cluster {ADDRESS} 2>&1"
    said = container.run("sh", "-c", call)
    assert "is ready, with 2 threads" in said, said
    assert "refused" not in said, said
    return said


def test_a_worker_looks_at_photos_for_the_daemon(cluster):
    for unit in UNITS:
        assert active(cluster, unit), journal(cluster, unit)
    said = tagged_by_the_worker(cluster)
    folder = cluster.root / PHOTOS.lstrip("/")
    assert len(list(folder.glob("*.xmp"))) == 8, said
    assert cluster.tagger_json("status")["counts"]["tagged"] == 8
    sent = cluster.run("sh", "-c", "ls /var/cache/private/tagger-worker/networks").split()
    assert len(sent) == 1, sent
    assert re.fullmatch("[0-9a-f]{64}.onnx", sent[0]), "the network was sent, and is kept"


def test_the_photos_are_looked_at_under_limits(cluster):
    """Neither runs as root, the worker may write nowhere, and decoding leaves the network."""
    for unit in UNITS:
        pid = cluster.property("MainPID", unit=unit)
        status = cluster.run("cat", f"/proc/{pid}/status")
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status
        assert not re.search(r"^Uid:\t0\t", status, re.MULTILINE), unit
    pid = cluster.property("MainPID", unit=WORKER)
    inside = ("nsenter", "-t", pid, "-m", "--")
    for place in (PHOTOS, "/etc", "/usr", "/var/lib"):
        done = cluster.run(*inside, "sh", "-c", f"touch {place}/t 2>&1 || true")
        assert "Read-only file system" in done, place
    script = "grep -l [s]pawn_main /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3"
    spawned = cluster.run("sh", "-c", script).split()
    networks = {cluster.run("readlink", f"/proc/{one}/ns/net", check=False) for one in spawned}
    own = cluster.run("readlink", f"/proc/{pid}/ns/net")
    assert networks - {own, ""}, "its decoding processes have no network"
    wrong = [line for line in journal(cluster, WORKER).splitlines() if "ermission" in line]
    assert not wrong


def test_they_come_back(cluster, scenes):
    """A killed worker, and a scheduler that is started again: there is work after each."""
    for number, unit in enumerate((WORKER, SCHEDULER)):
        old = cluster.property("MainPID", unit=unit)
        cluster.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", unit)
        until(lambda unit=unit, old=old: active(cluster, unit, old), 60)
        later = new_folder(cluster, f"after {unit}")
        photos(scenes[1 + number :], later, later, 4)
        said = tagged_by_the_worker(cluster)
        assert len(list(later.glob("*.xmp"))) == 4, said


def test_a_photo_that_the_worker_may_not_read_is_looked_at_here(cluster, scenes):
    private = new_folder(cluster, "private")
    [photo] = photos(scenes[2:], private, private, 1)
    photo.chmod(0o600)
    tagged_by_the_worker(cluster)
    assert Path(f"{photo}.xmp").exists()
    assert cluster.tagger_json("status")["counts"]["failed"] == 0


def test_a_stop_leaves_nothing_behind(cluster):
    for unit in reversed(UNITS):
        began = time.monotonic()
        cluster.run("systemctl", "stop", unit)
        print(f"{unit} stopped in {time.monotonic() - began:.1f} s")
        assert cluster.property("Result", unit=unit) == "success", journal(cluster, unit)
        assert cluster.property("ActiveState", unit=unit) == "inactive"
    assert not cluster.processes()
