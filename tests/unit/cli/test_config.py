"""``tagger config check`` and the first errors a user meets."""

from __future__ import annotations

import json


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


def test_what_is_better_done_otherwise_is_noted(home):
    home.configure(labels={"prefix": "auto|"})
    out = home.run("config", "check")
    assert "Note: labels.prefix: digiKam keeps its own automatic tags under `auto`" in out
    results = [r for r in json.loads(home.run("doctor", "--json")) if r["name"] == "config"]
    assert [r["state"] for r in results] == ["ok", "warning"]
    assert results[1]["remedy"] == (
        "where digiKam reads the photos, choose another root, such as `AI|`"
    )


def test_rules_are_checked(home):
    there = home.folder / "there"
    there.mkdir()
    rules = [
        {"query": "dog and", "tag": "x"},
        {"query": "dog", "tag": "a/b"},
        {"query": "cat", "copy_to": str(there)},
    ]
    home.configure(rules=rules)
    home.run("config", "check", code=2)
    assert "rules[0].query: nothing follows `and`" in home.err
    assert "rules[1].tag: 'a/b' cannot be a keyword: it has a `/`" in home.err
    home.run("run", "--once", code=78)
    rules = [
        {"name": "r", "query": "lbrador", "run": ["no-such-program"], "move_to": str(there / "x")},
        {"name": "s", "query": "dog", "move_to": str(there)},
        {"name": "t", "query": "dog", "move_to": str(there), "webhook": "http://example.org/x"},
    ]
    home.configure(rules=rules)
    out = home.run("config", "check")
    for said in (
        "rule 'r': `lbrador` is no label, and no photo has it as a keyword",
        f"rule 'r': move_to: {there}/x is not there; make it, or mount its disk",
        "rule 'r': run: no-such-program is not there",
        "rule 't': move_to: the same photos meet the rule 's' as well, which moves them first",
    ):
        assert f"Note: {said}" in out
    assert "rule 's'" not in out.replace("the rule 's'", "")
    states = {
        r["name"]: r["state"]
        for r in json.loads(home.run("doctor", "--json", code=1))
        if r["name"].startswith("rule")
    }
    assert states == {"rule r": "error", "rule s": "ok", "rule t": "warning"}
