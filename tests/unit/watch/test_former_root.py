"""A root that the config names by another path than before: its rows of the index go along."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tagger.config.schema import WatchRoot
from tagger.index.decision_sync import open_decisions
from tagger.index.rows import SavedPhoto
from tagger.index.store import Store
from tagger.records import Candidate, JournalEntry, PhotoFacts, Tag
from tagger.watch.root_identity import write_marker
from tagger.watch.root_layout import RootLayout
from tagger.watch.watcher import Watcher


class Pipeline:
    """Saves what it gets, with a sidecar in the journal."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.found_paths: list[str] = []

    def found(self, candidate: Candidate) -> None:
        path = candidate.path
        self.found_paths.append(path)
        digest = Path(path).read_bytes()[-16:]
        entry = JournalEntry("sidecar-xmp", path + ".xmp", {}, {}, True, b"", b"x", b"undo")
        photo = SavedPhoto(
            path,
            candidate.root,
            candidate.stat,
            candidate.sidecar,
            digest,
            digest,
            PhotoFacts("JPEG"),
            (Tag("dog", 0.9, ("animal", "dog")),),
            keywords_hash="0" * 32,
            entries=(entry,),
        )
        self.store.save([photo])

    def gone(self, paths: Sequence[str], root: str) -> None:
        self.store.mark_missing(paths)


@pytest.fixture
def folders(tmp_path: Path, jpeg: bytes) -> Path:
    """Return a folder with the photos in ``disk/photos``, and links to it and above it."""
    photos = tmp_path / "disk" / "photos"
    (photos / "sub").mkdir(parents=True)
    for number, name in enumerate(("a.jpg", "sub/b.jpg")):
        (photos / name).write_bytes(jpeg + bytes([number]) * 16)
    (tmp_path / "link").symlink_to(photos)
    (tmp_path / "above").symlink_to(tmp_path / "disk")
    (tmp_path / "sublink").symlink_to(photos / "sub")
    return tmp_path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(str(tmp_path / "state")) as opened:
        yield opened


@pytest.fixture
def scan(folders: Path, store: Store) -> Callable[..., list[str]]:
    """Return a function that scans these roots once, and returns what was delivered."""

    def run(*roots: str) -> list[str]:
        pipeline = Pipeline(store)
        watched = [WatchRoot(str(folders / root)) for root in roots]
        Watcher(watched, store, pipeline, str(folders / "state")).scan_once(wait_settle=False)
        return sorted(os.path.relpath(path, folders) for path in pipeline.found_paths)

    return run


def rows(store: Store, folders: Path) -> dict[str, str]:
    """Return the status of each photo by its path."""
    found = store.read("SELECT path, status FROM photos ORDER BY path")
    return {os.path.relpath(os.fsdecode(row["path"]), folders): row["status"] for row in found}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("link", "disk/photos"),
        ("disk/photos", "link"),
        ("above/photos", "disk/photos"),
        ("link", "above/photos"),
    ],
)
def test_a_root_named_by_another_path_keeps_its_rows(
    before: str, after: str, folders: Path, store: Store, scan: Callable[..., list[str]]
) -> None:
    assert scan(before) == [f"{before}/a.jpg", f"{before}/sub/b.jpg"]
    kept_out = store.photo(str(folders / before / "a.jpg"))
    assert kept_out is not None
    store.keep_out(kept_out.id, True)
    assert scan(after) == [], "they are known as they are"
    assert rows(store, folders) == {f"{after}/a.jpg": "tagged", f"{after}/sub/b.jpg": "tagged"}
    now = store.photo(str(folders / after / "a.jpg"))
    assert now is not None and (now.id, now.keep_out) == (kept_out.id, True)
    assert now.root == str(folders / after)
    (entry,) = store.entries(now.id)
    assert entry.file == str(folders / after / "a.jpg.xmp") and entry.undo == b"undo"
    with open_decisions(str(folders / "state")) as decisions:
        decided = {os.path.relpath(one.path, folders): bool(one) for one in decisions.after(0)}
    assert decided == {f"{before}/a.jpg": False, f"{after}/a.jpg": True}
    assert scan(after) == []


def test_a_root_inside_a_former_one_takes_only_its_own_part(
    folders: Path, store: Store, scan: Callable[..., list[str]]
) -> None:
    scan("disk/photos")
    assert scan("sublink") == []
    assert rows(store, folders) == {"disk/photos/a.jpg": "tagged", "sublink/b.jpg": "tagged"}


def test_a_root_around_a_former_one_takes_it_over(
    folders: Path, store: Store, scan: Callable[..., list[str]]
) -> None:
    scan("sublink")
    assert scan("disk/photos") == ["disk/photos/a.jpg"]
    assert set(rows(store, folders)) == {"disk/photos/a.jpg", "disk/photos/sub/b.jpg"}


def test_what_is_still_watched_is_not_taken_over(
    folders: Path, store: Store, scan: Callable[..., list[str]]
) -> None:
    scan("link")
    assert scan("link", "disk/photos") == []
    assert set(rows(store, folders)) == {"link/a.jpg", "link/sub/b.jpg"}


def test_another_folder_takes_nothing_over(
    folders: Path, store: Store, scan: Callable[..., list[str]], jpeg: bytes
) -> None:
    scan("disk/photos")
    (folders / "other").mkdir()
    (folders / "other" / "c.jpg").write_bytes(jpeg)
    assert scan("other") == ["other/c.jpg"]
    assert set(rows(store, folders)) == {
        "disk/photos/a.jpg",
        "disk/photos/sub/b.jpg",
        "other/c.jpg",
    }


def test_another_disk_at_the_same_place_takes_nothing_over(
    folders: Path, store: Store, scan: Callable[..., list[str]]
) -> None:
    scan("disk/photos")
    photos = folders / "disk" / "photos"
    photos.rename(folders / "disk" / "unplugged")
    photos.mkdir()
    (photos / "c.jpg").write_bytes((folders / "disk/unplugged/a.jpg").read_bytes() + b"other")
    assert write_marker(str(photos)) is not None
    assert scan("link") == ["link/c.jpg"]
    assert set(rows(store, folders)) == {
        "disk/photos/a.jpg",
        "disk/photos/sub/b.jpg",
        "link/c.jpg",
    }


def test_an_unmounted_disk_named_by_another_path_is_offline(
    folders: Path, store: Store, scan: Callable[..., list[str]]
) -> None:
    scan("disk/photos")
    photos = folders / "disk" / "photos"
    photos.rename(folders / "disk" / "unplugged")
    photos.mkdir()
    assert scan("link") == []
    assert set(rows(store, folders).values()) == {"tagged"}, "nothing is missing"
    photos.rmdir()
    (folders / "disk" / "unplugged").rename(photos)
    assert scan("link") == []
    assert rows(store, folders) == {"link/a.jpg": "tagged", "link/sub/b.jpg": "tagged"}


def test_photos_that_are_in_the_index_twice_become_one(
    folders: Path, store: Store, scan: Callable[..., list[str]]
) -> None:
    """As older versions left them."""
    scan("link")
    old = store.photo(str(folders / "link/a.jpg"))
    assert old is not None
    store.keep_out(old.id, True)
    (folders / "state" / "roots.json").rename(folders / "state" / "aside.json")
    assert len(scan("disk/photos")) == 2, "without what was remembered they are new"
    (folders / "state" / "aside.json").rename(folders / "state" / "roots.json")
    assert scan("disk/photos") == []
    assert set(rows(store, folders)) == {"disk/photos/a.jpg", "disk/photos/sub/b.jpg"}
    now = store.photo(str(folders / "disk/photos/a.jpg"))
    assert now is not None and now.keep_out
    assert len(store.entries(now.id)) == 1


def test_the_same_folder_by_two_mounts_is_told_by_its_inode(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bind mount is no link; here every path is its own real one."""
    monkeypatch.setattr("tagger.watch.root_layout.os.path.realpath", lambda path: path)
    layout = RootLayout([WatchRoot(str(folders / "link"))])
    former, root = str(folders / "disk/photos"), str(folders / "link")
    assert layout.renamed(former, root) == (former, root)
    assert layout.renamed(str(folders / "nowhere"), root) is None
