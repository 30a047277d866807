"""``tagger init``: what it asks, what it chooses, and what it writes."""

from __future__ import annotations

import sys

import pytest

from tagger.config.loader import load_config
from tests.support.terminal import at_a_terminal


@pytest.fixture(scope="session")
def demo_weights():
    """No weights: nothing is classified here."""


@pytest.fixture
def place(home):
    """Return where the new config file goes."""
    home.config = home.folder / "new" / "config.yaml"
    return home.config


def written(place):
    config = load_config(str(place))
    return config.write.target, config.write.sidecar_name, config.labels.language


def typed(home, *words, answers, **environ):
    """Return what is shown when the command is typed, and its questions answered."""
    command = [sys.executable, "-m", "tagger", "--config", str(home.config), "init", *words]
    return at_a_terminal(
        [*command, str(home.inbox)], answers, home.environ() | {"TERM": "dumb", **environ}
    )


def test_it_writes_a_config_that_is_right(home, place):
    said = home.run("init", str(home.inbox))
    assert str(place) in said
    assert [root.path for root in load_config(str(place)).watch] == [str(home.inbox)]
    assert "is right" in home.run("config", "check")
    assert written(place) == ("sidecar-xmp", "auto", "en")
    home.run("init", str(home.inbox), code=2)
    assert "--force" in home.err
    home.run("init", "--force", str(home.inbox))
    home.run("init", "--force", "/no/such/folder", code=2)
    assert "there is no folder /no/such/folder" in home.err


def test_programs_named_by_option_choose_target_and_sidecar_name(home, place):
    said = home.run("init", "--program", "digikam", "--program", "darktable", str(home.inbox))
    assert written(place) == ("sidecar-xmp", "long", "en")
    assert "Read from sidecar files" in said
    assert "look for updated XMP files on startup" in said
    home.run("init", "--force", "--program", "lightroom", "--language", "zh", str(home.inbox))
    assert written(place) == ("embed", "short", "zh")
    assert "is right" in home.run("config", "check")


def test_each_choice_has_an_option_that_decides(home, place):
    words = ["--program", "digikam", "--target", "embed", "--sidecar-name", "auto"]
    home.run("init", *words, str(home.inbox))
    assert written(place) == ("embed", "auto", "en")
    home.run("init", "--force", "--target", "none", str(home.inbox))
    assert written(place) == ("none", "auto", "en")


def test_a_program_or_language_that_is_not_known(home, place):
    home.run("init", "--program", "picasa", str(home.inbox), code=2)
    assert "digikam" in home.err
    home.run("init", "--language", "xx", str(home.inbox), code=2)
    assert "'xx'" in home.err and "take de or en or es" in home.err
    assert not place.exists()


def test_at_a_terminal_it_asks_for_programs_and_language(home, place):
    shown = typed(home, answers=["digiKam, darktable", "zh"])
    assert written(place) == ("sidecar-xmp", "long", "zh")
    assert "write.target: sidecar-xmp" in shown
    assert "Rescan file when files are modified" in shown


def test_a_name_that_is_not_known_is_asked_for_again(home, place):
    shown = typed(home, answers=["digicam", "gthumb windows", ""], LANG="zh_CN.UTF-8")
    assert "did you mean digikam?" in shown
    assert written(place) == ("embed", "short", "zh"), "the locale's language is offered"


def test_no_answer_keeps_the_defaults(home, place):
    typed(home, answers=["", ""], LANG="C.UTF-8", LC_ALL="")
    assert written(place) == ("sidecar-xmp", "auto", "en")


def test_nothing_is_asked_that_was_said(home, place):
    shown = typed(home, "--program", "immich", "--language", "en", answers=[])
    assert "Which photo programs" not in shown and "Language of" not in shown
    assert written(place) == ("sidecar-xmp", "long", "en")


def test_with_yes_nothing_is_asked(home, place):
    shown = typed(home, "--yes", answers=[], LANG="zh_CN.UTF-8")
    assert "Which photo programs" not in shown
    assert written(place) == ("sidecar-xmp", "auto", "en")


def test_a_language_of_the_users_own_may_be_chosen(home, place, monkeypatch):
    names = home.folder / ".local" / "state" / "tagger" / "names"
    names.mkdir(parents=True)
    (names / "de.yaml").write_text("dog: Hund\n")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    home.run("init", "--language", "de", str(home.inbox))
    assert written(place)[2] == "de"
