"""What happens inside the virtual machine of test_nas.py; its Python runs this as root.

It serves a folder by NFS and one by SMB to itself, mounts them, has tagger work on them as alice
would, and writes down in ``results.json`` what came of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HOST = Path("/host")
HOME = Path("/home/alice")
LOCAL = HOME / "local"
ALICE: dict[str, Any] = {
    "user": "alice",
    "group": "alice",
    "extra_groups": (),
    "env": os.environ | {"HOME": str(HOME)},
}
TAGGER = ("/opt/tagger/bin/tagger", "--config")
PHOTOS = sorted((HOST / "photos").iterdir())

NFS = {
    "service": "nfs-server",
    "export": "/srv/nfs",
    "mount": "mount -t nfs4 127.0.0.1:/srv/nfs",
}
SMB = {
    "service": "smbd",
    "export": "/srv/smb",
    "mount": "mount -t cifs -o user=alice,pass=secret,uid=alice,gid=alice //127.0.0.1/photos",
}
SHARES = "[global]\nmap to guest = never\n[photos]\npath = /srv/smb\nread only = no\n"


def run(command: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", command], capture_output=True, check=True, text=True, **more
    )


def tagger(config: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    words = [*TAGGER, str(config), *arguments]
    return subprocess.run(words, capture_output=True, check=False, text=True, **ALICE)


def photos_in(log: str) -> list[str]:
    """Return how each photo was handled that a log tells of."""
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [
        line.get("how", "failed") for line in lines if line.get("event") in ("photo", "failure")
    ]


def facts(folder: Path) -> dict[str, list[Any]]:
    """Return what the server's disk has of each file but the mark: mode, date, bytes."""
    return {
        file.name: [
            oct(file.stat().st_mode),
            file.stat().st_mtime_ns,
            hashlib.sha256(file.read_bytes()).hexdigest(),
        ]
        for file in sorted(folder.iterdir())
        if file.name != ".tagger-root"
    }


def waited(condition: Callable[[], object], seconds: float) -> float | None:
    """Return after how many seconds it was true; None when it was not."""
    began = time.monotonic()
    while time.monotonic() - began < seconds:
        if condition():
            return time.monotonic() - began
        time.sleep(0.5)
    return None


def configured(name: str, watched: list[Path], target: str) -> Path:
    folder = HOME / name
    (folder / "state").mkdir(parents=True)
    shutil.copytree(HOST / "models", folder / "state" / "models")
    settings = {
        "state_dir": str(folder / "state"),
        "watch": [{"path": str(folder)} for folder in watched],
        "rescan_seconds": 10,
        "model": {"weights": str(HOST / "weights"), "download": False, "precision": "fp32"},
        "labels": {"crops": 1},
        "write": {"target": target},
        "log": {"format": "json"},
    }
    (folder / "config.yaml").write_text(json.dumps(settings))
    run(f"chown -R alice: {folder}")
    return folder / "config.yaml"


def single_runs(mount: Path, export: Path, target: str) -> dict[str, Any]:
    """Tag the photos on a mounted folder, look again, find them, take the tags away."""
    config = configured(f"{mount.name}-{target}", [mount], target)
    for photo in PHOTOS:
        # By another machine, with the rights and a date that Samba's files can have.
        run(f"install -m 744 {photo} {export}", **ALICE)
        run(f"touch -d 2020-05-05T05:05:05.0000001 {export / photo.name}", **ALICE)
    before = facts(export)
    first = tagger(config, "run", "--once")
    tagged = facts(export)
    again = tagger(config, "run", "--once")
    looked = facts(export)
    found = tagger(config, "query")
    untagged = tagger(config, "untag", "--all")
    told = {
        "before": before,
        "first": photos_in(first.stderr),
        "tagged": tagged,
        "again": photos_in(again.stderr),
        "looked": looked,
        "found": found.stdout.splitlines(),
        "untagged": facts(export),
        "said": [one.stderr for one in (first, again, found, untagged)],
        "codes": [one.returncode for one in (first, again, found, untagged)],
    }
    for file in export.iterdir():
        file.unlink()
    return told


def away_and_back(kind: dict[str, str], mount: Path, export: Path) -> dict[str, Any]:
    """Have a daemon watch the mount and a local folder while the server goes and comes."""
    config = configured(f"{mount.name}-daemon", [mount, LOCAL], "sidecar-xmp")

    def state() -> dict[str, str]:
        told = json.loads(tagger(config, "status", "--json").stdout)["roots"]
        return {root["path"]: root["state"] for root in told}

    def put(photo: Path, folder: Path, name: str) -> Path:
        shutil.copy(photo, folder / name)
        shutil.chown(folder / name, "alice", "alice")
        return folder / f"{name}.xmp"

    with (config.parent / "log").open("wb") as log:
        daemon = subprocess.Popen([*TAGGER, str(config), "run"], stdout=log, stderr=log, **ALICE)
    told: dict[str, Any] = {}
    try:
        sidecar = put(PHOTOS[0], export, "old.jpg")
        told["tagged"] = waited(sidecar.exists, 180)
        run(f"systemctl stop {kind['service']}")
        told["offline"] = waited(lambda: state().get(str(mount)) == "offline", 240)
        told["meanwhile"] = waited(put(PHOTOS[1], LOCAL, f"{mount.name}.jpg").exists, 120)
        told["states"] = state()
        run(f"systemctl start {kind['service']}")
        told["back"] = waited(put(PHOTOS[2], export, "new.jpg").exists, 300)
    finally:
        run(f"systemctl start {kind['service']}")
        daemon.terminate()
        told["code"] = daemon.wait(120)
        told["log"] = (config.parent / "log").read_text()
    told["missing"] = json.loads(tagger(config, "status", "--json").stdout)["counts"]["missing"]
    return told


@contextmanager
def mounted(kind: dict[str, str], mount: Path) -> Iterator[None]:
    mount.mkdir()
    run(f"{kind['mount']} {mount}")
    try:
        yield
    finally:
        run(f"umount -l {mount}")


def main() -> None:
    run("useradd -m alice; printf 'secret\\nsecret\\n' | smbpasswd -s -a alice")
    for kind in (NFS, SMB):
        run(f"mkdir -p {kind['export']} {LOCAL}; chown alice: {kind['export']} {LOCAL}")
    Path("/etc/exports").write_text("/srv/nfs 127.0.0.1(rw,no_subtree_check,insecure)\n")
    Path("/etc/samba/smb.conf").write_text(SHARES)
    run("systemctl restart nfs-server smbd")
    results: dict[str, Any] = {}
    for name, kind in (("nfs", NFS), ("smb", SMB)):
        mount, export = Path("/mnt") / name, Path(kind["export"])
        with mounted(kind, mount):
            results[name] = {
                target: single_runs(mount, export, target) for target in ("sidecar-xmp", "embed")
            }
            results[name]["daemon"] = away_and_back(kind, mount, export)
        (HOST / "results.json").write_text(json.dumps(results))


if __name__ == "__main__":
    os.chdir("/")
    main()
