"""Fixtures: a tagged photo, by the language of the tags and the file that has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tagged_photo import Case


@pytest.fixture(params=["en", "zh"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["sidecar", "embed"])
def case(request: pytest.FixtureRequest, language: str, tmp_path: Path) -> Case:
    one = Case(tmp_path, language, str(request.param))
    one.write()
    return one
