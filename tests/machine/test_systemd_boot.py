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
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pillow_heif
import pytest
from PIL import Image

from tests.conftest import PROJECT
from tests.support.debian import fresh_debian

PACKAGES = "systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,procps,python3,acl"
CONFIG = "/etc/tagger/config.yaml"
PICTURES = "/home/alice/Pictures"
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


class Container:
    """A booted container. ``leader`` is its first process, as the host counts."""

    def __init__(self, root: Path, leader: int) -> None:
        self.root = root
        self.leader = leader

    def run(self, *words: str, check: bool = True, user: str = "root", timeout: float = 120) -> str:
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

    def property(self, name: str, *how: str, user: str = "root") -> str:
        """Return what systemd says of the service."""
        shown = ("systemctl", *how, "show", "--value", "-p", name, "tagger.service")
        return self.run(*shown, user=user).strip()

    def processes(self) -> list[str]:
        """Return the command lines of tagger's processes in the container."""
        script = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline 2>/dev/null; echo; done"
        lines = self.run("sh", "-c", script).splitlines()
        return [line for line in lines if f"{sys.prefix}/bin/" in line]

    def tagger_json(self, *words: str) -> Any:
        return json.loads(self.run("tagger", "--config", CONFIG, *words, "--json"))


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fresh_debian(
        tmp_path_factory.mktemp("container"), PACKAGES, os.environ.get("TAGGER_SYSTEMD_ROOT")
    )


@pytest.fixture(scope="module")
def container(
    debian: Path,
    demo_weights: Path,
    converted_demo: Callable[[Path], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Container]:
    """Boot it, with a user alice, the converted model, and tagger on the path."""
    log = tmp_path_factory.mktemp("log") / "boot.log"
    for folder in (sys.prefix, sys.base_prefix, str(PROJECT), "/etc/tagger"):
        (debian / folder.lstrip("/")).mkdir(parents=True, exist_ok=True)
    (debian / "root").chmod(0o755)  # an interpreter in there is to be alice's, too
    subprocess.run(["chroot", debian, "useradd", "-m", "-s", "/bin/bash", "alice"], check=True)
    (debian / "home" / "alice").chmod(0o700)
    (debian / "usr" / "local" / "bin" / "tagger").symlink_to(f"{sys.prefix}/bin/tagger")
    models = debian / "var" / "lib" / "tagger" / "models"
    models.mkdir(parents=True)
    for file in (demo_weights, *converted_demo(demo_weights).glob("resnet18-*")):
        shutil.copy(file, models)
    mounts = {str(PROJECT), sys.prefix, sys.base_prefix} - {"/usr"}
    boot = ["systemd-nspawn", "-q", "-D", str(debian), "--register=no", "--keep-unit", "--boot"]
    boot += ["--console=pipe", f"--machine=tagger-test-{os.getpid()}"]
    boot += [*(f"--bind-ro={path}" for path in sorted(mounts))]
    # Landlock, which the filter of older versions of nspawn does not know.
    boot += ["--system-call-filter=landlock_create_ruleset landlock_restrict_self"]
    with log.open("wb") as out:
        nspawn = subprocess.Popen(boot, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        yield Container(debian, _leader(nspawn, log))
    finally:
        nspawn.terminate()  # asks the container to halt; the second time it is ended
        time.sleep(1)
        nspawn.terminate()
        try:
            nspawn.wait(10)
        except subprocess.TimeoutExpired:
            nspawn.kill()
            nspawn.wait()


def _leader(nspawn: subprocess.Popen[bytes], log: Path) -> int:
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
