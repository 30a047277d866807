"""A config for the doctor."""

from __future__ import annotations

import pytest

from tagger.config.schema import Config, WatchRoot


@pytest.fixture
def config(tmp_path):
    """Return a config with one folder, whose state directory is there."""
    (tmp_path / "state").mkdir()
    (tmp_path / "inbox").mkdir()
    return Config(state_dir=str(tmp_path / "state"), watch=(WatchRoot(str(tmp_path / "inbox")),))
