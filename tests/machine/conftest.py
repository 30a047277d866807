"""A container that is booted for each file of tests under systemd: ``make test-systemd``."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.debian import fresh_debian
from tests.support.systemd_container import PACKAGES, Container, booted


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a fresh Debian: a copy of one that is made once for all files."""
    kept = os.environ.get("TAGGER_SYSTEMD_ROOT") or tmp_path_factory.getbasetemp() / "debian"
    return fresh_debian(tmp_path_factory.mktemp("container"), PACKAGES, str(kept))


@pytest.fixture(scope="module")
def container(
    request: pytest.FixtureRequest,
    debian: Path,
    demo_weights: Path,
    converted_demo: Callable[[Path], Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Container]:
    """Boot it, with the options of nspawn that a file names as ``NSPAWN``."""
    models = [demo_weights, *converted_demo(demo_weights).glob("resnet18-*")]
    log = tmp_path_factory.mktemp("log") / "boot.log"
    with booted(debian, models, log, *getattr(request.module, "NSPAWN", ())) as made:
        yield made
