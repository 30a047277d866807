"""Tags taken away, given back and added on the page: in the index, and in the files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tagger.config.loader import load_config
from tagger.errors import PhotoVanishedError
from tagger.index.reader import open_reader
from tagger.index.store import Store
from tagger.library.edit import TagEditor
from tagger.metadata.xmp import edit, properties
from tagger.metadata.xmp import packet as xmp_packet
from tagger.records import FileStat
from tagger.web.edits import AT_ONCE, Edits
from tests.support.tagged_page import PAGE, labels, opened, words_in

TARGETS = ["sidecar-xmp", "sidecar-json", "embed"]


@pytest.mark.parametrize("target", TARGETS)
def test_a_label_goes_from_file_and_index_and_comes_back(home, tagged, target):
    client, photo, url = tagged(target)
    root, group, leaf = client.get(url).json["tags"][0]["path"]
    answer = client.delete(f"{url}/tags?label={group}", headers=PAGE)
    assert answer.status_code == 200, answer.json
    assert labels(answer.json, "model") == [root]
    assert set(answer.json["removed_by_you"]) == {group, leaf}
    assert words_in(photo, target) == [root]
    assert home.once() == [], "the daemon has nothing to do about it"

    answer = client.post(f"{url}/restore?label={leaf}", headers=PAGE)
    assert answer.json["removed_by_you"] == [group]
    assert [line["how"] for line in home.once()] == ["known"]
    assert set(words_in(photo, target)) == {root, leaf}
    client.post(f"{url}/restore", headers=PAGE)
    home.once()
    assert set(words_in(photo, target)) == {root, group, leaf}


@pytest.mark.parametrize("target", ["embed"])
def test_the_whole_photo_becomes_what_it_was_and_is_left_alone(home, tagged, scenes, target):
    client, photo, url = tagged(target)
    answer = client.post(f"{url}/untag", headers=PAGE)
    assert (answer.json["tags"], answer.json["untagged_by_you"]) == ([], True)
    assert photo.read_bytes() == scenes[0].read_bytes()
    assert [p.name for p in home.inbox.iterdir() if p.name != ".tagger-root"] == ["x.jpg"]
    assert home.once() == []
    answer = client.post(f"{url}/restore", headers=PAGE)
    assert answer.json["untagged_by_you"] is False
    home.once()
    assert words_in(photo, target)


@pytest.mark.parametrize("target", TARGETS)
def test_an_added_keyword_is_the_users_and_no_untag_takes_it(home, tagged, target):
    client, photo, url = tagged(target)
    ours = set(words_in(photo, target))
    answer = client.post(f"{url}/tags?label=Tante+Käthe", headers=PAGE)
    assert answer.status_code == 200, answer.json
    assert labels(answer.json, "user") == ["Tante Käthe"]
    assert set(labels(answer.json, "model")) == ours
    assert set(words_in(photo, target)) == ours | {"Tante Käthe"}
    for entry in answer.json["written"]:
        assert "Tante Käthe" not in str(entry["added"])
    assert home.run("query", "tante käthe") == f"{photo}\n"
    assert home.once() == [], "the index knows what is in the file"

    answer = client.post(f"{url}/tags?label=TANTE+KÄTHE", headers=PAGE)
    assert answer.status_code == 409

    before = [p.read_bytes() for p in sorted(home.inbox.iterdir()) if p.is_file()]
    client.post(f"{url}/tags?label=Rügen", headers=PAGE)
    assert {"Tante Käthe", "Rügen"} < set(words_in(photo, target))
    assert before != [p.read_bytes() for p in sorted(home.inbox.iterdir()) if p.is_file()]

    answer = client.post(f"{url}/untag", headers=PAGE)
    assert set(labels(answer.json, "user")) == {"Tante Käthe", "Rügen"}
    assert set(words_in(photo, target)) == {"Tante Käthe", "Rügen"}
    assert home.once() == []
    assert home.run("query", "rügen") == f"{photo}\n"


def test_programs_that_read_one_property_only_find_an_added_keyword(tagged):
    client, photo, url = tagged("sidecar-xmp")
    client.post(f"{url}/tags?label=Oma", headers=PAGE)
    client.post(f"{url}/untag", headers=PAGE)
    packet = xmp_packet.parse(Path(f"{photo}.xmp").read_bytes())
    for name in properties.KEYWORD_PROPERTIES:
        assert packet.texts(name) == ("Oma",)
    assert not packet.has_ours()


@pytest.mark.parametrize("target", ["sidecar-xmp", "sidecar-json"])
def test_taking_one_of_our_labels_for_ones_own_keeps_it(home, tagged, target):
    client, photo, url = tagged(target)
    root, *_ = client.get(url).json["tags"][0]["path"]
    answer = client.post(f"{url}/tags?label={root}", headers=PAGE)
    assert answer.status_code == 200, answer.json
    assert root in labels(answer.json, "user")
    client.post(f"{url}/untag", headers=PAGE)
    assert words_in(photo, target) == [root]
    (home.state / "index.sqlite3").unlink()  # now only the file tells whose it is
    home.once()
    home.run("untag", str(photo))
    assert words_in(photo, target) == [root]


@pytest.mark.parametrize("target", ["sidecar-xmp", "embed"])
def test_a_keyword_for_a_photo_without_our_tags(tagged, target):
    client, photo, url = tagged(target)
    client.post(f"{url}/untag", headers=PAGE)
    answer = client.post(f"{url}/tags?label=Oma", headers=PAGE)
    assert labels(answer.json, "user") == ["Oma"]
    assert answer.json["untagged_by_you"] is True
    assert words_in(photo, target) == ["Oma"]


def test_an_edit_of_another_program_stays_when_a_keyword_is_added(home, tagged):
    client, photo, url = tagged("sidecar-xmp")
    sidecar = Path(f"{photo}.xmp")
    packet, _ = edit.add(sidecar.read_bytes(), {properties.SUBJECT: ("from digiKam",)}, "digiKam")
    sidecar.write_bytes(packet)
    answer = client.post(f"{url}/tags?label=Oma", headers=PAGE)
    assert set(labels(answer.json, "user")) == {"from digiKam", "Oma"}
    client.post(f"{url}/untag", headers=PAGE)
    assert set(words_in(photo, "sidecar-xmp")) == {"from digiKam", "Oma"}


class Disturbed(Store):
    """An index during whose next write another program changes ``file``."""

    file: Path | None = None

    def intend(self, writes: Any) -> None:
        super().intend(writes)
        if self.file is not None:
            self.file.write_bytes(self.file.read_bytes() + b"\n")
            self.file = None


def test_what_another_program_disturbs_is_told_and_done_the_next_time(home, tagged):
    """Of two files the first is changed, the second cannot be: it is known what is where."""
    client, photo, url = tagged("sidecar-xmp")
    ours = set(words_in(photo, "sidecar-xmp"))
    root, group, leaf = client.get(url).json["tags"][0]["path"]
    # Tags leave the sidecar with this change; only the journal can tell whose they are.
    home.configure(write={"target": "embed", "provenance": False})
    config = load_config(str(home.config))
    with Disturbed(config.state_dir) as store:
        untagger = TagEditor(config, store)
        store.file = Path(f"{photo}.xmp")
        with pytest.raises(PhotoVanishedError):
            untagger.remove(str(photo), [leaf])
        assert store.pending() == []
        untagger.remove(str(photo), [leaf])
        untagger.add(str(photo), "Oma")
        row = store.photo(str(photo))
        tags = store.tags(row.id)
    assert {tag.label for tag in tags if tag.source == "user"} == {"Oma"}
    assert {tag.label for tag in tags if tag.source == "model"} == {root, group} == ours - {leaf}
    assert set(words_in(photo, "embed")) == {root, group, "Oma"}
    assert words_in(photo, "sidecar-xmp") == []


@pytest.mark.parametrize(
    ("word", "why"),
    [("a/b", "levels"), ("a|b", "levels"), ("a,b", "separate"), ("a;b", "separate"),
     ("a\x07b", "cannot be written"), ("\x7f", "cannot be written"), ("x" * 65, "65 characters"),
     ("a\u2028b", "cannot be written"), ("\ufffe", "empty")],
)  # fmt: skip
def test_what_cannot_be_a_keyword_is_told(client, site, word, why):
    number = site.add("dog.jpg")
    url = f"/api/v1/photos/{number}/tags"
    answer = client.post(url, query_string={"label": word}, headers=PAGE)
    assert answer.status_code == 400
    assert why in answer.json["error"]


@pytest.mark.parametrize("word", ["", "   ", "x" * 300])
def test_a_missing_word_is_told(client, site, word):
    number = site.add("dog.jpg")
    for method in ("POST", "DELETE"):
        url = f"/api/v1/photos/{number}/tags"
        answer = client.open(url, method=method, query_string={"label": word}, headers=PAGE)
        assert answer.status_code == 400, method


def test_where_nothing_is_written_no_keyword_is_added(home, tagged):
    client, _, url = tagged("none")
    number = url.rpartition("/")[2]
    assert 'id="add"' not in client.get(f"/photos/{number}").text
    answer = client.post(f"{url}/tags?label=Oma", headers=PAGE)
    assert answer.status_code == 409
    assert "write.target" in answer.json["remedy"]
    assert [p.name for p in home.inbox.iterdir() if p.name != ".tagger-root"] == ["x.jpg"]


def test_what_cannot_be_changed_says_why(client, site):
    number = site.add("gone.jpg")
    url = f"/api/v1/photos/{number}"
    assert client.post(f"{url}/untag", headers=PAGE).status_code == 404
    (site.inbox / "gone.jpg").symlink_to(site.outside / "secret.jpg")
    (site.outside / "secret.jpg").write_bytes(b"secret")
    assert client.post(f"{url}/untag", headers=PAGE).status_code == 404
    assert client.post(f"{url}/tags?label=Oma", headers=PAGE).status_code == 404
    assert sorted(p.name for p in site.outside.iterdir()) == ["secret.jpg"]
    other = site.remember(str(site.outside / "secret.jpg"))
    assert client.post(f"/api/v1/photos/{other}/untag", headers=PAGE).status_code == 404
    there = site.add("dog.jpg", "beagle", data=b"anything")
    answer = client.delete(f"/api/v1/photos/{there}/tags?label=cat", headers=PAGE)
    assert answer.status_code == 409
    assert "cat" in answer.json["error"]


def failing(site: Any, name: str) -> int:
    number = site.add(name)
    with Store(str(site.state)) as store:
        store.fail(
            str(site.inbox / name), str(site.inbox), FileStat(1, 1), None,
            kind="DamagedImageError", reason="it is damaged", permanent=True,
        )  # fmt: skip
    return number


def test_failures_are_tried_again_one_or_all(client, site):
    first, second = failing(site, "a.jpg"), failing(site, "b.jpg")
    with open_reader(str(site.state)) as reader:
        assert [one.retry_at for one in reader.failures()] == [None, None]
    answer = client.post(f"/api/v1/photos/{first}/retry", headers=PAGE)
    assert (answer.status_code, answer.json["id"]) == (200, first)
    with open_reader(str(site.state)) as reader:
        due = {one.path: one.retry_at for one in reader.failures()}
    assert due == {str(site.inbox / "a.jpg"): 0, str(site.inbox / "b.jpg"): None}
    assert client.post("/api/v1/failures/retry", headers=PAGE).json == {"count": 2}
    with Store(str(site.state)) as store:
        assert set(store.due()) == set(due)
    text = client.get("/failures").text
    assert f'data-url="/api/v1/photos/{second}/retry"' in text
    assert 'data-url="/api/v1/failures/retry"' in text


def test_the_daemon_is_asked_to_look_at_once(site, manager):
    numbers = [failing(site, f"{n}.jpg") for n in range(3)]
    edits = Edits(site.config, manager)
    with open_reader(str(site.state)) as reader:
        row = reader.photo(str(site.inbox / "1.jpg"))
    edits.retry(row)
    assert manager.hints.paths == [row.path]
    assert edits.retry_all([f"{site.inbox}/{n}.jpg" for n in range(500)]) == len(numbers)
    assert len(manager.hints.paths) == 1 + AT_ONCE


def test_beside_a_running_daemon_what_is_given_back_is_written_at_once(home, scenes, eventually):
    shutil.copy2(scenes[0], home.inbox / "x.jpg")
    photo = home.inbox / "x.jpg"
    home.start()
    eventually(lambda: words_in(photo, "sidecar-xmp"), 60)
    client = opened(home)
    eventually(lambda: client.get("/api/v1/photos").json["photos"])
    [found] = client.get("/api/v1/photos").json["photos"]
    url, ours = f"/api/v1/photos/{found['id']}", set(words_in(photo, "sidecar-xmp"))
    leaf = found["tags"][0]["path"][-1]
    answer = client.delete(f"{url}/tags?label={leaf}", headers=PAGE)
    assert answer.status_code == 200, answer.json
    assert set(words_in(photo, "sidecar-xmp")) == ours - {leaf}
    assert client.post(f"{url}/tags?label=Oma", headers=PAGE).status_code == 200
    assert client.post(f"{url}/restore", headers=PAGE).status_code == 200
    eventually(lambda: set(words_in(photo, "sidecar-xmp")) == ours | {"Oma"}, 10)
    eventually(lambda: set(labels(client.get(url).json, "model")) == ours, 10)
    assert labels(client.get(url).json, "user") == ["Oma"]
    assert not [json.dumps(line) for line in home.logged() if line["level"] == "error"]


def test_the_photo_page_offers_what_can_be_done(tagged):
    client, _, url = tagged("sidecar-xmp")
    number = url.rpartition("/")[2]
    text = client.get(f"/photos/{number}").text
    tag = client.get(url).json["tags"][0]
    assert f'data-url="/api/v1/photos/{number}/tags?label=' in text
    assert f'aria-label="Remove {tag["path"][0]} and what is below it"' in text
    assert 'id="untag"' in text and 'id="add"' in text and 'id="restore"' not in text
    assert "the most specific that is sure" in text
    client.post(f"{url}/untag", headers=PAGE)
    text = client.get(f"/photos/{number}").text
    assert 'id="untag"' not in text and 'id="restore"' in text
    assert "removed by you" in text
