"""`tagger duplicates`, `tagger similar` and the words of a query about them, on real files."""

from __future__ import annotations

import io
import os
import shutil

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from tagger.index.reader import open_reader
from tests.support.pictures import dng
from tests.unit.library.rules.test_shot_film import film

pillow_heif.register_heif_opener()

TAKEN, CAMERA = 0x9003, 0x0110


def picture(seed: int, size: tuple[int, int] = (800, 600)) -> Image.Image:
    """Return a picture with large and small shapes."""
    rng = np.random.default_rng(seed)
    large = Image.fromarray(rng.integers(20, 235, (6, 8, 3), np.uint8)).resize(size, 3)
    small = Image.fromarray(rng.integers(0, 120, (30, 40, 3), np.uint8)).resize(size, 3)
    both = np.asarray(large, float) * 0.7 + np.asarray(small, float) * 0.5
    return Image.fromarray(both.clip(0, 255).astype(np.uint8))


def save(image: Image.Image, path, taken_at: str = "", camera: str = "") -> None:
    exif = Image.Exif()
    if camera:
        exif[CAMERA] = camera
    if taken_at:
        exif.get_ifd(0x8769)[TAKEN] = taken_at
    path.parent.mkdir(exist_ok=True)
    image.save(path, quality=92, exif=exif)


@pytest.fixture
def library(home):
    """Return a home with three pictures, and copies of two of them in a folder of their own."""
    for seed, name in ((1, "beach"), (2, "forest"), (3, "town")):
        save(picture(seed), home.inbox / f"{name}.jpg")
    save(picture(1).resize((400, 300)), home.inbox / "sent" / "beach-small.jpg")
    save(picture(1).transpose(Image.Transpose.ROTATE_90), home.inbox / "sent" / "beach-turned.jpg")
    picture(2).save(home.inbox / "sent" / "forest.png")
    home.once()
    return home


def names(group) -> list[str]:
    return [os.path.basename(photo["path"]) for photo in group["photos"]]


def test_copies_are_listed_the_best_first(library):
    found = library.json("duplicates")
    assert [names(group) for group in found] == [
        ["beach.jpg", "beach-turned.jpg", "beach-small.jpg"],
        ["forest.png", "forest.jpg"],
    ] or [names(group) for group in found] == [
        ["beach-turned.jpg", "beach.jpg", "beach-small.jpg"],
        ["forest.png", "forest.jpg"],
    ]
    best, small = found[0]["photos"][0], found[0]["photos"][2]
    assert best["best"] and (best["width"], best["height"]) in ((800, 600), (600, 800))
    assert not small["best"] and small["width"] == 400 and not small["same_bytes"]


def test_only_some_folders_or_large_groups(library):
    sent = str(library.inbox / "sent")
    assert [names(group) for group in library.json("duplicates", "--in", sent)] == [
        ["beach-turned.jpg", "beach-small.jpg"]
    ]
    assert len(library.json("duplicates", "--min-size", "3")) == 1
    assert library.json("duplicates", "--min-size", "4") == []


def test_paths_alone_for_programs(library):
    text = library.run("duplicates")
    first, second = text.rstrip("\n").split("\n\n")
    assert len(first.split("\n")) == 3 and len(second.split("\n")) == 2
    groups = library.run("duplicates", "--null").split("\0\0")
    assert [len(group.split("\0")) for group in groups if group] == [3, 2]


def test_a_query_finds_them(library):
    found = library.run("query", "is:duplicate").splitlines()
    assert len(found) == 5 and str(library.inbox / "town.jpg") not in found
    assert library.run("query", "not is:duplicate").splitlines() == [
        str(library.inbox / "town.jpg")
    ]
    assert library.run("query", "--count", "is:duplicate|failed").strip() == "5"


def test_photos_that_look_alike(library):
    beach = str(library.inbox / "beach.jpg")
    found = library.json("similar", beach, "--limit", "3")
    assert len(found) == 3 and found[0]["similarity"] > 0.9
    assert "beach-small.jpg" in found[0]["path"] + found[1]["path"]
    like = library.run("query", f'like:"{beach}"').splitlines()
    assert beach in like and str(library.inbox / "sent" / "beach-small.jpg") in like
    assert library.run("query", "like:/nowhere.jpg") == ""
    library.run("similar", "/nowhere.jpg", code=2)
    assert "is not in the index" in library.err


def test_links_to_each_group(library, tmp_path):
    library.run("duplicates", "--link-to", str(tmp_path / "album"))
    linked = sorted(len(list(folder.iterdir())) for folder in (tmp_path / "album").iterdir())
    assert linked == [2, 3]
    assert "0 links" in library.run("duplicates", "--link-to", str(tmp_path / "album"))


def everything(home) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(home.inbox)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in home.inbox.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_the_others_are_moved_with_their_sidecars_and_come_back(library, tmp_path):
    before = everything(library)
    aside = tmp_path / "aside"
    aside.mkdir()
    (aside / "beach-small.jpg").write_text("somebody else's")
    moved = library.run("duplicates", "--move-to", str(aside))
    assert len(moved.splitlines()) == 3
    left = {name for name in everything(library) if not name.endswith(".xmp")}
    assert len(left) == 3 and "town.jpg" in left
    assert (aside / "beach-small.jpg").read_text() == "somebody else's"
    assert (aside / "beach-small (2).jpg").exists()
    library.once()
    assert library.json("duplicates") == []
    assert library.run("query", "--count", "").strip() == "3"
    library.run("duplicates", "--move-back")
    assert everything(library) == before
    library.once()
    assert len(library.json("duplicates")) == 2
    assert "Nothing is to be moved" in library.run("duplicates", "--move-back")


def test_what_belongs_to_a_shot_goes_with_it(home, tmp_path):
    phone, aside = home.inbox / "phone", tmp_path / "aside"
    aside.mkdir()
    save(picture(1), home.inbox / "large.jpg")
    save(picture(1).resize((400, 300)), phone / "IMG_1.JPG")
    (phone / "IMG_1.AAE").write_text("an edit")
    (phone / "IMG_1.MOV").write_bytes(film(2.8))
    (phone / "IMG_1.mp4").write_bytes(film(300))
    home.once()
    before = everything(home)
    home.run("duplicates", "--move-to", str(aside))
    moved = {path.name for path in aside.iterdir() if not path.name.startswith(".")}
    assert moved >= {"IMG_1.JPG", "IMG_1.AAE", "IMG_1.MOV"}
    assert not (phone / "IMG_1.MOV").exists()
    assert (phone / "IMG_1.mp4").exists(), "a film of five minutes is one of its own"
    home.run("duplicates", "--move-back")
    assert everything(home) == before


def test_the_film_of_a_live_photo_stays_with_the_best_of_its_shot(home, tmp_path):
    aside = tmp_path / "aside"
    aside.mkdir()
    taken = ("2024:05:01 10:00:00", "iPhone 15")
    save(picture(1), home.inbox / "IMG_1.heic", *taken)
    save(picture(1), home.inbox / "IMG_1.JPG", *taken)
    (home.inbox / "IMG_1.AAE").write_text("an edit")
    (home.inbox / "IMG_1.MOV").write_bytes(film(2.8))
    save(picture(2), home.inbox / "IMG_2.jpg", *taken)
    home.once()
    [group] = home.json("duplicates")
    assert names(group) == ["IMG_1.heic", "IMG_1.JPG"]
    before = everything(home)
    home.run("duplicates", "--move-to", str(aside))
    assert (aside / "IMG_1.JPG").exists() and (aside / "IMG_1.AAE").exists()
    left = set(everything(home))
    assert {"IMG_1.heic", "IMG_1.AAE", "IMG_1.MOV", "IMG_2.jpg"} <= left
    home.run("rules", "undo", str(aside / "IMG_1.JPG"))
    assert everything(home) == before


def test_a_raw_and_its_jpeg_are_one_shot_and_one_picture(home):
    out = io.BytesIO()
    picture(1).save(out, "JPEG", quality=92)
    (home.inbox / "DSC00001.dng").write_bytes(dng(out.getvalue(), (800, 600)))
    save(picture(1).resize((640, 480)), home.inbox / "DSC00001.JPG")
    save(picture(2), home.inbox / "DSC00002.JPG")
    save(picture(3), home.inbox / "other" / "DSC00001.JPG")
    home.once()
    [group] = home.json("duplicates")
    assert sorted(names(group)) == ["DSC00001.JPG", "DSC00001.dng"]
    with open_reader(str(home.state)) as reader:
        [stack] = reader.groups.every("stack").values()
        paths = {reader.photo_of(one).path for one in stack}
    assert paths == {photo["path"] for photo in group["photos"]}


def test_nothing_is_moved_away_from_a_photo_that_is_not_there(library, tmp_path):
    aside = tmp_path / "aside"
    aside.mkdir()
    (library.inbox / "sent" / "forest.png").rename(tmp_path / "elsewhere.png")
    library.run("duplicates", "--move-to", str(aside), code=2)
    assert "forest.png is not there now" in library.err
    assert (library.inbox / "forest.jpg").exists() and not (aside / "forest.jpg").exists()


def test_while_a_watched_folder_is_missing_nothing_is_lost_or_moved(home, tmp_path):
    disk, aside = tmp_path / "disk", tmp_path / "aside"
    aside.mkdir()
    home.configure(watch=[{"path": str(home.inbox)}, {"path": str(disk)}])
    save(picture(1), disk / "beach.jpg")
    save(picture(1).resize((400, 300)), home.inbox / "small.jpg")
    save(picture(2), home.inbox / "forest.jpg")
    home.once()
    [group] = home.json("duplicates")
    assert names(group) == ["beach.jpg", "small.jpg"]
    disk.rename(tmp_path / "unplugged")
    home.once()
    assert home.json("duplicates") == [group], "it is only not there now"
    home.run("duplicates", "--move-to", str(aside), code=2)
    assert "beach.jpg is not there now" in home.err and (home.inbox / "small.jpg").exists()
    found = home.json("similar", str(home.inbox / "small.jpg"), "--limit", "1")
    assert found[0]["path"] == str(disk / "beach.jpg")
    (tmp_path / "unplugged").rename(disk)
    home.once()
    home.run("duplicates", "--move-to", str(aside))
    assert (aside / "small.jpg").exists() and (disk / "beach.jpg").exists()
    assert home.json("duplicates") == []


def test_a_move_whose_folder_goes_away_is_brought_back_later(library, tmp_path):
    before, aside = everything(library), tmp_path / "aside"
    aside.mkdir()
    library.run("duplicates", "--move-to", str(aside))
    aside.rename(tmp_path / "unplugged")
    library.run("duplicates", "--move-back", code=2)
    assert len(everything(library)) < len(before)
    (tmp_path / "unplugged").rename(aside)
    library.run("duplicates", "--move-back")
    assert everything(library) == before


def test_a_folder_that_is_missing_and_options_that_exclude_each_other(library, tmp_path):
    library.run("duplicates", "--move-to", str(tmp_path / "none"), code=2)
    assert "is not there" in library.err
    library.run("duplicates", "--json", "--null", code=2)
    library.run("duplicates", "--bursts", "--move-to", str(tmp_path), code=2)
    assert sorted(library.inbox.iterdir())


def test_a_moved_and_a_missing_copy(library):
    (library.inbox / "sent" / "beach-small.jpg").rename(library.inbox / "renamed.jpg")
    (library.inbox / "forest.jpg").unlink()
    library.once()
    [group] = library.json("duplicates")
    assert "renamed.jpg" in names(group) and len(group["photos"]) == 3


def test_a_burst_is_a_series_and_no_copies(home):
    for frame in range(3):
        image = picture(5)
        image.paste((20 * frame, 0, 0), (300 + 10 * frame, 250, 360 + 10 * frame, 310))
        at = f"2024:05:01 10:00:0{frame}"
        save(image, home.inbox / f"IMG_000{frame}.jpg", at, "Pixel 8")
    save(picture(6), home.inbox / "other.jpg", "2024:05:01 18:00:00", "Pixel 8")
    home.once()
    assert home.json("duplicates") == []
    [group] = home.json("duplicates", "--bursts")
    assert sorted(names(group)) == ["IMG_0000.jpg", "IMG_0001.jpg", "IMG_0002.jpg"]
    assert home.run("query", "--count", "is:burst").strip() == "3"
    number = group["photos"][0]["id"]
    assert len(home.run("query", f"burst:{number}").splitlines()) == 3
    home.run("query", "burst:soon", code=2)
    assert "no photo's number" in home.err


def test_the_same_bytes_are_told(home):
    save(picture(1), home.inbox / "a.jpg")
    shutil.copy2(home.inbox / "a.jpg", home.inbox / "b.jpg")
    Image.new("RGB", (300, 300), "white").save(home.inbox / "white.jpg")
    shutil.copy2(home.inbox / "white.jpg", home.inbox / "white-2.jpg")
    home.once()
    found = home.json("duplicates")
    assert len(found) == 2
    assert all(photo["same_bytes"] for group in found for photo in group["photos"])
