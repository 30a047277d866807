"""``tagger config check`` and the first errors a user meets."""

from __future__ import annotations


def test_all_mistakes_are_told(home):
    home.config.write_text("watch: [{paht: x}]\nsettle_secs: 1\n")
    home.run("config", "check", code=2)
    assert "did you mean `path`?" in home.err
    assert "did you mean `settle_seconds`?" in home.err
    home.run("run", code=78)
    assert "has 2 mistakes" in home.err


def test_labels_and_models_are_checked_with_the_nearest_name(home):
    home.configure(labels={"exclude": ["labrador retreiver"], "language": "eng"})
    home.run("config", "check", code=2)
    assert "Labrador retriever" in home.err
    home.configure(labels={}, model={"name": "resnet81"})
    home.run("config", "check", code=2)
    assert "resnet18" in home.err


def test_without_a_config_file_the_way_to_one_is_told(home):
    home.config.unlink()
    home.run("run", code=78)
    assert "tagger init" in home.err
    assert home.err.count("\n") == 1


def test_a_config_that_watches_nothing(home):
    home.configure(watch=[])
    home.run("run", "--once", code=78)
    assert "watches no folder" in home.err


def test_model_commands(home):
    listed = home.json("model", "list")
    names = [row["name"] for row in listed]
    assert {"resnet18", "resnet50", "mobilenet_v2"} <= set(names)
    [configured] = [row for row in listed if row["configured"]]
    assert configured["path"] == home.settings["model"]["weights"]
    assert home.run("model", "path").strip() == configured["path"]
    home.run("model", "path", "resnet50", code=2)
    assert "resnet50" in home.err
    assert "tagger model download" in home.err
