"""What is deleted, and disks that go: the watch over one root, on a clock moved by hand."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from tagger.watch.events import Kind
from tagger.watch.root_identity import RootMemory
from tagger.watch.root_watcher import RECHECK_SECONDS
from tests.unit.watch.conftest import Make, answer_canary, fill, hint


def test_deleted_photos_are_gone_after_their_new_place_is_found(
    bench: Make, root: Path, jpeg: bytes
) -> None:
    one = bench()
    old, other = fill(root, 2, jpeg)
    one.watch.step()
    answer_canary(one)
    new = root / "new.jpg"
    old.rename(new)
    hint(one, Kind.VANISHED, old)
    hint(one, Kind.LOOK, new)
    one.watch.step()
    assert str(new) in one.library.found_paths and one.library.gone_paths == []
    one.pass_time(4.0)
    assert one.library.gone_paths == [str(old)]
    hint(one, Kind.VANISHED, other)  # a false alarm
    one.pass_time(400.0)
    assert one.library.gone_paths == [str(old)]


def test_a_deleted_folder_takes_its_photos_along(bench: Make, root: Path, jpeg: bytes) -> None:
    (root / "sub").mkdir()
    paths = fill(root / "sub", 5, jpeg)
    one = bench()
    one.watch.step()
    answer_canary(one)
    shutil.rmtree(root / "sub")
    hint(one, Kind.TREE_VANISHED, root / "sub")
    one.pass_time(4.0)
    assert sorted(one.library.gone_paths) == sorted(map(str, paths))


def test_a_wave_of_deletions_is_held(
    bench: Make, root: Path, jpeg: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    paths = fill(root, 60, jpeg)
    one = bench()
    one.watch.step()
    answer_canary(one)
    for path in paths[:30]:
        path.unlink()
        hint(one, Kind.VANISHED, path)
    one.pass_time(2 * RECHECK_SECONDS)
    assert one.library.gone_paths == [] and one.watch.status().missing_unconfirmed == 30
    assert "tagger prune" in caplog.text
    paths[0].write_bytes(jpeg)
    one.pass_time(300.0)
    assert one.watch.status().missing_unconfirmed == 29
    for path in paths[1:30]:
        del one.library.rows[str(path)]  # `tagger prune`
    one.watch.rescan()
    one.pass_time(1.0)
    assert one.library.gone_paths == [] and one.watch.status().missing_unconfirmed == 0


def test_an_empty_folder_in_place_of_the_root_is_offline(
    bench: Make, root: Path, tmp_path: Path, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is unmounted, and its mount point is left."""
    fill(root, 5, jpeg)
    one = bench()
    one.watch.step()
    answer_canary(one)
    root.rename(tmp_path / "disk")
    root.mkdir()
    pretend_other_disk(monkeypatch, root)
    one.pass_time(400.0)
    status = one.watch.status()
    assert status.state == "offline" and "is it mounted?" in status.reason
    (root / "stray.jpg").write_bytes(jpeg)
    one.pass_time(400.0)
    assert one.library.gone_paths == [] and len(one.library.found_paths) == 5
    shutil.rmtree(root)
    (tmp_path / "disk").rename(root)
    monkeypatch.undo()
    (root / "new.jpg").write_bytes(jpeg)
    one.pass_time(2.0)
    assert one.watch.status().state == "online" and len(one.library.found_paths) == 6


def pretend_other_disk(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    from tagger.watch import root_identity, root_presence

    real = root_identity.look_at_root

    def look(path: str, mounts: Any) -> Any:
        from dataclasses import replace

        sight = real(path, mounts)
        return replace(sight, place=replace(sight.place, device=-1, mountpoint="/"))

    monkeypatch.setattr(root_presence, "look_at_root", look)


def test_a_root_emptied_and_recreated_in_place_is_online(
    bench: Make, root: Path, jpeg: bytes
) -> None:
    fill(root, 5, jpeg)
    one = bench()
    one.watch.step()
    shutil.rmtree(root)
    one.pass_time(3.0)
    assert one.watch.status().state == "missing"
    assert one.library.gone_paths == []
    root.mkdir()
    (root / "new.jpg").write_bytes(jpeg)
    one.pass_time(3.0)
    assert one.watch.status().state == "online"
    assert one.library.found_paths[-1] == str(root / "new.jpg")
    assert len(one.library.gone_paths) == 5


def test_a_root_is_remembered_across_a_restart(
    bench: Make, root: Path, tmp_path: Path, jpeg: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(root, 5, jpeg)
    state = tmp_path / "state"
    state.mkdir()
    bench(RootMemory(str(state))).watch.step()
    for name in os.listdir(root):
        (root / name).unlink()
    pretend_other_disk(monkeypatch, root)
    again = bench(RootMemory(str(state)))
    again.pass_time(400.0)
    assert again.watch.status().state == "offline" and again.library.gone_paths == []
