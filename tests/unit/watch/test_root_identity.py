"""Is this folder really there, or is its disk away?"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tagger.system.mounts import Mounts, read_mountinfo
from tagger.watch.root_identity import (
    MARKER,
    Place,
    RootMemory,
    RootRecord,
    Sight,
    judge,
    look_at_root,
    read_marker,
    remove_strays,
    write_marker,
)

USB = Place("ext4", "/mnt/usb", 2049, 77)
OTHER_PORT = Place("ext4", "/mnt/usb", 2065, 77)
SYSTEM = Place("ext4", "/", 1, 5)


def sight(place: Place, marker: str | None, empty: bool = False) -> Sight:
    return Sight(place, marker, empty, (place.device, 2))


@pytest.mark.parametrize(
    ("record", "seen", "knows", "online"),
    [
        # never seen before
        (None, sight(USB, None), False, True),
        (None, sight(USB, None, empty=True), False, True),
        (None, sight(USB, None, empty=True), True, False),
        (None, sight(USB, "m"), True, True),
        # with a marker
        (RootRecord("m", USB), sight(USB, "m"), True, True),
        (RootRecord("m", USB), sight(OTHER_PORT, "m"), True, True),
        (RootRecord("m", USB), sight(SYSTEM, "m"), True, True),
        (RootRecord("m", USB), sight(SYSTEM, None, empty=True), True, False),
        (RootRecord("m", USB), sight(SYSTEM, None), True, False),
        (RootRecord("m", USB), sight(SYSTEM, None, empty=True), False, True),
        (RootRecord("m", USB), sight(USB, None, empty=True), True, False),  # an empty mount point?
        (RootRecord("m", USB), sight(USB, None), True, True),  # recreated, with photos
        (RootRecord("m", USB), sight(USB, "m", empty=True), True, True),  # emptied
        (RootRecord("m", USB), sight(OTHER_PORT, None), True, False),
        (RootRecord("m", USB), sight(OTHER_PORT, "another"), True, False),
        (RootRecord("m", USB), sight(USB, "another"), True, True),
        # none could be written
        (RootRecord(None, USB), sight(USB, None), True, True),
        (RootRecord(None, USB), sight(OTHER_PORT, None), True, True),
        (RootRecord(None, USB), sight(SYSTEM, None), True, False),
        (RootRecord(None, USB), sight(SYSTEM, "old, in the mount point"), True, False),
        (RootRecord(None, USB), sight(USB, None, empty=True), True, False),
        (RootRecord(None, USB), sight(SYSTEM, None), False, True),
    ],
)
def test_judgement(record: RootRecord | None, seen: Sight, knows: bool, online: bool) -> None:
    assert (judge(record, seen, lambda: knows) == "") is online


def test_marker_is_written_read_and_leaves_nothing_else(tmp_path: Path) -> None:
    assert read_marker(str(tmp_path)) is None
    identifier = write_marker(str(tmp_path))
    assert identifier and read_marker(str(tmp_path)) == identifier
    assert os.listdir(tmp_path) == [MARKER]
    assert write_marker(str(tmp_path)) != identifier


@pytest.mark.parametrize("content", [b"", b"something else\n", b"\xff\xfe"])
def test_a_broken_marker_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MARKER).write_bytes(content)
    assert read_marker(str(tmp_path)) is None


def test_a_marker_is_not_read_through_a_link(tmp_path: Path) -> None:
    write_marker(str(tmp_path))
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / MARKER).symlink_to(tmp_path / MARKER)
    assert read_marker(str(tmp_path / "inside")) is None


def test_no_marker_where_nothing_can_be_written() -> None:
    assert write_marker("/proc") is None


def test_strays_of_a_killed_daemon_are_removed(tmp_path: Path) -> None:
    write_marker(str(tmp_path))
    for name in (".tagger-canary-1-1", ".tagger-root-0123", "photo.jpg", ".tagger-other"):
        (tmp_path / name).write_bytes(b"")
    remove_strays(str(tmp_path))
    assert sorted(os.listdir(tmp_path)) == [".tagger-other", MARKER, "photo.jpg"]


def test_what_a_folder_looks_like(tmp_path: Path) -> None:
    mounts = Mounts(read_mountinfo())
    before = look_at_root(str(tmp_path), mounts)
    assert before.empty and before.marker is None
    assert before.place.fstype not in ("", "unknown")
    write_marker(str(tmp_path))
    assert look_at_root(str(tmp_path), mounts).empty
    (tmp_path / "a").mkdir()
    after = look_at_root(str(tmp_path), mounts)
    assert not after.empty and after.marker and after.place == before.place
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        look_at_root(str(tmp_path / "file"), mounts)


def test_memory_outlives_the_process(tmp_path: Path) -> None:
    name = "/p/caf\udce9\n"
    memory = RootMemory(str(tmp_path))
    memory.put(name, RootRecord("m", USB, ("/p/a", "/p/b")))
    again = RootMemory(str(tmp_path))
    assert again.get(name) == RootRecord("m", USB, ("/p/a", "/p/b"))
    assert again.get("/unknown") is None
    assert os.listdir(tmp_path) == ["roots.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"/p": {}}', '{"/p": {"marker": 1, "place": {"x": 1}}}']
)
def test_damaged_memory_starts_afresh(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "roots.json").write_text(text)
    memory = RootMemory(str(tmp_path))
    assert memory.get("/p") is None
    assert "afresh" in caplog.text
    memory.put("/p", RootRecord(None, USB))
    assert "/p" in json.loads((tmp_path / "roots.json").read_text())


def test_a_full_disk_is_survived_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "state"
    memory = RootMemory(str(state))  # the folder is not there yet
    memory.put("/p", RootRecord("m", USB))
    memory.put("/p", RootRecord("m", OTHER_PORT))
    assert memory.get("/p") == RootRecord("m", OTHER_PORT)
    assert caplog.text.count("tried again later") == 1
    state.mkdir()
    memory.put("/p", RootRecord("m", OTHER_PORT))
    assert RootMemory(str(state)).get("/p") == RootRecord("m", OTHER_PORT)


MOUNTINFO = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw
28 27 8:1 / /mnt/usb rw - ext4 /dev/sda1 rw
29 27 0:40 / /mnt/my\040nas rw - nfs4 nas:/photos rw
30 28 8:2 / /mnt/usb rw - vfat /dev/sdb1 rw
31 27 0:41 / /mnt/usb/ntfs rw - fuseblk /dev/sdc1 rw
32 27 0:42 / /mnt/pool rw - fuse.mergerfs a:b rw
33 27 0:43 / /merged rw - overlay overlay rw
"""


@pytest.mark.parametrize(
    ("path", "fstype", "remote", "stable"),
    [
        ("/home/me", "ext4", False, True),
        ("/mnt/usb/a", "vfat", False, False),  # mounted over the other
        ("/mnt/usb/ntfs", "fuseblk", False, False),
        ("/mnt/usbstick", "ext4", False, True),
        ("/mnt/my nas/2024", "nfs4", True, False),
        ("/mnt/pool", "fuse.mergerfs", True, False),
        ("/merged/x", "overlay", False, False),
    ],
)
def test_mounts(path: str, fstype: str, remote: bool, stable: bool) -> None:
    mount = Mounts(MOUNTINFO).of(path)
    assert (mount.fstype, mount.remote, mount.stable_inodes) == (fstype, remote, stable)


def test_mounts_below() -> None:
    below = Mounts(MOUNTINFO).below("/mnt")
    assert {mount.mountpoint for mount in below} == {
        "/mnt/usb",
        "/mnt/my nas",
        "/mnt/usb/ntfs",
        "/mnt/pool",
    }
    assert Mounts(MOUNTINFO).below("/mnt/pool") == ()


def test_without_mountinfo_everything_is_local() -> None:
    mount = Mounts(read_mountinfo("/nonexistent")).of("/home")
    assert not mount.remote and mount.stable_inodes
