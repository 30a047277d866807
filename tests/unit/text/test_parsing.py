"""JSON and YAML that would end the program: too deep, too large, numbers that are none."""

from __future__ import annotations

import json
import os

import pytest
import yaml

from tagger.classify.digest_cache import DigestCache
from tagger.classify.onnx_store import read_json
from tagger.config.edit import with_value
from tagger.config.loader import load_config
from tagger.errors import ConfigError, RefusedError
from tagger.index.decision_import import read_lines
from tagger.labels.yaml_parser import parse_names
from tagger.metadata import json_sidecar
from tagger.system.state_dir import read_heartbeat
from tagger.text.parsing import compose_yaml, parse_json
from tagger.watch.root_identity import RootMemory
from tagger.web.auth.sessions import FILE, Sessions

DEEP = "[" * 100_000
LOADERS = [yaml.SafeLoader, getattr(yaml, "CSafeLoader", yaml.SafeLoader)]
BAD_JSON = {
    "deep": DEEP,
    "deep objects": '{"a":' * 100_000,
    "endless": "1" + "0" * 5000,
    "400 zeros": '{"a": 1' + "0" * 400 + "}",
    "infinity": '{"a": Infinity}',
    "overflow": '{"a": 1e999}',
    "nan": '{"a": [NaN]}',
    "none": "{",
}


@pytest.mark.parametrize("text", BAD_JSON.values(), ids=BAD_JSON.keys())
@pytest.mark.parametrize("encoded", [True, False])
def test_json_that_is_not_sound_is_refused(text, encoded):
    with pytest.raises(ValueError):
        parse_json(text.encode() if encoded else text)


def test_sound_json_is_taken():
    said = {"a": [1, -2.5, None, "caf\udce9", 2**64], "b": {"c": True}}
    assert parse_json(json.dumps(said)) == said


@pytest.mark.parametrize("text", BAD_JSON.values(), ids=BAD_JSON.keys())
def test_no_state_file_that_is_not_sound_stops_a_start(tmp_path, text):
    for name in ("status.json", "roots.json", "sessions.json", "digests.json", "model.json"):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    (tmp_path / "decisions.jsonl").write_text(text + "\n")
    assert not read_heartbeat(str(tmp_path)).keys() - {"a"}
    assert RootMemory(str(tmp_path)).get("/photos") is None
    assert DigestCache(str(tmp_path)).of(str(tmp_path / "model.json"))
    assert read_lines(str(tmp_path / "decisions.jsonl")) == []
    with pytest.raises(ValueError):
        read_json(str(tmp_path / "model.json"))
    with pytest.raises(RefusedError):
        json_sidecar.parse(text.encode())


@pytest.mark.parametrize("until", ["Infinity", "1e999", "1" + "0" * 5000, "NaN", "[[]]"])
def test_sessions_that_are_not_sound_are_begun_anew(tmp_path, until):
    path = tmp_path / FILE
    path.write_text(f'{{"secret": "{"00" * 32}", "ended": {{"x": {until}}}}}')
    path.chmod(0o600)
    sessions = Sessions(str(tmp_path), "p", 1.0)
    cookie, _ = sessions.new()
    assert sessions.holds(cookie)


NO_END = r"nested too deeply|too much"
BAD_YAML = {
    "flow": DEEP,
    "closed": "a: " + "[" * 3000 + "]" * 3000,
    "maps": "{a: " * 3000,
    "blocks": "\n".join(" " * n + "a:" for n in range(3000)),
    "sequences": "- " * 3000 + "x",
    "copies": "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n"  # ten times as many each
        for n in range(1, 12)
    ),
}


@pytest.mark.parametrize("text", BAD_YAML.values(), ids=BAD_YAML.keys())
@pytest.mark.parametrize("loader", LOADERS)
def test_yaml_that_has_no_end_is_refused_before_it_is_composed(text, loader):
    with pytest.raises(yaml.YAMLError):
        compose_yaml(text, loader)


@pytest.mark.parametrize("text", BAD_YAML.values(), ids=BAD_YAML.keys())
def test_config_and_translations_say_where_it_is(tmp_path, text):
    config = tmp_path / "config.yaml"
    config.write_text(text)
    with pytest.raises(ConfigError, match=NO_END):
        load_config(str(config))
    with pytest.raises(ConfigError, match=NO_END):
        with_value(text, str(config), "web", "enabled", "true")
    with pytest.raises(ConfigError, match=NO_END):
        parse_names(text, "names/de.yaml", ("dog",))


def test_an_alias_in_a_config_is_as_good_as_what_it_names(tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(
        f"state_dir: {tmp_path}\nwatch:\n- path: {tmp_path}/a\n  ignore: &x ['*.tmp']\n"
        f"- path: {tmp_path}/b\n  ignore: *x\n"
    )
    loaded = load_config(str(config))
    assert [root.ignore for root in loaded.watch] == [("*.tmp",), ("*.tmp",)]


@pytest.mark.parametrize(
    "value", ["2001-99-99", "1" + "0" * 5000, "0b", "1e999", ".nan", "=", "<<"]
)
def test_a_value_that_is_none_is_a_mistake_with_its_line(tmp_path, value):
    config = tmp_path / "config.yaml"
    config.write_text(f"watch: []\nsettle_seconds: {value}\n")
    with pytest.raises(ConfigError, match="line 2"):
        load_config(str(config))
    assert os.path.exists(config)
