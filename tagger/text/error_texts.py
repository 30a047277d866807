"""What an error says, in the language that is spoken: found by its wording.

Errors are made in English, far below, where nobody knows who reads them; logs, the index and JSON
keep that. So are the daemon's notices, the reasons that it stores, and what is found of a config.
Where one is shown to a person, it is compared with the wordings of the catalogue, whose context is
``error``. What is in no catalogue is said in English.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from tagger.text.messages import ENGLISH, entries, language

CONTEXT = "error"
_PLACE = re.compile(r"%\((\w+)\)s")
_KEY = re.compile(r"([a-z_]+(?:[.\[][\w.\[\]]*)?): (.+)", re.DOTALL)
"""What is said of a key of the config."""
_ITS_KEY = re.compile(
    r"([a-z_]+(?:\.(?:[a-z_]+|%\((?:name|word)\)s))*|%\((?:key|where)\)s)\s?[:：]\s?(?!//|\d)"
)
_LINE = re.compile(r"line \d+: ")
NESTED = frozenset(
    (
        *("bad", "error", "found", "hint", "lines", "message", "problem", "reason", "remedy"),
        *("speed", "state", "strerror", "verb", "what", "which", "why"),
    )
)
"""Parts of an error that may be wordings of their own. Never one that a user has written."""
STAND_INS = frozenset(("the photo", "the picture"))
"""What an upload is called, in place of the path of its copy."""


class _Wording(NamedTuple):
    """What one kind of error says: ``pieces`` of it, between them the values of ``names``."""

    pieces: tuple[str, ...]
    names: tuple[str, ...]
    translation: str

    def values(self, text: str) -> dict[str, str] | None:
        """Return the values that ``text`` has where it is of this wording."""
        if not all(piece in text for piece in self.pieces):
            return None
        pattern = re.escape(self.pieces[0])
        for name, piece in zip(self.names, self.pieces[1:], strict=True):
            pattern += _place(name) + re.escape(piece)
        found = re.fullmatch(pattern, text)
        return dict(zip(self.names, found.groups(), strict=True)) if found else None


def _place(name: str) -> str:
    """Return a pattern of what a part of an error may be."""
    if name in NESTED:
        return r"((?s:.+?))"  # of several lines
    return "(.*?)" if name.startswith("value") else "(.+?)"  # what has no name may be nothing


def error_text(message: str, remedy: str = "") -> str:
    """Return what an error of ours says, as its ``str`` does, in the language that is spoken."""
    said = in_language(message)
    return f"{said}; {in_language(remedy)}" if remedy else said


def in_language(text: str) -> str:
    """Return a message, or a remedy, in the language that is spoken."""
    if language() == ENGLISH or not text:
        return text
    said = _known(text)
    return all_in_language(text) if said is None else said


def all_in_language(text: str) -> str:
    """Return messages and remedies, with "; " between, in the language that is spoken."""
    if language() == ENGLISH or not text:
        return text
    if "\n" not in text:
        return _line(text)
    said = _known(text)
    return "\n".join(map(_line, text.split("\n"))) if said is None else said


def _line(text: str) -> str:
    """Return one line: a wording, several with "; " between, or one behind a key's name."""
    indent = text[: len(text) - len(text.lstrip())]
    if indent:
        return indent + _line(text.lstrip())
    key = _KEY.fullmatch(text)
    if key is not None and not key[1].isidentifier():
        return f"{key[1]}: {_line(key[2])}"
    if not _LINE.match(text) and "; " in text and (said := _sequence(text)) is not None:
        return said
    if (said := _known(text)) is not None:
        return said
    if key is not None:
        return f"{key[1]}: {_line(key[2])}"
    first, semicolon, others = text.partition("; ")
    return f"{first}; {_line(others)}" if semicolon else text


def _sequence(text: str) -> str | None:
    """Return wordings with "; " between; None when it is a single one, or there is none first."""
    if text in _plain(language()):
        return None
    parts = text.split("; ")
    for count in range(len(parts) - 1, 0, -1):
        first, others = _known("; ".join(parts[:count])), "; ".join(parts[count:])
        if first is not None and (said := _line(others)) != others:
            return f"{first}; {said}"
    return None


def _known(text: str) -> str | None:
    """Return the translation of a text that is of one wording; None when it is of none."""
    for wording in _wordings(language()):
        values = wording.values(text)
        if values is not None:
            for name, value in values.items():
                if name in NESTED or value in STAND_INS:
                    values[name] = all_in_language(value)
            return wording.translation % values
    return None


@cache
def _wordings(language: str) -> tuple[_Wording, ...]:
    """Return all wordings of a language, those that say the most by themselves first."""
    known = list(entries(language, CONTEXT))
    # What a record says of a key of its own stands behind the key's whole name.
    known += [
        (message[found.end() :], _ITS_KEY.sub("", translation, 1))
        for message, translation in known
        if (found := _ITS_KEY.match(message)) and translation.startswith(found[1])
    ]
    wordings = []
    for message, translation in known:
        parts = _PLACE.split(message)
        pieces = tuple(part.replace("%%", "%") for part in parts[::2])
        wordings.append(_Wording(pieces, tuple(parts[1::2]), translation))
    return tuple(sorted(wordings, key=lambda one: -sum(map(len, one.pieces))))


@cache
def _plain(language: str) -> frozenset[str]:
    """Return the wordings that name nothing."""
    return frozenset("".join(one.pieces) for one in _wordings(language) if not one.names)
