"""Tags that go away again, by the user's hand or by ours, and stay away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tagger.config.loader import load_config
from tagger.errors import PhotoChangedError
from tagger.index.store import Store
from tagger.library.edit import ATTEMPTS, PAUSE_SECONDS, TagEditor


def drop(home, photo, name):
    target = home.inbox / name
    shutil.copy2(photo, target)
    return target


def exiftool(*arguments):
    if not shutil.which("exiftool"):
        assert not os.environ.get("TAGGER_CI"), "exiftool must be installed here"
        pytest.skip("exiftool is not installed")
    return subprocess.run(["exiftool", *arguments], capture_output=True, check=True).stdout


def keywords(file):
    [told] = json.loads(exiftool("-j", "-a", "-G1", "-XMP:all", str(file)))
    return {
        name.split(":")[1]: value if isinstance(value, list) else [value]
        for name, value in told.items()
        if name in ("XMP-dc:Subject", "XMP-lr:HierarchicalSubject", "XMP-digiKam:TagsList")
    }


@pytest.mark.parametrize("target", ["sidecar-xmp", "sidecar-json", "embed"])
def test_untag_restores_every_byte_and_the_daemon_keeps_out(home, scenes, target):
    home.configure(write={"target": target})
    photos = [drop(home, scene, scene.name) for scene in scenes]
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in photos}
    home.once()
    names = sorted(p.name for p in home.inbox.iterdir())
    changed = [p for p in photos if p.read_bytes() != before[p][0]]
    assert (changed == photos) == (target == "embed")
    assert all(p.stat().st_mtime_ns == before[p][1] for p in photos)

    planned = json.loads(home.run("untag", "--all", "--dry-run", "--json"))
    assert len(planned) == len(photos)
    assert all(one["files"] and one["added"] for one in planned)
    assert sorted(p.name for p in home.inbox.iterdir()) == names

    home.run("untag", "--all")
    assert {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in photos} == before
    left = [p for p in home.inbox.iterdir() if p.name != ".tagger-root"]
    assert sorted(left) == sorted(photos)
    assert home.once() == []
    assert home.run("query", "landscape") == ""
    shown = home.json("show", str(photos[0]))
    assert (shown["untagged_by_you"], shown["tags"], shown["written"]) == (True, [], [])

    home.run("restore", str(photos[0]))
    assert [line["how"] for line in home.once()] == ["known"]
    assert home.json("show", str(photos[0]))["tags"]


class Meddled(Store):
    """An index that is written to only after another program wrote to ``meddle``, so often."""

    meddle: Path
    times = 0

    def intend(self, writes: Any) -> None:
        super().intend(writes)
        if self.times > 0 and any(path == str(self.meddle) for path, _, _ in writes):
            self.times -= 1
            os.utime(self.meddle, ns=(0, self.meddle.stat().st_mtime_ns + 1))


@pytest.mark.parametrize("times", [1, ATTEMPTS])
def test_what_another_program_writes_to_meanwhile_is_tried_again(home, scenes, times):
    photos = [drop(home, scene, scene.name) for scene in scenes]
    home.once()
    waited: list[float] = []
    with Meddled(str(home.state)) as store:
        store.meddle, store.times = photos[0], times
        found = dict(
            TagEditor(load_config(str(home.config)), store).remove_all(
                map(str, photos), wait=waited.append
            )
        )
    assert len(found) == len(photos)
    left = [path for path, what in found.items() if isinstance(what, PhotoChangedError)]
    assert left == [str(photos[0])] * (times == ATTEMPTS)
    assert waited == [PAUSE_SECONDS] * min(times, ATTEMPTS - 1)
    assert [p.name for p in home.inbox.glob("*.xmp")] == [f"{photos[0].name}.xmp"] * len(left)
    if left:
        assert "again and again; it keeps its tags" in str(found[left[0]])
        assert home.run("untag", left[0])
        assert not list(home.inbox.glob("*.xmp"))


def test_one_label_goes_with_what_is_below_it_and_stays_away(home, scenes):
    photo = drop(home, scenes[0], "x.jpg")
    home.once()
    root, group, leaf = home.json("show", str(photo))["tags"][0]["path"]
    home.run("untag", "--label", "nonsense", str(photo), code=2)
    assert "nonsense" in home.err
    home.run("untag", "--label", group, str(photo))
    assert keywords(f"{photo}.xmp") == {
        "Subject": [root],
        "HierarchicalSubject": [root],
        "TagsList": [root],
    }
    shown = home.json("show", str(photo))
    assert [tag["label"] for tag in shown["tags"]] == [root]
    assert set(shown["removed_by_you"]) == {group, leaf}
    home.run("retry", "--all")
    assert len(home.once()) == 1
    assert keywords(f"{photo}.xmp")["Subject"] == [root]
    home.run("restore", str(photo))
    home.once()
    assert set(keywords(f"{photo}.xmp")["Subject"]) == {root, group, leaf}


@pytest.mark.parametrize("target", ["sidecar-xmp", "embed"])
def test_what_another_program_deletes_is_never_written_again(home, scenes, target):
    home.configure(write={"target": target})
    photo = drop(home, scenes[0], "x.jpg")
    home.once()
    file = photo if target == "embed" else f"{photo}.xmp"
    root, group, leaf = home.json("show", str(photo))["tags"][0]["path"]
    exiftool("-overwrite_original", f"-XMP-dc:Subject-={group}", "-XMP-xmp:Rating=4", str(file))
    home.once()
    assert home.json("show", str(photo))["removed_by_you"] == [group]
    assert set(keywords(file)["Subject"]) == {root, leaf}
    assert keywords(file)["TagsList"] == [f"{root}/{leaf}"]
    home.run("retry", "--all")  # as a newer model would
    home.once()
    assert set(keywords(file)["Subject"]) == {root, leaf}
    assert f"never given again: {group}" in home.run("show", str(photo))
    home.run("untag", str(photo))
    assert keywords(file) == {}
    assert b"4" in exiftool("-s3", "-XMP-xmp:Rating", str(file))


def test_the_users_own_keywords_are_found_and_kept(home, scenes):
    home.configure(write={"target": "embed"})
    photo = drop(home, scenes[0], "x.jpg")
    words = [
        "-IPTC:Keywords=Oma",
        "-XMP-dc:Subject=Rügen",
        "-XMP-lr:HierarchicalSubject=Orte|Ostsee",
    ]
    exiftool("-overwrite_original", *words, str(photo))
    original = photo.read_bytes()
    home.once()
    for word in ("oma", "rügen", "ostsee", "orte"):
        assert home.run("query", word) == f"{photo}\n", word
    tags = home.json("show", str(photo))["tags"]
    assert {tag["label"] for tag in tags if tag["source"] == "user"} == {
        "Oma",
        "Rügen",
        "Orte",
        "Ostsee",
    }
    written = keywords(photo)
    assert {"Oma", "Rügen", "Ostsee"} < set(written["Subject"])
    assert {"Oma", "Rügen", "Orte/Ostsee"} < set(written["TagsList"])
    assert {"Oma", "Rügen", "Orte|Ostsee"} < set(written["HierarchicalSubject"])
    assert home.once() == []
    home.run("untag", str(photo))
    assert photo.read_bytes() == original
    assert home.run("query", "oma") == f"{photo}\n"


def test_why_a_photo_got_a_sidecar_although_tags_belong_into_it(home, scenes):
    home.configure(write={"target": "embed"})
    photo = drop(home, scenes[0], "x.jpg")
    os.link(photo, home.folder / "second name.jpg")
    home.once()
    shown = home.json("show", str(photo))
    assert "hard links" in shown["note"]
    assert "hard links" in shown["written"][0]["reason"]
    assert "not embedded: it has 2 hard links" in home.run("show", str(photo))
    assert (home.inbox / "x.jpg.xmp").is_file()


def test_a_wave_of_deletions_waits_for_prune(home, scenes):
    for number in range(30):
        drop(home, scenes[number % len(scenes)], f"{number:02}.jpg")
    home.once()
    for number in range(25):
        (home.inbox / f"{number:02}.jpg").unlink()
    home.once()
    assert home.json("status")["counts"]["missing"] == 0
    assert "25 photo(s)" in home.run("prune")
    assert home.json("status")["counts"]["missing"] == 25
    home.run("prune", str(home.folder), code=2)
    assert "not watched" in home.err


def test_tags_that_cannot_be_taken_away_are_told_of(home, scenes):
    home.configure(write={"target": "embed"})
    photo = drop(home, scenes[0], "x.jpg")
    home.once()
    os.link(photo, home.folder / "second name.jpg")
    before = photo.read_bytes()
    [told] = json.loads(home.run("untag", str(photo), "--json"))
    assert "hard links" in told["reason"]
    assert "hard links" in home.run("untag", str(photo))
    assert photo.read_bytes() == before
    (home.folder / "second name.jpg").unlink()
    [told] = json.loads(home.run("untag", str(photo), "--json"))
    assert (told["files"], told["reason"]) == ([str(photo)], None)
    assert photo.read_bytes() == scenes[0].read_bytes()
