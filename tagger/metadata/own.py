"""Which words can be keywords of the user's own, given through us."""

from __future__ import annotations

import unicodedata

from tagger.metadata.packet import clean

MAX_LENGTH = 64
"""Characters of a keyword: so many bytes IPTC holds, which other programs take for the limit."""

_LEVELS, _LISTS = frozenset("|/"), frozenset(",;")
_UNFIT = ("Cc", "Cs", "Cn", "Zl", "Zp")
"""Control characters, halves of characters, and what is none; joiners in emoji are well."""


def keyword_problem(word: str) -> str | None:
    """Return what makes ``word`` unfit as a keyword, beginning with "it"; None: nothing does."""
    if not clean(word):
        return "it is empty"
    if len(word) > MAX_LENGTH:
        return f"it has {len(word)} characters, more than {MAX_LENGTH}"
    if _LEVELS & {*word}:
        return "it has a `/` or `|`, which separate levels of keywords in other programs"
    if _LISTS & {*word}:
        return "it has a `,` or `;`, which separate keywords in other programs"
    if any(unicodedata.category(mark) in _UNFIT for mark in word):
        return "it has a character that cannot be written"
    return None
