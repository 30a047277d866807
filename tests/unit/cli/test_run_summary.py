"""What ``tagger run --once`` and ``tagger init`` say at the end."""

from __future__ import annotations

import shutil

from tests.support.terminal import at_a_terminal


def test_what_was_found_is_said_at_the_end(home, scenes):
    for scene in scenes:
        shutil.copy2(scene, home.inbox)
    home.use_converted_model()
    said = home.run("run", "--once")
    lines = said.splitlines()
    assert lines[0].startswith(f"{len(scenes)} photos looked at")
    (general,) = [line for line in lines if line.startswith("By label: ")]
    (frequent,) = [line for line in lines if line.startswith("The most frequent: ")]
    assert frequent.count(",") <= 4 and general.split()[-1].isdecimal()
    (see,) = [line for line in lines if line.startswith("See them: ")]
    words = see.partition("query ")[2].strip("'\"")
    assert see.startswith(f"See them: tagger --config {home.config} query ")
    assert home.run("query", words).splitlines(), "the line finds them"
    first, count = frequent.removeprefix("The most frequent: ").split(",")[0].rsplit(" ", 1)
    assert home.run("query", "--count", f'"{first}"').strip() == count
    assert home.run("run", "--once") == "No new photos.\n"


def test_photos_that_say_nothing_and_fail_are_counted(home, scenes):
    from PIL import Image

    Image.new("RGB", (64, 64), "grey").save(home.inbox / "grey.png")
    (home.inbox / "broken.jpg").write_bytes(b"\xff\xd8\xff" + b"no" * 500 + b"\xff\xd9")
    home.use_converted_model()
    said = home.run("run", "--once")
    assert "1 photo looked at, 1 says nothing, 1 failed." in said or "1 failed" in said


def test_first_photos_are_tagged_at_the_end_of_init(home, scenes, demo_weights):
    import sys

    from tagger.config.loader import load_config

    for scene in scenes[:2]:
        shutil.copy2(scene, home.inbox)
    place = home.folder / "new" / "config.yaml"
    command = [sys.executable, "-m", "tagger", "--config", str(place), "init", "--yes"]
    environ = home.environ() | {
        "TERM": "dumb",
        "TAGGER_MODEL_DIR": str(demo_weights.parent),
        "TAGGER_MODEL_URL": "http://127.0.0.1:9/",
        "XDG_STATE_HOME": str(home.folder / "xdg"),
    }
    shown = at_a_terminal([*command, "--first", "2", str(home.inbox)], [], environ)
    assert "2 photos looked at" in shown and "See them: tagger --config" in shown
    assert "The page is then at http://127.0.0.1:5000/" in shown and "█" in shown
    assert load_config(str(place)).web.enabled
    assert list(home.inbox.glob("*.xmp")), "tags were written"


def test_without_weights_and_network_init_says_so_and_ends(home, scenes, tmp_path_factory):
    import sys

    shutil.copy2(scenes[0], home.inbox)
    place = home.folder / "new" / "config.yaml"
    command = [sys.executable, "-m", "tagger", "--config", str(place), "init", "--yes"]
    environ = home.environ() | {
        "TERM": "dumb",
        "TAGGER_MODEL_DIR": str(tmp_path_factory.mktemp("none")),
        "TAGGER_MODEL_URL": "http://127.0.0.1:9/",
        "XDG_STATE_HOME": str(home.folder / "xdg"),
    }
    shown = at_a_terminal([*command, str(home.inbox)], [], environ)
    assert "Note: no weights of resnet18 found" in shown and "tagger model download" in shown
    assert "No new photos" not in shown and "Start tagging with:" in shown
