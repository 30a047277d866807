"""Photos on a NAS, by NFS and by SMB, with the kernel's own clients: ``make test-nas``.

A Debian with its kernel, made by debootstrap (or a copy of the folder that ``TAGGER_NAS_ROOT``
names), is booted by qemu, for a container has the mounts of its host only. Ten minutes; needs
root and a network.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PROJECT
from tests.support.debian import fresh_debian

QEMU = f"qemu-system-{platform.machine()}"
KERNEL = {"x86_64": "linux-image-amd64"}
PACKAGES = (
    "python3-venv,ca-certificates,systemd-sysv,udev,dbus,kmod,nfs-kernel-server,samba,cifs-utils"
)
MINUTES = 40
JOB = """\
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStartPre=mkdir -p /host
ExecStartPre=mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 host /host
ExecStart=sh -c "/opt/tagger/bin/python /host/nas_guest.py > /host/said 2>&1; sync"
ExecStopPost=systemctl poweroff --no-block
"""

pytestmark = [
    pytest.mark.skipif(
        "TAGGER_NAS" not in os.environ, reason="boots a virtual machine: `make test-nas`"
    ),
    pytest.mark.skipif(
        platform.machine() not in KERNEL, reason="knows the virtual machine of x86-64 only"
    ),
]


def install(root: Path) -> None:
    """Install tagger into /opt/tagger, as README does for the whole machine."""
    checkout = root / "root" / "tagger"
    subprocess.run(["git", "clone", "-q", PROJECT, checkout], check=True)
    enter = ["systemd-nspawn", "-q", "-D", str(root), "--register=no", "--keep-unit", "--pipe"]
    pip = "/opt/tagger/bin/pip install -q -c requirements.lock"
    command = f"python3 -m venv /opt/tagger && cd /root/tagger && {pip} torch && {pip} ."
    subprocess.run([*enter, "bash", "-c", command], check=True)


def boot(root: Path, share: Path, disk: Path) -> None:
    """Boot ``root`` as a machine of four cores, which runs the job in ``share`` and stops."""
    wanted = root / "etc" / "systemd" / "system"
    (wanted / "job.service").write_text(JOB)
    (wanted / "default.target.wants").mkdir(exist_ok=True)
    (wanted / "default.target.wants" / "job.service").symlink_to("../job.service")
    (root / "etc" / "fstab").write_text("/dev/vda / ext4 rw,noatime 0 1\n")
    with disk.open("wb") as file:
        file.truncate(8 << 30)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", root, disk], check=True)
    [kernel], [initrd] = root.glob("boot/vmlinuz-*"), root.glob("boot/initrd.img-*")
    words = [QEMU, *"-accel tcg,thread=multi -cpu max -smp 4 -m 4G -nographic -no-reboot".split()]
    words += ["-kernel", str(kernel), "-initrd", str(initrd), "-nic", "none"]
    words += ["-append", "root=/dev/vda rw console=ttyS0 quiet"]
    words += ["-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"]
    words += ["-virtfs", f"local,path={share},mount_tag=host,security_model=none"]
    said = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=MINUTES * 60
    )
    assert said.returncode == 0, said.stdout[-3000:] + said.stderr[-3000:]


@pytest.fixture(scope="module")
def results(
    tmp_path_factory: pytest.TempPathFactory,
    demo_weights: Path,
    converted_demo: Callable[[Path], Path],
    scenes: list[Path],
) -> dict[str, Any]:
    if not shutil.which(QEMU):
        pytest.skip("apt-get install qemu-system-x86 ipxe-qemu")
    folder = tmp_path_factory.mktemp("nas")
    packages = f"{PACKAGES},{KERNEL[platform.machine()]}"
    root = fresh_debian(folder, packages, os.environ.get("TAGGER_NAS_ROOT"))
    install(root)
    share = folder / "share"
    shutil.copytree(converted_demo(demo_weights), share / "models")
    for name, files in (("weights", [demo_weights]), ("photos", scenes[:4])):
        (share / name).mkdir()
        for file in files:
            shutil.copy(file, share / name)
    shutil.copy(PROJECT / "tests/support/nas_guest.py", share)
    for file in [share, *share.rglob("*")]:
        file.chmod(0o755 if file.is_dir() else 0o644)  # alice reads them
    boot(root, share, folder / "disk")
    shutil.rmtree(root)
    said = (share / "said").read_text()
    assert (share / "results.json").exists(), said
    found: dict[str, Any] = json.loads((share / "results.json").read_text())
    print(json.dumps({kind: told.get("daemon") for kind, told in found.items()}, indent=1))
    return found


@pytest.mark.parametrize("target", ["sidecar-xmp", "embed"])
@pytest.mark.parametrize("kind", ["nfs", "smb"])
def test_photos_are_tagged_once_and_untagged_exactly(results, kind, target):
    told = results[kind][target]
    photos = told["before"]
    assert told["codes"] == [0, 0, 0, 0], told["said"]
    assert told["first"] == ["classified"] * len(photos) == ["classified"] * 4, told["said"]
    # SMB may show another date than it did: that costs a look, and changes nothing.
    assert set(told["again"]) <= ({"known"} if kind == "smb" else set())
    assert told["looked"] == told["tagged"]
    assert sorted(os.path.basename(path) for path in told["found"]) == sorted(photos)
    for name, (mode, date, digest) in photos.items():
        now = told["tagged"][name]
        assert now[:2] == [mode, date]
        assert (now[2] == digest) == (target == "sidecar-xmp")
    sidecars = {name for name in told["tagged"] if name.endswith(".xmp")}
    assert sidecars == ({f"{name}.xmp" for name in photos} if target == "sidecar-xmp" else set())
    assert told["untagged"] == photos, told["said"]


@pytest.mark.parametrize("kind", ["nfs", "smb"])
def test_a_server_that_is_off_is_waited_for_and_holds_up_no_other_folder(results, kind):
    told = results[kind]["daemon"]
    assert told["tagged"] is not None, told["log"]
    assert told["offline"] is not None, told["log"]
    assert told["meanwhile"] is not None, told["log"]
    assert told["states"]["/home/alice/local"] == "online"
    assert told["back"] is not None, told["log"]
    assert (told["code"], told["missing"]) == (0, 0)
