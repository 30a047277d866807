"""The units: what systemd itself says of them, and that they are what is installed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tagger.config.rule import Rule
from tagger.config.schema import Config, WatchRoot
from tagger.service.units import folders_dropin, network_dropin, unit_text
from tests.conftest import PROJECT

MAX_EXPOSURE = 0.6
NAMES = ["tagger.service", "tagger-user.service"]


def analyze(folder: Path, *words: str, user: bool = False) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze on a unit in ``folder``; skip where there is none, but not in CI."""
    if not shutil.which("systemd-analyze"):
        if "TAGGER_CI" in os.environ:
            pytest.fail("systemd-analyze is missing: apt-get install systemd")
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    return subprocess.run(
        ["systemd-analyze", *(["--user"] if user else []), *words],
        cwd=folder,
        env=os.environ | {"XDG_RUNTIME_DIR": str(folder)},
        capture_output=True,
        check=False,
        text=True,
    )


def installed(folder: Path, name: str, *, network: bool = False) -> Path:
    """Write the unit with the paths of this installation, as ``tagger service`` does."""
    user = name == "tagger-user.service"
    program = os.path.join(os.path.dirname(sys.executable), "tagger")
    path = folder / "tagger.service"
    path.write_text(unit_text((program,), "/etc/tagger/config.yaml", user=user))
    if network:
        drop_in = folder / "tagger.service.d" / "20-network.conf"
        drop_in.parent.mkdir()
        drop_in.write_text(network_dropin(user))
    return path


@pytest.mark.parametrize("network", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_systemd_has_nothing_to_say_against_them(tmp_path, name, network):
    unit = installed(tmp_path, name, network=network)
    done = analyze(tmp_path, "verify", str(unit), user=name == "tagger-user.service")
    # It returns 0 with warnings, too.
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_mistake_in_a_unit_would_be_noticed(tmp_path):
    unit = installed(tmp_path, "tagger.service")
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHouse="))
    assert "ProtectHouse" in analyze(tmp_path, "verify", str(unit)).stderr


def test_the_systems_unit_exposes_little(tmp_path):
    unit = installed(tmp_path, "tagger.service")
    done = analyze(tmp_path, "security", "--offline=true", "--no-pager", str(unit))
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found[1]) <= MAX_EXPOSURE


@pytest.mark.parametrize("name", NAMES)
def test_the_files_of_the_repository_are_the_installed_ones_but_for_paths(name):
    def without_call(text: str) -> list[str]:
        return [line for line in text.splitlines() if not line.startswith("ExecStart=")]

    text = (PROJECT / "systemd" / name).read_text()
    ours = unit_text(("/usr/bin/tagger",), "/etc/c.yaml", user=name == "tagger-user.service")
    assert without_call(text) == without_call(ours)
    assert "ExecStart=/usr/bin/tagger --config /etc/c.yaml run" in ours.splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_every_line_is_explained(name):
    """Each setting follows a comment in its paragraph, and few share one."""
    since = None
    for line in (PROJECT / "systemd" / name).read_text().splitlines():
        if not line or line.startswith("["):
            since = None if not line else since
        elif line.startswith("#"):
            since = 0
        elif not line.startswith(("ExecStart=", "WantedBy=", "Description=")):
            assert since is not None, line
            since += 1
            assert since <= 6, line


def test_the_service_may_write_where_rules_put_photos_and_run_their_programs(tmp_path):
    config = Config(
        state_dir="/var/lib/tagger",
        watch=(WatchRoot("/photos"),),
        rules=(
            Rule("dog", copy_to="/srv/dogs", run=("/home/al/bin/show", "{path}")),
            Rule("cat", move_to="/home/al/Cats", run=("logger",)),
        ),
    )
    text = folders_dropin(config, "/etc/tagger/config.yaml", "al")
    assert 'ReadWritePaths="-/srv/dogs"' in text
    assert 'BindPaths="-/home/al/Cats"' in text
    assert 'BindReadOnlyPaths="-/home/al/bin/show"' in text
    assert "logger" not in text
