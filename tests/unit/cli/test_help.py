"""``tagger help``: topics of the documentation, and commands."""

from __future__ import annotations

import pytest

from tests.conftest import PROJECT


@pytest.fixture(scope="session")
def demo_weights():
    """No weights: nothing is classified here."""


def test_every_document_is_a_topic(home):
    said = home.run("help")
    for page in (PROJECT / "docs").glob("*.md"):
        if page.name != "commands.md":
            assert f"  {page.stem}" in said
            assert home.run("help", page.stem).startswith(page.read_text().rstrip("\n"))
    assert home.run("help", "Teach.md") == home.run("help", "teach")


def test_a_command_is_helped_with(home):
    assert home.run("help", "query") == home.run("query", "--help")
    assert home.run("help", "web", "password") == home.run("web", "password", "--help")
    assert "See also: tagger rules --help" in home.run("help", "rules")


def test_an_unknown_topic_says_the_nearest(home):
    home.run("help", "rulez", code=2)
    assert "'rulez'; did you mean rules?" in home.err
    home.run("help", "xyzzy", code=2)
    assert "see `tagger help`" in home.err
