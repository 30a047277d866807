"""Of two taggers on one folder one writes, and the other says that it does not."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from tagger.watch.root_identity import MARKER
from tagger.watch.root_owner import read_writer
from tests.conftest import Home, wait_until


@pytest.fixture
def other(home, tmp_path_factory):
    """Return a second tagger, with other settings, on the folder of the first."""
    made = Home(tmp_path_factory.mktemp("other"), Path(home.settings["model"]["weights"]))
    made.converted, made.daemons = home.converted, []
    made.inbox = home.inbox
    home.configure(labels={"levels": 0}, rescan_seconds=2)
    made.configure(watch=[{"path": str(home.inbox)}], labels={"prefix": "Second"}, rescan_seconds=2)
    yield made
    for daemon in made.daemons:
        if daemon.poll() is None:
            daemon.kill()
            daemon.wait()


def fill(home, scenes, count=2):
    for number in range(count):
        shutil.copyfile(scenes[number], home.inbox / f"{number}.jpg")
    return [str(home.inbox / f"{number}.jpg") for number in range(count)]


def versions(home):
    return {
        path.name: (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in home.inbox.iterdir()
        if path.suffix in (".xmp", ".json", ".jpg")
    }


def words(home):
    found = set()
    for path in home.inbox.glob("*.jpg*"):
        found |= set(re.findall(rb"<rdf:li>([^<]*)</rdf:li>", path.read_bytes()))
    return found


def seconds_words(home):
    return {word for word in words(home) if word.startswith(b"Second")}


def tags(home, photo):
    shown = home.json("show", str(photo))
    assert shown["removed_by_you"] == []
    return (
        sorted(t["label"] for t in shown["tags"] if t["source"] == "model"),
        sorted(t["label"] for t in shown["tags"] if t["source"] == "user"),
    )


def root_of(home):
    return home.json("status")["roots"][0]


@pytest.mark.parametrize("target", ["sidecar-xmp", "sidecar-json"])
def test_two_daemons_do_not_rewrite_each_other(target, home, other, scenes):
    photos = fill(home, scenes)
    for one in (home, other):
        one.configure(write={"target": target})
        one.use_converted_model()
    home.start()
    wait_until(lambda: home.heartbeat().get("roots", [{}])[0].get("last_scan"), 60)
    wait_until(lambda: home.json("status")["counts"].get("tagged") == len(photos), 60)
    other.start()
    wait_until(lambda: other.heartbeat().get("roots", [{}])[0].get("last_scan"), 60)
    wait_until(lambda: other.json("status")["counts"].get("tagged") == len(photos), 60)
    before, scanned = versions(home), [root_of(one)["last_scan"] for one in (home, other)]
    wait_until(
        lambda: all(
            root_of(one)["last_scan"] > then + 3
            for one, then in zip((home, other), scanned, strict=True)
        ),
        60,
    )
    assert versions(home) == before
    assert not seconds_words(home)

    assert root_of(home)["not_written"] == root_of(home)["reason"] == ""
    why = root_of(other)["not_written"]
    assert "another tagger" in why and f"tagger take-over {home.inbox}" in why
    assert root_of(other)["state"] == "online" and why in root_of(other)["reason"]
    assert "another tagger" in other.run("status")
    warned = [x for x in other.logged() if "another tagger" in x["message"]]
    assert len(warned) == 1
    other.daemons[-1].send_signal(signal.SIGHUP)
    wait_until(lambda: any("reloaded" in x["message"] for x in other.logged()))
    wait_until(lambda: root_of(other).get("not_written"))
    assert len([x for x in other.logged() if "another tagger" in x["message"]]) == 1
    doctor = {one["name"]: one for one in other.json("doctor")}
    folder = doctor[f"folder {home.inbox}"]
    assert folder["state"] == "warning" and "take-over" in folder["remedy"]
    doctor = {one["name"]: one for one in home.json("doctor")}
    assert doctor[f"folder {home.inbox}"]["state"] == "ok"
    label = tags(other, photos[0])[0][0]
    assert photos[0] in {one["path"] for one in other.json("query", f'"{label}"')}

    other.run("take-over")
    wait_until(lambda: root_of(home)["not_written"] and not root_of(other)["not_written"], 60)
    if target == "sidecar-json":
        wait_until(
            lambda: all(v != before[n] for n, v in versions(home).items() if "json" in n), 60
        )
    else:
        wait_until(lambda: seconds_words(home), 60)
    wait_until(lambda: not other.json("status")["progress"]["remaining"], 60)
    for photo in photos:
        assert tags(home, photo)[0] and tags(other, photo)[0]
        assert tags(other, photo)[1] == []


def test_taking_over_both_ways_between_single_runs(home, other, scenes):
    photos = fill(home, scenes)
    (home.inbox / "0.jpg.xmp").write_bytes(
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
        b'syntax-ns#"><rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        b"<dc:subject><rdf:Bag><rdf:li>my own</rdf:li></rdf:Bag></dc:subject>"
        b"</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    home.once()
    first = {photo: tags(home, photo) for photo in photos}
    mine, written = words(home), versions(home)
    assert first[photos[0]][1] == ["my own"]
    other.once()
    assert versions(home) == written
    second = {photo: tags(other, photo) for photo in photos}
    assert second[photos[0]][1] == ["my own"] and second[photos[1]][1] == []

    def both_as_before():
        for photo in photos:
            assert tags(home, photo) == first[photo]
            assert tags(other, photo) == second[photo]

    other.run("run", "--once", "--take-over")
    assert seconds_words(home)
    home.once()
    assert seconds_words(home)
    both_as_before()
    home.run("take-over", str(home.inbox))
    home.once()
    assert words(home) == mine
    other.once()
    assert words(home) == mine
    both_as_before()


def test_untag_by_the_second_takes_only_its_own(home, other, scenes):
    photos = fill(home, scenes, 2)
    home.once()
    mine, before = words(home), versions(home)
    other.once()
    other.run("untag", "--all")
    assert words(home) == mine and versions(home) == before
    other.run("restore", *photos)
    other.run("run", "--once", "--take-over")
    assert seconds_words(home)
    home.run("untag", "--all")
    assert seconds_words(home)
    home.run("restore", *photos)
    other.run("untag", "--all")
    assert words(home) == set() and not list(home.inbox.glob("*.xmp"))


@pytest.mark.parametrize("lost", ["state", "writer.json", "moved", "marker", "writer line"])
def test_the_owner_goes_on_after_a_loss(lost, home, scenes):
    photos = fill(home, scenes, 2)
    home.once()
    marker = home.inbox / MARKER
    if lost == "state":
        shutil.rmtree(home.state)
    elif lost == "writer.json":
        (home.state / lost).unlink()
    elif lost == "moved":
        os.rename(home.state, home.folder / "elsewhere")
        home.configure(state_dir=str(home.folder / "elsewhere"))
        home.state = home.folder / "elsewhere"
    elif lost == "marker":
        marker.unlink()
    else:  # of an older version
        first = marker.read_text().split("\n")[0]
        marker.write_text(first + "\nKeep it.\n")
    shutil.copyfile(scenes[2], home.inbox / "new.jpg")
    home.once()
    assert (home.inbox / "new.jpg.xmp").exists()
    assert all(tags(home, photo)[0] for photo in photos)
    assert read_writer(str(home.inbox)) is not None
    assert root_of(home).get("not_written", "") == ""


def test_a_copied_state_directory_is_another_tagger(home, other, scenes):
    fill(home, scenes, 2)
    home.once()
    shutil.rmtree(other.state, ignore_errors=True)
    shutil.copytree(home.state, other.state)
    shutil.copyfile(scenes[2], home.inbox / "new.jpg")
    other.once()
    assert not (home.inbox / "new.jpg.xmp").exists()
    home.once()
    assert (home.inbox / "new.jpg.xmp").exists()


def test_a_root_inside_anothers_root_and_around_it(home, other, scenes):
    sub = home.inbox / "sub" / "deep"
    sub.mkdir(parents=True)
    shutil.copyfile(scenes[0], home.inbox / "a.jpg")
    shutil.copyfile(scenes[1], sub / "b.jpg")
    other.configure(watch=[{"path": str(home.inbox / "sub")}])
    home.once()
    other.once()
    assert not seconds_words(home) and "another tagger" in root_of(other)["not_written"] + str(
        other.json("doctor")
    )
    other.run("run", "--once", "--take-over")
    text = (sub / "b.jpg.xmp").read_bytes()
    assert b"Second" in text
    home.once()
    assert (sub / "b.jpg.xmp").read_bytes() == text
    assert tags(home, sub / "b.jpg")[0]
    home.run("take-over", str(home.inbox / "sub"))
    home.once()
    other.once()
    assert b"Second" not in (sub / "b.jpg.xmp").read_bytes()
    home.run("take-over", str(sub), code=2)
    home.run("take-over", "/no/such", code=2)


def test_who_writes_nothing_claims_nothing(home, other, scenes):
    fill(home, scenes, 1)
    home.configure(write={"target": "none"})
    home.once()
    home.configure(
        write={"target": "sidecar-xmp"}, watch=[{"path": str(home.inbox), "read_only": True}]
    )
    home.once()
    assert read_writer(str(home.inbox)) is None
    home.run("take-over", str(home.inbox), code=2)
    other.once()
    assert seconds_words(home)
