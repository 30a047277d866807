"""Makes ``docs/configuration.md``: each key of the configuration, from its schema."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Any

import yaml

from tagger.config.rule import Rule
from tagger.config.schema import Config, WatchRoot

HEAD = """\
# Configuration

The config is found at `--config`, `$TAGGER_CONFIG`, `~/.config/tagger/config.yaml` or
`/etc/tagger/config.yaml`. `tagger init FOLDER` writes one with every key;
`tagger config check` finds all mistakes in it at once, each with its line. A running daemon reads
it again at SIGHUP. This page is made from the schema by `make generate`.
"""


_LISTS: dict[str, type[Any]] = {"watch": WatchRoot, "rules": Rule}
"""What the keys hold that are lists of records."""


def document() -> str:
    """Return the text of ``docs/configuration.md``."""
    hints = typing.get_type_hints(Config)
    plain = [item for item in dataclasses.fields(Config) if not _section(hints[item.name])]
    lines = [HEAD, "## At the top", "", *_table(Config, plain)]
    for item in dataclasses.fields(Config):
        kind = hints[item.name]
        if item.name in _LISTS:
            kind = _LISTS[item.name]
        elif not dataclasses.is_dataclass(kind):
            continue
        title = {"watch": "watch, for each folder", "rules": "rules, for each one"}
        lines += [
            "",
            f"## {title.get(item.name, item.name)}",
            "",
            _first(item.metadata["help"]),
            "",
        ]
        lines += _table(typing.cast("type[Any]", kind), dataclasses.fields(kind))
    return "\n".join(lines) + "\n"


def _section(kind: Any) -> bool:
    lists = [tuple[one, ...] for one in _LISTS.values()]  # type: ignore[valid-type]
    return dataclasses.is_dataclass(kind) or kind in lists


def _first(text: str) -> str:
    """Return what is said of a section, without its example."""
    return text.partition("\nrules:")[0]


def _table(owner: type[Any], items: Any) -> Iterator[str]:
    hints = typing.get_type_hints(owner)
    yield "| key | values | default | meaning |"
    yield "|---|---|---|---|"
    for item in items:
        cells = (f"`{item.name}`", _values(hints[item.name], item.metadata), _default(item))
        yield f"| {' | '.join(cells)} | {_cell(item.metadata['help'])} |"


def _values(kind: Any, limits: typing.Mapping[str, Any]) -> str:
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(f"`{value}`" for value in typing.get_args(kind))
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        inner = [one for one in typing.get_args(kind) if one is not type(None)]
        return f"{_values(inner[0], limits)}, or nothing"
    if typing.get_origin(kind) is tuple:
        return "a list"
    if kind in (int, float):
        low, high = limits.get("min"), limits.get("max")
        between = f", {low:g} to {high:g}" if low is not None and high is not None else ""
        return ("a whole number" if kind is int else "a number") + between
    if typing.get_origin(kind) is not None:
        return "keys with values"
    return {bool: "`true`, `false`", str: "a path" if limits.get("path") else "a text"}[kind]


def _default(item: Any) -> str:
    if "shown" in item.metadata:
        return f"`{item.metadata['shown']}`"
    value = item.default
    if value is dataclasses.MISSING:
        if item.default_factory is dataclasses.MISSING:
            return "needed"
        value = item.default_factory()
    if value is None:
        return ""
    shown = yaml.safe_dump(
        list(value) if isinstance(value, tuple) else value, default_flow_style=True
    )
    return f"`{shown.removesuffix('...' + chr(10)).strip()}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
