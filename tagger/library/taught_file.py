"""What was taught as a file, to be taken to another machine: features and answers, no pictures.

JSON: ``format`` (1), ``what`` it holds in words, and ``labels``; each with ``path``, ``synonyms``,
``thresholds`` as they were learned, and ``examples``: the ``digest`` of the photo's bytes, whether
it is ``positive``, its ``origin``, a digest of its ``occasion``, and by network its ``features``
(float16, little-endian, base64). Paths, dates and places of photos are not in it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import typing
from typing import Any

from tagger.errors import StateError
from tagger.index import taught_tables as tables
from tagger.index.store import Store
from tagger.index.taught_store import ask, record
from tagger.labels.yaml_reader import name_problem
from tagger.records import Example, Origin, TaughtLabel
from tagger.text.messages import noop
from tagger.text.parsing import parse_json

FORMAT = 1
WHAT = noop(
    "labels, the answers of their owner, and numbers that a network made of the photos; no pictures"
)
MOST_BYTES = 1 << 20
"""Of the features of one photo."""


def exported(store: Store) -> str:
    """Return all that was taught, as the text of a file."""
    model_ids = ask(store, tables.model_ids)
    found: dict[str, dict[bytes, dict[str, Any]]] = {}
    for model_id in model_ids or [""]:
        for one in ask(store, lambda db, m=model_id: tables.examples(db, m)):  # type: ignore[misc]
            if one.positive is None:
                continue
            occasion = hashlib.blake2b(one.occasion.encode(), digest_size=8).hexdigest()
            made = found.setdefault(one.label, {}).setdefault(
                one.content_hash,
                {
                    "digest": one.content_hash.hex(),
                    "positive": one.positive,
                    "origin": one.origin,
                    "occasion": occasion if one.occasion else "",
                    "features": {},
                },
            )
            if one.features:
                made["features"][model_id] = base64.b64encode(one.features).decode()
    labels = [
        {
            "path": list(label.path),
            "synonyms": list(label.synonyms),
            "thresholds": _thresholds(store, label),
            "examples": list(found.get(label.label, {}).values()),
        }
        for label in ask(store, tables.labels)
    ]
    return json.dumps({"format": FORMAT, "what": WHAT, "labels": labels}, indent=1) + "\n"


def _thresholds(store: Store, label: TaughtLabel) -> dict[str, float]:
    from tagger.labels.personal.model import TaughtModel

    found = {}
    for row in store.read("SELECT model_id, model FROM taught_models"):
        try:
            fits = TaughtModel.from_bytes(row["model"]).fits
        except ValueError:
            continue
        for fit in fits:
            if fit.label.label == label.label and fit.thresholds.write < float("inf"):
                found[row["model_id"]] = round(fit.thresholds.write, 6)
    return found


def take_in(store: Store, text: str | bytes) -> tuple[int, int]:
    """Add what :func:`exported` wrote; return how many labels and examples are new.

    What was taught here stays as it is. Raise StateError for what is no such file.
    """
    try:
        labels = _parsed(parse_json(text))
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error) as error:
        raise StateError(
            f"it is not what `tagger teach --export` wrote: {error}", "make it again with that"
        ) from error
    known = {one.label.casefold(): one for one in ask(store, tables.labels)}
    have = {(one.label, one.content_hash) for one in ask(store, tables.examples)}
    statements: list[tables.Statement] = []
    new_labels = new_examples = 0
    for label, examples in labels:
        own = known.get(label.label.casefold())
        if own is None:
            statements.append(tables.add_label(label))
            new_labels += 1
        name = own.label if own is not None else label.label
        for one, features in examples:
            if (name, one.content_hash) in have:
                continue
            new_examples += 1
            made = Example(name, one.content_hash, "", one.positive, one.origin, one.occasion)
            statements += tables.add_examples([made], "")
            statements += [
                tables.add_features(one.content_hash, model_id, blob)
                for model_id, blob in features.items()
            ]
    if statements:
        record(store, statements)
    return new_labels, new_examples


_Parsed = list[tuple[TaughtLabel, list[tuple[Example, dict[str, bytes]]]]]


def _parsed(said: Any) -> _Parsed:
    if said["format"] != FORMAT:
        raise ValueError(f"its format is {said['format']}, not {FORMAT}")
    found: _Parsed = []
    for one in said["labels"]:
        path = tuple(str(part) for part in one["path"])
        words = tuple(str(word) for word in one["synonyms"])
        if not path or any(map(name_problem, (*path, *words))):
            raise ValueError(f"{path!r} is no label")
        label = TaughtLabel(path, words)
        found.append((label, [_example(label.label, each) for each in one["examples"]]))
    return found


def _example(label: str, said: Any) -> tuple[Example, dict[str, bytes]]:
    digest = bytes.fromhex(said["digest"])
    if not isinstance(said["positive"], bool) or said["origin"] not in typing.get_args(Origin):
        raise ValueError("an example is not sound")
    features = {
        str(model_id): base64.b64decode(blob, validate=True)
        for model_id, blob in said["features"].items()
    }
    if any(len(blob) % 2 or len(blob) > MOST_BYTES for blob in features.values()):
        raise ValueError("the features of an example are not sound")
    one = Example(label, digest, "", said["positive"], said["origin"], str(said["occasion"])[:64])
    return one, features
