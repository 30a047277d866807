"""The language that is chosen, and messages and numbers in it."""

from __future__ import annotations

import pytest

from tagger.text.messages import (
    LANGUAGES,
    best_of,
    gettext,
    language,
    ngettext,
    number,
    of_environment,
    speaking,
)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "de"),
        ({"LANG": "de_AT@euro"}, "de"),
        ({"LANG": "ja"}, "ja"),
        ({"LANG": "zh_TW.UTF-8"}, "zh"),
        ({"LANG": "pl_PL.UTF-8"}, "en"),
        ({"LANG": "fr_FR.UTF-8", "LC_MESSAGES": "es_ES.UTF-8"}, "es"),
        ({"LANG": "fr_FR.UTF-8", "LC_MESSAGES": "es_ES", "LC_ALL": "de_DE"}, "de"),
        ({"LANG": "fr_FR.UTF-8", "LC_ALL": ""}, "fr"),
        ({"LANG": "fr_FR.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "C.UTF-8", "LANGUAGE": "de"}, "en"),
        ({"LANG": "pl_PL.UTF-8", "LANGUAGE": "pl:ja:de"}, "ja"),
        ({"LANG": "fr_FR.UTF-8", "LANGUAGE": "de:en"}, "de"),
    ],
)
def test_the_locale_says_the_language(environ, expected):
    assert of_environment(environ) == expected


def test_the_first_language_that_is_spoken_is_taken():
    assert best_of(["pt-BR", "FR-ca", "de"]) == "fr"
    assert best_of(["zh-Hant-TW"]) == "zh"
    assert best_of(["pt", ""]) is None


def test_english_is_what_the_source_says():
    assert language() == "en"
    assert gettext("%(percent)s %% alike", percent=3) == "3 % alike"
    assert ngettext("%(n)s photo", "%(n)s photos", 1) == "1 photo"
    assert ngettext("%(n)s photo", "%(n)s photos", 1234) == "1,234 photos"


def test_each_language_says_it_otherwise():
    said = {}
    for code in LANGUAGES:
        with speaking(code):
            assert language() == code
            said[code] = ngettext("%(n)s photo", "%(n)s photos", 2)
    assert said == {
        "en": "2 photos",
        "zh": "2 张照片",
        "de": "2 Fotos",
        "fr": "2 photos",
        "es": "2 fotos",
        "ja": "写真 2 枚",
    }
    assert language() == "en"


def test_a_plural_is_chosen_as_the_language_does():
    with speaking("fr"):
        assert ngettext("%(n)s photo", "%(n)s photos", 0) == "0 photo"
        assert ngettext("%(n)s photo", "%(n)s photos", 1_000_000).endswith(" photos")
    with speaking("de"):
        assert ngettext("%(n)s photo", "%(n)s photos", 0) == "0 Fotos"


@pytest.mark.parametrize(
    ("code", "whole", "part"),
    [
        ("en", "12,345", "1,234.5"),
        ("zh", "12,345", "1,234.5"),
        ("ja", "12,345", "1,234.5"),
        ("de", "12.345", "1.234,5"),
        ("es", "12.345", "1234,5"),
        ("fr", "12\u202f345", "1\u202f234,5"),
    ],
)
def test_numbers_are_written_as_the_language_does(code, whole, part):
    with speaking(code):
        assert number(12345) == whole
        assert number(1234.5, 1) == part


def test_a_message_without_translation_is_said_in_english():
    with speaking("de"):
        assert gettext("no such message: %(it)s", it="x") == "no such message: x"
