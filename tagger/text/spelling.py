"""The known word that somebody may have meant."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the one of ``known`` that is spelled most like ``word``; None if none is near.

    ``cutoff`` is the least likeness, of 1.
    """
    import difflib  # only for mistakes: it takes milliseconds to import

    return next(iter(difflib.get_close_matches(word, list(known), 1, cutoff)), None)
