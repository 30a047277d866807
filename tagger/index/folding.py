"""Words as they are compared and stored."""

from __future__ import annotations

import contextlib
import json

from tagger.text.unicode import normalized, well_formed


def fold(word: str) -> str:
    """Return ``word`` as it is compared in searches: NFKC, case-folded, blanks collapsed."""
    return " ".join(normalized("NFKC", word).casefold().split())


def storable(value: str) -> str:
    """Return ``value`` without what SQLite cannot hold."""
    return well_formed(value)


def name_path(text: str, label: str) -> tuple[str, ...]:
    """Return a name's ``path``; the label alone if it was damaged on the disk."""
    with contextlib.suppress(ValueError):
        path = json.loads(text)
        if isinstance(path, list) and path and all(isinstance(one, str) for one in path):
            return tuple(path)
    return (label,)
