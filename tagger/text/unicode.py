"""Text that any program can take, and Unicode's normal forms in time that grows no faster than it.

What normalises a run of combining marks sorts them, in quadratic time: a keyword of 200 kB of
them took half a minute. A run of more than 30 is no writing (UAX #15, stream-safe text).
"""

from __future__ import annotations

import unicodedata
from itertools import groupby
from typing import Literal


def well_formed(text: str) -> str:
    r"""Return ``text`` with what is no Unicode made visible: ``caf\xe9.jpg``.

    Bytes of a name that are not UTF-8 come from :func:`os.fsdecode` as surrogates; other
    surrogates, which JSON can hold, have no bytes and become "?".
    """
    if text.isascii():
        return text
    try:
        data = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = text.encode("utf-8", "replace")
    return data.decode("utf-8", "backslashreplace")


MAX_CHARACTERS = 1000
MAX_MARKS = 30
_HARMLESS = 64
"""So many characters are sorted in microseconds, whatever they are."""
_BECOME_MARKS = "\uff9e\uff9f"
"""No combining marks themselves, but by NFKC they are."""


def normalized(form: Literal["NFC", "NFKC", "NFKD"], text: str) -> str:
    """Return ``text`` in a normal form; as it is when it is too long, or heaps marks."""
    if text.isascii() or len(text) > MAX_CHARACTERS:
        return text
    if len(text) > _HARMLESS and _heaps_marks(text):
        return text
    return unicodedata.normalize(form, text)


def _heaps_marks(text: str) -> bool:
    runs = groupby(text, lambda one: unicodedata.combining(one) > 0 or one in _BECOME_MARKS)
    return any(marks and len(list(run)) > MAX_MARKS for marks, run in runs)
