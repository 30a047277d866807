"""When a folder counts as looked through, so that what comes afterwards is new to the rules."""

from __future__ import annotations

from pathlib import Path

from tagger.daemon.tagging_run import QUIET_SECONDS, KnownFolders
from tagger.index.rule_photos import RulePhotos
from tagger.index.store import Store


def test_a_folder_counts_when_all_that_was_in_it_is_done(tmp_path: Path) -> None:
    now = 100.0
    with Store(str(tmp_path)) as store:
        photos = RulePhotos(store)
        folders = KnownFolders(photos, clock=lambda: now)
        folders.look([], 0)
        folders.look(["/a"], 3)
        now += 10
        folders.look(["/a"], 0)
        assert photos.scanned() == set(), "the last batch may just be on its way"
        now += QUIET_SECONDS / 2
        folders.look(["/a"], 1)
        now += QUIET_SECONDS
        folders.look(["/a"], 0)
        assert photos.scanned() == set()
        now += QUIET_SECONDS
        folders.look(["/a"], 0)
        assert photos.scanned() == {"/a"}
        folders.note(["/a", "/b"])
        assert photos.scanned() == {"/a", "/b"}
        assert KnownFolders(photos)._known == {"/a", "/b"}
