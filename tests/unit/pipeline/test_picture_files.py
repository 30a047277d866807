"""The files beside the index follow it: features of new and changed photos, and thumbnails."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tagger.duplicates.feature_file import NAME, FeatureFile
from tagger.duplicates.picture_hash import picture_hash
from tagger.duplicates.thumbnails import ThumbnailStore
from tagger.index.reader import open_reader
from tagger.index.rows import SavedPhoto, StoredPrediction
from tagger.library.similar import most_alike
from tagger.pipeline import picture_files
from tagger.pipeline.picture_files import BEHIND_SECONDS, SWEEP_FIRST, SWEEP_SECONDS
from tagger.records import FileStat, PhotoFacts
from tests.unit.duplicates.test_picture_hash import picture
from tests.unit.pipeline.test_grouping import Shelf


@pytest.fixture
def shelf(tmp_path):
    shelf = Shelf(tmp_path)
    yield shelf
    shelf.grouping.close()
    shelf.store.close()


def settle(shelf, seconds: float = BEHIND_SECONDS) -> None:
    """Compare what is to be compared, and do what is due after so many seconds."""
    shelf.grouping.run()
    shelf.now += seconds
    for _ in range(20):
        shelf.grouping.step()


def in_file(shelf, limit: int = 99) -> set[str]:
    """Return the photos that are in the file of features."""
    row = np.ones(64, np.float32) / 8
    ids = FeatureFile(shelf.state).nearest("m", row, limit)
    return {shot[1][3:] for shot in shelf.groups.shots(ids).values()}


def alike(shelf, path: str, limit: int = 3) -> list[str]:
    """Return what looks like a photo by the file, and see that it is so without it."""
    photo = shelf.store.photo(f"/p/{path}").id
    with open_reader(shelf.state) as reader:
        found = most_alike(reader, shelf.state, photo, limit)
        assert found == most_alike(reader, None, photo, limit)
        return [reader.photo_of(number).path[3:] for number, _ in found]


def kept(shelf) -> int:
    store = ThumbnailStore(shelf.state)
    hashes = [picture_hash(picture(seed)) for seed in range(60)]
    found, views = store.get(hashes), store.views(hashes)
    store.close()
    assert found.keys() == views.keys()
    return len(found)


def test_new_photos_are_added_after_a_minute_and_found_before(shelf):
    for seed in range(5):
        shelf.put(f"{seed}.jpg", seed)
    shelf.put("copy.jpg", 50, features=3)
    assert alike(shelf, "3.jpg", 1) == ["copy.jpg"], "from the index"
    settle(shelf, 0)
    assert not os.path.exists(os.path.join(shelf.state, NAME))
    settle(shelf)
    assert len(in_file(shelf)) == 6
    shelf.put("later.jpg", 51, features=3)
    assert set(alike(shelf, "3.jpg", 2)) == {"copy.jpg", "later.jpg"}
    settle(shelf)
    assert "later.jpg" in in_file(shelf)


def test_many_are_added_at_once(shelf, monkeypatch):
    monkeypatch.setattr(picture_files, "BEHIND", 10)
    for seed in range(12):
        shelf.put(f"{seed}.jpg", seed)
    while not shelf.grouping.is_done:
        shelf.grouping.step()
    assert shelf.grouping.rest == 0
    shelf.grouping.step()
    assert len(in_file(shelf)) == 12
    assert shelf.grouping.rest > 0


def test_one_that_became_another_picture_is_found_as_that(shelf):
    for seed in range(20):
        shelf.put(f"{seed}.jpg", seed)
    settle(shelf)
    shelf.put("4.jpg", 40, features=7)
    assert alike(shelf, "7.jpg", 1) == ["4.jpg"], "before it was compared"
    shelf.grouping.run()
    assert alike(shelf, "7.jpg", 1) == ["4.jpg"]
    ids = FeatureFile(shelf.state).nearest("m", direction(7), 2)
    assert {shot[1] for shot in shelf.groups.shots(ids).values()} == {"/p/7.jpg", "/p/4.jpg"}


def direction(seed: int) -> np.ndarray:
    row = (np.random.default_rng(seed).random(64) ** 4).astype(np.float32)
    return row / np.linalg.norm(row)


@pytest.mark.parametrize("damage", ["lost", "cut", "strange"])
def test_a_file_that_is_lost_is_made_again(shelf, damage):
    for seed in range(8):
        shelf.put(f"{seed}.jpg", seed)
    shelf.put("copy.jpg", 50, features=3)
    settle(shelf)
    path = os.path.join(shelf.state, NAME)
    if damage == "lost":
        os.unlink(path)
    elif damage == "cut":
        os.truncate(path, 5000)
    else:
        with open(path, "r+b") as file:
            file.write(b"something")
    assert alike(shelf, "3.jpg", 1) == ["copy.jpg"]
    shelf.grouping.close()  # as when the daemon is started again
    shelf.grouping = type(shelf.grouping)(shelf.store, shelf.state, clock=lambda: shelf.now)
    settle(shelf)
    assert len(in_file(shelf)) == 9 and alike(shelf, "3.jpg", 1) == ["copy.jpg"]


def test_what_is_missing_is_not_told_and_fills_no_place(shelf):
    for number in range(40):
        shelf.put(f"{number}.jpg", number, features=3 if number < 35 else number)
    settle(shelf)
    gone = [f"/p/{number}.jpg" for number in range(1, 34)]
    shelf.store.mark_missing(gone)
    found = alike(shelf, "0.jpg", 3)
    assert found[0] == "34.jpg" and len(found) == 3 and not {f"/p/{one}" for one in found} & {*gone}


def test_another_network_makes_another_file(shelf):
    for seed in range(6):
        shelf.put(f"{seed}.jpg", seed)
    settle(shelf)

    def see(seed: int) -> None:
        row = np.random.default_rng(seed // 2).random(48).astype("<f2")
        shelf.store.save(
            [
                SavedPhoto(
                    f"/p/{seed}.jpg", "/p", FileStat(1, 1), None, os.urandom(16), b"",
                    PhotoFacts("JPEG"), (),
                    prediction=StoredPrediction("new", b"", b"", row.tobytes(), b""),
                )
            ]
        )  # fmt: skip

    see(5)
    settle(shelf)
    see(2)
    see(3)
    settle(shelf)
    head = FeatureFile(shelf.state).head()
    assert head is not None and (head.model_id, head.size, head.photos) == ("new", 48, 3)
    assert alike(shelf, "2.jpg", 1) == ["3.jpg"]
    assert alike(shelf, "0.jpg", 9) and not {"2.jpg", "3.jpg", "5.jpg"} & {
        *alike(shelf, "0.jpg", 9)
    }


def test_photos_that_are_gone_do_not_fill_it(shelf, monkeypatch):
    monkeypatch.setattr(picture_files, "AT_ONCE", 4)
    for seed in range(20):
        shelf.put(f"{seed}.jpg", seed)
    settle(shelf)
    with shelf.store.transaction() as db:
        db.execute("DELETE FROM photos WHERE id <= 15")
    shelf.put("new.jpg", 30)
    settle(shelf)
    head = FeatureFile(shelf.state).head()
    assert head is not None and head.photos == 6


def test_where_it_cannot_be_written_all_is_found_in_the_index(shelf):
    os.mkdir(os.path.join(shelf.state, NAME))  # a folder is in its place
    for seed in range(4):
        shelf.put(f"{seed}.jpg", seed)
    shelf.put("copy.jpg", 50, features=3)
    settle(shelf)
    assert alike(shelf, "3.jpg", 1) == ["copy.jpg"]
    assert shelf.grouping.rest > BEHIND_SECONDS, "it is not tried again and again"


def test_thumbnails_of_no_photo_go_after_a_while_and_others_stay(shelf):
    for seed in range(10):
        shelf.put(f"{seed}.jpg", seed)
    settle(shelf)
    shelf.store.mark_missing(["/p/1.jpg"])  # it may come back
    with shelf.store.transaction() as db:
        db.execute("DELETE FROM photos WHERE path IN (?, ?)", (b"/p/2.jpg", b"/p/3.jpg"))
    shelf.put("4.jpg", 44)
    settle(shelf, 0)
    assert kept(shelf) == 11
    settle(shelf, SWEEP_FIRST)
    assert kept(shelf) == 8
    with shelf.store.transaction() as db:
        db.execute("DELETE FROM photos WHERE path = ?", (b"/p/5.jpg",))
    settle(shelf, SWEEP_FIRST)
    assert kept(shelf) == 8
    settle(shelf, SWEEP_SECONDS)
    assert kept(shelf) == 7


def test_a_photo_that_comes_back_meanwhile_keeps_its_thumbnail(shelf, monkeypatch):
    monkeypatch.setattr(picture_files, "AT_ONCE", 3)
    for seed in range(9):
        shelf.put(f"{seed}.jpg", seed)
    settle(shelf)
    shelf.put("0.jpg", 40)  # the thumbnail of 0 is not used any more
    shelf.grouping.run()
    shelf.now += SWEEP_FIRST
    shelf.grouping.step()
    shelf.grouping.step()  # the first photos were looked through
    shelf.put("1.jpg", 0)  # it is used again
    settle(shelf, 0)
    assert kept(shelf) == 10
    settle(shelf, SWEEP_SECONDS)  # that of 1 goes, which was used when the first sweep began
    store = ThumbnailStore(shelf.state)
    assert store.get([picture_hash(picture(0))]) and not store.get([picture_hash(picture(1))])
    store.close()


def test_a_sweep_that_was_interrupted_deletes_nothing(shelf, monkeypatch):
    monkeypatch.setattr(picture_files, "AT_ONCE", 3)
    for seed in range(9):
        shelf.put(f"{seed}.jpg", seed)
    settle(shelf)
    shelf.now += SWEEP_FIRST
    shelf.grouping.step()
    shelf.grouping._thumbnails.close()  # what was marked is forgotten by that
    for _ in range(20):
        shelf.grouping.step()
    assert kept(shelf) == 9
