"""What is found of rules before they are followed: folders, programs, and a service's own view."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tagger.config.rule import Rule
from tagger.config.schema import Config, WatchRoot
from tagger.library.rules.check import OPEN, Finding, check_rules

EVERY = "format:jpeg"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("state", "photos", "there"):
        (tmp_path / name).mkdir()
    return tmp_path


def found(folder: Path, rule: Rule, **how: object) -> list[Finding]:
    config = Config(
        state_dir=str(folder / "state"), watch=(WatchRoot(str(folder / "photos")),), rules=(rule,)
    )
    return list(check_rules(config, **how))  # type: ignore[arg-type]


def program(folder: Path) -> str:
    path = folder / "program"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


def test_what_is_there_is_well(folder):
    rule = Rule(EVERY, name="a", move_to=str(folder / "there"), run=(program(folder),))
    [one] = found(folder, rule)
    assert one.state == "ok"


@pytest.mark.parametrize("key", ["move_to", "copy_to"])
def test_a_folder_that_is_not_there(folder, key):
    [one] = found(folder, Rule(EVERY, name="a", **{key: str(folder / "gone")}))
    assert (one.state, one.message) == ("error", f"{key}: {folder / 'gone'} is not there")


def test_a_folder_that_the_user_may_not_write_to(folder):
    rule = Rule(EVERY, name="a", move_to=str(folder / "there"))
    [one] = found(folder, rule, may=lambda path: False)
    assert "the daemon may not write to" in one.message and one.remedy != OPEN


def test_what_a_service_hides_is_said(folder):
    """``see`` leads into an empty folder, as the view of a service that hides home folders does."""
    hidden = folder / "view"
    hidden.mkdir()
    rule = Rule(EVERY, name="a", move_to=str(folder / "there"), run=(program(folder),))
    one, other = found(folder, rule, see=lambda path: f"{hidden}{path}")
    assert (one.message, one.remedy) == (
        f"move_to: the daemon may not write to {folder / 'there'}",
        OPEN,
    )
    assert (other.message, other.remedy) == (
        f"run: the daemon does not see {folder / 'program'}",
        OPEN,
    )


@pytest.fixture
def locked(folder: Path) -> Iterator[Path]:
    """A view of ``folder`` that is mounted read-only, as a service has one of the system."""
    view = folder.parent / f"{folder.name}-view"
    view.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    bind, remount, read_only = 4096, 32, 1

    def mount(flags: int) -> bool:
        return libc.mount(os.fsencode(folder), os.fsencode(view), None, flags, None) == 0

    if sys.platform != "linux" or not mount(bind):
        pytest.skip("only root can mount")
    try:
        assert mount(bind | remount | read_only)
        yield view
    finally:
        libc.umount2(os.fsencode(view), 0)


def test_what_is_read_only_for_a_service_alone_is_said(folder, locked):
    rule = Rule(EVERY, name="a", copy_to=str(folder / "there"), run=(program(folder),))

    def see(path: str) -> str:
        return str(locked) + path.removeprefix(str(folder))

    [one] = found(folder, rule, see=see)
    assert one.remedy == OPEN
    # Where the disk is read-only for all, the service is not to blame.
    rule = Rule(EVERY, name="a", copy_to=str(locked / "there"))
    assert all(one.remedy != OPEN for one in found(folder, rule))
