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
    environ = {"TERM": "dumb", "XDG_RUNTIME_DIR": str(home.folder), **environ}
    return at_a_terminal(
        [*command, "--first", "0", str(home.inbox)], answers, home.environ() | environ
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
    shown = typed(home, answers=["digiKam, darktable", "zh", "none", "n"])
    assert written(place) == ("sidecar-xmp", "long", "zh")
    assert "write.target: sidecar-xmp" in shown
    assert "Rescan file when files are modified" in shown


def test_a_name_that_is_not_known_is_asked_for_again(home, place):
    answers = ["digicam", "gthumb windows", "", "", "n"]
    shown = typed(home, answers=answers, LANG="zh_CN.UTF-8")
    assert "您是想说 digikam 吗？" in shown
    assert written(place) == ("embed", "short", "zh"), "the locale's language is offered"


def test_no_answer_keeps_the_defaults(home, place):
    typed(home, answers=["", "", "", "n"], LANG="C.UTF-8", LC_ALL="")
    assert written(place) == ("sidecar-xmp", "auto", "en")


def test_nothing_is_asked_that_was_said(home, place):
    said = ("--program", "immich", "--language", "en", "--page", "none", "--no-service")
    shown = typed(home, *said, answers=[])
    assert "Which photo programs" not in shown and "Language of" not in shown
    assert "Page" not in shown and "service" not in shown
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


def photos_of(folder, count, name="photo"):
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{name}{number}.jpg").write_bytes(b"x" * 1000)


def test_folders_with_photos_are_found_with_their_sizes(home):
    from tagger.cli.init.folders import photo_folders

    photos_of(home.folder / "Pictures" / "2024", 3)
    photos_of(home.folder / "camera", 5)
    photos_of(home.folder / ".hidden", 9)
    photos_of(home.folder / "camera" / "@eaDir", 9)
    (home.folder / "link").symlink_to(home.folder / "camera")
    (home.folder / "empty").mkdir()
    ours = [
        (one.path, one.photos, one.size, one.whole)
        for one in photo_folders(home.environ())
        if one.path.startswith(str(home.folder))
    ]
    assert ours == [
        (str(home.folder / "Pictures"), 3, 3000, True),
        (str(home.folder / "camera"), 5, 5000, True),
    ]


def test_the_desktops_folder_of_pictures_comes_first(home):
    from tagger.cli.init.folders import photo_folders, pictures_folder

    assert pictures_folder(home.environ()) == str(home.folder / "Pictures")
    settings = home.folder / ".config" / "user-dirs.dirs"
    settings.parent.mkdir()
    settings.write_text('# made by a desktop\nXDG_PICTURES_DIR="$HOME/Meine Bilder"\n')
    environ = home.environ() | {"XDG_CONFIG_HOME": ""}
    assert pictures_folder(environ) == str(home.folder / "Meine Bilder")
    photos_of(home.folder / "Meine Bilder", 1)
    photos_of(home.folder / "camera", 2)
    assert photo_folders(environ)[0].path == str(home.folder / "Meine Bilder")


def test_a_search_for_folders_ends(home):
    from tagger.cli.init.folders import SECONDS, photo_folders

    photos_of(home.folder / "Pictures", 2)
    photos_of(home.folder / "Pictures" / "deeper", 2)
    moments = iter([0.0, 0.0, SECONDS + 1])
    (found,) = [
        one
        for one in photo_folders(home.environ(), clock=lambda: next(moments, SECONDS + 1))
        if one.path.startswith(str(home.folder))
    ]
    assert (found.photos, found.whole) == (2, False)


def conversation(home, *words, answers, **environ):
    """Return what is shown when no folder is named."""
    command = [sys.executable, "-m", "tagger", "--config", str(home.config), "init", *words]
    environ = {
        "TERM": "dumb",
        "XDG_RUNTIME_DIR": str(home.folder),
        "XDG_CONFIG_HOME": "",
        **environ,
    }
    return at_a_terminal(command, answers, home.environ() | environ)


def test_folders_are_chosen_by_number_or_path(home, place):
    photos_of(home.folder / "Pictures", 2)
    answers = ["99", f"1, {home.inbox}", "", "", "none", "n"]
    shown = conversation(home, "--first", "0", answers=answers)
    assert "1  " + str(home.folder / "Pictures") + "  (2 photos, 0 MB)" in shown
    assert "there is no folder" in shown
    assert [root.path for root in load_config(str(place)).watch] == [
        str(home.folder / "Pictures"),
        str(home.inbox),
    ]


def test_a_script_must_name_its_folders(home, place):
    home.run("init", code=2)
    assert "missing argument: name the folders that hold your photos; see `tagger" in home.err
    assert not place.exists()


def test_the_page_is_for_this_machine_or_the_network(home, place):
    from tagger.web.auth.passwords import Password

    home.run("init", "--page", "local", str(home.inbox))
    web = load_config(str(place)).web
    assert (web.enabled, web.listen, web.password) == (True, "127.0.0.1:5000", None)
    said = home.run("init", "--force", "--page", "network", str(home.inbox))
    web = load_config(str(place)).web
    assert (web.enabled, web.listen) == (True, "0.0.0.0:5000")
    (made,) = [line.split(": ")[1] for line in said.splitlines() if "page's password" in line]
    assert Password(web.password).proves(made) and len(made) == 19
    assert "It asks for the password." in said and made not in place.read_text()


def test_the_pages_address_is_a_link_and_a_qr_code(home, place):
    said = home.run("init", "--page", "local", str(home.inbox))
    assert "The page is then at http://127.0.0.1:5000/" in said
    code = [line for line in said.splitlines() if line and set(line) <= set(" █▀▄")]
    assert len(code) >= 12 and len({len(line) for line in code}) == 1
    from tagger.cli.init.page_address import own_address, qr_code

    assert qr_code("http://127.0.0.1:5000/") in said
    assert qr_code("http://127.0.0.2:5000/") != qr_code("http://127.0.0.1:5000/")
    assert own_address()


def test_an_answer_for_the_service_by_option(home, place, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home.folder))  # no service manager there
    said = home.run("init", "--service", str(home.inbox))
    unit = home.folder / ".config" / "systemd" / "user" / "tagger.service"
    assert unit.exists() or "Note:" in said
    assert "Start tagging with:" in said, "it could not be started"
