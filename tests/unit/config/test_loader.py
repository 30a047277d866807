"""The config file: what is accepted, and how mistakes are told."""

from __future__ import annotations

import dataclasses
import os

import pytest

from tagger.config.example import example_config
from tagger.config.loader import config_places, find_config, load_config, parse_config
from tagger.config.schema import Config, LabelsConfig, WatchRoot
from tagger.errors import ConfigError
from tests.conftest import PROJECT

EXAMPLE = PROJECT / "config.example.yaml"


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_config(text, "/etc/c.yaml")
    return [line.strip() for line in str(caught.value).splitlines()[1:]]


def test_an_empty_file_is_all_defaults():
    assert parse_config("", "/etc/c.yaml") == Config()
    assert parse_config("# nothing\n", "/etc/c.yaml") == Config()
    assert parse_config("labels:\nwatch:\n", "/etc/c.yaml") == Config()


def test_the_example_is_what_the_code_says_and_holds_every_default():
    assert EXAMPLE.read_text(encoding="utf-8") == example_config()
    config = load_config(str(EXAMPLE))
    home = os.path.expanduser("~/Pictures")
    assert config == dataclasses.replace(Config(), watch=(WatchRoot(home),))


def test_values_arrive_in_their_records():
    config = parse_config(
        "state_dir: ~/s\nwatch:\n  - {path: in, mode: poll, ignore: ['*.x']}\n"
        "settle_seconds: 1\nmodel: {name: resnet50, weights: w.pth}\n"
        "labels: {threshold: 0.5, crops: 1, rename: {dog: Hund}, exclude: [cat]}\n"
        "write: {target: none}\nlog: {format: json}\n",
        "/etc/tagger/c.yaml",
    )
    assert config.state_dir == os.path.expanduser("~/s")
    assert config.watch == (WatchRoot("/etc/tagger/in", mode="poll", ignore=("*.x",)),)
    assert config.settle_seconds == 1.0
    assert config.model.weights == "/etc/tagger/w.pth"
    assert config.labels == LabelsConfig(
        threshold=0.5, crops=1, rename={"dog": "Hund"}, exclude=("cat",)
    )
    assert (config.write.target, config.log.format) == ("none", "json")


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("yolox_tiny", "yolox_tiny"),
        ("none", "none"),
        ("own/yolox.onnx", "/etc/tagger/own/yolox.onnx"),
        ("yolox.onnx", "/etc/tagger/yolox.onnx"),
        ("/m/yolox.onnx", "/m/yolox.onnx"),
        ("~/yolox.onnx", os.path.expanduser("~/yolox.onnx")),
    ],
)
def test_a_network_is_named_or_its_file_is(value, read):
    config = parse_config(f"model: {{detector: {value}}}", "/etc/tagger/c.yaml")
    assert config.model.detector == read


def test_all_mistakes_are_told_at_once_with_line_and_key():
    found = problems(
        "watch:\n  - path: a\n    mode: sometimes\n  - paht: b\nsettle_seconds: soon\n"
        "write:\n  target: sidecar\n  preserve_mtime: 1\nlabels: {threshold: 1.5, crops: 2}\n"
        "modle: {}\nlog: [text]\n"
    )
    assert found == [
        "line 3: watch[0].mode: must be one of auto, events, poll",
        "line 4: watch[1].paht: unknown key; did you mean `path`?",
        "line 5: settle_seconds: must be a number",
        "line 7: write.target: must be one of sidecar-xmp, sidecar-json, embed, none; "
        "did you mean `sidecar-xmp`?",
        "line 8: write.preserve_mtime: must be true or false",
        "line 9: labels.crops: must be one of 1, 3",
        "line 9: labels.threshold: must be between 0 and 1",
        "line 10: modle: unknown key; did you mean `model`?",
        "line 11: log: it must hold `key: value` lines",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("watch:\n  - {}", "line 2: watch[0]: `path` is missing"),
        ("watch: inbox", "line 1: watch: must be a list (lines that begin with `- `)"),
        (
            "watch:\n - path: a\n - path: ./a",
            "line 3: watch[1].path: the same folder as watch[0]; keep one",
        ),
        ("rescan_seconds: .nan", "line 1: rescan_seconds: must be between 1 and 86400"),
        ("model: {threads: 1.5}", "line 1: model.threads: must be a whole number"),
        ("state_dir: ", "line 1: state_dir: must be a text"),
        ("state_dir: a\nstate_dir: b", "line 2: state_dir: given twice; keep one"),
        ("- a", "line 1: the file must hold `key: value` lines"),
    ],
)
def test_each_mistake_says_what_to_do(text, said):
    assert problems(text) == [said]


def test_yaml_that_is_none_names_its_line():
    with pytest.raises(ConfigError, match=r"/etc/c.yaml: line 2: "):
        parse_config("a: 1\n\tb: [", "/etc/c.yaml")


def test_the_file_is_found_where_it_is_documented(tmp_path):
    given = tmp_path / "given.yaml"
    assert config_places({"TAGGER_CONFIG": "/x.yaml"}) == ("/x.yaml",)
    places = config_places({"XDG_CONFIG_HOME": str(tmp_path)})
    assert places == (f"{tmp_path}/tagger/config.yaml", "/etc/tagger/config.yaml")
    assert config_places({})[0] == os.path.expanduser("~/.config/tagger/config.yaml")
    with pytest.raises(ConfigError, match="tagger init"):
        find_config(str(given), {})
    given.write_text("")
    assert find_config(str(given), {}) == str(given)
    assert find_config(None, {"TAGGER_CONFIG": str(given)}) == str(given)


def test_unreadable_files_are_told(tmp_path):
    (tmp_path / "latin.yaml").write_bytes(b"state_dir: caf\xe9")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(str(tmp_path / "latin.yaml"))
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(str(tmp_path))


def test_the_innermost_folder_owns_a_photo():
    config = Config(watch=(WatchRoot("/a"), WatchRoot("/a/b"), WatchRoot("/a/bc")))
    assert config.root_of("/a/b/x.jpg") == WatchRoot("/a/b")
    assert config.root_of("/a/x.jpg") == WatchRoot("/a")
    assert config.root_of("/a/bc/d/x.jpg") == WatchRoot("/a/bc")
    assert config.root_of("/ab/x.jpg") is None


def test_rules_arrive_with_their_folders():
    config = parse_config(
        "rules:\n  - query: dog not person\n    copy_to: dogs\n    run: [/bin/echo, 1, '{path}']\n"
        "  - {name: hook, query: cat, webhook: 'https://me:pw@[::1]:8123/x?y', tag: katze}\n",
        "/etc/tagger/c.yaml",
    )
    first, second = config.rules
    assert (first.key, first.copy_to) == ("dog not person", "/etc/tagger/dogs")
    assert first.run == ("/bin/echo", "1", "{path}")
    assert first.actions == ("copy_to", "run")
    assert (second.key, second.actions) == ("hook", ("tag", "webhook"))
    assert second.address is not None
    assert (second.address.hostname, second.address.port) == ("::1", 8123)
    assert parse_config("rules:\n", "/etc/c.yaml").rules == ()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("{tag: x}", "line 2: rules[0]: `query` is missing"),
        ("{query: ' ', tag: x}", "line 2: rules[0].query: it is empty"),
        ("{query: dog}", "line 2: rules[0].query: the rule does nothing"),
        ("{query: dog, run: ls -l}", "line 2: rules[0].run: must be a list"),
        ("{query: dog, run: [./x]}", "line 2: rules[0].run: ./x is relative to no folder"),
        ("{query: dog, run: [~/x]}", "line 2: rules[0].run: ~/x is relative to no folder"),
        ("{query: dog, webhook: 'ftp://x/'}", "line 2: rules[0].webhook: it is no http or https"),
        ("{query: dog, webhook: 'http://'}", "line 2: rules[0].webhook: it is no http or https"),
        ("{query: d, webhook: 'http://a:b/'}", "line 2: rules[0].webhook: it is no http or https"),
        ("{query: d, webhook: 'http://a/ b'}", "line 2: rules[0].webhook: it is no http or https"),
        ("{query: dog, tag: x, timeout_seconds: 0}", "line 2: rules[0].timeout_seconds: must be"),
        (
            "{query: dog, mvoe_to: x}",
            "line 2: rules[0].mvoe_to: unknown key; did you mean `move_to`",
        ),
        (
            "{query: dog, tag: x}\n  - {query: dog, tag: y}",
            "line 3: rules[1]: it has the query of rules[0]; give both a name",
        ),
        (
            "{query: dog, tag: x, name: a}\n  - {query: cat, tag: y, name: a}",
            "line 3: rules[1]: it has the `name` of rules[0]; give each its own",
        ),
    ],
)
def test_mistakes_in_rules_are_told_with_their_line(rule, said):
    assert problems(f"rules:\n  - {rule}\n")[0].startswith(said)
