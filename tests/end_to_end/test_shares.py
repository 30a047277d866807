"""An inbox that others fill: by Samba, by Syncthing, and on a file system that tells no events.

Real programs, on this machine's own addresses; skipped where they are not installed.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import Home, wait_until


def needs(*commands: str) -> pytest.MarkDecorator:
    """Skip without these commands, but for CI, which installs them."""
    missing = [command for command in commands if not shutil.which(command)]
    skipped = bool(missing) and not os.environ.get("TAGGER_CI")
    return pytest.mark.skipif(skipped, reason=f"not installed: {', '.join(missing)}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(*words: str, log: Path) -> Iterator[None]:
    with log.open("wb") as out:
        server = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:
        yield
        assert server.poll() is None, log.read_text(errors="replace")
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


@pytest.fixture
def daemon(home: Home, eventually: Callable[..., object]) -> Home:
    home.start()
    eventually(lambda: home.heartbeat().get("engine"), 60)
    return home


def tagged(home: Home) -> set[str]:
    return {line["path"] for line in home.logged() if line.get("event") == "photo"}


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose name leaves a server room for its sockets' names, at most 107 bytes whole."""
    with tempfile.TemporaryDirectory(prefix="smb") as folder:
        yield Path(folder)


@needs("smbd", "smbclient")
@pytest.mark.skipif(os.geteuid() != 0, reason="smbd changes its user")
def test_photos_put_by_samba_are_tagged_once_they_are_whole(daemon, scenes, short_folder):
    own = short_folder
    port = free_port()
    lines = ["[global]", "server role = standalone server", "map to guest = bad user"]
    lines += ["interfaces = 127.0.0.1", "bind interfaces only = yes", f"smb ports = {port}"]
    lines += ["disable netbios = yes", "load printers = no", f"log file = {own}/log"]
    for kind in ("private dir", "lock directory", "state directory", "cache directory",
                 "pid directory", "ncalrpc dir"):  # fmt: skip
        folder = own / kind.replace(" ", "-")
        folder.mkdir()
        lines.append(f"{kind} = {folder}")
    lines += ["[inbox]", f"path = {daemon.inbox}", "guest ok = yes", "guest only = yes"]
    lines += ["force user = root", "read only = no"]
    (own / "smb.conf").write_text("\n".join(lines))
    first, second = scenes[0], scenes[1]
    commands = f"put {first.name}; put {second.name} later.part; rename later.part {second.name}"

    def client(*words: str) -> bool:
        command = ["smbclient", "-N", "-p", str(port), "//127.0.0.1/inbox", "-c", *words]
        said = subprocess.run(command, cwd=first.parent, capture_output=True, check=False)
        return said.returncode == 0

    config = str(own / "smb.conf")
    with running("smbd", "-F", "--no-process-group", "-s", config, log=own / "out"):
        wait_until(lambda: client("ls"), 60)
        assert client(commands)
        wait_until(lambda: len(list(daemon.inbox.glob("*.xmp"))) == 2, 60)
    assert {Path(path).name for path in tagged(daemon)} == {first.name, second.name}


SYNCTHING = """<configuration version="36">
<folder id="inbox" path="{folder}" type="sendreceive" rescanIntervalS="10" fsWatcherEnabled="true"
 fsWatcherDelayS="1"><device id="{own}"/><device id="{other}"/></folder>
<device id="{own}"><address>tcp://127.0.0.1:{port}</address></device>
<device id="{other}"><address>{other_address}</address></device>
<gui enabled="false"/>
<options><listenAddress>tcp://127.0.0.1:{port}</listenAddress>
<globalAnnounceEnabled>false</globalAnnounceEnabled>
<localAnnounceEnabled>false</localAnnounceEnabled><relaysEnabled>false</relaysEnabled>
<natEnabled>false</natEnabled><startBrowser>false</startBrowser><urAccepted>-1</urAccepted>
<autoUpgradeIntervalH>0</autoUpgradeIntervalH><stunServer></stunServer>
<crashReportingEnabled>false</crashReportingEnabled>
<reconnectionIntervalS>1</reconnectionIntervalS></options></configuration>"""


@needs("syncthing")
def test_photos_sent_by_syncthing_are_tagged_and_its_unfinished_files_are_not(
    daemon, scenes, tmp_path
):
    phone = tmp_path / "phone"
    phone.mkdir()
    (phone / ".stfolder").mkdir()
    (daemon.inbox / ".stfolder").mkdir()
    ignored = daemon.inbox / ".stignore"
    ignored.write_text(".tagger-root\n*.xmp\n")  # as the README has it
    devices = {}
    for folder in (phone, daemon.inbox):
        home = tmp_path / f"syncthing-{folder.name}"
        words = ["syncthing", "generate", f"--home={home}", "--no-default-folder"]
        subprocess.run(words, check=True, capture_output=True)
        words = ["syncthing", f"--home={home}", "--device-id"]
        own = subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
        devices[folder] = (home, own, free_port())
    # Only the phone calls: each calls from the port it listens on, and two calls at one moment
    # are one connection with a TLS client at both ends, which hangs for half a minute.
    addresses = {phone: "dynamic", daemon.inbox: f"tcp://127.0.0.1:{devices[daemon.inbox][2]}"}
    for folder, other in ((phone, daemon.inbox), (daemon.inbox, phone)):
        home, own, port = devices[folder]
        text = SYNCTHING.format(folder=folder, own=own, port=port, other=devices[other][1],
                                other_address=addresses[other])  # fmt: skip
        (home / "config.xml").write_text(text)

    def serve(folder: Path):
        home = devices[folder][0]
        flags = ("--no-browser", "--no-upgrade", "--no-restart")
        return running("syncthing", f"--home={home}", *flags, log=home / "log")

    (daemon.inbox / ".syncthing.unfinished.jpg.tmp").write_bytes(scenes[0].read_bytes())
    with serve(phone), serve(daemon.inbox):
        for scene in scenes:
            shutil.copy(scene, phone)
        wait_until(lambda: len(list(daemon.inbox.glob("*.xmp"))) == len(scenes), 180)
        for scene in scenes:
            assert (daemon.inbox / scene.name).read_bytes() == scene.read_bytes()
    assert {Path(path).name for path in tagged(daemon)} == {scene.name for scene in scenes}
    left = {path.name for path in phone.iterdir()} - {".stfolder"}
    assert left == {scene.name for scene in scenes}, "neither sidecars nor the mark went there"


@needs("bindfs", "fusermount3")
@pytest.mark.skipif(not os.access("/dev/fuse", os.W_OK), reason="FUSE cannot be mounted here")
def test_a_mount_that_tells_nothing_is_polled_and_may_go_and_come(home, scenes, eventually):
    real, mount = home.folder / "nas", home.inbox
    real.mkdir()

    def attach() -> None:
        subprocess.run(["bindfs", "-n", str(real), str(mount)], check=True)

    def detach() -> None:
        subprocess.run(["fusermount3", "-u", "-z", str(mount)], check=False)

    def told(state: str) -> bool:
        roots = home.heartbeat().get("roots") or [{}]
        return roots[0].get("state") == state

    home.configure(rescan_seconds=2)
    attach()
    try:
        home.start()
        eventually(lambda: told("online"), 60)
        assert home.heartbeat()["roots"][0]["mode"] == "poll"
        shutil.copy(scenes[0], real)  # of which this mount is not told
        eventually((real / f"{scenes[0].name}.xmp").exists, 60)
        detach()
        eventually(lambda: told("offline"), 30)
        assert not list(mount.iterdir()), "nothing is written below it"
        assert home.json("status")["counts"]["missing"] == 0
        attach()
        eventually(lambda: told("online"), 30)
        detach_state = home.folder / "other.yaml"
        detach_state.write_text(home.config.read_text().replace(str(home.state), f"{mount}/state"))
        home.config = detach_state
        home.run("run", "--once", code=2)
        assert "network file system" in home.err and "local disk" in home.err
    finally:
        for daemon in home.daemons:
            daemon.terminate()
            daemon.wait(20)
        detach()
