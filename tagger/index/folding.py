"""Words as they are compared and stored."""

from __future__ import annotations

import contextlib
import json

from tagger.text.unicode import normalized


def fold(word: str) -> str:
    """Return ``word`` as it is compared in searches: NFKC, case-folded, blanks collapsed."""
    return " ".join(normalized("NFKC", word).casefold().split())


def path_range(prefix: bytes) -> tuple[bytes, bytes]:
    """Return what all paths that begin with ``prefix`` are from, and what they are before."""
    if prefix[-1] == 255:
        return prefix, prefix + b"\xff"
    return prefix, prefix[:-1] + bytes([prefix[-1] + 1])


def name_path(text: str, label: str) -> tuple[str, ...]:
    """Return a name's ``path``; the label alone if it was damaged on the disk."""
    with contextlib.suppress(ValueError):
        path = json.loads(text)
        if isinstance(path, list) and path and all(isinstance(one, str) for one in path):
            return tuple(path)
    return (label,)
