"""The manual pages: one for each command, which man lays out without a complaint."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tagger.cli import COMMANDS
from tests.conftest import PROJECT
from tools.manual import FOLDER, _plain, pages

PLACE = PROJECT / FOLDER


def test_there_is_a_page_for_tagger_and_for_each_command():
    assert {path.name for path in PLACE.glob("*.1")} == {
        "tagger.1",
        *(f"tagger-{name}.1" for name in COMMANDS),
    }
    assert "share/man/man1" in FOLDER, "where pip puts them"


def test_a_page_has_the_parts_that_man_pages_have():
    text = pages()[f"{FOLDER}/tagger-query.1"]()
    for part in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "FIELDS", "SEE ALSO"):
        assert f"\n.SH {part}\n" in text
    assert "tagger\\-query \\- find photos by what is in them" in text
    assert "\\-\\-explain" in text and "taken:2025\\-06" in text
    assert ".SS tagger rules apply" in pages()[f"{FOLDER}/tagger-rules.1"]()


def test_no_sign_means_anything_to_man():
    assert _plain(".in `x` --y 'z' a\\b") == "\\&.in \\`x\\` \\-\\-y \\(aqz\\(aq a\\eb"


@pytest.mark.parametrize("name", ["tagger", "tagger-query", "tagger-teach", "tagger-service"])
def test_man_lays_it_out(name):
    groff = shutil.which("groff") or shutil.which("mandoc")
    if groff is None:
        pytest.skip("neither groff nor mandoc is installed")
    words = ["-Tlint"] if groff.endswith("mandoc") else ["-man", "-ww", "-Tutf8", "-z"]
    done = subprocess.run(
        [groff, *words, str(PLACE / f"{name}.1")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
