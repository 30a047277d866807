"""The whole watch, on a real file system with real events and real time."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tagger.config.schema import WatchRoot
from tagger.watch.context import WatchSettings
from tagger.watch.watcher import Watcher

Start = Callable[..., Watcher]
Wait = Callable[..., float]

FINISHED = 3.5
"""A finished photo must be delivered within so many seconds."""


def copy(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def copy_with_old_times(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    os.utime(path, (1e9, 1e9))


def move(path: Path, data: bytes) -> None:
    outside = path.parent.parent / "outside.jpg"
    outside.write_bytes(data)
    os.utime(outside, (1e9, 1e9))
    outside.rename(path)


def save_atomically(path: Path, data: bytes) -> None:
    temporary = path.with_name(".x.tmp")
    temporary.write_bytes(data)
    temporary.rename(path)


def rename_download(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".crdownload")
    temporary.write_bytes(data)
    temporary.rename(path)


def hard_link(path: Path, data: bytes) -> None:
    outside = path.parent.parent / "outside.jpg"
    outside.write_bytes(data)
    os.link(outside, path)


def move_tree(path: Path, data: bytes) -> None:
    tree = path.parent.parent / "tree"
    (tree / "a/b").mkdir(parents=True)
    (tree / "a/b" / path.name).write_bytes(data)
    tree.rename(path.parent / "tree")


def make_tree(path: Path, data: bytes) -> None:
    folder = path.parent / "p/q/r/s"
    folder.mkdir(parents=True)
    (folder / path.name).write_bytes(data)


@pytest.mark.parametrize(
    "arrive",
    [
        copy,
        copy_with_old_times,
        move,
        save_atomically,
        rename_download,
        hard_link,
        move_tree,
        make_tree,
    ],
)
@pytest.mark.parametrize("mode", ["events", "poll"])
def test_a_photo_is_delivered_soon_whole_and_once(
    arrive: Callable[[Path, bytes], None],
    mode: str,
    root: Path,
    library: Any,
    running: Start,
    wait_for: Wait,
    jpeg: bytes,
) -> None:
    running(WatchRoot(str(root), mode=mode))  # type: ignore[arg-type]
    arrive(root / "a.jpg", jpeg)
    wait_for(lambda: library.found_paths, FINISHED)
    time.sleep(0.3)
    assert library.names() == ["a.jpg"]
    assert library.bodies == [jpeg]


@pytest.mark.parametrize("reopen", [False, True])
def test_a_photo_written_slowly_is_never_delivered_half(
    reopen: bool, root: Path, library: Any, running: Start, wait_for: Wait, jpeg: bytes
) -> None:
    """The pauses are longer than the settle time."""
    running(WatchRoot(str(root)), settle_seconds=0.3)
    path, third = root / "a.jpg", len(jpeg) // 3 + 1
    chunks = [jpeg[at : at + third] for at in range(0, len(jpeg), third)]
    file = path.open("wb")
    for chunk in chunks:
        if reopen:
            file.close()
            file = path.open("ab")
        file.write(chunk)
        file.flush()
        if chunk is not chunks[-1]:
            time.sleep(0.8)
    file.close()
    wait_for(lambda: library.found_paths, FINISHED)
    assert library.bodies == [jpeg]


def test_other_formats_settle(root: Path, library: Any, running: Start, wait_for: Wait) -> None:
    running(WatchRoot(str(root)))
    (root / "raw.nef").write_bytes(b"II*\0" + bytes(1000))
    took = wait_for(lambda: library.found_paths, FINISHED)
    assert took > 1.5


def test_a_changed_photo_comes_again(
    root: Path, library: Any, running: Start, wait_for: Wait, jpeg: bytes
) -> None:
    (root / "a.jpg").write_bytes(jpeg)
    running(WatchRoot(str(root)))
    assert library.names() == ["a.jpg"]
    (root / "a.jpg").write_bytes(jpeg + b"more")
    wait_for(lambda: len(library.bodies) == 2)
    assert library.bodies[1] == jpeg + b"more"


def test_renamed_and_deleted(
    root: Path, library: Any, running: Start, wait_for: Wait, jpeg: bytes
) -> None:
    (root / "a.jpg").write_bytes(jpeg)
    (root / "b.jpg").write_bytes(jpeg)
    running(WatchRoot(str(root)), settle_seconds=0.2)
    (root / "a.jpg").rename(root / "c.jpg")
    (root / "b.jpg").unlink()
    wait_for(lambda: len(library.gone_paths) == 2)
    assert library.names() == ["a.jpg", "b.jpg", "c.jpg"]
    assert sorted(library.gone_paths) == [str(root / "a.jpg"), str(root / "b.jpg")]


def test_a_renamed_folder(
    root: Path, library: Any, running: Start, wait_for: Wait, jpeg: bytes
) -> None:
    (root / "old/deep").mkdir(parents=True)
    (root / "old/deep/a.jpg").write_bytes(jpeg)
    running(WatchRoot(str(root)), settle_seconds=0.2)
    (root / "old").rename(root / "new")
    wait_for(lambda: str(root / "new/deep/a.jpg") in library.rows)
    wait_for(lambda: library.gone_paths == [str(root / "old/deep/a.jpg")])
    (root / "new/deep/b.jpg").write_bytes(jpeg)  # the moved folder is still watched
    wait_for(lambda: str(root / "new/deep/b.jpg") in library.rows, FINISHED)


def test_nested_roots_each_own_their_files(
    root: Path, tmp_path: Path, library: Any, running: Start, wait_for: Wait, jpeg: bytes
) -> None:
    inner = root / "inner"
    inner.mkdir()
    (tmp_path / "same").symlink_to(root)
    (root / "a.jpg").write_bytes(jpeg)
    (inner / "b.jpg").write_bytes(jpeg)
    watcher = running(
        WatchRoot(str(root)), WatchRoot(str(inner)), WatchRoot(str(tmp_path / "same"))
    )
    (inner / "c.jpg").write_bytes(jpeg)
    wait_for(lambda: len(library.rows) == 3)
    time.sleep(0.3)
    owners = sorted((os.path.basename(c.path), c.root) for c in library.candidates)
    assert owners == [("a.jpg", str(root)), ("b.jpg", str(inner)), ("c.jpg", str(inner))]
    assert [s.state for s in watcher.status()] == ["online", "online", "offline"]
    assert "same folder" in watcher.status()[2].reason
    online = [watcher.is_online(str(one)) for one in (root, inner, tmp_path / "same", tmp_path)]
    assert online == [True, True, False, False]


def test_a_root_that_appears_later_comes_alive(
    tmp_path: Path, library: Any, running: Start, wait_for: Wait, jpeg: bytes
) -> None:
    late = tmp_path / "late"
    watcher = running(WatchRoot(str(late)))
    assert watcher.status()[0].state == "missing" and not watcher.is_online(str(late))
    late.mkdir()
    (late / "a.jpg").write_bytes(jpeg)
    wait_for(lambda: library.rows, 5.0)
    assert watcher.status()[0].state == "online"
    shutil.rmtree(late)
    wait_for(lambda: watcher.status()[0].state == "missing", 5.0)
    late.mkdir()
    (late / "b.jpg").write_bytes(jpeg)
    wait_for(lambda: str(late / "b.jpg") in library.rows, 5.0)


def test_a_burst_of_files_is_found_once_each(
    root: Path, library: Any, running: Start, wait_for: Wait, jpeg: bytes
) -> None:
    running(WatchRoot(str(root)))
    for number in range(500):
        folder = root / f"d{number % 50}/deep"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(jpeg)
    wait_for(lambda: len(library.rows) == 500, 10.0)
    time.sleep(0.5)
    assert len(library.found_paths) == 500


def test_hint_and_rescan(
    root: Path, library: Any, running: Start, wait_for: Wait, jpeg: bytes
) -> None:
    (root / "a.jpg").write_bytes(jpeg)
    watcher = running(WatchRoot(str(root)))
    library.rows.clear()
    watcher.hint(str(root / "a.jpg"))
    wait_for(lambda: len(library.found_paths) == 2)
    library.rows.clear()
    watcher.hint("/elsewhere/b.jpg")
    before = watcher.status()[0].last_scan or 0.0
    watcher.rescan()
    wait_for(lambda: (watcher.status()[0].last_scan or 0.0) > before)


def test_scan_once_delivers_and_returns(
    root: Path, tmp_path: Path, library: Any, jpeg: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    (root / "a.jpg").write_bytes(jpeg)
    (root / "raw.nef").write_bytes(b"II*\0" + bytes(100))
    (root / "cut.jpg").write_bytes(jpeg[:-50])
    roots = [WatchRoot(str(root)), WatchRoot(str(tmp_path / "nothing"))]
    watcher = Watcher(roots, library, library, str(tmp_path), WatchSettings(settle_seconds=0.1))
    watcher.scan_once()
    assert library.names() == ["a.jpg", "cut.jpg", "raw.nef"]
    assert "nothing" in caplog.text
    watcher.scan_once()
    assert len(library.found_paths) == 3


def test_scan_once_gives_up_on_a_file_that_is_being_written(
    root: Path,
    tmp_path: Path,
    library: Any,
    jpeg: bytes,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tagger.watch.single_scan.GIVE_UP_SECONDS", 0.5)
    with (root / "open.jpg").open("wb") as file:
        file.write(jpeg)
        file.flush()
        settings = WatchSettings(settle_seconds=0.05)
        Watcher([WatchRoot(str(root))], library, library, str(tmp_path), settings).scan_once()
    assert library.found_paths == []
    assert "still being written" in caplog.text


def test_scan_once_holds_a_wave(root: Path, tmp_path: Path, library: Any, jpeg: bytes) -> None:
    for number in range(30):
        (root / f"{number}.jpg").write_bytes(jpeg)
    watcher = Watcher([WatchRoot(str(root))], library, library, str(tmp_path))
    watcher.scan_once()
    for number in range(25):
        (root / f"{number}.jpg").unlink()
    watcher.scan_once()
    assert (library.gone_paths, watcher.status()[0].missing_unconfirmed) == ([], 25)


def test_it_stops_within_a_second_though_a_sink_blocks(
    root: Path,
    tmp_path: Path,
    library: Any,
    jpeg: bytes,
    wait_for: Wait,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    (root / "a.jpg").write_bytes(jpeg)
    stop, blocked, release = threading.Event(), threading.Event(), threading.Event()

    def block(_: Any) -> None:
        blocked.set()
        release.wait(10)

    library.found = block
    watcher = Watcher([WatchRoot(str(root))], library, library, str(tmp_path))
    thread = threading.Thread(target=watcher.run, args=(stop,))
    thread.start()
    wait_for(blocked.is_set)
    stop.set()
    thread.join(1.3)
    ended = not thread.is_alive()
    release.set()
    thread.join()
    assert ended and "does not answer" in caplog.text


def test_a_disk_that_does_not_answer_is_reported_though_its_thread_cannot(
    root: Path,
    library: Any,
    running: Start,
    wait_for: Wait,
    jpeg: bytes,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And its status changes nothing, however often it is asked for."""
    monkeypatch.setattr("tagger.watch.stall_timer.SILENT_SECONDS", 0.2)
    monkeypatch.setattr("tagger.watch.watcher.LOOK_SECONDS", 0.1)
    caplog.set_level(logging.INFO)
    answer = threading.Event()
    is_current = library.is_current

    def silent(*given: Any) -> bool:
        answer.wait(20)
        return bool(is_current(*given))

    watcher = running(WatchRoot(str(root)))
    library.is_current = silent
    (root / "a.jpg").write_bytes(jpeg)
    try:
        wait_for(lambda: f"{str(root)!r} is offline" in caplog.text)
        for _ in range(5):
            assert watcher.status()[0].state == "offline"
        assert caplog.text.count("is offline") == 1
    finally:
        answer.set()
    wait_for(lambda: f"{str(root)!r}: responding again" in caplog.text)
    wait_for(lambda: watcher.status()[0].state == "online")
