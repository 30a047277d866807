"""What an English plural may be the plural of, for searches."""

from __future__ import annotations

from collections.abc import Iterator

_IRREGULAR = {
    "mice": "mouse",
    "geese": "goose",
    "oxen": "ox",
    "wolves": "wolf",
    "calves": "calf",
    "knives": "knife",
    "loaves": "loaf",
    "scarves": "scarf",
    "shelves": "shelf",
    "leaves": "leaf",
    "men": "man",
    "women": "woman",
    "feet": "foot",
    "teeth": "tooth",
    "oases": "oasis",
    "cacti": "cactus",
    "fungi": "fungus",
}


def singulars(key: str) -> Iterator[str]:
    """Yield what the last word of ``key`` may be the English plural of."""
    head, space, last = key.rpartition(" ")
    if last in _IRREGULAR:
        yield head + space + _IRREGULAR[last]
    if len(last) > 4 and last.endswith("ies"):
        yield head + space + last[:-3] + "y"
    if len(last) > 3 and last.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        yield head + space + last[:-2]
    if len(last) > 2 and last.endswith("s") and not last.endswith("ss"):
        yield head + space + last[:-1]
