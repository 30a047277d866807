"""The language of the command line: that of the locale, but for what programs read."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from tests.support.terminal import at_a_terminal


@pytest.fixture(scope="session")
def demo_weights():
    """No weights: nothing is classified here."""


@pytest.fixture
def spoken(home, monkeypatch):
    """Return a function that runs a command in the language of a locale."""

    def run(locale, *words, code=0):
        monkeypatch.setenv("LC_ALL", locale)
        return home.run(*words, code=code)

    return run


def test_help_is_in_the_language_of_the_locale(spoken):
    assert "Find photos by what is in them." in spoken("C.UTF-8", "--help")
    for locale, usage, text in (
        ("de_DE.UTF-8", "Aufruf: tagger", "Fotos nach dem finden, was darauf ist."),
        ("fr_FR.UTF-8", "Usage : tagger", "Trouver des photos par ce qu’elles montrent."),
        ("es_ES.UTF-8", "Uso: tagger", "Buscar fotos por lo que hay en ellas."),
        ("zh_CN.UTF-8", "用法: tagger", "按画面内容查找照片。"),
        ("ja_JP.UTF-8", "使い方: tagger", "写っているもので写真を探す。"),
        ("pl_PL.UTF-8", "Usage: tagger", "Find photos by what is in them."),
    ):
        said = spoken(locale, "--help")
        assert usage in said and text in said
    assert "Options" in spoken("C.UTF-8", "query", "--help")


def test_help_of_a_command_and_of_one_below_it(spoken):
    said = " ".join(spoken("de_DE.UTF-8", "duplicates", "--help").split())
    assert "Nichts wird je gelöscht." in said and "Serien von Aufnahmen statt Kopien." in said
    assert "Diese Hilfe zeigen" in said
    assert "Es in die Konfigurationsdatei eintragen." in spoken(
        "de_DE.UTF-8", "web", "password", "--help"
    )


def test_help_in_wide_letters_stays_within_the_columns(spoken):
    import unicodedata

    def columns(line):
        return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)

    for name in ("duplicates", "untag", "teach"):
        lines = spoken("ja_JP.UTF-8", name, "--help").splitlines()
        assert max(map(columns, lines)) <= 82
        assert "\ue000" not in "".join(lines)


def test_a_mistake_is_said_in_the_language(spoken, home):
    spoken("de_DE.UTF-8", "pause", "--nonsense", code=2)
    assert home.err == ("tagger: Option '--nonsense' gibt es nicht; siehe `tagger pause --help`\n")
    spoken("C.UTF-8", "pause", "--nonsense", code=2)
    assert "no such option" in home.err


def test_an_error_is_said_in_the_language_and_unknown_ones_in_english(spoken, home):
    from tagger.text.error_texts import error_text
    from tagger.text.messages import speaking

    spoken("de_DE.UTF-8", "query", "dog", code=2)
    index = home.state / "index.sqlite3"
    assert home.err == (
        f"tagger: es gibt noch keinen Index {index}; den Dienst mit `tagger run` starten\n"
    )
    with speaking("de"):
        assert error_text("something new", "do it") == "something new; do it"
        assert error_text("there is no photo a%b.jpg") == "es gibt kein Foto a%b.jpg"
        assert error_text("`)` closes nothing (column 3 of the query)", "use fewer") == (
            "`)` schließt nichts (Spalte 3 der Suche); weniger verwenden"
        )
    assert error_text("there is no photo a.jpg", "x") == "there is no photo a.jpg; x"


def test_what_is_said_of_the_daemon_is_in_the_language(spoken):
    assert "läuft nicht; mit `tagger run` starten" in spoken("de_DE.UTF-8", "status")
    assert "not running; start it with `tagger run`" in spoken("C.UTF-8", "status")


def test_what_doctor_finds_is_said_in_the_language_and_its_json_in_english(spoken, home):
    english = json.loads(spoken("C.UTF-8", "doctor", "--json", code=1))
    others = json.loads(spoken("de_DE.UTF-8", "doctor", "--json", code=1))
    assert [one["name"] for one in others] == [one["name"] for one in english]
    assert [one["remedy"] for one in others] == [one["remedy"] for one in english]
    messages = {one["name"]: one["message"] for one in english}
    assert messages["daemon"] == "not running"
    german = spoken("de_DE.UTF-8", "doctor", code=1)
    lines = german.splitlines()
    assert "Warnung  Dienst: läuft nicht" in lines
    assert "           -> ihn mit `tagger run` oder als Dienst starten" in lines
    assert "ok       Index: es gibt noch keinen; der Dienst legt ihn an" in lines
    assert f"Ordner {home.inbox}: gehört " in german
    assert "FEHLER   Gewichte: keine Gewichte von resnet18 gefunden in " in german
    for one in english:  # no finding is left in English
        words = re.search("[a-z]", one["message"])  # of a moment nothing is to be translated
        if words and one["message"] != str(home.config) and " " in one["message"]:
            assert one["message"].splitlines()[0] not in german, one
    for locale, word in (
        ("fr_FR.UTF-8", "à l’arrêt"),
        ("es_ES.UTF-8", "no está en marcha"),
        ("ja_JP.UTF-8", "動作していません"),
        ("zh_CN.UTF-8", "未运行"),
    ):
        assert word in spoken(locale, "doctor", code=1)


def test_stored_reasons_are_said_in_the_language_and_kept_in_english(spoken, home):
    from tagger.index.store import Store
    from tagger.records import FileStat

    photo = str(home.inbox / "a.jpg")
    reason = f"{photo} is empty; copy it again, if it should not be"
    with Store(str(home.state)) as store:
        store.fail(
            photo, str(home.inbox), FileStat(1, 1), None, kind="K", reason=reason, permanent=True
        )
    assert "a.jpg ist leer; noch einmal kopieren" in spoken("de_DE.UTF-8", "failures")
    assert "a.jpg is empty; copy it again" in spoken("de_DE.UTF-8", "failures", "--json")


def test_mistakes_of_the_config_are_said_in_the_language(spoken, home):
    home.configure(model={"precision": "int9"})
    spoken("de_DE.UTF-8", "config", "check", code=2)
    assert "hat 1 Fehler:" in home.err
    assert "model.precision: muss eines von diesen sein: auto, fp32, int8" in home.err


def test_what_programs_read_is_the_same_in_every_language(spoken, home):
    from tagger.index.store import Store

    Store(str(home.state)).close()
    for name in ("labels", "failures", "model list"):
        plain = json.loads(spoken("C.UTF-8", *name.split(), "--json"))
        assert json.loads(spoken("ja_JP.UTF-8", *name.split(), "--json")) == plain
    counts = json.loads(spoken("ja_JP.UTF-8", "status", "--json"))["counts"]
    assert set(counts) == {"tagged", "untagged", "waiting", "failed", "missing"}


def test_letters_that_the_terminal_cannot_show_are_not_tried(home):
    done = subprocess.run(
        [sys.executable, "-m", "tagger", "query", "--help"],
        env=home.environ() | {"LC_ALL": "ja_JP.UTF-8", "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        check=True,
    )
    assert b"Usage: tagger query" in done.stdout
    done.stdout.decode("ascii")


def test_paths_are_found_without_reading_a_catalogue(home):
    """A query is to be quick in every language: nothing is said, so nothing is read."""
    from tagger.index.store import Store

    Store(str(home.state)).close()
    program = (
        "import sys\n"
        "from tagger.cli import main\n"
        f"code = main(['--config', {str(home.config)!r}, 'query', 'dog'])\n"
        "from tagger.text.messages import _catalogue\n"
        "assert code == 0, code\n"
        "assert _catalogue.cache_info().currsize == 0, 'a catalogue was read'\n"
        "assert 'babel' not in sys.modules and 'segno' not in sys.modules\n"
    )
    subprocess.run(
        [sys.executable, "-c", program],
        env=home.environ() | {"LC_ALL": "de_DE.UTF-8"},
        check=True,
    )


def test_yes_may_be_said_in_the_language():
    program = (
        "from tagger.cli.speech import agreed, speaking_here\n"
        "with speaking_here({'LC_ALL': 'de_DE.UTF-8'}):\n"
        "    print([agreed('Weiter?'), agreed('Weiter?'), agreed('Weiter?', default=True)])\n"
    )
    shown = at_a_terminal([sys.executable, "-c", program], ["j", "vielleicht", "nein", ""])
    assert "Weiter? [j/N]" in shown and "Weiter? [J/n]" in shown
    assert "Mit j oder n antworten." in shown
    assert "[True, False, True]" in shown
