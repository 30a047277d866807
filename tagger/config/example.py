"""Writes an example configuration file, from the schema."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from tagger.config.schema import Config, WatchRoot


def example_config(
    watch: Sequence[str] = ("~/Pictures",),
    *,
    state_dir: str | None = None,
    chosen: Mapping[str, Any] | None = None,
) -> str:
    """Return the text of a config file with every key, its meaning and its default.

    ``state_dir`` stands there instead of its default, and the values of ``chosen``, by keys such
    as ``write.target``, instead of theirs.
    """
    chosen, defaults = chosen or {}, Config()
    lines = ["# The configuration of tagger. Every key is here with its default.", ""]
    for item in dataclasses.fields(Config):
        lines += _comment(item.metadata["help"], "")
        if item.name == "watch":
            lines += ["watch:", *_watch_lines(watch)]
        elif dataclasses.is_dataclass(section := getattr(defaults, item.name)):
            lines.append(f"{item.name}:")
            for inner in dataclasses.fields(section):
                lines += _comment(inner.metadata["help"], "  ")
                value = chosen.get(f"{item.name}.{inner.name}", getattr(section, inner.name))
                lines.append(f"  {inner.name}: {_shown(value)}")
        else:
            default = item.metadata.get("shown", item.default)
            if item.name == "state_dir" and state_dir:
                default = state_dir
            lines.append(f"{item.name}: {_shown(default)}")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _watch_lines(folders: Sequence[str]) -> Iterator[str]:
    for number, folder in enumerate(folders):
        lead = "  - "
        for item in dataclasses.fields(WatchRoot):
            value = folder if item.name == "path" else item.default
            if number == 0:
                yield from _comment(item.metadata["help"], "  " if lead.strip() else lead)
            yield f"{lead}{item.name}: {_shown(value)}"
            lead = "    "


def _comment(text: str, indent: str) -> list[str]:
    return [f"{indent}# {line}" for line in text.splitlines()]


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        value = list(value)
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
    return text.removesuffix("...\n").strip()
