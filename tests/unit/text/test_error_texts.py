"""What is stored or raised in English, shown in another language: found by its wording."""

from __future__ import annotations

import pytest

from tagger.config.yaml_text import mistakes_in
from tagger.text.error_texts import all_in_language, error_text, in_language
from tagger.text.messages import speaking


@pytest.fixture(autouse=True)
def german():
    with speaking("de"):
        yield


def test_a_message_and_its_remedy_are_told_apart_again():
    assert all_in_language("/p/a.jpg is empty; copy it again, if it should not be") == (
        "/p/a.jpg ist leer; noch einmal kopieren, wenn sie nicht leer sein soll"
    )
    # A "; " of its own stays inside a wording, and both are found behind one another.
    for said in (in_language, all_in_language):
        assert said("try again; it resumes there") == "noch einmal versuchen; es geht dort weiter"
    assert all_in_language("there is no photo /p/a.jpg; name photos that exist") == (
        "es gibt kein Foto /p/a.jpg; Fotos nennen, die es gibt"
    )


def test_what_the_system_says_is_in_the_language():
    said = "cannot read /p/a.jpg: Permission denied; give the user that runs tagger the right to"
    assert all_in_language(said) == (
        "/p/a.jpg lässt sich nicht lesen: keine Berechtigung;"
        " dem Benutzer, unter dem tagger läuft, das Recht dazu geben"
    )
    assert in_language("No space left on device") == "kein Platz mehr auf dem Gerät"


def test_a_reason_inside_a_reason():
    assert in_language("the photos of /p wait: cannot write /p/a.jpg: No space left on device") == (
        "die Fotos von /p warten: /p/a.jpg lässt sich nicht schreiben:"
        " kein Platz mehr auf dem Gerät"
    )
    index = "the index cannot be written: database is locked; it is tried again soon"
    assert (
        all_in_language(index)
        == in_language(index)
        == (
            "in den Index lässt sich nicht schreiben: die Datenbank ist gesperrt;"
            " es wird bald noch einmal versucht"
        )
    )


def test_each_mistake_of_a_config_is_said_with_its_line_and_key():
    error = mistakes_in(
        "/c.yaml",
        [
            "line 3: watch[0].mode: must be one of auto, events, poll; did you mean `poll`?",
            "line 9: unknown key; known: watch, model",
            "line 12: rules[1].run: the program is missing; name it first, then its arguments",
            "labels.exclude[0]: unknown label `dgo`; did you mean `dog`?",
        ],
    )
    assert error_text(error.message).splitlines() == [
        "/c.yaml hat 4 Fehler:",
        "  Zeile 3: watch[0].mode: muss eines von diesen sein: auto, events, poll;"
        " war `poll` gemeint?",
        "  Zeile 9: unbekannter Schlüssel; bekannt: watch, model",
        "  Zeile 12: rules[1].run: das Programm fehlt; es zuerst nennen, dann seine Argumente",
        "  labels.exclude[0]: unbekannter Begriff `dgo`; war `dog` gemeint?",
    ]
    assert in_language(mistakes_in("/c.yaml", ["line 1: must be a text"]).message) == (
        "/c.yaml hat 1 Fehler:\n  Zeile 1: muss ein Text sein"
    )


def test_what_may_be_missing_from_a_wording():
    """`tagger model download` is followed by a name, or by nothing."""
    for name in ("", " scenes"):
        assert in_language(f"delete it and run `tagger model download{name}`") == (
            f"sie löschen und `tagger model download{name}` ausführen"
        )


def test_names_of_photos_and_words_of_the_user_stay_as_they_are():
    for path in ("/p/Permission denied", "/p/a; try again", "/p/it is empty.jpg", "/p/a%b: c.jpg"):
        assert path in in_language(f"{path} is no image, or of a kind that is not read")
        assert path in in_language(f"there is no photo {path}")
    assert in_language("try again was never taught") == "try again wurde nie gelernt"
    assert in_language("a line\n  of something new") == "a line\n  of something new"
    assert in_language("something: new; do it") == "something: new; do it"


def test_in_english_nothing_is_looked_for():
    with speaking("en"):
        assert in_language("No space left on device") == "No space left on device"
