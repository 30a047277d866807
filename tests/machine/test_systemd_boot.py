"""The service under a real systemd, in a container: ``make test-systemd``.

A Debian of its own is made with debootstrap (a minute and some 80 MB from its mirror; name a
folder in ``TAGGER_SYSTEMD_ROOT`` to keep it) and booted by systemd-nspawn, with this project
and its virtual environment mounted read-only. Needs root.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.support.systemd_container import CONFIG, PICTURES, Container, photos, until

RESTART, START = 5.0, 5.0
"""Seconds: what the unit waits before it starts the daemon again, and what a start may take."""
INSTALL = (
    f"sudo tagger --config {CONFIG} init {PICTURES}",
    f"sudo tagger --config {CONFIG} service install",
)
UNINSTALL = f"sudo tagger --config {CONFIG} service uninstall"
INSTALL_USER = (f"tagger init {PICTURES}", "tagger service install --user")
UNINSTALL_USER = "tagger service uninstall --user"

pytestmark = pytest.mark.skipif(
    "TAGGER_SYSTEMD" not in os.environ, reason="boots a container: `make test-systemd` runs it"
)


def started(container: Container, old: str) -> bool:
    """Whether another process than ``old`` is the daemon, and ready."""
    state = container.property("ActiveState")
    return state == "active" and container.property("MainPID") not in ("0", old)


def test_the_commands_are_the_documents():
    document = (PROJECT / "docs" / "service.md").read_text(encoding="utf-8")
    for command in (*INSTALL, *INSTALL_USER, UNINSTALL, UNINSTALL_USER):
        assert command in document, command


@pytest.fixture(scope="module")
def pictures(container: Container) -> Path:
    container.run("mkdir", PICTURES, user="alice")
    return container.root / PICTURES.lstrip("/")


@pytest.fixture(scope="module")
def service(container: Container, pictures: Path) -> Iterator[float]:
    """Install the system's service as the README says; return how long its start took."""
    for line in INSTALL[:-1]:
        container.shell(line)
    began = time.monotonic()
    said = container.shell(INSTALL[-1])
    took = time.monotonic() - began
    print(said)
    yield took
    if container.property("LoadState") == "loaded":
        container.shell(UNINSTALL)


def test_it_is_ready_in_seconds(container, service):
    assert container.property("ActiveState") == "active"
    assert service < START
    print(f"ready in {service:.1f} s, with the command itself")
    assert container.property("User") == "alice"
    assert container.property("StatusText")
    said = container.run("systemctl", "status", "tagger")
    assert "Active: active (running)" in said
    assert f'Status: "{container.property("StatusText")[:4]}' in said


def test_twenty_photos_in_a_home_are_tagged_without_a_permission_error(
    container, service, pictures, scenes
):
    made = photos(scenes, pictures, pictures)
    took = until(lambda: container.tagger_json("status")["counts"]["tagged"] == len(made), 60)
    print(f"{len(made)} photos in {took:.1f} s")
    status = container.tagger_json("status")
    assert status["memory_mb"] is not None  # its processes can be looked at
    counts = status["counts"]
    assert (counts["failed"], counts["waiting"], counts["untagged"]) == (0, 0, 0)
    said = json.loads((container.root / "var/lib/tagger/status.json").read_text())
    assert said["unconfined"] == []  # nothing of the unit keeps decoding processes from it
    found = {one["name"]: one for one in container.tagger_json("doctor")}
    assert found["decoding"]["state"] == "ok", found["decoding"]
    log = container.run("journalctl", "-t", "tagger", "-o", "cat")  # not systemd's own lines
    assert "photo 19.jpg" in log
    assert "ermission" not in log
    assert "not permitted" not in log
    assert "telemetry" not in log
    # The journal knows priority and time; neither is in the text as well.
    wrong = ("journalctl", "-q", "-u", "tagger", "-p", "warning", "-o", "cat")
    warned = container.run(*wrong, "-t", "tagger")  # a container's systemd warns of its own
    further = ("yolox", "places365")  # there is no network to fetch them from
    assert not [line for line in warned.splitlines() if not any(one in line for one in further)]
    assert "photo 19.jpg" in container.run("journalctl", "-t", "tagger", "-p", "6..6", "-o", "cat")
    assert not re.findall(r"^(?:<\d>|\d{4}-)", log, re.MULTILINE)
    sidecars = [Path(f"{path}.xmp") for path in made]
    assert {path.stat().st_uid for path in sidecars} == {pictures.stat().st_uid}


def test_the_daemon_sees_nothing_but_what_it_needs(container, service):
    (container.root / "home" / "alice" / "secret").write_text("x")
    pid = container.property("MainPID")
    inside = ["nsenter", "-t", pid, "-m", "--"]
    assert container.run(*inside, "ls", "-A", "/home/alice").split() == ["Pictures"]
    for place in (PICTURES, "/var/lib/tagger"):
        container.run(*inside, "test", "-w", place)
    # Even for root, whom no mode stops.
    for place in ("/etc", "/usr", "/srv", "/var/lib"):
        done = container.run(*inside, "sh", "-c", f"touch {place}/t 2>&1 || true")
        assert "Read-only file system" in done, place
    container.run(*inside, "runuser", "-u", "alice", "touch", "/home/alice/t", check=False)
    assert not (container.root / "home" / "alice" / "t").exists()
    status = container.run("cat", f"/proc/{pid}/status")
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    interfaces = container.run("nsenter", "-t", pid, "-n", "cat", "/proc/net/dev")
    assert [line.split(":")[0].strip() for line in interfaces.splitlines()[2:]] == ["lo"]


def test_a_killed_daemon_comes_back(container, service):
    old = container.property("MainPID")
    container.run("kill", "-KILL", old)
    took = until(lambda: started(container, old), RESTART + START + 5)
    print(f"back {took:.1f} s after SIGKILL")


def test_a_hung_daemon_is_back_within_a_minute(container, service):
    old = container.property("MainPID")
    container.run("kill", "-STOP", old)
    took = until(lambda: started(container, old), 60)
    print(f"back {took:.1f} s after SIGSTOP")
    assert container.property("NRestarts") != "0"
    log = container.run("journalctl", "-u", "tagger", "-o", "cat")
    assert "Watchdog timeout" in log
    assert "Fatal Python error: Aborted" in log  # and what each thread was doing


def test_a_reload_keeps_it_running(container, service):
    old = container.property("MainPID")
    container.run("systemctl", "reload", "tagger")
    until(lambda: container.property("ActiveState") == "active", 20)
    assert container.property("MainPID") == old


def test_with_the_network_opened_decoding_processes_leave_it(container, service):
    def network_of(pid: str) -> str:
        return container.run("readlink", f"/proc/{pid}/ns/net", check=False).strip()

    def decoders() -> list[str]:
        script = "grep -l [s]pawn_main /proc/[0-9]*/cmdline 2>/dev/null | cut -d/ -f3"
        return container.run("sh", "-c", script).split()

    container.shell(f"{INSTALL[-1]} --network")
    assert network_of(container.property("MainPID")) == network_of("1")
    container.run("tagger", "--config", CONFIG, "retry", "--all")
    until(lambda: decoders() and all(network_of(pid) != network_of("1") for pid in decoders()), 80)
    scores = [container.run("cat", f"/proc/{pid}/oom_score_adj", check=False) for pid in decoders()]
    assert "500\n" in scores  # these are ended first when memory runs out
    assert container.run("cat", f"/proc/{container.property('MainPID')}/oom_score_adj") == "0\n"
    until(lambda: container.tagger_json("status")["counts"]["tagged"] == 20, 30)
    container.shell(INSTALL[-1])
    assert network_of(container.property("MainPID")) != network_of("1")


def test_weights_are_converted_within_the_limits_of_the_service(container, service, tmp_path):
    models = container.root / "var" / "lib" / "tagger" / "models"
    [before] = models.glob("*.onnx")
    for file in (before, before.with_suffix(".json")):
        shutil.move(file, tmp_path)
    container.run("systemctl", "restart", "tagger")
    try:
        took = until(before.exists, 60)
        print(f"converted in {took:.1f} s")
        until(lambda: container.tagger_json("status")["engine"] == "onnx", 20)
    finally:
        if not before.exists():  # the other tests are not to fail for this
            for file in tmp_path.iterdir():
                shutil.copy(file, models)
            container.run("systemctl", "restart", "tagger")


def test_a_mistake_in_the_config_is_told_once(container, service):
    config = container.root / CONFIG.lstrip("/")
    right = config.read_text()
    container.run("systemctl", "stop", "tagger")
    config.write_text(right + "\nsettle_secs: 1\n")
    try:
        container.run("systemctl", "start", "tagger", check=False)
        until(lambda: container.property("ActiveState") == "failed", 30)
        assert container.property("ExecMainStatus") == "78"
        time.sleep(RESTART + 1)
        assert container.property("ActiveState") == "failed"
    finally:
        config.write_text(right)
        container.run("systemctl", "start", "tagger")


def test_a_disk_that_is_mounted_later_is_seen_and_written(container, service):
    for place in ("/srv/disk", "/home/alice/Pictures/disk"):
        container.run("mkdir", "-p", place)
    drop_in = "/etc/systemd/system/tagger.service.d/disk.conf"
    container.run("sh", "-c", f"printf '[Service]\\nReadWritePaths=-/srv/disk\\n' >{drop_in}")
    container.run("systemctl", "daemon-reload")
    container.run("systemctl", "restart", "tagger")
    inside = ("nsenter", "-t", container.property("MainPID"), "-m", "--")
    for place in ("/srv/disk", "/home/alice/Pictures/disk"):
        container.run("mount", "-t", "tmpfs", "disk", place)
        container.run("touch", f"{place}/here")
        container.run(*inside, "touch", f"{place}/here")
        container.run("umount", place)
        container.run(*inside, "test", "!", "-e", f"{place}/here")
        container.run("rmdir", place)
    container.run("rm", drop_in)


def test_a_stop_leaves_nothing_behind(container, service, pictures):
    began = time.monotonic()
    container.run("systemctl", "stop", "tagger")
    print(f"stopped in {time.monotonic() - began:.1f} s")
    assert container.property("Result") == "success"
    assert not container.processes()
    assert not [path for path in pictures.rglob("*") if path.suffix in (".tmp", ".part")]
    state = container.root / "var" / "lib" / "tagger"
    assert not [path for path in state.rglob("*") if path.name.endswith(("-wal", "-shm", ".part"))]
    container.run("systemctl", "start", "tagger")


def test_uninstalling_leaves_photos_config_and_index(container, service, pictures):
    before = {path.name: path.read_bytes() for path in pictures.iterdir()}
    said = container.shell(UNINSTALL)
    assert CONFIG in said
    assert "/var/lib/tagger" in said
    assert not container.processes()
    assert not list((container.root / "etc" / "systemd").rglob("*tagger*"))
    assert {path.name: path.read_bytes() for path in pictures.iterdir()} == before
    assert container.tagger_json("status")["counts"]["tagged"] == 20


def test_an_account_of_its_own_with_an_access_list(container, pictures, scenes):
    said = container.shell(f"{INSTALL[-1]} --run-as tagger")
    assert "useradd" in said
    assert container.property("User") == "tagger"
    [command] = [
        line.partition(": setfacl")[2] for line in said.splitlines() if ": setfacl" in line
    ]
    container.run("sh", "-c", f"setfacl {command}")
    folder = pictures / "later"
    container.run("mkdir", f"{PICTURES}/later", user="alice")
    made = photos(scenes, folder, pictures, 6)
    until(lambda: all(Path(f"{path}.xmp").exists() for path in made), 30)
    number = int(container.run("id", "-u", "tagger"))
    assert {Path(f"{path}.xmp").stat().st_uid for path in made} == {number}
    counts = container.tagger_json("status")["counts"]
    assert counts["failed"] == 0
    container.shell(UNINSTALL)
    assert not container.processes()


def test_a_service_of_a_user_with_lingering(container, pictures, scenes):
    folder = pictures.parent / "Mine"
    container.run("mkdir", "/home/alice/Mine", user="alice")
    container.run("loginctl", "enable-linger", "alice")
    until(lambda: "systemd" in container.run("ls", "/run/user/1000", check=False), 10)
    state = "/home/alice/.local/state/tagger"
    container.run("mkdir", "-p", state, user="alice")
    container.run("cp", "-r", "/var/lib/tagger/models", state, user="alice")
    container.shell(INSTALL_USER[0].replace(PICTURES, "/home/alice/Mine"), user="alice")
    began = time.monotonic()
    container.shell(INSTALL_USER[1], user="alice")
    assert time.monotonic() - began < START
    assert container.property("ActiveState", "--user", user="alice") == "active"
    made = photos(scenes, folder, pictures, 6)
    until(lambda: all(Path(f"{path}.xmp").exists() for path in made), 30)
    container.shell(UNINSTALL_USER, user="alice")
    assert not container.processes()
    assert not list((pictures.parent / ".config" / "systemd").rglob("*tagger*"))
