"""Which files below a root are photos of ours."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from tagger.config.schema import WatchRoot
from tagger.records import FileStat
from tagger.system import files
from tagger.system.files import sidecar_stats
from tagger.system.paths import photos_of_sidecar, sidecar_paths
from tagger.watch.walk import WalkReport, WalkRules, walk


def seen(rules: WalkRules, top: str | None = None) -> tuple[list[str], WalkReport, list[str]]:
    """Return the photos met (relative to the root), the report and the complaints."""
    complaints: list[str] = []
    report = WalkReport(lambda path, _: complaints.append(path))
    photos = [rules.relative(photo.path) for photo in walk(rules, top or rules.root.path, report)]
    return sorted(photos), report, complaints


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_photos_and_nothing_else(root: Path) -> None:
    make(root, "a.jpg", "B.JPEG", "c.heic", "raw.CR2", "notes.txt", "a.jpg.xmp", "jpg", "d/e.png")
    assert seen(WalkRules(WatchRoot(str(root))))[0] == [
        "B.JPEG",
        "a.jpg",
        "c.heic",
        "d/e.png",
        "raw.CR2",
    ]


@pytest.mark.parametrize(
    "name",
    [
        ".syncthing.a.jpg.tmp",
        ".a.jpg",
        "._a.jpg",
        "~syncthing~a.jpg",
        "a.jpg.part",
        "a.jpg.crdownload",
        "a.jpg.filepart",
        "a.jpg.tmp",
        ".tagger-1234.jpg",
        "@eaDir/a.jpg/SYNOPHOTO_THUMB_M.jpg",
        "#recycle/a.jpg",
        ".stversions/a.jpg",
        ".trash/deep/a.jpg",
        "$Recycle.Bin/S-1-5-21/a.jpg",
        "$RECYCLE.BIN/a.jpg",
        "RECYCLER/S-1-5-21/a.jpg",
        "Recycled/a.jpg",
        "@eadir/a.jpg/SYNOPHOTO_THUMB_M.jpg",
        "@EADIR/a.jpg",
        "#Recycle/a.jpg",
        "#snapshot/2024/a.jpg",
        "~snapshot/hourly.0/a.jpg",
        ".snapshot/a.jpg",
        ".Snapshots/1/a.jpg",
        ".Trash-1000/files/a.jpg",
        "Lost+Found/a.jpg",
        "LOST.DIR/a.jpg",
        "SYSTEM VOLUME INFORMATION/a.jpg",
        "Photos Library.photoslibrary/originals/0/a.jpg",
        "sub/Old.PHOTOLIBRARY/Masters/a.jpg",
        "Aperture Library.aplibrary/a.jpg",
        "Lightroom Catalog Previews.lrdata/0/a.jpg",
        "Lightroom Library.lrlibrary/a.jpg",
        "b.jpg.download/b.jpg",
        "c.JPG.Download/c.JPG",
        "d.jpg.part/d.jpg",
        "Backups.backupdb/a.jpg",
    ],
)
def test_temporary_names_are_ignored(root: Path, name: str) -> None:
    make(root, name, "good.jpg")
    rules = WalkRules(WatchRoot(str(root)))
    assert seen(rules)[0] == ["good.jpg"]
    assert not rules.wants(str(root / name))


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        ("*.png", ["a.jpg", "sub/deep/d.jpg", "sub/e.jpg"]),
        ("sub", ["a.jpg", "b.png"]),
        ("sub/", ["a.jpg", "b.png"]),
        ("sub/deep", ["a.jpg", "b.png", "sub/e.jpg"]),
        ("**/deep/*", ["a.jpg", "b.png", "sub/e.jpg"]),
        ("**/a.jpg", ["b.png", "sub/deep/d.jpg", "sub/e.jpg"]),
        ("sub/*.jpg", ["a.jpg", "b.png"]),
        ("[", ["a.jpg", "b.png", "sub/deep/d.jpg", "sub/e.jpg"]),
    ],
)
def test_ignore_patterns(root: Path, pattern: str, left: list[str]) -> None:
    make(root, "a.jpg", "b.png", "sub/deep/d.jpg", "sub/e.jpg")
    rules = WalkRules(WatchRoot(str(root), ignore=(pattern,)))
    assert seen(rules)[0] == left
    everything = ["a.jpg", "b.png", "sub/deep/d.jpg", "sub/e.jpg"]
    assert [name for name in everything if rules.wants(str(root / name))] == left


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_ignore_patterns_are_compared_by_letters(root: Path, form: str) -> None:
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    make(root, *(unicodedata.normalize(form, name) for name in ("Été/a.jpg", "x/Ü.jpg", "b.jpg")))
    patterns = tuple(unicodedata.normalize(other, pattern) for pattern in ("Été", "x/?.jpg"))
    rules = WalkRules(WatchRoot(str(root), ignore=patterns))
    assert seen(rules)[0] == ["b.jpg"]
    assert not rules.wants(str(root / unicodedata.normalize(form, "Été/a.jpg")))


def test_a_package_that_is_the_watched_folder_is_walked(tmp_path: Path) -> None:
    root = tmp_path / "Photos Library.photoslibrary"
    make(root, "originals/a.jpg", "download/b.jpg", "recycled photos/c.jpg", "lrdata/d.jpg")
    assert len(seen(WalkRules(WatchRoot(str(root))))[0]) == 4


@pytest.mark.parametrize("name", ["a.jpg.xmp", "a.jpg.XMP", "a.XMP", "a.Xmp", "a.jpg.tags.json"])
def test_sidecars_are_found_whatever_the_case_of_their_ending(root: Path, name: str) -> None:
    make(root, "a.jpg", name, "b.xmp", "a.jpeg.XMP")
    photos = list(walk(WalkRules(WatchRoot(str(root))), str(root), WalkReport()))
    (photo,) = photos
    beside = os.lstat(root / name)
    assert photo.sidecars == (beside,)
    # The photo is looked at elsewhere one by one, and then must be as the scan said.
    assert sidecar_stats(photo.path) == (beside,)
    assert files.sidecar_stat(photo.path) == FileStat.of(beside)
    assert str(root / "a.jpg") in photos_of_sidecar(str(root / name))


def test_of_two_spellings_of_a_sidecar_all_take_the_same(root: Path) -> None:
    make(root, "a.jpg", "a.jpg.Xmp", "a.jpg.XMP", "a.xmp")
    while True:
        (photo,) = walk(WalkRules(WatchRoot(str(root))), str(root), WalkReport())
        assert photo.sidecars == sidecar_stats(photo.path)
        taken = [place for place in sidecar_paths(photo.path) if os.path.lexists(place)]
        assert photo.sidecars == tuple(map(os.lstat, taken))
        if not taken:
            break
        os.unlink(taken[0])
    assert not [*root.glob("*mp")]


def test_recursion_can_be_turned_off(root: Path) -> None:
    make(root, "a.jpg", "sub/b.jpg")
    rules = WalkRules(WatchRoot(str(root), recursive=False))
    assert seen(rules)[0] == ["a.jpg"]
    assert not rules.wants(str(root / "sub/b.jpg"))
    assert not rules.wants_folder(str(root / "sub"))


def test_links_are_not_followed(root: Path, tmp_path: Path) -> None:
    make(root, "sub/a.jpg")
    make(tmp_path, "outside/b.jpg")
    (root / "sub/loop").symlink_to(root)
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "c.jpg").symlink_to(tmp_path / "outside/b.jpg")
    os.mkfifo(root / "pipe.jpg")
    (root / "folder.jpg").mkdir()
    make(root, "folder.jpg/inside.jpg")
    assert seen(WalkRules(WatchRoot(str(root))))[0] == ["folder.jpg/inside.jpg", "sub/a.jpg"]


def test_folders_of_other_roots_are_left_to_them(root: Path) -> None:
    make(root, "a.jpg", "inner/b.jpg", "inner2/c.jpg")
    rules = WalkRules(WatchRoot(str(root)), frozenset({"inner"}))
    assert seen(rules)[0] == ["a.jpg", "inner2/c.jpg"]
    assert not rules.owns(str(root / "inner/b.jpg"))
    assert rules.owns(str(root / "inner2/c.jpg"))
    assert not rules.owns(str(root) + "2/d.jpg")


@pytest.mark.parametrize(
    "name", [b"caf\xe9.jpg", b"two\nlines.jpg", b'it\'s "so".jpg', b"\xff\xfe/\xe9.jpg"]
)
def test_any_name_will_do(root: Path, name: bytes) -> None:
    path = os.path.join(os.fsencode(root), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(b"x")
    rules = WalkRules(WatchRoot(str(root)))
    photos, _, complaints = seen(rules)
    assert [os.fsencode(photo) for photo in photos] == [name]
    assert complaints == []
    assert rules.wants(os.fsdecode(path))


def test_a_folder_that_cannot_be_read_is_named_once_and_passed_over(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(root, "a.jpg", "locked/b.jpg")
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # root may read everything
    photos, report, complaints = seen(WalkRules(WatchRoot(str(root))))
    assert photos == ["a.jpg"]
    assert report.unreadable == complaints == [str(root / "locked")]


def test_a_folder_that_went_away_is_not_worth_a_word(root: Path) -> None:
    _, report, complaints = seen(WalkRules(WatchRoot(str(root))), str(root / "gone"))
    assert (report.unreadable, complaints) == ([], [])


def test_all_sidecars_are_seen(root: Path) -> None:
    make(root, "a.jpg", "b.jpg", "c.jpg", "d.jpg", "a.jpg.xmp", "a.xmp", "b.xmp", "c.jpg.tags.json")
    (root / "a.jpg.xmp").write_bytes(b"longer")
    photos = walk(WalkRules(WatchRoot(str(root))), str(root), WalkReport())
    found = {os.path.basename(p.path): p.sidecars for p in photos}
    beside = {"a": ["a.jpg.xmp", "a.xmp"], "b": ["b.xmp"], "c": ["c.jpg.tags.json"], "d": []}
    for name, sidecars in beside.items():
        stats = tuple(os.lstat(root / sidecar) for sidecar in sidecars)
        assert found[name + ".jpg"] == sidecar_stats(str(root / f"{name}.jpg")) == stats
        together = FileStat.together([FileStat.of(one) for one in stats])
        assert files.sidecar_stat(str(root / f"{name}.jpg")) == together


def test_each_answer_of_the_disk_is_told(root: Path) -> None:
    make(root, *(f"{number}/{number}.txt" for number in range(20)))
    beats: list[int] = []
    rules = WalkRules(WatchRoot(str(root)))
    assert not list(walk(rules, str(root), WalkReport(), lambda: beats.append(1)))
    assert len(beats) >= 20


@pytest.mark.parametrize(
    ("sidecar", "photo"),
    [
        ("/p/a.jpg.xmp", "/p/a.jpg"),
        ("/p/a.JPG.XMP", "/p/a.JPG"),
        ("/p/a.jpg.tags.json", "/p/a.jpg"),
        ("/p/a.xmp", "/p/a.jpg"),
        ("/p/a.xmp", "/p/a.CR2"),
    ],
)
def test_a_sidecar_leads_to_its_photo(sidecar: str, photo: str) -> None:
    assert photo in photos_of_sidecar(sidecar)


def test_other_files_lead_to_none() -> None:
    assert photos_of_sidecar("/p/a.jpg.json") == []
    assert photos_of_sidecar("/p/a.tags.json") == []
