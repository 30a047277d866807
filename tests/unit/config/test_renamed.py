"""Keys of earlier versions: they are read, and named with what they are called now."""

from __future__ import annotations

import pytest
import yaml

from tagger import __version__
from tagger.config import renamed
from tagger.config.loader import old_keys, parse_config
from tagger.config.renamed import RENAMED, Renamed
from tagger.errors import ConfigError
from tests.unit.config.test_loader import problems

KEYS = (
    Renamed("settle", "settle_seconds", "0.9"),
    Renamed("labels.tags", "labels.max_subjects", "0.9"),
    Renamed("write.kinds", "labels.kinds", "0.9"),
    Renamed("port", "web.top_k", "0.9"),
)
"""In the same place, in a section, from one into another, and from the top into one."""


@pytest.fixture
def keys(monkeypatch):
    monkeypatch.setattr(renamed, "RENAMED", KEYS)


def number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def test_no_name_outlives_its_version():
    assert number("0.10") > number("0.9.1")
    for key in RENAMED:
        assert number(key.gone) > number(__version__), f"take out {key}"


def test_old_names_go_on_working_and_are_told_with_the_new_ones(keys, tmp_path):
    text = "settle: 3\nlabels:\n  tags: 7\nwrite: {kinds: true}\nport: 4\n"
    config = parse_config(text, "/etc/c.yaml")
    assert config.settle_seconds == 3
    assert (config.labels.max_subjects, config.labels.kinds) == (7, True)
    assert config.web.top_k == 4
    place = tmp_path / "c.yaml"
    place.write_text(text)
    assert old_keys(str(place)) == [
        "line 1: `settle` is now `settle_seconds`; it is read until 0.9",
        "line 3: `labels.tags` is now `labels.max_subjects`; it is read until 0.9",
        "line 4: `write.kinds` is now `labels.kinds`; it is read until 0.9",
        "line 5: `port` is now `web.top_k`; it is read until 0.9",
    ]
    place.write_text("settle_seconds: 3\n")
    assert old_keys(str(place)) == []
    assert old_keys(str(tmp_path / "none.yaml")) == []
    place.write_bytes(b"\xff: [")
    assert old_keys(str(place)) == []


def test_an_old_name_gives_into_a_section_that_is_empty_or_has_other_keys(keys):
    config = parse_config("write:\n  kinds: true\nlabels:\n", "/etc/c.yaml")
    assert config.labels.kinds
    config = parse_config("labels: {levels: 1}\nwrite: {kinds: true}\n", "/etc/c.yaml")
    assert config.labels.kinds and config.labels.levels == 1


def test_mistakes_are_told_where_they_stand(keys):
    assert problems("settle: 3\nsettle_seconds: 4\n") == [
        "line 1: settle: it is now `settle_seconds`; keep that one"
    ]
    assert problems("\nlabels:\n  tags: 900\n") == [
        "line 3: labels.max_subjects: must be between 1 and 20"
    ]
    with pytest.raises(ConfigError, match="labels: it must hold"):
        parse_config("labels: 7\n", "/etc/c.yaml")


def test_every_command_that_looks_at_the_config_says_so(home, keys):
    settings = home.settings | {"settle": 3}
    settings.pop("settle_seconds")
    home.config.write_text(yaml.safe_dump(settings))
    assert "`settle` is now `settle_seconds`" in home.run("config", "check")
    assert "`settle` is now `settle_seconds`" in home.run("doctor")
    home.use_converted_model()
    home.run("run", "--once")
    assert "`settle` is now `settle_seconds`; it is read until 0.9" in home.err
