"""The config file: found, read with every mistake reported at once, and written anew."""

from __future__ import annotations

import dataclasses
import os
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import yaml

from tagger.config.renamed import take_up
from tagger.config.schedule import DailyWindow
from tagger.config.schema import Config, is_model_path
from tagger.config.yaml_text import compose, is_null, mistakes_in
from tagger.errors import ConfigError
from tagger.text.spelling import nearest


def config_places(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return where a config file is looked for, in order, when ``--config`` is not given."""
    if named := environ.get("TAGGER_CONFIG"):
        return (named,)
    home = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return (os.path.join(home, "tagger", "config.yaml"), "/etc/tagger/config.yaml")


def find_config(given: str | None, environ: Mapping[str, str]) -> str:
    """Return the path of the config file to use.

    Raise ConfigError when the one that was named, or any, does not exist.
    """
    places = (given,) if given else config_places(environ)
    for place in places:
        if os.path.isfile(place):
            return os.path.abspath(place)
    raise ConfigError(
        f"no config file found at {' or '.join(places)}",
        "write one with `tagger init FOLDER`, or name one with --config",
    )


def load_config(path: str) -> Config:
    """Read the config file at ``path``.

    Relative paths in it count from its own folder; ``~`` is the home folder. Raise
    ConfigError with *all* mistakes, one a line, each with its line and key.
    """
    try:
        text = _read(path)
    except OSError as error:
        raise ConfigError(
            f"cannot read the config file {path}: {error.strerror}", "check the path and its rights"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"the config file {path} is not UTF-8 (byte {error.start})", "save it as UTF-8"
        ) from error
    return parse_config(text, path)


def parse_config(text: str, path: str) -> Config:
    """Parse ``text``, the content of the config file ``path``; see :func:`load_config`."""
    root = compose(text, path)
    binder = _Binder(os.path.dirname(os.path.abspath(path)))
    for found in take_up(root) if root is not None else ():
        if found.twice:
            binder.problem(found.name, found.key.old, f"it is now `{found.key.new}`; keep that one")
    config = Config() if root is None else binder.record(Config, root, "")
    if config is not None:
        binder.check_whole(config, root)
    if binder.problems:
        raise mistakes_in(path, [f"line {line}: {what}" for line, what in sorted(binder.problems)])
    assert config is not None
    return config


def old_keys(path: str) -> list[str]:
    """Return what the config file ``path`` calls as earlier versions did, with the new names."""
    try:
        root = compose(_read(path), path)
    except (OSError, UnicodeDecodeError, ConfigError):
        return []  # reading it as a config tells
    return [str(found) for found in take_up(root)] if root is not None else []


def _read(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


class _Binder:
    """Turns YAML nodes into records, and collects what is wrong with them."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.problems: list[tuple[int, str]] = []

    def problem(self, node: yaml.Node, key: str, text: str) -> Any:
        """Note what is wrong with a node; return None, its value then."""
        self.problems.append((node.start_mark.line + 1, f"{key}: {text}" if key else text))
        return None

    def record(self, kind: type[Any], node: yaml.Node, key: str) -> Any:
        """Return a ``kind`` made from a mapping node, or None after noting what is wrong."""
        if not isinstance(node, yaml.MappingNode):
            if is_null(node):
                return self._built(kind, node, key, {})
            what = "it must hold `key: value` lines"
            return self.problem(node, key, what if key else "the file must hold `key: value` lines")
        hints = typing.get_type_hints(kind)
        fields = {f.name: f for f in dataclasses.fields(kind)}
        values: dict[str, Any] = {}
        before = len(self.problems)
        for name_node, value_node in node.value:
            name = str(name_node.value)
            full = f"{key}.{name}" if key else name
            if name in values:
                self.problem(name_node, full, "given twice; keep one")
            elif name not in fields:
                near = nearest(name, fields, 0.5)
                hint = f"did you mean `{near}`?" if near else f"known: {', '.join(fields)}"
                self.problem(name_node, full, f"unknown key; {hint}")
            else:
                values[name] = self.value(hints[name], value_node, full, fields[name].metadata)
        return self._built(kind, node, key, values) if len(self.problems) == before else None

    def _built(self, kind: type[Any], node: yaml.Node, key: str, values: dict[str, Any]) -> Any:
        missing = [
            f.name
            for f in dataclasses.fields(kind)
            if f.name not in values and f.default is f.default_factory is dataclasses.MISSING
        ]
        for name in missing:
            self.problem(node, key, f"`{name}` is missing")
        if missing:
            return None
        try:
            return kind(**values)
        except ConfigError as error:  # what only the record itself can tell
            name, _, text = str(error).partition(": ")
            last = name.rpartition(".")[2]
            return self.problem(_at(node, last), f"{key}.{last}" if key else name, text)

    def value(self, hint: Any, node: yaml.Node, key: str, limits: Mapping[str, Any]) -> Any:
        """Return the value of ``node`` as type ``hint``, or None after noting what is wrong."""
        if dataclasses.is_dataclass(hint):
            return self.record(typing.cast(type[Any], hint), node, key)
        origin, args = typing.get_origin(hint), typing.get_args(hint)
        if origin is types.UnionType:
            if is_null(node):
                return None
            return self.value(args[0], node, key, limits)
        if origin is Literal:
            return self._choice(args, node, key)
        if origin is tuple:
            return self._sequence(args[0], node, key, limits)
        if origin is Mapping:
            return self._mapping(node, key, limits)
        return self._scalar(hint, node, key, limits)

    def _choice(self, allowed: Sequence[Any], node: yaml.Node, key: str) -> Any:
        # `none` and `never` are read as written: YAML 1.1 has its own idea of `no`.
        text = str(node.value) if isinstance(node, yaml.ScalarNode) else None
        for choice in allowed:
            if str(choice) == text:
                return choice
        near = nearest(text or "", [str(a) for a in allowed])
        known = ", ".join(map(str, allowed))
        hint = f"did you mean `{near}`?" if near else ""
        return self.problem(node, key, "; ".join(filter(None, (f"must be one of {known}", hint))))

    def _sequence(self, hint: Any, node: yaml.Node, key: str, limits: Mapping[str, Any]) -> Any:
        if is_null(node):
            return ()
        if not isinstance(node, yaml.SequenceNode):
            return self.problem(node, key, "must be a list (lines that begin with `- `)")
        return tuple(self.value(hint, n, f"{key}[{i}]", limits) for i, n in enumerate(node.value))

    def _mapping(self, node: yaml.Node, key: str, limits: Mapping[str, Any]) -> Any:
        if is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode) or not all(
            isinstance(v, yaml.ScalarNode) for _, v in node.value
        ):
            return self.problem(node, key, "must hold `name: other name` lines")
        made = self._path if limits.get("path") else str
        return {str(k.value): made(str(v.value)) for k, v in node.value}

    def _scalar(self, hint: type, node: yaml.Node, key: str, limits: Mapping[str, Any]) -> Any:
        loaded = _loaded(node)
        if hint is str:
            if not isinstance(node, yaml.ScalarNode) or is_null(node):
                return self.problem(node, key, "must be a text")
            text = str(node.value)
            if limits.get("window"):
                try:
                    DailyWindow.parse(text)
                except ConfigError as error:
                    return self.problem(node, key, str(error))
            a_path = limits.get("path") or (limits.get("name_or_path") and is_model_path(text))
            return self._path(text) if a_path else text
        if hint is bool:
            if isinstance(loaded, bool):
                return loaded
            return self.problem(node, key, "must be true or false")
        whole = hint is int
        if isinstance(loaded, bool) or not isinstance(loaded, int if whole else (int, float)):
            return self.problem(
                node, key, "must be a whole number" if whole else "must be a number"
            )
        low, high = limits["min"], limits["max"]
        if not low <= loaded <= high:  # also false for NaN
            return self.problem(node, key, f"must be between {low} and {high}")
        return hint(loaded)

    def _path(self, text: str) -> str:
        return os.path.normpath(os.path.join(self.folder, os.path.expanduser(text)))

    def check_whole(self, config: Config, root: yaml.Node | None) -> None:
        """Note what only shows when all values are seen together."""
        folders: dict[str, int] = {}
        pairs = zip(_items(root, "watch"), config.watch, strict=True)
        for number, (node, watch) in enumerate(pairs):
            if folders.setdefault(watch.path, number) != number:
                same = f"the same folder as watch[{folders[watch.path]}]; keep one"
                self.problem(node, f"watch[{number}].path", same)
        names: dict[str, int] = {}
        rules = zip(_items(root, "rules"), config.rules, strict=True)
        for number, (node, rule) in enumerate(rules):
            if (other := names.setdefault(rule.key, number)) != number:
                what = f"it has the query of rules[{other}]; give both a name"
                if rule.name:
                    what = f"it has the `name` of rules[{other}]; give each its own"
                self.problem(node, f"rules[{number}]", what)


def _loaded(node: yaml.Node) -> Any:
    """Return the value of a scalar; None for any other node, and for what has no value."""
    if not isinstance(node, yaml.ScalarNode):
        return None
    try:
        return yaml.SafeLoader("").construct_object(node)
    except (yaml.YAMLError, ValueError, ArithmeticError, LookupError):
        return None  # such as the 40th of a month, or a number without end


def _at(node: yaml.Node, key: str) -> yaml.Node:
    """Return the value that ``key`` has in a mapping, or the mapping."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for name, value in pairs if name.value == key), node)


def _items(root: yaml.Node | None, key: str) -> Iterator[yaml.Node]:
    if isinstance(root, yaml.MappingNode):
        for name, value in root.value:
            if name.value == key and isinstance(value, yaml.SequenceNode):
                yield from value.value
