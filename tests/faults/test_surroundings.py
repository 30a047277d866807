"""A photo folder as it may be: odd names, odd neighbours, disks of all kinds over each other."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Home
from tests.faults.test_kills import small_photos
from tests.faults.test_load import sidecars, start
from tests.support.disks import Disk

Eventually = Callable[..., Any]


def small(count: int) -> list[bytes]:
    return [data for data, _ in small_photos(count).values()]


def tagged(home: Home) -> set[str]:
    found = os.fsencode(home.run("query", "--null", "is:tagged"))
    return {os.fsdecode(one) for one in found.split(b"\0") if one}


def special(path: Path, kind: str) -> None:
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        os.mknod(path, 0o020666, os.makedev(1, 5))  # /dev/zero: it has no end
    elif kind == "socket":
        # Its address may have a hundred bytes only.
        here = os.open(path.parent, os.O_PATH)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)
    elif kind == "link":
        path.symlink_to("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path.name)


KINDS = ("folder", "fifo", "device", "socket", "link", "loop")


def possible(kind: str) -> bool:
    return kind != "device" or os.geteuid() == 0


@pytest.mark.parametrize("target", ["sidecar-xmp", "embed"])
def test_names_and_neighbours(home: Home, eventually: Eventually, target: str) -> None:
    """Whatever stands where a photo or its sidecar might be holds nothing up."""
    home.configure(labels={"threshold": 0.0, "crops": 1}, write={"target": target})
    kinds = [kind for kind in KINDS if possible(kind)]
    photos = iter(small(40))
    wanted: set[str] = set()

    def put(name: str) -> Path:
        path = home.inbox / name
        path.write_bytes(next(photos))
        wanted.add(str(path))
        return path

    start(home, eventually)
    for kind in kinds:
        special(home.inbox / f"{kind}.jpg", kind)
        for suffix in (".xmp", ".tags.json"):
            special(home.inbox / f"beside-{kind}.jpg{suffix}", kind)
        special(home.inbox / f"short-{kind}.xmp", kind)
        put(f"beside-{kind}.jpg")
        put(f"short-{kind}.jpg")
    (home.inbox / "folder.jpg" / "deep").mkdir()
    put("folder.jpg/deep/in it.jpg")
    # 255 bytes are a name's limit; its sidecar's would be longer.
    for length in (255, 252, 251, 250, 244):
        put("n" * (length - 4) + ".jpg")
    for name in ("new\nline.jpg", "-rf.jpg", " blank .jpg", "\x1b[31m.jpg", "\udcff\udc80.jpg"):
        put(name)
    first = put("one.jpg")
    os.link(first, home.inbox / "linked.jpg")
    wanted.add(str(home.inbox / "linked.jpg"))
    eventually(lambda: tagged(home) == wanted, 60)
    assert home.json("failures") == []
    for kind in kinds:
        assert not (home.inbox / f"beside-{kind}.jpg.xmp").is_file()
    # Nothing is done twice: what could not be written is known as it is.
    home.run("scan")
    time.sleep(3)
    lines = [one["path"] for one in home.logged() if one.get("event") == "photo"]
    assert sorted(lines) == sorted(wanted)


def test_photos_that_grow_and_never_end(home: Home, eventually: Eventually) -> None:
    """A photo is taken when it is whole; a file without an end costs next to nothing."""
    home.configure(labels={"threshold": 0.0, "crops": 1})
    process = start(home, eventually)
    data = small(6)
    grows, endless, gapped = (home.inbox / f"{n}.jpg" for n in ("grows", "endless", "gapped"))
    grows.touch()
    gapped.write_bytes(data[1][:500])
    ended = time.monotonic() + 8
    worst = 0.0
    number = 2
    cpu_before = sum(process.cpu_times()[:2])
    while time.monotonic() < ended:
        with endless.open("ab") as file:
            file.write(b"a line of a log\n")
        time.sleep(0.1)
        if number < 5 and time.monotonic() > ended - 8 + 2 * (number - 1):
            good = home.inbox / f"good-{number}.jpg"
            good.write_bytes(data[number])
            began = time.monotonic()
            while not Path(f"{good}.xmp").exists():
                with endless.open("ab") as file:
                    file.write(b"a line of a log\n")
                time.sleep(0.1)
            worst = max(worst, time.monotonic() - began)
            number += 1
    assert worst < 5
    assert sum(process.cpu_times()[:2]) - cpu_before < 8 * 0.5
    assert not any(Path(f"{one}.xmp").exists() for one in (grows, endless, gapped))
    grows.write_bytes(data[0])
    with gapped.open("ab") as file:
        file.write(data[1][500:])
    eventually(lambda: tagged(home) >= {str(grows), str(gapped)}, 10)
    eventually(lambda: home.json("failures"), 10)
    [one] = home.json("failures")
    assert one["path"] == str(endless)


def test_a_file_of_terabytes_is_not_read(home: Home, eventually: Eventually) -> None:
    home.configure(labels={"threshold": 0.0, "crops": 1})
    start(home, eventually)
    data = small(1)[0]
    with (home.inbox / "a.jpg").open("wb") as file:
        file.write(data)
        file.truncate(10 << 40)
    os.truncate(home.inbox / "a.jpg", 10 << 40)
    began = time.monotonic()
    (home.inbox / "good.jpg").write_bytes(data)
    eventually((home.inbox / "good.jpg.xmp").exists, 10)
    eventually(lambda: home.json("failures"), 30)
    assert time.monotonic() - began < 30
    assert "4 GB" in home.json("failures")[0]["reason"]


@pytest.mark.parametrize("count", [10, pytest.param(100, marks=pytest.mark.torture)])
def test_a_tree_of_a_thousand_folders_moves_in(
    count: int, home: Home, eventually: Eventually
) -> None:
    home.configure(labels={"threshold": 0.0, "crops": 1}, rescan_seconds=600)
    start(home, eventually)
    outside = home.folder / "outside"
    for number, data in enumerate(small(count)):
        deep = outside / str(number) / "b" / "c" / "d" / "e"
        for name in "fghij":
            (deep / name).mkdir(parents=True)
        (deep / "photo.jpg").write_bytes(data)
    outside.rename(home.inbox / "moved in")
    eventually(lambda: sidecars(home) == count, 60)
    # Within it everything is watched from then on.
    for number, data in enumerate(small(count + 5)[count:]):
        (home.inbox / "moved in" / str(number) / "b/c/d/e/j" / "new.jpg").write_bytes(data)
    eventually(lambda: sidecars(home) == count + 5, 20)
    (home.inbox / "moved in").rename(home.inbox / "moved")
    eventually(lambda: all("/moved/" in path for path in tagged(home)), 40)
    assert len(tagged(home)) == count + 5 == sidecars(home)


def test_saves_by_rename_and_in_place(home: Home, eventually: Eventually) -> None:
    """However a program saves: the last version is the one that is known."""
    home.configure(labels={"threshold": 0.0, "crops": 1})
    start(home, eventually)
    versions = small(30)
    photo, new = home.inbox / "a.jpg", home.inbox / ".a.jpg.swp"
    for number, data in enumerate(versions):
        if number % 3 == 2:
            photo.write_bytes(data)
        else:
            new.write_bytes(data)
            new.rename(photo)
        time.sleep(0.02 * (number % 7))
    import xxhash

    wanted = xxhash.xxh3_128(versions[-1]).hexdigest()

    def known() -> bool:
        import sqlite3

        db = sqlite3.connect(f"file:{home.state}/index.sqlite3?mode=ro", uri=True)
        rows = db.execute("SELECT hex(content_hash) FROM photos WHERE status = 'tagged'").fetchall()
        db.close()
        return rows == [(wanted.upper(),)]

    eventually(known, 20)
    assert photo.read_bytes() == versions[-1]


@contextmanager
def mounted(*command: object, at: Path) -> Iterator[None]:
    subprocess.run(["mount", *map(str, command), str(at)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True, capture_output=True)


@pytest.mark.torture
def test_disks_over_a_folder(home: Home, disk: Callable[..., Disk], eventually: Eventually) -> None:
    """Another disk over the folder is not that folder; a copy of it with its marker is."""
    home.configure(labels={"threshold": 0.0, "crops": 1}, rescan_seconds=5)
    twin, strange = disk("twin", 16), disk("strange", 16)
    data = small(30)
    for number in range(25):
        (home.inbox / f"{number}.jpg").write_bytes(data[number])
    start(home, eventually)
    eventually(lambda: len(tagged(home)) == 25, 60)
    files = {path.name: path.read_bytes() for path in home.inbox.iterdir()}

    def state() -> str:
        return str(home.json("status")["roots"][0]["state"])

    (strange.path / "theirs.jpg").write_bytes(data[25])
    with mounted("--bind", strange.path, at=home.inbox):
        eventually(lambda: state() == "offline", 15)
        (home.inbox / "more.jpg").write_bytes(data[26])
        time.sleep(6)
        assert len(tagged(home)) == 25 and state() == "offline"
        assert not list(home.inbox.glob("*.xmp"))
    eventually(lambda: state() == "online", 15)
    subprocess.run(["cp", "-a", f"{home.inbox}/.", str(twin.path)], check=True)
    with mounted("--bind", twin.path, at=home.inbox):
        (home.inbox / "new.jpg").write_bytes(data[26])
        eventually((home.inbox / "new.jpg.xmp").exists, 30)
        eventually(lambda: len(tagged(home)) == 26, 10)
        assert {name: (home.inbox / name).read_bytes() for name in files} == files
    eventually(lambda: state() == "online", 15)
    (home.inbox / "last.jpg").write_bytes(data[27])
    eventually((home.inbox / "last.jpg.xmp").exists, 30)
    eventually(lambda: len(tagged(home)) == 26, 30)  # `new.jpg` was on the other disk
    now = {path.name: path.read_bytes() for path in home.inbox.iterdir()}
    assert {name: now[name] for name in files} == files
    assert sorted(now.keys() - files.keys()) == ["last.jpg", "last.jpg.xmp"]


def test_a_folder_that_was_always_read_only(
    home: Home, disk: Callable[..., Disk], eventually: Eventually
) -> None:
    """Its tags go to the index, and that is said once; to its files once it is writable."""
    drive = disk("photos", 16)
    home.configure(labels={"threshold": 0.0, "crops": 1}, rescan_seconds=5)
    for number, data in enumerate(small(20)):
        (drive.path / f"{number}.jpg").write_bytes(data)
    with mounted("-o", "bind,ro", drive.path, at=home.inbox):
        start(home, eventually)
        eventually(lambda: len(tagged(home)) == 20, 60)
        (drive.path / "more.jpg").write_bytes(small(21)[20])
        eventually(lambda: len(tagged(home)) == 21, 30)
        said = [one for one in home.logged() if "index only" in one["message"]]
        assert len(said) == 1
        assert home.json("failures") == []
        assert home.json("status")["daemon"]["problem"] is None
        assert not list(drive.path.glob("*.xmp"))
        subprocess.run(["mount", "-o", "remount,bind,rw", str(home.inbox)], check=True)
        home.run("scan", str(home.inbox / "0.jpg"))
        eventually((drive.path / "0.jpg.xmp").exists, 20)
        home.daemons[0].terminate()
        home.daemons[0].wait(20)
        start(home, eventually)
        eventually(lambda: len(list(drive.path.glob("*.xmp"))) == 21, 20)


def test_a_disk_that_tells_whole_seconds_only(
    home: Home, disk: Callable[..., Disk], eventually: Eventually
) -> None:
    """What is changed in place, in the second in which it was tagged, is seen all the same."""
    drive = disk("photos", 16, "-I", "128")
    home.inbox.rmdir()
    home.inbox = drive.path
    home.configure(watch=[{"path": str(home.inbox)}], labels={"threshold": 0.0, "crops": 1})
    start(home, eventually)
    one, other = small(2)
    length = max(len(one), len(other))
    one, other = one.ljust(length, b"\0"), other.ljust(length, b"\0")
    photo = home.inbox / "a.jpg"
    time.sleep(1 - time.time() % 1)  # with the whole second before us
    photo.write_bytes(one)
    stat = photo.stat()
    assert stat.st_mtime_ns % 10**9 == 0
    eventually(lambda: tagged(home) == {str(photo)}, 20)
    photo.write_bytes(other)
    os.utime(photo, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # however slow the machine was
    eventually(
        lambda: len([line for line in home.logged() if line.get("how") == "classified"]) == 2, 90
    )
