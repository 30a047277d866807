"""Which photos belong together is found after they were handled, and stays right."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tagger.duplicates import matcher as matching
from tagger.duplicates.picture_hash import picture_hash
from tagger.duplicates.thumbnails import ThumbnailStore, packed
from tagger.index.groups import GroupWriter
from tagger.index.rows import SavedPhoto, StoredPrediction
from tagger.index.store import Store
from tagger.pipeline import series
from tagger.pipeline.grouping import KEPT_SECONDS, Grouping
from tagger.records import FileStat, PhotoFacts
from tests.unit.duplicates.test_picture_hash import picture


class Shelf:
    """An index with photos that are drawn; each ``put`` gives one its picture and facts."""

    def __init__(self, folder) -> None:
        self.state = str(folder)
        self.store = Store(self.state)
        self.groups = GroupWriter(self.store)
        self.now = 0.0
        self.grouping = Grouping(self.store, self.state, clock=lambda: self.now)

    def put(self, path, seed, *, taken_at=None, camera=None, features=None, change=None):
        thumbnail = picture(seed)
        if change is not None:
            thumbnail = np.ascontiguousarray(change(thumbnail))
        made = picture_hash(thumbnail)
        thumbnails = ThumbnailStore(self.state)
        thumbnails.add([(made, packed(thumbnail))])
        thumbnails.close()
        row = np.random.default_rng(seed if features is None else features).random(64) ** 4
        self.store.save(
            [
                SavedPhoto(
                    path=f"/p/{path}", root="/p", stat=FileStat(1, 1), sidecar=None,
                    content_hash=os.urandom(16), source_hash=b"",
                    facts=PhotoFacts("JPEG", 4000, 3000, 1, taken_at, camera), tags=(),
                    prediction=StoredPrediction(
                        "m", b"", b"", row.astype("<f2").tobytes(), b"", picture_hash=made
                    ),
                )
            ]
        )  # fmt: skip

    def found(self, kind="picture"):
        """Return the groups of a kind as sets of names, after all is compared."""
        self.grouping.run()
        shots = self.groups.shots
        return sorted(
            sorted(row[1][3:] for row in shots(ids).values())
            for ids in self.groups.every(kind).values()
        )


@pytest.fixture
def shelf(tmp_path):
    shelf = Shelf(tmp_path)
    yield shelf
    shelf.grouping.close()
    shelf.store.close()


def test_copies_are_found_among_other_photos(shelf):
    for seed in range(30):
        shelf.put(f"{seed}.jpg", seed)
    shelf.put("x/copy.jpg", 3, change=lambda one: (one * 0.8 + 20).astype(np.uint8))
    shelf.put("x/mirrored.jpg", 3, change=lambda one: one[:, ::-1])
    shelf.put("x/turned.jpg", 7, change=lambda one: one.T[::-1])
    assert shelf.found() == [["3.jpg", "x/copy.jpg", "x/mirrored.jpg"], ["7.jpg", "x/turned.jpg"]]
    assert shelf.grouping.is_done


def test_a_later_copy_joins_and_each_photo_is_compared_once(shelf):
    for seed in range(5):
        shelf.put(f"{seed}.jpg", seed)
    assert shelf.found() == []
    shelf.put("later.jpg", 2)
    assert shelf.groups.count_waiting() == 1
    assert shelf.found() == [["2.jpg", "later.jpg"]]
    assert shelf.grouping.step() == 0


def test_a_photo_that_became_another_leaves_its_group(shelf):
    shelf.put("a.jpg", 1)
    shelf.put("b.jpg", 1)
    shelf.put("c.jpg", 1)
    assert shelf.found() == [["a.jpg", "b.jpg", "c.jpg"]]
    shelf.put("b.jpg", 2)
    assert shelf.found() == [["a.jpg", "c.jpg"]]
    shelf.put("c.jpg", 2)
    assert shelf.found() == [["b.jpg", "c.jpg"]]


def test_one_whose_number_a_group_has_leaves_it_for_another(shelf):
    """The group is called by its least id: the others would have been in the new one as well."""
    shelf.put("a.jpg", 1)
    shelf.put("b.jpg", 2)
    shelf.put("c.jpg", 1)
    shelf.put("d.jpg", 1)
    assert shelf.found() == [["a.jpg", "c.jpg", "d.jpg"]]
    shelf.put("a.jpg", 2)
    assert shelf.found() == [["a.jpg", "b.jpg"], ["c.jpg", "d.jpg"]]


def test_one_whose_number_a_series_has_leaves_it_for_another(shelf):
    def frame(name, minute, features):
        at = f"2024-01-01T10:{minute:02d}:00"
        shelf.put(name, len(name), taken_at=at, camera="Pixel", features=features)

    for name, minute in (("a.jpg", 0), ("bb.jpg", 1), ("ccc.jpg", 30), ("dddd.jpg", 1)):
        frame(name, minute, 1)
    assert shelf.found("series") == [["a.jpg", "bb.jpg", "dddd.jpg"]]
    frame("a.jpg", 31, 1)
    assert shelf.found("series") == [["a.jpg", "ccc.jpg"], ["bb.jpg", "dddd.jpg"]]


def test_two_groups_become_one_by_a_photo_that_is_like_both(shelf):
    for name, seed in (("a", 1), ("b", 2), ("c", 1), ("d", 2), ("e", 1)):
        shelf.put(f"{name}.jpg", seed)
    assert shelf.found() == [["a.jpg", "c.jpg", "e.jpg"], ["b.jpg", "d.jpg"]]
    with shelf.store.transaction() as db:  # as if it had not been found
        db.execute("UPDATE groups SET picture = 2 WHERE photo_id = 5")
    shelf.put("f.jpg", 1)
    assert shelf.found() == [["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "f.jpg"]]


def test_what_is_missing_is_in_no_group_and_in_it_again_when_it_is_back(shelf):
    shelf.put("a.jpg", 1)
    shelf.put("b.jpg", 1)
    assert len(shelf.found()) == 1
    shelf.store.mark_missing(["/p/a.jpg"])
    assert shelf.found() == []
    shelf.put("a.jpg", 1)
    assert shelf.found() == [["a.jpg", "b.jpg"]]


def test_one_that_moved_keeps_its_group(shelf):
    shelf.put("a.jpg", 1)
    shelf.put("b.jpg", 1)
    assert len(shelf.found()) == 1
    row = shelf.store.photo("/p/a.jpg")
    shelf.store.move(row.id, "/p/new/c.jpg", "/p", ())
    assert shelf.found() == [["b.jpg", "new/c.jpg"]]


def test_frames_of_a_burst_are_no_copies_and_their_copy_joins_one(shelf):
    for frame in range(3):
        at = f"2024-01-01T10:00:0{frame}"
        shelf.put(f"IMG_000{frame}.jpg", 1, taken_at=at, camera="Pixel", features=1)
    shelf.put("sent.jpg", 1)
    [group] = shelf.found()
    assert len(group) == 2 and "sent.jpg" in group
    assert shelf.found("series") == [["IMG_0000.jpg", "IMG_0001.jpg", "IMG_0002.jpg"]]


def test_a_series_grows_and_ends_with_the_minute_and_the_view(shelf):
    def frame(name, second, features=1, camera="Pixel"):
        at = f"2024-01-01T10:{second // 60:02d}:{second % 60:02d}"
        shelf.put(name, len(name) + second, taken_at=at, camera=camera, features=features)

    frame("a.jpg", 0)
    frame("b.jpg", 200)
    assert shelf.found("series") == []
    frame("c.jpg", 150)
    assert shelf.found("series") == [["b.jpg", "c.jpg"]]
    for number, second in enumerate((50, 100)):
        frame(f"d{number}.jpg", second)
    frame("other camera.jpg", 60, camera="iPhone")
    frame("other view.jpg", 70, features=9)
    assert shelf.found("series") == [["a.jpg", "b.jpg", "c.jpg", "d0.jpg", "d1.jpg"]]


def test_many_shots_of_one_moment_are_looked_through_around_the_new_ones(shelf, monkeypatch):
    """20,000 scans with one date took ever longer: each new one was held against a thousand."""
    monkeypatch.setattr(series, "AT_ONCE", 12)
    monkeypatch.setattr(series, "BESIDE", 4)
    read = []
    real = series.SeriesFinder._onward

    def onward(self, shot, *, back):
        found = real(self, shot, back=back)
        read.append(len(found.shots))
        return found

    monkeypatch.setattr(series.SeriesFinder, "_onward", onward)
    for number in range(40):
        at = "2000-01-01T00:00:00"
        features = number // 10
        shelf.put(f"{number:02d}.jpg", number, taken_at=at, camera="Epson", features=features)
    found = shelf.found("series")
    assert [[one[0] for one in names] for names in found] == [[str(ten)] * 10 for ten in range(4)]
    assert max(read) <= 4
    shelf.put("later.jpg", 99, taken_at=at, camera="Epson", features=3)
    assert "later.jpg" in shelf.found("series")[-1] and len(shelf.found("series")[-1]) == 11


def test_of_few_new_shots_few_are_read_around_them(shelf, monkeypatch):
    """Of 20,000 scans each new one was held against all 700 of its second."""
    monkeypatch.setattr(series, "BESIDE", 4)
    read = []
    real = GroupWriter.shots_between

    def shots_between(self, *asked):
        found = real(self, *asked)
        read.append(len(found))
        return found

    monkeypatch.setattr(GroupWriter, "shots_between", shots_between)
    at = "2000-01-01T00:00:00"
    for number in range(30):
        shelf.put(f"{number:02d}.jpg", number, taken_at=at, camera="Epson", features=1)
    shelf.grouping.run()
    read.clear()
    shelf.put("later.jpg", 99, taken_at=at, camera="Epson", features=1)
    [names] = shelf.found("series")
    assert len(names) == 31
    assert read == [2 * 4]


def test_a_long_series_goes_on_whatever_is_read_of_it(shelf, monkeypatch):
    monkeypatch.setattr(series, "AT_ONCE", 8)
    monkeypatch.setattr(series, "BESIDE", 3)
    for number in range(30):
        at = f"2024-01-01T10:{number:02d}:00"
        shelf.put(f"{number:02d}.jpg", number, taken_at=at, camera="Pixel", features=1)
        shelf.grouping.run()
    [names] = shelf.found("series")
    assert len(names) == 30


def test_files_of_one_shot_are_a_stack_and_count_once_in_a_series(shelf):
    for number in (1, 2):
        at = f"2024-01-01T10:00:0{number}"
        shelf.put(f"IMG_{number}.HEIC", number, taken_at=at, camera="iPhone", features=1)
        shelf.put(f"IMG_{number}.JPG", number, taken_at=at, camera="iPhone", features=1)
    shelf.put("IMG_1~2.jpg", 50, features=50)
    shelf.put("IMG_10.jpg", 51, features=51)
    shelf.put("other/IMG_1.jpg", 52, features=52)
    assert shelf.found("stack") == [
        ["IMG_1.HEIC", "IMG_1.JPG", "IMG_1~2.jpg"], ["IMG_2.HEIC", "IMG_2.JPG"]
    ]  # fmt: skip
    assert shelf.found("series") == [["IMG_1.HEIC", "IMG_2.HEIC"]]
    assert shelf.found() == [["IMG_1.HEIC", "IMG_1.JPG"], ["IMG_2.HEIC", "IMG_2.JPG"]]


def test_a_photo_without_a_hash_or_features_is_compared_with_none(shelf):
    for name in "ab":
        shelf.store.save(
            [
                SavedPhoto(
                    f"/p/{name}", "/p", FileStat(1, 1), None, b"", b"", PhotoFacts(), (),
                    prediction=StoredPrediction("m", b"", b"", b"x", b"", picture_hash=b""),
                )
            ]
        )  # fmt: skip
    shelf.put("c.jpg", 1)
    assert shelf.found() == []


def test_the_order_in_which_photos_come_does_not_matter(shelf, tmp_path):
    names = [(f"{seed}-{copy}.jpg", seed) for seed in range(6) for copy in range(3)]
    for name, seed in names:
        shelf.put(name, seed)
    at_once = shelf.found()
    (tmp_path / "other").mkdir()
    other = Shelf(tmp_path / "other")
    for name, seed in sorted(names, key=lambda one: one[0][::-1]):
        other.put(name, seed)
        other.grouping.run()
    assert other.found() == at_once and len(at_once) == 6
    other.grouping.close()
    other.store.close()


def test_its_memory_is_given_back_after_a_while(shelf):
    shelf.put("a.jpg", 1)
    assert shelf.grouping.rest == 0
    shelf.grouping.run()
    while shelf.now < KEPT_SECONDS:
        assert shelf.grouping._matcher is not None
        shelf.now += max(shelf.grouping.rest, 1)
        shelf.grouping.step()
    for _ in range(5):  # what was due is done first
        shelf.grouping.step()
    assert shelf.grouping._matcher is None
    assert shelf.grouping.rest > KEPT_SECONDS
    shelf.put("b.jpg", 1)
    assert shelf.found() == [["a.jpg", "b.jpg"]]


def test_one_photo_that_cannot_be_compared_stops_no_other(shelf, monkeypatch, caplog):
    shelf.put("a.jpg", 1)
    shelf.put("b.jpg", 2)
    shelf.put("c.jpg", 1)
    real = matching.Matcher.join
    bad = shelf.store.photo("/p/b.jpg").id

    def join(self, ids, joining):
        if bad in ids:
            raise ValueError("nobody foresaw it")
        return real(self, ids, joining)

    monkeypatch.setattr(matching.Matcher, "join", join)
    assert shelf.found() == [["a.jpg", "c.jpg"]]
    assert "cannot be compared" in caplog.text


def test_without_thumbnails_hashes_that_hardly_differ_are_enough(shelf):
    shelf.put("a.jpg", 1)
    shelf.put("b.jpg", 1)
    os.unlink(os.path.join(shelf.state, "pictures.sqlite3"))
    assert shelf.found() == [["a.jpg", "b.jpg"]]
