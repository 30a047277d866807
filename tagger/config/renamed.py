"""Keys that earlier versions of the config had: each goes on working for one version."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import yaml

from tagger.config.yaml_text import is_null


class Renamed(NamedTuple):
    """A key that is called otherwise now; both as ``model.name``, without items of lists.

    ``gone`` is the version from which on the old one is unknown.
    """

    old: str
    new: str
    gone: str


RENAMED: tuple[Renamed, ...] = ()
"""No key has been renamed yet. A new entry is all that a renaming needs, besides the schema."""


class Found(NamedTuple):
    """An old key in a file: where its name stands, and whether the new one stands there, too."""

    key: Renamed
    name: yaml.Node
    twice: bool

    def __str__(self) -> str:
        key, line = self.key, self.name.start_mark.line + 1
        return f"line {line}: `{key.old}` is now `{key.new}`; it is read until {key.gone}"


def take_up(root: yaml.Node) -> Iterator[Found]:
    """Move the values of old keys to where the new ones are; yield what was found."""
    for key in RENAMED:
        above, _, last = key.old.rpartition(".")
        home = _mapping(root, above)
        pair = _pair(home, last)
        if home is None or pair is None:
            continue
        home.value.remove(pair)
        name, value = pair
        section, _, new = key.new.rpartition(".")
        place = _mapping(root, section, like=name)
        twice = place is None or _pair(place, new) is not None
        if place is not None and not twice:
            place.value.append((_scalar(new, name), value))
        yield Found(key, name, twice)


def _mapping(
    root: yaml.Node, path: str, *, like: yaml.Node | None = None
) -> yaml.MappingNode | None:
    """Return the mapping at ``path``; one is made where ``like`` is, if there is none."""
    node = root
    for part in filter(None, path.split(".")):
        if not isinstance(node, yaml.MappingNode):
            return None
        pair = _pair(node, part)
        if like is not None and (pair is None or is_null(pair[1])):
            if pair is not None:
                node.value.remove(pair)
            made = yaml.MappingNode("tag:yaml.org,2002:map", [], like.start_mark, like.end_mark)
            pair = (_scalar(part, like), made)
            node.value.append(pair)
        if pair is None:
            return None
        node = pair[1]
    return node if isinstance(node, yaml.MappingNode) else None


def _pair(node: yaml.Node | None, name: str) -> tuple[yaml.Node, yaml.Node] | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((pair for pair in pairs if pair[0].value == name), None)


def _scalar(text: str, like: yaml.Node) -> yaml.ScalarNode:
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, like.start_mark, like.end_mark)
