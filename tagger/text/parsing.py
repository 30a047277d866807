"""JSON and YAML that nothing can hide in: files in the state directory may be damaged, or forged.

The parsers of the library call themselves for each level of nesting (that of YAML until the
process crashes), take numbers without end, and let aliases stand for any number of copies.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml

MOST_DIGITS = 40
MOST_LEVELS = 50
"""Of nesting in YAML; the config and the vocabulary need five."""
MOST_NODES = 200_000
"""In YAML, each alias counted as all that it stands for."""


def parse_json(data: str | bytes) -> Any:
    """Return what JSON says. Raise ValueError for all that is none, or not sound.

    Not sound are numbers that are not finite or have more than forty digits, and nesting so deep
    that it cannot be followed.
    """
    try:
        return json.loads(data, parse_int=_whole, parse_float=_number, parse_constant=_number)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits)} digits")
    return int(digits)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:MOST_DIGITS]} is no number")
    return value


def compose_yaml(text: str, loader: type) -> yaml.Node | None:
    """Return the root of a YAML document, as :func:`yaml.compose`.

    Raise yaml.YAMLError, also for one that is nested too deeply or has too many nodes.
    """
    import yaml

    _bounded(text, loader)
    root: yaml.Node | None = yaml.compose(text, Loader=loader)
    return root


def _bounded(text: str, loader: type) -> None:
    """Raise yaml.MarkedYAMLError if composing ``text`` is not safe; its events are no recursion."""
    import yaml

    sizes: dict[str, int] = {}
    open_nodes: list[tuple[str | None, int]] = []
    nodes = 0
    event: Any
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            open_nodes.append((event.anchor, nodes))
            nodes += 1
            if len(open_nodes) > MOST_LEVELS:
                mark: Any = event.start_mark
                raise yaml.MarkedYAMLError(None, None, "it is nested too deeply", mark)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            anchor, before = open_nodes.pop()
            if anchor:
                sizes[anchor] = nodes - before
        elif isinstance(event, yaml.ScalarEvent):
            nodes += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.AliasEvent):
            nodes += sizes.get(str(event.anchor), 1)  # one inside itself is its reader's matter
        if nodes >= MOST_NODES:
            raise yaml.MarkedYAMLError(None, None, "there is too much in it", event.start_mark)
