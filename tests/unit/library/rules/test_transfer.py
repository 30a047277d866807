"""Copies and moves of rules: whole, over nothing, with all sidecars, and back."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tagger.config.rule import Rule
from tagger.config.schema import Config, WatchRoot
from tagger.errors import RuleError
from tagger.index.rows import SavedPhoto
from tagger.index.rule_photos import RulePhotos
from tagger.index.rule_tasks import RuleTasks, Task, failed_tasks
from tagger.index.store import Store
from tagger.library.rules import transfer as transfer_module
from tagger.library.rules.sidecars import films_among, renamed, sidecars_among
from tagger.library.rules.transfer import BusyError, Transfer
from tagger.library.rules.undo import undo_rules
from tagger.pipeline.photo_lock import photo_locks
from tagger.records import PhotoFacts, Tag
from tagger.system import file_transfer
from tagger.system.files import hash_file, photo_stat, sidecar_stat
from tests.unit.library.rules.test_shot_film import film

STAMP = 1_500_000_000_123_456_789


class Library:
    """A watched folder with one photo and its sidecars, an index, and a folder beside it."""

    def __init__(self, folder: Path, store: Store, config: Config) -> None:
        self.photos, self.target = folder / "photos", folder / "target"
        self.store, self.config = store, config
        self.tasks = RuleTasks(store)
        self.transfer = Transfer(config, self.tasks)
        self.files = {
            "a.jpg": b"photo",
            "a.jpg.xmp": b"long",
            "a.xmp": b"short",
            "a_01.jpg.xmp": b"version",
            "a.jpg.pp3": b"raw",
        }
        for name, data in self.files.items():
            (self.photos / name).write_bytes(data)
            os.utime(self.photos / name, ns=(1, STAMP))
        self.save("a.jpg")

    def save(self, name: str) -> int:
        path = str(self.photos / name)
        stat = photo_stat(path)
        digest = hash_file(path, str(self.photos), stat)
        tags = (Tag("dog", 0.9, ("animal", "dog")),)
        self.store.save(
            [
                SavedPhoto(
                    path,
                    str(self.photos),
                    stat,
                    sidecar_stat(path),
                    digest,
                    digest,
                    PhotoFacts(format="JPEG"),
                    tags,
                    keywords_hash="written",
                )
            ]
        )
        row = self.store.photo(path)
        assert row is not None
        return row.id

    def task(self, action: str, name: str = "a.jpg") -> Task:
        row = self.store.photo(str(self.photos / name))
        assert row is not None
        RulePhotos(self.store).decide([row.id], {row.id: [(f"rule {action}", action)]})
        task = self.tasks.next_task()
        assert task is not None
        return task

    def do(self, action: str, folder: Path | None = None) -> str:
        task = self.task(action)
        return self.transfer.do(task, task.path, str(folder or self.target))

    def rows(self) -> list[tuple[str, str]]:
        found = self.store.read("SELECT path, status FROM photos ORDER BY path")
        return [(os.fsdecode(row["path"]), row["status"]) for row in found]

    def counts(self) -> dict[str, int]:
        return self.store.counts()


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    for name in ("photos", "target", "photos/inside", "state"):
        (tmp_path / name).mkdir()
    config = Config(
        state_dir=str(tmp_path / "state"),
        watch=(WatchRoot(str(tmp_path / "photos")),),
        rules=(Rule("dog", tag="x"),),
    )
    with Store(config.state_dir) as store:
        yield Library(tmp_path, store, config)


@pytest.fixture(params=["renamed", "copied to another disk"])
def disks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a move be a rename, or what it is between two disks."""
    if request.param == "renamed":
        return

    def other_disk(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(file_transfer, "move", other_disk)


def test_a_photo_moves_with_all_that_is_its_own_and_comes_back(
    library: Library, disks: None
) -> None:
    assert library.do("move_to") == f"moved to {library.target / 'a.jpg'}"
    assert contents(library.photos) == {}
    assert contents(library.target) == library.files
    assert {path.stat().st_mtime_ns for path in library.target.iterdir()} == {STAMP}
    assert library.counts()["missing"] == 0, "it left, and is not missed"
    (library.target / "a.jpg.tags.json").write_bytes(b"made since")

    said = list(undo_rules(library.config, library.store, str(library.target / "a.jpg")))
    assert said == [f"back at {library.photos / 'a.jpg'}"]
    assert contents(library.photos) == library.files | {"a.jpg.tags.json": b"made since"}
    assert contents(library.target) == {}
    assert library.rows() == [(str(library.photos / "a.jpg"), "tagged")]
    assert list(undo_rules(library.config, library.store, str(library.photos / "a.jpg"))) == []


def test_nothing_is_overwritten_and_sidecars_keep_to_their_photo(
    library: Library, disks: None
) -> None:
    (library.target / "a.jpg").write_bytes(b"another")
    (library.target / "a (2).xmp").write_bytes(b"of a photo that is not there yet")
    library.do("move_to")
    found = contents(library.target)
    assert found.pop("a.jpg") == b"another"
    assert found.pop("a (2).xmp") == b"of a photo that is not there yet"
    assert found == {renamed(n, "a.jpg", "a (3).jpg"): data for n, data in library.files.items()}


def test_a_shared_sidecar_stays_for_the_other_photo(library: Library) -> None:
    (library.photos / "a.cr2").write_bytes(b"raw photo")
    library.do("move_to")
    assert contents(library.photos) == {"a.cr2": b"raw photo", "a.xmp": b"short"}
    assert contents(library.target) == library.files
    list(undo_rules(library.config, library.store, str(library.photos / "a.jpg")))
    assert contents(library.photos) == library.files | {"a.cr2": b"raw photo"}
    assert contents(library.target) == {}


def test_a_copy_is_made_once_and_deleted_only_unchanged(library: Library) -> None:
    library.do("copy_to")
    assert contents(library.target) == contents(library.photos) == library.files
    assert (library.target / "a.jpg").stat().st_mtime_ns == STAMP
    (library.target / "a.jpg.xmp").write_bytes(b"rated")
    [said] = undo_rules(library.config, library.store, str(library.photos / "a.jpg"))
    assert said == f"changed since, so it stays: {library.target / 'a.jpg.xmp'}"
    assert contents(library.target) == {"a.jpg.xmp": b"rated"}

    (library.target / "a.jpg.xmp").unlink()
    (library.target / "a.jpg").write_bytes(b"photo")
    row = library.store.photo(str(library.photos / "a.jpg"))
    assert row is not None
    RulePhotos(library.store).decide([row.id], {row.id: [("again", "copy_to")]})
    task = library.tasks.next_task()
    assert task is not None
    assert "there already" in library.transfer.do(task, task.path, str(library.target))
    assert contents(library.target) == {"a.jpg": b"photo"}


def test_inside_the_library_the_row_follows(library: Library, disks: None) -> None:
    inside = library.photos / "inside"
    library.do("move_to", inside)
    assert library.rows() == [(str(inside / "a.jpg"), "tagged")]
    row = library.store.photo(str(inside / "a.jpg"))
    assert row is not None and row.stat is not None
    assert row.stat.untouched(photo_stat(row.path)), "it is not looked at again"
    hidden = library.photos / ".trash"
    hidden.mkdir()
    # A folder that is never walked into is outside.
    assert library.transfer._watched(str(hidden / "a.jpg")) is None


def test_what_cannot_be_done_is_taken_back(
    library: Library, monkeypatch: pytest.MonkeyPatch, disks: None
) -> None:
    real, calls = transfer_module.move_file, []

    def failing(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(*arguments)

    monkeypatch.setattr(transfer_module, "move_file", failing)
    with pytest.raises(RuleError, match=r"No space left.*check the folder"):
        library.do("move_to")
    assert contents(library.photos) == library.files
    assert contents(library.target) == {}
    assert library.rows() == [(str(library.photos / "a.jpg"), "tagged")]
    [task] = failed_tasks(library.store)
    assert (task.state, task.tries, task.target, task.files) == ("due", 1, None, ())
    library.transfer.do(task, task.path, str(library.target))
    assert contents(library.target) == library.files


@pytest.mark.parametrize("done", range(6))
def test_after_a_crash_it_is_finished(
    library: Library, monkeypatch: pytest.MonkeyPatch, disks: None, done: int
) -> None:
    """Whether so many files were moved when it came."""
    real, calls = Transfer._transfer, []

    def crashing(self: Transfer, *arguments: Any) -> Any:
        if len(calls) == done:
            raise KeyboardInterrupt
        calls.append(arguments)
        return real(self, *arguments)

    monkeypatch.setattr(Transfer, "_transfer", crashing)
    if done < len(library.files):
        with pytest.raises(KeyboardInterrupt):
            library.do("move_to")
    else:
        monkeypatch.setattr(RuleTasks, "settle", lambda *_: calls[99])
        with pytest.raises(IndexError):
            library.do("move_to")
    monkeypatch.undo()
    [task] = library.tasks.interrupted()
    library.transfer.resume(task)
    assert contents(library.target) == library.files
    assert contents(library.photos) == {}
    assert library.tasks.interrupted() == []
    assert [task.state for task in library.tasks.tasks_of(str(library.photos / "a.jpg"))] == [
        "done"
    ]


def test_a_missing_folder_is_not_made(library: Library) -> None:
    with pytest.raises(RuleError, match="is not there; make it, or mount its disk"):
        library.do("move_to", library.target / "nowhere")
    assert contents(library.photos) == library.files


def test_a_link_in_the_place_of_the_target_is_not_followed(library: Library) -> None:
    (library.photos / "away").symlink_to(library.target)
    with pytest.raises(RuleError):
        library.do("copy_to", library.photos / "away")
    assert contents(library.target) == {}


def test_a_photo_that_is_being_changed_comes_later(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_module, "LOCK_SECONDS", 0.0)
    with photo_locks(library.config.state_dir) as locks:
        assert locks.take(str(library.photos / "a.jpg"), 0.0)
        with pytest.raises(BusyError):
            library.do("move_to")
    assert contents(library.photos) == library.files


def test_undo_is_refused_when_something_is_in_the_way(library: Library) -> None:
    library.do("move_to")
    (library.photos / "a.jpg").write_bytes(b"a new one")
    [error] = undo_rules(library.config, library.store, str(library.target / "a.jpg"))
    assert isinstance(error, RuleError)
    assert "is another file by now" in str(error)
    assert contents(library.target) == library.files


def test_attributes_of_the_users_travel_or_it_stays(library: Library, disks: None) -> None:
    photo = library.photos / "a.jpg"
    try:
        os.setxattr(photo, "user.rating", b"5")
    except OSError:
        pytest.skip("no attributes here")
    library.do("move_to")
    assert os.getxattr(library.target / "a.jpg", "user.rating") == b"5"


def test_a_photo_that_changes_while_it_is_copied_stays(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def other_disk(*_: object) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    real = file_transfer.copy_file

    def changing(source: tuple[str, str], *rest: Any, **more: Any) -> Any:
        made = real(source, *rest, **more)
        Path(source[1]).write_bytes(b"written to meanwhile")
        return made

    monkeypatch.setattr(file_transfer, "move", other_disk)
    monkeypatch.setattr(file_transfer, "copy_file", changing)
    with pytest.raises(RuleError, match="changed while it was copied"):
        library.do("move_to")
    assert contents(library.target) == {}
    assert set(contents(library.photos)) == set(library.files)


def test_which_files_are_a_photos_own() -> None:
    names = ["b.jpg", "b.jpg.xmp", "b.XMP", "b.jpg.json", "b.jpg.bak", "b_1.jpg.xmp", "bb.xmp"]
    names += ["b_02.jpg", "b_02.jpg.xmp", "b_03.jpg.xmp", "b.AAE", "b.mov"]
    assert sidecars_among("b.jpg", names) == {
        "b.jpg.xmp": False,
        "b.XMP": False,
        "b.jpg.json": False,
        "b_03.jpg.xmp": False,
        "b.AAE": False,
    }
    assert sidecars_among("b.jpg", [*names, "b.HEIC"])["b.XMP"]
    assert films_among("b.jpg", [*names, "bb.mov", "b.MP4"]) == ["b.mov", "b.MP4"]
    assert films_among("b.jpg", [*names, "b.HEIC"]) == [], "it stays with the other photo"
    assert json.dumps(renamed("b_03.jpg.xmp", "b.jpg", "b (2).jpg")) == '"b (2)_03.jpg.xmp"'


def test_a_short_film_goes_with_its_photo_and_comes_back(library: Library) -> None:
    (library.photos / "a.MOV").write_bytes(film(2.9))
    (library.photos / "a.mp4").write_bytes(film(65))
    before = contents(library.photos)
    library.do("move_to")
    assert "a.MOV" in contents(library.target) and "a.mp4" not in contents(library.target)
    [said] = undo_rules(library.config, library.store, str(library.photos / "a.jpg"))
    assert said == f"back at {library.photos / 'a.jpg'}"
    assert contents(library.photos) == before


def test_a_film_stays_with_the_photo_that_stays(library: Library) -> None:
    (library.photos / "a.MOV").write_bytes(film(2.9))
    (library.photos / "a.heic").write_bytes(b"the same shot")
    library.do("move_to")
    assert "a.jpg" in contents(library.target) and "a.MOV" not in contents(library.target)
    assert (library.photos / "a.MOV").exists()


def test_over_a_film_of_somebody_elses_nothing_is_moved(library: Library) -> None:
    (library.photos / "a.MOV").write_bytes(film(2.9))
    (library.target / "a.MOV").write_bytes(b"somebody else's")
    library.do("move_to")
    found = contents(library.target)
    assert found["a.MOV"] == b"somebody else's" and found["a (2).MOV"] == film(2.9)
    assert found["a (2).jpg"] == b"photo"


def test_of_two_photos_of_one_name_the_last_comes_back(library: Library) -> None:
    library.do("move_to")
    (library.photos / "a.jpg").write_bytes(b"the next day")
    library.save("a.jpg")
    library.do("move_to")
    assert (library.target / "a (2).jpg").read_bytes() == b"the next day"
    [said] = undo_rules(library.config, library.store, str(library.photos / "a.jpg"))
    assert said == f"back at {library.photos / 'a.jpg'}"
    assert (library.photos / "a.jpg").read_bytes() == b"the next day"
    [error] = undo_rules(library.config, library.store, str(library.target / "a.jpg"))
    assert "is another file by now" in str(error)


def test_what_another_process_has_ended_is_left_alone(library: Library) -> None:
    task = library.task("move_to")
    library.transfer.do(task, task.path, str(library.target))
    [done] = library.tasks.tasks_of(task.path)
    library.transfer.undo(done)
    library.transfer.resume(replace(done, state="begun"))  # as it was read before
    assert contents(library.photos) == library.files
    with pytest.raises(BusyError):
        library.transfer.undo(done)
    assert contents(library.photos) == library.files
