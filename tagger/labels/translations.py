"""What labels are called in the further languages that are shipped, read when they are needed.

A language is a file ``names/<language>.yaml``. Beside it lies a form that is read fifty times as
fast, ``names/<language>.txt``: in its first line the length and CRC-32 of the YAML, then a line
for each label, ``|name|more words|=label``, then the same lines as they are compared. It is
passed over when it is of another text.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping, Sequence

from tagger.errors import ConfigError
from tagger.labels.compiled import mark
from tagger.text.unicode import normalized

_FOLDER = os.path.join(os.path.dirname(__file__), "names")
_MARKS = re.compile("[\u0300-\u036f]")
"""Accents of Latin and Cyrillic letters, when they stand alone; not the marks of kana."""
_WORD = 60
"""Characters; lines of the ready form, which are longer, hold letters that can be taken apart."""
_ALIKE: dict[int, str] = {
    **{ord(one): plain for one, plain in zip("ıłøæœ・", "i l o ae oe ".split(" "), strict=True)},
    **{hiragana: chr(hiragana + 0x60) for hiragana in range(0x3041, 0x3097)},
}
Words = Mapping[str, tuple[str, ...]]
"""By label its name and further words."""


def shipped_languages() -> tuple[str, ...]:
    """Return the codes of the languages that are shipped besides those in the tree, sorted."""
    names = os.listdir(_FOLDER) if os.path.isdir(_FOLDER) else []
    return tuple(sorted(name[:-5] for name in names if name.endswith(".yaml")))


@functools.cache
def shipped_words(language: str) -> Words:
    """Return what labels are called in a shipped ``language``.

    Raise ConfigError when its file cannot be read or says what it must not.
    """
    found = {}
    for line in _ready_form(language)[0]:
        words, there, label = line.rpartition("|=")
        if there:
            found[label] = tuple(words[1:].split("|"))
    return found


@functools.lru_cache(maxsize=1024)
def labels_called(key: str, language: str) -> tuple[str, ...]:
    """Return the labels with a word in a shipped ``language`` whose folded form is ``key``."""
    lines, folded = _ready_form(language)
    found: dict[str, None] = {}
    for end in ("|", " ("):  # what tells two meanings apart may be left out
        at = folded.find(f"|{key}{end}")
        while at >= 0:
            found[lines[folded.count("\n", 0, at)].rpartition("=")[2]] = None
            at = folded.find(f"|{key}{end}", at + 1)
    return tuple(found)


def digest_of(language: str) -> str:
    """Return a text that changes with what is shipped for ``language``.

    Raise ConfigError when its file cannot be read.
    """
    return " ".join(map(str, mark(_source(language))))


def fold_word(word: str) -> str:
    """Return the form in which words are compared, but for spaces at its ends.

    Case, width and accents do not matter, as people leave them out: ``щётка`` is ``щетка``,
    ``İrlanda`` ``irlanda``, ``vélo`` ``velo``; nor do hyphens and dots, nor which kana it is.
    """
    text = word.casefold()
    if not text.isascii():
        apart = normalized("NFKD", text)
        if apart is not text or len(text) <= _WORD:  # else it is no word, and was not taken apart
            text = normalized("NFC", _MARKS.sub("", apart))
        text = text.translate(_ALIKE)
    return text.replace("'", "").replace("’", "").replace(".", "").replace("-", " ")


def ready_names(language: str, labels: Sequence[str]) -> str:
    """Return the content of ``names/<language>.txt``, made from the YAML anew.

    Raise ConfigError when a label of ``labels`` has no name.
    """
    from tagger.labels.yaml_parser import parse_names

    words = parse_names(_source(language), _path(language), labels)
    if missing := [label for label in labels if label not in words]:
        raise ConfigError(
            f"{_path(language)} has no name for {', '.join(map(repr, missing[:5]))}",
            "add them: a shipped language names every label",
        )
    lines = ["|" + "|".join(words[label]) + f"|={label}" for label in labels]
    return "\n".join((digest_of(language), *lines, "", *map(fold_word, lines))) + "\n"


def _path(language: str, suffix: str = ".yaml") -> str:
    return os.path.join(_FOLDER, language + suffix)


@functools.cache
def _source(language: str) -> str:
    try:
        with open(_path(language), encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {_path(language)}: {error}", "install tagger again"
        ) from error


@functools.cache
def _ready_form(language: str) -> tuple[list[str], str]:
    """Return the lines of the labels, and the same as they are compared, in one text."""
    try:
        with open(_path(language, ".txt"), encoding="utf-8") as file:
            ready = file.read()
    except (OSError, UnicodeDecodeError):
        ready = ""  # the YAML says the same, only slower
    if ready.partition("\n")[0] != digest_of(language):
        import yaml

        ready = ready_names(language, tuple(map(str, yaml.safe_load(_source(language)))))
    lines, _, folded = ready.partition("\n")[2].partition("\n\n")
    return lines.split("\n"), folded
