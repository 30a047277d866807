"""The words of the user's own: taught by photos, keywords, folders and answers; found and kept."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys

import pytest

from tagger.config.loader import load_config
from tagger.index.connection import index_path
from tagger.index.store import Store
from tagger.index.taught_tables import TAUGHT_NAME
from tagger.library.edit import TagEditor
from tagger.library.questions import Questions
from tagger.library.teach import Teacher
from tagger.system.state_dir import daemon_runs
from tests.conftest import Home, wait_until

EACH = 6


def commented(jpeg: bytes, comment: str) -> bytes:
    """Return the same picture in other bytes."""
    data = comment.encode()
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", 2 + len(data)) + data + jpeg[2:]


@pytest.fixture(scope="module")
def home(tmp_path_factory, demo_weights, converted_demo):
    """Return a home with some photos of each of many drawn scenes, tagged."""
    from tagger.cli.demo.scenes import SCENES, draw

    home = Home(tmp_path_factory.mktemp("taught"), demo_weights, labels={"precision": 0.9})
    home.converted = lambda: converted_demo(demo_weights)
    home.daemons = []
    for scene in SCENES:
        for number in range(EACH):
            path = home.inbox / f"{scene.name} {number}.jpg"
            draw(scene, 1000 + 37 * number).save(path, quality=90)
    home.once()
    yield home
    for daemon in home.daemons:
        daemon.terminate()
        daemon.wait(20)


@pytest.fixture
def library(home):
    """Return by scene its photos; nothing has been taught."""
    yield {
        name: sorted(home.inbox.glob(f"{name} *.jpg"))
        for name in dict.fromkeys(p.name.rpartition(" ")[0] for p in home.inbox.glob("* *.jpg"))
    }
    home.configure(teach={})
    for one in home.json("teach", "--list"):
        home.run("teach", one["label"], "--forget")
    home.once()


def carrying(home, label):
    return sorted(home.run("query", f'"{label}"').splitlines())


def in_sidecar(photo, word):
    sidecar = photo.with_name(photo.name + ".xmp")
    return sidecar.exists() and f"<rdf:li>{word}</rdf:li>" in sidecar.read_text()


def answer(home, label, photos, count):
    """Answer so many questions by ``photos``, which show the label; return the photos asked."""
    config = load_config(str(home.config))
    asked = []
    with Store(config.state_dir) as store:
        questions = Questions(config, store, Teacher(config, store).find(label))
        for _ in range(count):
            question = questions.next()
            assert question is not None
            assert question.path not in asked
            asked.append(question.path)
            questions.answer(question.photo_id, question.path in photos)
    return asked


def test_three_photos_and_some_answers_teach_a_word_and_no_photo_is_opened(home, library):
    photos = library["mountain"]
    said = home.run("teach", "our place", *map(str, photos[:3]))
    assert "next `tagger run`" in said
    before = {path: path.stat().st_atime_ns for some in library.values() for path in some}
    lines = home.once()
    assert all(line["how"] == "known" for line in lines)
    found = carrying(home, "our place")
    assert set(map(str, photos[:3])) <= set(found) <= set(map(str, photos))
    answer(home, "our place", [*map(str, photos)], 6)
    home.once()
    assert {path: path.stat().st_atime_ns for path in before} == before
    found = carrying(home, "our place")
    assert len(set(found) & set(map(str, photos))) >= EACH - 1
    assert len(set(found) - set(map(str, photos))) <= 1
    assert all(in_sidecar(photo, "our place") for photo in photos[:3])
    assert home.once() == []  # nothing differs
    tags = home.json("show", str(photos[0]))["tags"]
    assert [tag["source"] for tag in tags if tag["label"] == "our place"] == ["taught"]
    [state] = home.json("teach", "--list")
    assert (state["answers"], state["photos"]) == (6, len(found))


def test_a_place_in_the_tree_counts_and_is_undone_exactly(home, library):
    photos = library["mountain"]
    sidecars = {p: p.with_name(p.name + ".xmp").read_bytes() for p in photos}
    home.run("teach", "Mimi", "--under", "cat", "--synonym", "Mimikins", *map(str, photos[:3]))
    home.once()
    tags = {tag["label"]: tag for tag in home.json("show", str(photos[0]))["tags"]}
    assert tags["Mimi"]["path"] == ["animal", "cat", "Mimi"]
    assert tags["cat"]["source"] == "taught"
    found = carrying(home, "Mimi")
    assert carrying(home, "Mimikins") == carrying(home, "mimi") == found
    assert set(found) <= set(carrying(home, "cat"))
    assert f"Mimi  {len(found)}" in home.run("labels", "cat")
    home.run("teach", "Mimi", "--forget")
    home.once()
    assert {p: p.with_name(p.name + ".xmp").read_bytes() for p in photos} == sidecars
    assert home.json("teach", "--list") == []
    assert carrying(home, "Mimi") == []


def test_untag_and_not_keep_a_photo_without_it(home, library):
    photos = library["mountain"]
    home.run("teach", "Mimi", *map(str, photos[:3]))
    home.once()
    found = carrying(home, "Mimi")
    gone, other = found[-1], found[-2]
    home.run("untag", "--label", "Mimi", gone)
    home.run("teach", "Mimi", "--not", other)
    home.once()
    home.run("retry", "--all")
    home.once()
    assert not {gone, other} & set(carrying(home, "Mimi"))
    assert "Mimi" in home.json("show", other)["removed_by_you"]
    home.run("teach", "Mimi", other)
    home.once()
    assert other in carrying(home, "Mimi")


def test_a_new_photo_gets_it_as_it_comes(home, library):
    photos = library["mountain"]
    home.run("teach", "Mimi", *map(str, photos[:4]))
    home.once()
    new = home.inbox / "new.jpg"
    new.write_bytes(commented(photos[0].read_bytes(), "another"))
    lines = home.once()
    assert "Mimi" in next(line for line in lines if line["path"] == str(new))["tags"]
    [seen] = home.json("classify", "--explain", str(new))
    assert ("Mimi", "taught") in [(tag["label"], tag["source"]) for tag in seen["tags"]]
    [why] = [line for line in seen["explain"] if line.startswith("Mimi: taught, score ")]
    assert re.search(r"needs -?\d\.\d+\), tagged: .*nearest examples: mountain \d\.jpg \d", why)


def test_it_survives_retry_and_a_lost_index_and_can_be_carried_elsewhere(home, library, tmp_path):
    photos = library["mountain"]
    home.run("teach", "Mimi", *map(str, photos[:3]))
    home.once()
    found = carrying(home, "Mimi")
    home.run("retry", "--all")
    home.once()
    assert carrying(home, "Mimi") == found
    file = tmp_path / "taught.json"
    told = home.run("teach", "--export", str(file))
    assert "no pictures" in told
    assert str(home.inbox) not in file.read_text()
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(index_path(str(home.state)) + suffix):
            os.unlink(index_path(str(home.state)) + suffix)
    home.once()
    home.once()
    assert carrying(home, "Mimi") == found
    home.run("teach", "Mimi", "--forget")
    assert "1 labels and 3 examples" in home.run("teach", "--import", str(file))
    assert "0 labels and 0 examples" in home.run("teach", "--import", str(file))
    home.once()
    assert set(map(str, photos[:3])) <= set(carrying(home, "Mimi"))


def test_keywords_are_suggested_and_taught_only_with_a_yes(home, library):
    photos = library["mountain"]
    with Store(str(home.state)) as store:
        for photo in photos[:5]:
            TagEditor(load_config(str(home.config)), store).add(str(photo), "Grandma's")
    [found] = home.json("teach", "--suggest")
    assert (found["keyword"], found["photos"]) == ("Grandma's", 5)
    assert found["found"] > 0.5
    assert home.json("teach", "--list") == []
    assert "5 photos" in home.run("teach", "Grandma's", "--keyword")
    home.once()
    [state] = home.json("teach", "--list")
    assert state["examples"] == 5
    assert len(carrying(home, "Grandma's")) >= 5


def test_a_folder_of_examples_in_the_config(home, library, tmp_path):
    photos = library["mountain"]
    folder = tmp_path / "examples"
    folder.mkdir()
    for number, photo in enumerate(photos[:4]):
        (folder / f"{number}.jpg").write_bytes(commented(photo.read_bytes(), f"copy {number}"))
    (folder / "notes.txt").write_text("no photo")
    home.configure(teach={"animal > cat > Mimi": str(folder)})
    home.once()
    home.once()
    assert set(map(str, photos[:4])) <= set(carrying(home, "Mimi"))
    assert home.json("teach", "--list")[0]["path"] == ["animal", "cat", "Mimi"]
    (folder / "3.jpg").unlink()
    home.once()
    assert home.json("teach", "--list")[0]["examples"] == 3


def test_answers_are_asked_for_the_most_telling_first(home, library):
    photos = list(map(str, library["lemons"]))
    home.run("teach", "Mimi", *photos[:2])
    home.once()
    asked = answer(home, "mimi", photos, 10)
    assert not set(asked) & set(photos[:2])
    assert len(set(asked) & set(photos)) >= 3
    home.once()
    assert set(asked) & set(carrying(home, "Mimi")) == set(asked) & set(photos)
    assert len(set(carrying(home, "Mimi")) - set(photos)) <= 1
    [state] = home.json("teach", "--list")
    assert state["answers"] == 10


def test_questions_are_asked_on_the_command_line(home, library):
    photos = library["lemons"]
    home.run("teach", "Mimi", *map(str, photos[:2]))
    home.once()
    command = [sys.executable, "-m", "tagger", "--config", str(home.config)]
    done = subprocess.run(
        [*command, "teach", "Mimi", "--ask"],
        input="perhaps\ny\nn\ns\nq\n",
        capture_output=True,
        text=True,
        env=home.environ(),
        check=True,
    )
    assert "Is this Mimi? y: yes, n: no, s: skip, q: quit" in done.stdout
    assert "Answers: 3." in done.stdout
    asked = re.findall(re.escape(str(home.inbox)) + r"/[^/\n]*\.jpg", done.stdout)
    assert len(set(asked)) == len(asked) == 4
    home.once()
    assert asked[0] in carrying(home, "Mimi")
    assert "Mimi" in home.json("show", asked[1])["removed_by_you"]
    [state] = home.json("teach", "--list")
    assert (state["answers"], state["examples"], state["not"]) == (3, 3, 1)


def test_a_running_daemon_learns_at_once(home, library):
    photos = library["mountain"]
    daemon = home.start()
    wait_until(lambda: daemon_runs(str(home.state)), 60)
    try:
        said = home.run("teach", "Mimi", *map(str, photos[:3]))
        assert "The daemon learns it" in said
        wait_until(lambda: in_sidecar(photos[0], "Mimi"), 60)
        home.run("teach", "Mimi", "--rename", "Minka")
        wait_until(lambda: in_sidecar(photos[0], "Minka"), 60)
        assert not in_sidecar(photos[0], "Mimi")
    finally:
        daemon.terminate()
        daemon.wait(30)


def test_mistakes_say_what_to_do(home, library, tmp_path):
    photo = str(library["mountain"][0])
    for arguments, said in (
        (("dog", photo), "--extend"),
        (("Mimi", "--under", "catt", photo), "did you mean `cat`"),
        (("Mimi > ", str(tmp_path / "none.jpg")), "none.jpg"),
        (("a/b", photo), "must not hold '/'"),
        (("Mimi", "--ask"), "was never taught"),
        (("Mimi", "--forget"), "was never taught"),
        (("Mimi",), "name photos"),
        (("--list", "--ask"), "exclude each other"),
        (("holiday", "--keyword"), "0 photos have your keyword"),
        (("--import", str(home.config)), "not what `tagger teach --export` wrote"),
    ):
        home.run("teach", *arguments, code=2)
        assert said in home.err, (arguments, home.err)
    assert "One more example" in home.run("teach", "Mimi", photo)
    assert home.json("teach", "--list")[0]["missing"] == "1 more example"
    assert "never tagged" not in json.dumps(home.json("teach", "--list"))


def test_a_photo_outside_the_library_is_looked_at_on_the_spot(home, library, tmp_path):
    photos = library["mountain"]
    outside = tmp_path / "outside.jpg"
    outside.write_bytes(commented(photos[0].read_bytes(), "outside"))
    home.run("teach", "Mimi", str(outside), str(photos[1]))
    home.once()
    assert str(photos[1]) in carrying(home, "Mimi")
    assert outside.read_bytes() == commented(photos[0].read_bytes(), "outside")
    assert (home.state / TAUGHT_NAME).exists()
