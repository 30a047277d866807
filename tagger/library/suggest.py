"""What may be meant by the beginning of a word: labels in all languages, own keywords, fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tagger.index.conditions import STATES
from tagger.index.folding import fold
from tagger.index.reader import Reader
from tagger.labels.vocabulary import Vocabulary
from tagger.records import PHOTO_KINDS

MOST = 20
"""Suggestions that can be asked for."""
USUAL = 8

FIELDS = (
    ("taken:", "when it was taken: taken:2025-06..2025-08"),
    ("added:", "when it was first seen: added:today"),
    ("in:", "part of its folder's name: in:holiday"),
    ("camera:", "part of the camera's name: camera:pixel"),
    ("format:", "JPEG, HEIC, …: format:heic"),
    ("near:", "taken near a place: near:52.5,13.4,10km"),
    *(
        (f"kind:{kind.partition(' ')[0]}", f"what the file says it is: {kind}")
        for kind in PHOTO_KINDS
    ),
    *((f"is:{state}", f"photos that are {state}") for state in STATES),
    ("source:user", "with keywords of your own"),
    ("source:model", "with tags of the model's"),
    ("source:taught", "with tags that you taught"),
)

_OWN_MEANING = frozenset('()"<>:')


class _Found(NamedTuple):
    rank: tuple[int, ...]
    text: str
    label: str
    name: str
    language: str
    kind: str
    used: bool


def suggestions(
    reader: Reader, known: Vocabulary, beginning: str, limit: int = USUAL, language: str = "en"
) -> list[dict[str, Any]]:
    """Return what ``beginning`` may become, the likeliest first: what photos have before others.

    Each has ``text``, as it is written in a query; ``label``, ``name`` (the word that begins
    so) and its ``language``, one of those in the tree or the ``language`` asked for; ``kind``:
    "label", "keyword" or "field"; and ``used``, whether a photo has it.
    """
    wanted = fold(beginning.strip().strip('"'))
    if not wanted:
        return []
    found = [
        *_fields(wanted),
        *_labels(reader, known, wanted, language),
        *_keywords(reader, wanted),
    ]
    found.sort(key=lambda one: (one.rank, one.name))
    return [dict(zip(one._fields[1:], one[1:], strict=True)) for one in found[:limit]]


def quoted(label: str) -> str:
    """Return a label as it is written in a query."""
    plain = not _OWN_MEANING & {*label} and " " not in label and not label.startswith("-")
    plain = plain and label.lower() not in ("and", "or", "not")
    return label if plain else f'"{label}"'


def _fields(wanted: str) -> Iterator[_Found]:
    for text, meaning in FIELDS:
        if text.startswith(wanted):
            yield _Found((1, len(text)), text, text, meaning, "en", "field", True)


def _labels(reader: Reader, known: Vocabulary, wanted: str, language: str) -> Iterator[_Found]:
    carried = frozenset((*reader.carried("model"), *reader.carried("taught")))
    for label, node in known.nodes.items():
        best: _Found | None = None
        for code in dict.fromkeys((*node.names, language)):
            for number, word in enumerate(known.words(label, code)):
                place = _place(fold(word), wanted)
                if place is None:
                    continue
                used = label in carried
                rank = (0 if used else 2, place, int(number > 0), len(word))
                if best is None or rank < best.rank:
                    best = _Found(rank, quoted(label), label, word, code, "label", used)
        if best is not None:
            yield best


def _keywords(reader: Reader, wanted: str) -> Iterator[_Found]:
    for label in dict.fromkeys((*reader.carried("user"), *reader.carried("rule"))):
        # With quotes in it no query can name it.
        if '"' not in label and (place := _place(fold(label), wanted)) is not None:
            rank = (0, place, 0, len(label))
            yield _Found(rank, quoted(label), label, label, "", "keyword", True)


def _place(word: str, wanted: str) -> int | None:
    """Return 0 when ``word`` begins so, 1 when one of its words does, None when neither."""
    if word.startswith(wanted):
        return 0
    return 1 if f" {wanted}" in word else None
