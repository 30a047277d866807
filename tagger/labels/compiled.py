"""The vocabulary in a form that is read five times as fast as its YAML: ``imagenet.json``.

It is only ever used for the very text it was made from: it holds that text's length and
CRC-32, and is passed over when they differ.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

Policy = Literal["normal", "reluctant", "never"]


class Node(NamedTuple):
    """One label.

    ``names`` has its name by language ("en" always, equal to ``label``), ``synonyms``
    more words to search for. ``classes``, ``scenes`` and ``things`` are the outputs that it
    stands for, of ImageNet's networks (leaves only), of Places365's and of the detector;
    ``implied_by`` are scenes that stand for another label and show this one, too; ``at_least``
    is how many of the thing there must be; ``hints`` are labels that tell that one is here.
    ``policy`` "reluctant" needs far more evidence, "never" is not said.
    """

    # A NamedTuple: more than a thousand are made whenever the program starts.

    label: str
    names: Mapping[str, str]
    synonyms: Mapping[str, tuple[str, ...]]
    parent: str | None
    children: tuple[str, ...]
    classes: tuple[int, ...]
    policy: Policy = "normal"
    scenes: tuple[int, ...] = ()
    things: tuple[int, ...] = ()
    implied_by: tuple[int, ...] = ()
    at_least: int = 1
    hints: tuple[str, ...] = ()


class CompiledVocabulary(NamedTuple):
    """The content of a vocabulary file.

    ``digest`` is the BLAKE2b-128, in hexadecimal, of its text and those of translations;
    ``words`` has by folded word the labels it means, when that was found out already;
    ``scenes`` and ``things`` have the names of those networks' outputs.
    """

    digest: str
    wnids: tuple[str, ...]
    nodes: Sequence[Node]
    words: Mapping[str, Sequence[str]] | None = None
    scenes: tuple[str, ...] = ()
    things: tuple[str, ...] = ()


def read_ready(path: str, text: str) -> CompiledVocabulary | None:
    """Return the ready-made form of ``text``, the content of the vocabulary file ``path``.

    Return None when there is none beside it, or one of another text.
    """
    try:
        with open(os.path.splitext(path)[0] + ".json", encoding="ascii") as file:
            made = json.load(file)
    except (OSError, ValueError):
        return None  # the YAML says the same, only slower
    if not isinstance(made, dict) or made.get("of") != mark(text):
        return None
    nodes = [
        Node(
            label,
            names,
            {language: tuple(words) for language, words in more.items()},
            parent,
            tuple(children),
            tuple(classes),
            policy,
            *_sources(sources),
        )
        for label, names, more, parent, children, classes, policy, *sources in made["nodes"]
    ]
    return CompiledVocabulary(
        made["digest"],
        tuple(made["wnids"].split()),
        nodes,
        made["words"],
        *(tuple(made[key]) for key in ("scenes", "things")),
    )


def dump_ready(ready: CompiledVocabulary, text: str) -> str:
    """Return the content of the file that :func:`read_ready` reads; a line for each label."""
    head = {"of": mark(text), "digest": ready.digest, "wnids": " ".join(ready.wnids)}
    parts = [f'"{key}":{_json(value)}' for key, value in head.items()]
    words = (f"{_json(key)}:{_json(labels)}" for key, labels in sorted((ready.words or {}).items()))
    parts += [f'"{key}":{_json(getattr(ready, key))}' for key in ("scenes", "things")]
    parts.append('"words":{\n' + ",\n".join(words) + "\n}")
    parts.append('"nodes":[\n' + ",\n".join(map(_line, ready.nodes)) + "\n]")
    return "{" + ",\n".join(parts) + "}\n"


def _sources(stored: Sequence[Any]) -> tuple[Any, ...]:
    """Return the last fields of a label, which are left out when they hold nothing."""
    return (*map(tuple, stored[:3]), stored[3], tuple(stored[4])) if stored else ()


def _line(node: Node) -> str:
    """Return a label; without its last fields when they hold nothing."""
    sources = node[-5:] != ((), (), (), 1, ())
    return _json(node if sources else node[:-5])


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))  # ASCII is read faster


def mark(text: str) -> list[int]:
    """Return what tells the text from any other that somebody may have made of it."""
    data = text.encode()
    return [len(data), zlib.crc32(data)]
