"""The watch over one root, on real files and a clock moved by hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tagger.system.mounts import Mount
from tagger.watch.events import Kind
from tests.unit.watch.conftest import Make, answer_canary, fill, hint


def test_what_is_there_at_the_start_is_found(bench: Make, root: Path, jpeg: bytes) -> None:
    paths = fill(root, 3, jpeg)
    one = bench()
    one.watch.step()
    assert one.library.found_paths == sorted(map(str, paths)) or len(one.library.rows) == 3
    status = one.watch.status()
    assert (status.state, status.mode, status.seen) == ("online", "events", 3)
    assert status.last_scan == pytest.approx(one.time.wall())


def test_an_event_is_followed_at_once(bench: Make, root: Path, jpeg: bytes) -> None:
    one = bench()
    one.watch.step()
    (path,) = fill(root, 1, jpeg)
    hint(one, Kind.LOOK, path)
    one.watch.step()
    assert one.library.found_paths == [str(path)]


def test_a_file_without_an_end_waits_and_then_goes_to_the_decoder(
    bench: Make, root: Path, jpeg: bytes
) -> None:
    one = bench()
    one.watch.step()
    answer_canary(one)
    path = root / "cut.jpg"
    path.write_bytes(jpeg[:-100])
    hint(one, Kind.LOOK, path)
    one.pass_time(9.0)
    assert one.library.found_paths == [] and one.watch.status().waiting == 1
    one.pass_time(2.0)
    assert one.library.found_paths == [str(path)] and one.watch.status().waiting == 0


def test_nothing_is_delivered_while_it_is_written(bench: Make, root: Path, jpeg: bytes) -> None:
    one = bench()
    one.watch.step()
    answer_canary(one)
    path = root / "slow.jpg"
    with path.open("wb") as file:
        file.write(jpeg)
        file.flush()
        hint(one, Kind.LOOK, path)
        one.pass_time(50.0)
        assert one.library.found_paths == []
    one.pass_time(1.0)
    assert one.library.found_paths == [str(path)]


def test_the_same_version_is_not_delivered_twice_before_the_index_knows(
    bench: Make, root: Path, jpeg: bytes
) -> None:
    one = bench(mode="poll")
    one.library.learn = False
    (path,) = fill(root, 1, jpeg)
    one.pass_time(10.0)
    assert len(one.library.found_paths) == 1
    one.watch.hint(str(path))
    one.pass_time(1.0)
    assert len(one.library.found_paths) == 2  # asked for
    one.watch.rescan()
    one.pass_time(1.0)
    assert len(one.library.found_paths) == 3  # everything asked for


def test_a_photo_asked_for_that_is_gone_is_reported(bench: Make, root: Path, jpeg: bytes) -> None:
    one = bench()
    first, second = fill(root, 2, jpeg)
    one.watch.step()
    answer_canary(one)
    first.unlink()  # no event told of it
    for path in (first, second):
        one.watch.hint(str(path))
    one.pass_time(5.0)
    assert one.library.gone_paths == [str(first)]
    assert one.library.found_paths.count(str(second)) == 1, "it is known as it is"


@pytest.mark.parametrize("fstype", ["ext4", "vfat"])
@pytest.mark.parametrize("way", ["renamed", "out", "its folder"])
def test_a_photo_that_was_away_for_a_moment_is_there_at_once(
    bench: Make, root: Path, tmp_path: Path, jpeg: bytes, fstype: str, way: str
) -> None:
    one = bench()
    path = root / "d" / "a.jpg"
    path.parent.mkdir()
    one.watch.step()
    answer_canary(one)
    path.write_bytes(jpeg)
    use(one, path, fstype)
    hint(one, Kind.LOOK, path)
    one.pass_time(5.0)
    assert one.library.rows.keys() == {str(path)}
    if way == "its folder":
        path.parent.rename(tmp_path / "d")
        hint(one, Kind.TREE_VANISHED, path.parent)
    else:
        away = {"renamed": root / "b.jpg", "out": tmp_path / "a.jpg"}[way]
        path.rename(away)
        hint(one, Kind.VANISHED, path)
    one.watch.step()
    del one.library.rows[str(path)]  # its row went with it
    if way == "its folder":
        (tmp_path / "d").rename(path.parent)
        hint(one, Kind.TREE, path.parent)
    else:
        away.rename(path)
        hint(one, Kind.LOOK, path)
    one.pass_time(3.0)
    assert one.library.rows.keys() == {str(path)}
    assert one.library.gone_paths == []


def test_a_photo_reported_gone_and_back_is_told_again(bench: Make, root: Path, jpeg: bytes) -> None:
    one = bench(mode="poll")
    one.watch.step()
    (path,) = fill(root, 1, jpeg)
    use(one, path, "vfat")
    one.pass_time(10.0)
    assert one.library.rows.keys() == {str(path)}
    aside = path.rename(root / "aside")
    one.pass_time(10.0)
    assert one.library.gone_paths == [str(path)]
    aside.rename(path)
    one.pass_time(10.0)
    assert one.library.rows.keys() == {str(path)}


def test_without_a_ctime_who_wrote_to_a_photo_is_believed(
    bench: Make, root: Path, jpeg: bytes
) -> None:
    one = bench()
    one.watch.step()
    answer_canary(one)
    (path,) = fill(root, 1, jpeg)
    use(one, path, "vfat")
    hint(one, Kind.LOOK, path)
    one.pass_time(100.0)
    (first,) = one.library.candidates
    seen = path.stat()
    with path.open("r+b") as file:
        file.write(jpeg[:100])
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    hint(one, Kind.LOOK, path)
    one.pass_time(100.0)
    second = one.library.candidates[1]
    assert second.stat == first.stat and second.stat.ctime_ns == 0 and second.rewritten
    one.watch.rescan()
    one.pass_time(100.0)
    hint(one, Kind.LATER, path)  # our own writing
    one.pass_time(100.0)
    assert len(one.library.candidates) == 2


def use(one: Any, path: Path, fstype: str) -> None:
    """Let the file system of ``path`` be another one."""
    one.watch._presence._by_device[path.lstat().st_dev] = Mount("/", fstype)


def test_a_photo_written_without_end_is_not_delivered_each_time(
    bench: Make, root: Path, jpeg: bytes
) -> None:
    one = bench()
    one.watch.step()
    answer_canary(one)
    for number in range(50):
        one.time.set_wall()
        (root / "busy.jpg").write_bytes(jpeg + bytes(number))
        hint(one, Kind.LOOK, root / "busy.jpg")
        one.pass_time(0.1)
    assert len(one.library.found_paths) <= 3
    one.pass_time(3.0)
    assert one.library.rows[str(root / "busy.jpg")][0].size == len(jpeg) + 49


def test_our_own_writes_cost_nothing(bench: Make, root: Path, jpeg: bytes) -> None:
    one = bench()
    (path,) = fill(root, 1, jpeg)
    one.watch.step()
    answer_canary(one)
    sidecar = root / "000.jpg.xmp"
    sidecar.write_bytes(b"tags")
    hint(one, Kind.SIDECAR, sidecar)
    one.pass_time(0.5)
    from tagger.records import FileStat

    stat = one.library.rows[str(path)][0]
    one.library.rows[str(path)] = (stat, FileStat.of(sidecar.stat()))  # the index caught up
    one.pass_time(10.0)
    assert one.library.found_paths == [str(path)]


def test_a_sidecar_edited_by_the_user_brings_its_photo(
    bench: Make, root: Path, jpeg: bytes
) -> None:
    one = bench()
    (path,) = fill(root, 1, jpeg)
    one.watch.step()
    answer_canary(one)
    (root / "000.xmp").write_bytes(b"mine")
    hint(one, Kind.SIDECAR, root / "000.xmp")
    one.pass_time(5.0)
    assert one.library.found_paths == [str(path)] * 2
    assert one.library.candidates[-1].sidecar.size == 4


def test_a_sidecar_is_not_missed_while_a_folder_is_being_deleted(
    bench: Make, root: Path, jpeg: bytes
) -> None:
    """Sidecars and photos go in any order, and slowly: none comes back before it is over."""
    one = bench()
    paths = fill(root, 30, jpeg)
    for path in paths:
        Path(f"{path}.xmp").write_bytes(b"tags")
    one.watch.step()
    answer_canary(one)
    before = list(one.library.found_paths)
    for path in paths[1:]:
        Path(f"{path}.xmp").unlink()
        hint(one, Kind.SIDECAR, f"{path}.xmp")
    Path(f"{paths[0]}.xmp").unlink()  # this one's photo stays
    hint(one, Kind.SIDECAR, f"{paths[0]}.xmp")
    for path in paths[1:]:
        one.pass_time(3.0)
        path.unlink()
        hint(one, Kind.VANISHED, path)
        if path is paths[10]:
            one.watch.rescan()
    assert one.library.found_paths == before
    one.pass_time(12.0)
    assert one.library.found_paths == [*before, str(paths[0])]
