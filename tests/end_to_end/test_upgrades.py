"""What earlier versions left opens in this one, and nothing of it is lost.

tests/upgrades holds homes that each milestone made (``python -m tools.milestone``): photos,
sidecars, config, state directory and index.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml

from tagger.config.loader import load_config, old_keys
from tagger.config.schema import Config
from tagger.index.migrations import MIGRATIONS
from tests.conftest import PROJECT, Home

UPGRADES = PROJECT / "tests" / "upgrades"
MADE_IN = b"/var/tmp/tagger-milestone"
MILESTONES = sorted(path.name for path in UPGRADES.iterdir())
HOMES = [
    pytest.param(path, id=f"{path.parent.name}-{path.name}")
    for path in sorted(UPGRADES.glob("*/*"))
    if path.is_dir()
]


class Upgraded:
    """A home of an earlier version in a folder of its own, as if it had always been there."""

    def __init__(self, home: Home, kept: Path) -> None:
        self.home = home
        self.told: dict[str, Any] = json.loads((kept / "told.json").read_text())
        for name in ("inbox", "state"):
            shutil.rmtree(home.folder / name, ignore_errors=True)
            shutil.copytree(kept / name, home.folder / name)
        for name, mtime in self.told["mtimes"].items():
            os.utime(home.inbox / name, ns=(mtime, mtime))
        old = MADE_IN + b"/" + os.fsencode(kept.name)
        for path in (*home.state.glob("*.json*"), *home.state.glob("models/*.json")):
            path.write_bytes(path.read_bytes().replace(old, os.fsencode(home.folder)))
        self._index(kept)
        own = yaml.safe_load((kept / "config.yaml").read_text())
        weights = home.settings["model"]["weights"]
        # The networks of today are others; this one is of the weights that the version had.
        own["model"] |= {"weights": weights, "scenes": "none", "detector": "none"}
        own |= {"state_dir": str(home.state), "watch": [{"path": str(home.inbox)}]}
        own |= {"priority": {"nice": 0, "io": "normal"}}
        home.config.write_text(yaml.safe_dump(own))
        home.settings = own

    def _index(self, kept: Path) -> None:
        script = (kept / "state" / "index.sql").read_text(encoding="utf-8")
        (self.home.state / "index.sql").unlink()
        old = MADE_IN + b"/" + os.fsencode(kept.name)
        new = os.fsencode(self.home.folder)
        with closing(sqlite3.connect(self.home.state / "index.sqlite3")) as made:
            made.executescript(script)
            made.execute("PRAGMA journal_mode = WAL")
            tables = [name for (name,) in made.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            )]  # fmt: skip
            for table in tables:
                for _, column, *_ in made.execute(f"PRAGMA table_info({table})").fetchall():
                    made.execute(
                        f"UPDATE {table} SET {column} = "
                        f"CAST(replace(CAST({column} AS TEXT), ?1, ?2) AS BLOB) "
                        f"WHERE typeof({column}) = 'blob' AND instr({column}, ?3)",
                        (old.decode(), new.decode(), old),
                    )
            made.commit()

    def shown(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.home.json("show", str(self.home.inbox / name))
        return found

    def digests(self) -> dict[str, str]:
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.home.inbox.iterdir()
        }


@pytest.fixture
def upgraded(request: pytest.FixtureRequest, home: Home) -> Upgraded:
    return Upgraded(home, request.param)


@pytest.mark.parametrize("upgraded", HOMES, indirect=True)
def test_nothing_of_an_earlier_version_is_lost(upgraded):
    home, told = upgraded.home, upgraded.told
    home.once()
    with closing(sqlite3.connect(home.state / "index.sqlite3")) as index:
        assert index.execute("SELECT count(*) FROM migrations").fetchone()[0] == len(MIGRATIONS)
    for name, before in told["photos"].items():
        now = upgraded.shown(name)
        assert now["status"] == before["status"], name
        labels = {tag["label"] for tag in now["tags"]}
        assert set(before["tags"]) <= labels, name
        taken = told["taken"]
        if name in taken:  # the user took it, or all, away
            assert taken[name] not in labels if taken[name] else labels == set(), name
        assert (home.inbox / name).stat().st_mtime_ns == told["mtimes"][name], name
    for name, before in told["photos"].items():
        for label in before["tags"]:
            assert str(home.inbox / name) in home.run("query", f'"{label}"').splitlines()
    assert "broken.jpg" in home.run("failures")
    again = upgraded.digests()
    home.once()
    assert upgraded.digests() == again, "it comes to rest"


@pytest.mark.parametrize("upgraded", HOMES, indirect=True)
def test_what_an_earlier_version_wrote_is_taken_away_exactly(upgraded):
    """By this version's journal and code, at once or after it has run."""
    home, told = upgraded.home, upgraded.told
    home.once()
    home.run("untag", "--all")
    left = upgraded.digests()
    left.pop(".tagger-root")
    before = dict(told["before"])
    assert left == before


@pytest.mark.parametrize("upgraded", HOMES, indirect=True)
def test_searches_work_before_the_daemon_has_brought_it_up_to_date(upgraded):
    """Or say what to do: the daemon alone changes the index."""
    home = upgraded.home
    name, said = next((n, s) for n, s in upgraded.told["photos"].items() if s["tags"])
    words = ("query", f'"{said["tags"][0]}"')
    try:
        assert str(home.inbox / name) in home.run(*words).splitlines()
    except AssertionError:
        home.run(*words, code=2)
        assert "tagger run" in home.err or "start the daemon" in home.err


@pytest.mark.parametrize("milestone", MILESTONES)
def test_every_key_of_an_earlier_config_is_read_as_it_stands(milestone):
    place = UPGRADES / milestone / "config.example.yaml"
    config = load_config(str(place))
    told = yaml.safe_load(place.read_text(encoding="utf-8"))
    renamed = old_keys(str(place))
    for section, value in told.items():
        now = getattr(config, section)
        if isinstance(value, dict):
            for key, one in value.items():
                if not any(f"`{section}.{key}`" in said for said in renamed):
                    assert_same(getattr(now, key), one)
        elif section not in ("state_dir", "watch"):
            assert_same(now, value)
    assert len(told) > 8 and isinstance(config, Config)


def assert_same(now: Any, told: Any) -> None:
    assert (list(now) if isinstance(now, tuple) else now) == told
