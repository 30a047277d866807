"""What the documents say must be what the code does."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys

import tagger
from tagger.cli import COMMANDS, cli
from tests.conftest import PROJECT

README = (PROJECT / "README.md").read_text(encoding="utf-8")


def test_every_command_is_in_the_readme_and_the_other_way_round():
    told = {
        match.split()[0] for match in re.findall(r"^\| `tagger ([^`]+)` \|", README, re.MULTILINE)
    }
    assert told == set(COMMANDS)


def test_every_command_has_help():
    import click

    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        assert command.help, name


def test_the_readme_opens_with_the_two_commands():
    assert README.index("make demo") < README.index("make test") < 700


def test_the_version_is_in_the_changelog():
    assert f"## {tagger.__version__}" in (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_command_of_the_unit_parses():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(PROJECT / "systemd" / "tagger.service")
    words = unit["Service"]["ExecStart"].split()
    assert words[0].endswith("/tagger")
    done = subprocess.run(
        [sys.executable, "-m", "tagger", *words[1:], "--help"], capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_importing_the_command_line_imports_nothing_heavy():
    script = (
        "import sys, tagger.cli, tagger.cli.query, tagger.cli.status, tagger.cli.show\n"
        "heavy = {'torch', 'torchvision', 'PIL', 'numpy', 'watchdog'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
