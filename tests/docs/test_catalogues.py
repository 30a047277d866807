"""The catalogues of messages: every message in each, with what it names, and nothing else."""

from __future__ import annotations

import ast
import errno
import re
from pathlib import Path

import pytest

from tagger.labels.vocabulary import load_vocabulary
from tagger.text.error_texts import CONTEXT, in_language
from tagger.text.messages import LANGUAGES, speaking
from tools import catalogues, wordings
from tools.catalogues import CLICK, MessageId, catalogue, errors, languages, messages

PLACEHOLDER = re.compile(r"%\(\w+\)[sr]|\{\w*(?:![rs])?\}|%%|\x08")
CODE = re.compile(r"<[^>]+>|--[a-z-]+|`[^`]*(?:tagger|\.)[^`]*`")
"""What stays as it is: markup, options, commands and keys of the config."""
SAME = {
    "de": {"ok"},
    "fr": {
        *("index", "ok", "Page", "Pages", "Photo", "Photos", "Suggestions", "Options"),
        *("%(prog)s, version %(version)s", "%(n)s photo", "%(n)s worker"),
    },
    "es": {"no", "detector", "%(n)s error", "Error %(status)s", "Error: {message}"},
}
"""What is the same in a language as in English."""


def texts(key: MessageId) -> tuple[str, ...]:
    return (key,) if isinstance(key, str) else key


def translations(language: str) -> dict[MessageId, tuple[str, ...]]:
    found = {}
    known = catalogue(language)
    for key in messages():
        message = known.get(key if isinstance(key, str) else key[0])
        string = message.string
        found[key] = (string,) if isinstance(string, str) else tuple(string)
    return found


def named(text: str) -> set[str]:
    return set(PLACEHOLDER.findall(text))


def kept(text: str) -> set[str]:
    return set(CODE.findall(text))


def test_all_languages_but_english_have_a_catalogue():
    assert set(languages()) == {"zh", "de", "fr", "es", "ja"} == set(LANGUAGES) - {"en"}
    assert len(messages()) > 500


@pytest.mark.parametrize("language", languages())
def test_every_message_is_translated_and_names_the_same(language):
    wrong = []
    for key, said in translations(language).items():
        wanted = set().union(*(named(text) for text in texts(key)))
        for text in said:
            one_of = [named(one) for one in texts(key)]
            fits = (
                named(text) in one_of
                or named(text) == wanted
                or (isinstance(key, tuple) and named(text) == wanted - {"%(n)s"})
            )
            if not text.strip() or not fits:
                wrong.append((key, text))
    assert wrong == []


@pytest.mark.parametrize("language", languages())
def test_every_wording_of_an_error_is_translated_and_names_the_same(language):
    assert len(errors()) > 800
    known = catalogue(language)
    said = {wording: known.get(wording, CONTEXT).string for wording in errors()}
    assert {wording for wording, text in said.items() if not text.strip()} == set()
    assert {wording for wording, text in said.items() if named(text) != named(wording)} == set()
    kept_by_all = {"ssh", "sudo", "--force", "--user", "--config", "--all", "--run-as", "near:52.5"}
    for wording, text in said.items():
        for word in kept_by_all:
            assert (word in wording) == (word in text), (wording, text)


def test_nearly_every_error_is_said_in_all_languages():
    """A new one may wait for its translations; more than one in a hundred may not."""
    left = sorted(set(wordings.of_errors()) - set(errors()))
    assert len(left) <= len(wordings.of_errors()) // 100, left


def test_what_the_system_says_is_among_the_wordings():
    import os

    said = {os.strerror(number) for number in errno.errorcode}
    assert {text for text in wordings.SYSTEM if text in said} >= {
        os.strerror(one)
        for one in (errno.ENOENT, errno.EACCES, errno.ENOSPC, errno.EROFS, errno.EIO, errno.ESTALE)
    }
    assert set(wordings.SYSTEM) <= set(errors())


@pytest.mark.parametrize("language", languages())
def test_an_error_is_recognised_by_its_wording(language):
    known = catalogue(language)
    with speaking(language):
        for wording in errors():
            values = {name: f"/a/{name}.jpg" for name in re.findall(r"%\((\w+)\)s", wording)}
            expected = known.get(wording, CONTEXT).string % values
            assert in_language(wording % values) == expected


@pytest.mark.parametrize("language", languages())
def test_markup_options_and_commands_stay_as_they_are(language):
    wrong = []
    for key, said in translations(language).items():
        if isinstance(key, tuple) or "dog" in key or key.startswith("Teach tagger a LABEL"):
            continue  # examples of searches are in the language
        if kept(said[0]) != kept(key):
            wrong.append((key, said[0]))
    assert wrong == []


@pytest.mark.parametrize("language", languages())
def test_no_message_is_left_in_english(language):
    same = {
        texts(key)[0]
        for key, said in translations(language).items()
        if said[0] == texts(key)[0] and re.search(r"[a-z]{2}", PLACEHOLDER.sub("", said[0]))
    }
    assert same == SAME.get(language, set())


@pytest.mark.parametrize("language", languages())
def test_help_pages_keep_their_paragraphs_and_columns(language):
    for key, said in translations(language).items():
        if isinstance(key, str) and "\n\n" in key:
            assert said[0].count("\n\n") == key.count("\n\n"), key
            fixed = [part for part in key.split("\n\n") if "\b" in part]
            assert len(fixed) == said[0].count("\b")


@pytest.mark.parametrize("language", languages())
def test_the_searches_in_the_help_find_something(language):
    vocabulary = load_vocabulary()
    (help_text,) = (
        said[0] for key, said in translations(language).items()
        if isinstance(key, str) and key.startswith("Print the photos that QUERY finds")
    )  # fmt: skip
    lines = help_text.split("\b\n")[1].splitlines()
    both = re.split(r"\s{2,}", lines[0])[0].split(" ")
    either = re.split(r"\s{2,}", lines[1])[0].split(" or ")
    without = re.split(r"\s{2,}", lines[2])[0].split(" not ")
    assert len(both) == len(either) == len(without) == 2
    above = re.findall(r"`([^`]+)`", help_text.split("\b\n")[0])
    for word in (*both, *either, *without, *above):
        assert list(vocabulary.resolve(word, language=language)), word


def test_what_the_source_says_is_found_wherever_it_stands(tmp_path: Path, monkeypatch):
    (tmp_path / "a.py").write_text(
        "x = f\"{gettext('in an f-string')} {name}\"\n"
        'y = ngettext("%(n)s one", "%(n)s many", 2)\nz = noop("marked")\n'
    )
    (tmp_path / "b.html").write_text("<p title=\"{{ _('a %(title)s', title=1) }}\">{{ _('text') }}")
    (tmp_path / "c.js").write_text('tell(`${gettext("in a template")}`);\ngettext("plain");\n')
    found = {
        key
        for name in ("a.py", "b.html", "c.js")
        for key in catalogues._messages_of(tmp_path / name)
    }
    assert found == {
        "in an f-string",
        ("%(n)s one", "%(n)s many"),
        "marked",
        "a %(title)s",
        "text",
        "in a template",
        "plain",
    }


def test_what_click_says_is_what_it_says():
    import click

    source = "".join(
        path.read_text(encoding="utf-8") for path in Path(click.__file__).parent.glob("*.py")
    )
    plain = re.sub(r'"\s*\n\s*"', "", source)
    for key in CLICK:
        for text in texts(key):
            assert text.replace("\n", "\\n").replace("\t", "\\t") in plain, text


def test_doctor_hands_on_no_english_words():
    """What a check says comes from `gettext`, or from an error by `in_language`."""
    left = []
    for path in sorted((catalogues.SOURCE / "doctor").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Result":
                for said in node.args[2:]:
                    parts = said.values if isinstance(said, ast.JoinedStr) else (said,)
                    left += [
                        (path.name, part.value)
                        for part in parts
                        if isinstance(part, ast.Constant)
                        and re.search("[a-z]{3} |[a-z]{2} [a-z]", str(part.value))
                    ]
    assert left == []
