"""The vocabulary with the labels that the user taught, for searching and showing."""

from __future__ import annotations

import os

from tagger.index.taught_tables import TAUGHT_NAME, taught_labels
from tagger.labels.vocabulary import Vocabulary, own_vocabulary

_Key = tuple[str, str, int, int]
_last: dict[_Key, Vocabulary] = {}


def known_words(state_dir: str) -> Vocabulary:
    """Return all labels there are: those of the tree, and those taught until now."""
    return with_taught(own_vocabulary(state_dir), state_dir)


def with_taught(vocabulary: Vocabulary, state_dir: str) -> Vocabulary:
    """Return ``vocabulary`` with the labels that were taught until now."""
    try:
        found = os.stat(os.path.join(state_dir, TAUGHT_NAME))
    except OSError:
        return vocabulary
    key = (state_dir, vocabulary.digest, found.st_mtime_ns, found.st_size)
    made = _last.get(key)
    if made is None:
        made = vocabulary.with_taught(taught_labels(state_dir))
        _last.clear()  # of another time
        _last[key] = made
    return made
