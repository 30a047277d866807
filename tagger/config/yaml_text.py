"""YAML that people write: its nodes, and what is said of the mistakes in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from tagger.errors import ConfigError
from tagger.text.parsing import compose_yaml

LOADER: type = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's is thirty times as fast; a build of PyYAML may be without it."""


def load_shipped(text: str) -> Any:
    """Return what a file of the package holds. What anybody else wrote goes through `compose`."""
    return yaml.load(text, LOADER)  # noqa: S506 - a safe loader


def compose(text: str, path: str) -> yaml.Node | None:
    """Return the nodes of ``text``, the content of ``path``; None for an empty one.

    Raise ConfigError, with the line, for what is no YAML.
    """
    try:
        return compose_yaml(text, LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        what = getattr(error, "problem", None) or "it is not YAML"
        raise ConfigError(
            f"{path}: {line}{what}", "correct the line (often the indentation, or a tab)"
        ) from error


def is_null(node: yaml.Node) -> bool:
    """Whether there is no value where one could stand."""
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def mistakes_in(path: str, mistakes: Sequence[str]) -> ConfigError:
    """Return the error that tells all ``mistakes`` in ``path``, a line for each."""
    count, lines = len(mistakes), "".join(f"\n  {mistake}" for mistake in mistakes)
    if count == 1:
        return ConfigError(f"{path} has 1 mistake:{lines}")
    return ConfigError(f"{path} has {count} mistakes:{lines}")
