"""What the documents say must be what the code does."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys

import tagger
from tagger.cli import COMMANDS, cli
from tests.conftest import PROJECT
from tools import generate
from tools.generate import GENERATED, stale

README = (PROJECT / "README.md").read_text(encoding="utf-8")


def test_every_generated_file_is_what_the_code_makes_now():
    """``make generate`` writes them anew."""
    assert len(GENERATED) >= 6
    assert stale() == []


def test_a_generated_file_that_was_changed_by_hand_is_found(monkeypatch, tmp_path):
    for name in GENERATED:
        copy = tmp_path / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, copy)
    monkeypatch.setattr(generate, "PROJECT", tmp_path)
    assert stale() == []
    changed = tmp_path / "docs" / "commands.md"
    changed.write_text(changed.read_text(encoding="utf-8") + "More.\n", encoding="utf-8")
    (tmp_path / "config.example.yaml").unlink()
    assert stale() == ["config.example.yaml", "docs/commands.md"]


def test_every_document_is_named_in_the_readme_and_every_link_leads_somewhere():
    documents = list((PROJECT / "docs").glob("*.md"))
    assert len(documents) > 10
    for path in documents:
        assert f"(docs/{path.name})" in README, path.name
    for path in (PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *documents):
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", path.read_text(encoding="utf-8")):
            assert link.startswith("http") or (path.parent / link).exists(), f"{path.name}: {link}"


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
