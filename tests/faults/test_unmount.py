"""A disk that is pulled out and put back: nothing is forgotten."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tagger.index.rows import SavedPhoto
from tagger.index.store import Store
from tagger.records import FileStat, PhotoFacts, Tag
from tests.conftest import Home
from tests.faults.conftest import Figure
from tests.support.disks import Disk

SECONDS = 60.0


def fill(home: Home, count: int) -> None:
    """Put so many files on the disk, and into the index as if tagger had tagged them."""
    home.state.mkdir(exist_ok=True)
    saved = []
    for number in range(count):
        path = home.inbox / str(number // 500) / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"%d" % number)
        digest = b"%016d" % number
        saved.append(
            SavedPhoto(
                path=str(path),
                root=str(home.inbox),
                stat=FileStat.of(path.lstat()),
                sidecar=None,
                content_hash=digest,
                source_hash=digest,
                facts=PhotoFacts(format="JPEG"),
                tags=(Tag("dog", 0.9, ("animal", "dog")),),
                labels_hash="labels",
                keywords_hash="keywords",
            )
        )
    with Store(str(home.state)) as store:
        store.save(saved)


def rows(home: Home) -> dict[str, int]:
    with sqlite3.connect(f"file:{home.state}/index.sqlite3?mode=ro", uri=True) as db:
        found = dict(db.execute("SELECT status, count(*) FROM photos GROUP BY status").fetchall())
    db.close()
    return found


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.torture)])
def test_a_disk_comes_back(
    count: int,
    home: Home,
    disk: Callable[..., Disk],
    scenes: list[Path],
    figure: Figure,
    eventually: Callable[..., Any],
) -> None:
    drive = disk("photos", 64)
    home.inbox.rmdir()
    home.inbox = drive.path
    # What they stand for was never seen by a network: they are left as they are.
    home.configure(watch=[{"path": str(home.inbox), "mode": "auto"}], rescan_seconds=5)
    fill(home, count)
    home.start()
    eventually(lambda: home.heartbeat().get("model"), 60)
    eventually(lambda: home.heartbeat()["roots"][0]["last_scan"], 60)
    before = rows(home)
    began = time.monotonic()
    drive.unmount("-l")
    eventually(lambda: "offline" in home.run_process("status"), SECONDS)
    offline = time.monotonic() - began
    time.sleep(12 if count > 1000 else 3)  # rescans, and looks at the empty mount point
    away = rows(home)
    drive.mount()
    began = time.monotonic()
    shutil.copyfile(scenes[0], home.inbox / "new.jpg")
    eventually((home.inbox / "new.jpg.xmp").exists, SECONDS)
    tagged = time.monotonic() - began
    # The index is told after the sidecar is in place.
    eventually(lambda: "waiting" not in rows(home), SECONDS)
    after = rows(home)
    figure(
        f"unmount-{count}",
        f"{count} photos: offline shown after {offline:.1f} s, rows lost "
        f"{sum(before.values()) - sum(away.values())}, a new photo after the remount tagged in "
        f"{tagged:.1f} s",
    )
    assert before == away == {"tagged": count}
    assert after == {"tagged": count + 1}
    assert not os.listdir(home.folder / "photos") or os.path.ismount(drive.path)
