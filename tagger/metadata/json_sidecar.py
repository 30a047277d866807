"""The JSON sidecar ``photo.jpg.tags.json``, for scripts. Its schema, version 1:

``version``
    1; a reader should refuse a larger one.
``software``, ``model``
    The program that wrote it, and the network that classified.
``file``
    The name of the photo, without its folder.
``hash``
    ``xxh3-128:`` and the digest of the photo's bytes in hexadecimal.
``labels``
    One object for each tag: ``label``, ``confidence`` (0 to 1) and ``path``, from the root of
    the hierarchy down to the label.

Other keys, and labels that somebody else put there, are kept.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Collection, Sequence
from typing import Any

from tagger.errors import RefusedError
from tagger.records import Keyword
from tagger.text.parsing import parse_json

TARGET = "sidecar-json"
PROPERTY = "labels"
VERSION = 1
MAX_BYTES = 1 << 20
MAX_DEPTH = 20
"""Of nested lists and objects: each level is written with its indentation."""
_LABEL_KEYS = {"label", "confidence", "path"}
_OURS = ("version", "software", "model", "file", "hash", PROPERTY)


def parse(data: bytes | None) -> dict[str, Any]:
    """Return the object in a sidecar; empty without a file.

    Raise RefusedError when it is no sidecar of this schema: it is somebody else's then.
    """
    if data is None:
        return {}
    if len(data) > MAX_BYTES:
        raise RefusedError("it is larger than 1 MB")
    try:
        found = parse_json(data)
    except ValueError as error:
        raise RefusedError("it is no JSON that tagger wrote") from error
    if _is_deep(found):
        raise RefusedError(f"it is nested more than {MAX_DEPTH} deep")
    if not isinstance(found, dict) or found.get("version") != VERSION:
        raise RefusedError(f"it is not in version {VERSION} of tagger's schema")
    if not isinstance(found.get(PROPERTY, []), list):
        raise RefusedError("it has no list of labels")
    return found


def _is_deep(found: Any) -> bool:
    layer = [found] if isinstance(found, dict | list) else []
    for _ in range(MAX_DEPTH):
        inner = itertools.chain.from_iterable(
            one.values() if isinstance(one, dict) else one for one in layer
        )
        layer = [one for one in inner if isinstance(one, dict | list)]
    return bool(layer)


def labels_in(found: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of all labels in a parsed sidecar."""
    return tuple(name for one in found.get(PROPERTY, ()) if (name := _name(one)))


def is_ours(found: dict[str, Any]) -> bool:
    """Whether a parsed sidecar says that tagger wrote it."""
    return str(found.get("software", "")).startswith("tagger ")


def ours_in(found: dict[str, Any]) -> tuple[str, ...]:
    """Return the names of the labels that look as if we wrote them."""
    if not is_ours(found):
        return ()
    labels = (one for one in found.get(PROPERTY, ()) if _name(one) and set(one) == _LABEL_KEYS)
    return tuple(map(_name, labels))


def paths_in(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the paths of all labels."""
    paths = []
    for one in found.get(PROPERTY, ()):
        if name := _name(one):
            path = one.get("path")
            sound = isinstance(path, list) and path and all(isinstance(p, str) for p in path)
            paths.append(tuple(path) if sound else (name,))
    return paths


def confidences(found: dict[str, Any]) -> dict[str, float]:
    """Return the confidence of each label that looks as if we wrote it."""
    ours = set(ours_in(found))
    return {
        one["label"]: float(one["confidence"])
        for one in found.get(PROPERTY, ())
        if _name(one) in ours
        and isinstance(one["confidence"], int | float)
        and 0 <= one["confidence"] <= 1  # a number of any length otherwise, or none
    }


def without(found: dict[str, Any], ours: Collection[str]) -> bytes | None:
    """Return the sidecar without our labels; None when nothing of anybody's is left."""
    ours = frozenset(ours)
    rest = [one for one in found.get(PROPERTY, ()) if _name(one) not in ours]
    others = {key: value for key, value in found.items() if key not in _OURS}
    if not rest and not others:
        return None
    return _dump({"version": VERSION, "file": found.get("file"), **others, PROPERTY: rest})


def with_label(data: bytes | None, word: str, *, photo: str) -> bytes:
    """Return a sidecar (None: no file) with a label of the user's own. Raise as :func:`parse`."""
    found = parse(data) or {"version": VERSION, "file": os.path.basename(photo)}
    if data is not None and word in labels_in(found):
        return data
    return _dump({**found, PROPERTY: [*found.get(PROPERTY, ()), {"label": word}]})


def build(
    base: dict[str, Any],
    keywords: Sequence[Keyword],
    *,
    photo: str,
    digest: bytes,
    model: str,
    software: str,
) -> tuple[bytes, tuple[str, ...]]:
    """Return the sidecar with ``keywords`` added, and the names of those really added."""
    there = set(labels_in(base))
    new = [keyword for keyword in keywords if keyword.name not in there]
    labels = [
        {"label": k.name, "confidence": round(k.confidence, 4), "path": list(k.path)} for k in new
    ]
    head = {
        "version": VERSION,
        "software": software,
        "model": model,
        "file": os.path.basename(photo),
        "hash": f"xxh3-128:{digest.hex()}",
    }
    others = {key: value for key, value in base.items() if key not in _OURS}
    whole = {**head, **others, PROPERTY: [*base.get(PROPERTY, ()), *labels]}
    return _dump(whole), tuple(keyword.name for keyword in new)


def _name(one: Any) -> str:
    return one["label"] if isinstance(one, dict) and isinstance(one.get("label"), str) else ""


def _dump(whole: dict[str, Any]) -> bytes:
    # ASCII only: a file name of any bytes comes through (as surrogate escapes).
    return json.dumps(whole, indent=2).encode("ascii") + b"\n"
