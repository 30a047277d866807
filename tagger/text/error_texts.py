"""What an error says, in the language that is spoken: found by its wording.

Errors are made in English, far below, where nobody knows who reads them; logs, the index and JSON
keep that. Where one is shown to a person, it is compared with the wordings of the catalogue, whose
context is ``error``. One that is in no catalogue is said in English.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from tagger.text.messages import ENGLISH, entries, language

CONTEXT = "error"
_PLACE = re.compile(r"%\((\w+)\)s")
PROBLEM = "problem"
"""A part of an error that is a wording of its own."""


class _Wording(NamedTuple):
    """What one kind of error says: ``pieces`` of it, between them the values of ``names``."""

    pieces: tuple[str, ...]
    names: tuple[str, ...]
    translation: str

    def values(self, text: str) -> dict[str, str] | None:
        """Return the values that ``text`` has where it is of this wording."""
        if not all(piece in text for piece in self.pieces):
            return None
        found = re.fullmatch("(.+?)".join(map(re.escape, self.pieces)), text, re.DOTALL)
        return dict(zip(self.names, found.groups(), strict=True)) if found else None


def error_text(message: str, remedy: str = "") -> str:
    """Return what an error of ours says, as its ``str`` does, in the language that is spoken."""
    said = in_language(message)
    return f"{said}; {in_language(remedy)}" if remedy else said


def in_language(text: str) -> str:
    """Return a message, or a remedy, in the language that is spoken."""
    if language() == ENGLISH or not text:
        return text
    for wording in _wordings(language()):
        values = wording.values(text)
        if values is not None:
            if PROBLEM in values:
                values[PROBLEM] = in_language(values[PROBLEM])
            return wording.translation % values
    return text


@cache
def _wordings(language: str) -> tuple[_Wording, ...]:
    """Return all wordings of a language, those that say the most by themselves first."""
    found = []
    for message, translation in entries(language, CONTEXT):
        parts = _PLACE.split(message)
        pieces = tuple(part.replace("%%", "%") for part in parts[::2])
        found.append(_Wording(pieces, tuple(parts[1::2]), translation))
    return tuple(sorted(found, key=lambda one: -sum(map(len, one.pieces))))
