"""Words as they are compared and stored."""

from __future__ import annotations

import unicodedata

from tagger.text import well_formed


def fold(word: str) -> str:
    """Return ``word`` as it is compared in searches: NFKC, case-folded, blanks collapsed."""
    return " ".join(unicodedata.normalize("NFKC", word).casefold().split())


def storable(value: str) -> str:
    """Return ``value`` without what SQLite cannot hold."""
    return well_formed(value)
