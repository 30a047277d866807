"""Reads the vocabulary's YAML files and reports every mistake in them, each with its line.

The files are walked as YAML nodes instead of being loaded into dicts: that keeps the line
numbers, sees keys that are given twice, and is twice as fast.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import yaml

from tagger.errors import ConfigError
from tagger.text.parsing import compose_yaml

Policy = Literal["normal", "reluctant", "never"]

MAX_LEVELS = 4
REQUIRED_LANGUAGES = ("zh",)
"""The languages every label of the shipped tree has, beside English."""

_POLICIES: tuple[str, ...] = get_args(Policy)
_LABEL_KEYS = (*REQUIRED_LANGUAGES, "also", "class", "policy", "below")
_SEPARATORS = re.compile(r"[|/,;\x00-\x1f\x7f]")
_WNID = re.compile(r"n\d{8}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML built without libyaml: the same, slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class RawNode:
    """One label as the file has it; ``words`` holds per language the name, then synonyms."""

    label: str
    words: Mapping[str, tuple[str, ...]]
    parent: str | None
    children: tuple[str, ...]
    classes: tuple[int, ...]
    policy: Policy


@dataclass(frozen=True, slots=True)
class RawTree:
    """The content of the vocabulary file: nodes in the file's order, parents first."""

    nodes: Mapping[str, RawNode]
    wnids: tuple[str, ...]


def parse_tree(text: str, path: str, class_count: int = 1000) -> RawTree:
    """Parse ``text``, the content of the vocabulary file ``path``.

    Raise ConfigError with all mistakes: unknown or missing or repeated classes, missing
    languages, cycles, names used twice, unknown keys, too many levels.
    """
    reader = _TreeReader(class_count)
    root = _compose(text, path)
    for key, value, line in reader.pairs(root, "the file"):
        if key == "wnids":
            reader.read_wnids(value, line)
        elif key == "tree":
            reader.read_level(value, None, 1, ())
        else:
            reader.unknown_key(line, key, ("wnids", "tree"), "")
    reader.check_whole()
    _raise(path, reader.problems)
    return RawTree(reader.nodes, tuple(reader.wnids))


def parse_names(text: str, path: str, labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Parse ``text``, the translation file ``path``: by label the name and its synonyms.

    Labels may be missing. Raise ConfigError with all mistakes: labels that are not in
    ``labels``, names used twice, values that are not names.
    """
    reader = _Reader()
    canonical = {label.casefold(): label for label in labels}
    found: dict[str, tuple[str, ...]] = {}
    used: dict[str, str] = {}
    for key, value, line in reader.pairs(_compose(text, path), "the file"):
        label = canonical.get(key.casefold())
        if label is None:
            reader.unknown_key(line, key, labels, "", what="label")
            continue
        words = reader.words(value, key)
        if not words:
            continue
        reader.claim(used, words[0], label, line)
        found[label] = words
    _raise(path, reader.problems)
    return found


def check_language(code: str) -> bool:
    """Whether ``code`` looks like a language code: ``de``, ``pt-BR``, ``zh-Hant``."""
    return _LANGUAGE.fullmatch(code) is not None


def name_problem(name: str) -> str | None:
    """Return what makes ``name`` unfit as a keyword, if anything does.

    ``|`` and ``/`` separate levels in hierarchical keywords, ``,`` and ``;`` separate
    keywords in programs that keep them in one text.
    """
    if not name.strip():
        return "must not be empty"
    if name != name.strip():
        return "must not begin or end with a space"
    if found := _SEPARATORS.search(name):
        return f"must not hold {found.group()!r}"
    return None


class _Reader:
    """Collects problems as (line, text)."""

    def __init__(self) -> None:
        self.problems: list[tuple[int, str]] = []

    def problem(self, line: int, text: str) -> None:
        self.problems.append((line, text))

    def pairs(self, node: yaml.Node | None, where: str) -> Iterator[tuple[str, yaml.Node, int]]:
        """Yield key, value and line of a mapping; a key given twice is a problem."""
        if not isinstance(node, yaml.MappingNode):
            line = node.start_mark.line + 1 if node else 1
            self.problem(line, f"{where} must hold `key: value` lines")
            return
        seen: set[str] = set()
        for key_node, value in node.value:
            line = key_node.start_mark.line + 1
            key = str(key_node.value)
            if key in seen:
                self.problem(line, f"`{key}` is given twice in {where}")
            else:
                seen.add(key)
                yield key, value, line

    def words(self, node: yaml.Node, where: str) -> tuple[str, ...]:
        """Return the texts of a scalar or of a list of scalars."""
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found = []
        for item in items:
            line = item.start_mark.line + 1
            if not isinstance(item, yaml.ScalarNode) or item.tag == "tag:yaml.org,2002:null":
                self.problem(line, f"`{where}` must be a name or a list of names")
            elif bad := name_problem(item.value):
                self.problem(line, f"`{where}`: the name {item.value!r} {bad}")
            else:
                found.append(item.value)
        return tuple(found)

    def claim(self, used: dict[str, str], name: str, label: str, line: int) -> None:
        """Note that ``label`` is called ``name``; two labels of one name are a problem."""
        other = used.setdefault(name.casefold(), label)
        if other != label:
            self.problem(line, f"duplicate name: {name!r} is both `{other}` and `{label}`")

    def unknown_key(
        self, line: int, key: str, known: Sequence[str], where: str, what: str = "key"
    ) -> None:
        near = difflib.get_close_matches(key, known, 1, 0.6)
        hint = f"did you mean `{near[0]}`?" if near else ""
        if not hint and len(known) < 10:
            hint = f"known: {', '.join(known)}"
        place = f" under `{where}`" if where else ""
        self.problem(line, f"unknown {what} `{key}`{place}" + (f"; {hint}" if hint else ""))


class _TreeReader(_Reader):
    def __init__(self, class_count: int) -> None:
        super().__init__()
        self.class_count = class_count
        self.nodes: dict[str, RawNode] = {}
        self.wnids: list[str] = []
        self.used: dict[str, dict[str, str]] = {"en": {}}
        self.class_of: dict[int, str] = {}

    def read_wnids(self, node: yaml.Node, line: int) -> None:
        self.wnids = str(node.value).split() if isinstance(node, yaml.ScalarNode) else []
        if len(self.wnids) != self.class_count:
            self.problem(line, f"`wnids` holds {len(self.wnids)} ids, not {self.class_count}")
        for wnid in self.wnids:
            if not _WNID.fullmatch(wnid):
                self.problem(line, f"`wnids`: {wnid!r} is not a WordNet id (n and 8 digits)")
        # The model's outputs stand in the order of the ids, so a slip shows as disorder.
        for before, after in zip(self.wnids, self.wnids[1:], strict=False):
            if before >= after:
                self.problem(line, f"`wnids`: {after} stands after {before}; they must ascend")

    def read_level(
        self, node: yaml.Node, parent: str | None, level: int, above: tuple[int, ...]
    ) -> tuple[str, ...]:
        """Read the labels of one mapping; return their names."""
        where = f"`{parent}`.below" if parent else "`tree`"
        labels = []
        for label, value, line in self.pairs(node, where):
            if bad := name_problem(label):
                self.problem(line, f"the label {label!r} {bad}")
                continue
            if label in self.nodes:
                self.problem(line, f"duplicate name: `{label}` is already a label")
                continue
            self.claim(self.used["en"], label, label, line)
            if level > MAX_LEVELS:
                self.problem(line, f"`{label}` is on level {level}; {MAX_LEVELS} are allowed")
                continue
            labels.append(label)
            self.read_label(label, value, line, parent, level, (*above, id(node)))
        return tuple(labels)

    def read_label(
        self,
        label: str,
        node: yaml.Node,
        line: int,
        parent: str | None,
        level: int,
        above: tuple[int, ...],
    ) -> None:
        keys = {}
        for key, value, key_line in self.pairs(node, f"`{label}`"):
            if key in _LABEL_KEYS:
                keys[key] = value
            else:
                self.unknown_key(key_line, key, _LABEL_KEYS, label)
        words: dict[str, tuple[str, ...]] = {"en": (label,)}
        if "also" in keys:
            words["en"] += self.words(keys["also"], f"{label}.also")
        for language in REQUIRED_LANGUAGES:
            if language not in keys:
                self.problem(line, f"`{label}` has no name in the language `{language}`")
            elif names := self.words(keys[language], f"{label}.{language}"):
                words[language] = names
                self.claim(self.used.setdefault(language, {}), names[0], label, line)
        classes = self.classes(keys["class"], label, line) if "class" in keys else ()
        # Reserve the place first: the mapping lists parents before their children.
        self.nodes[label] = RawNode(label, words, parent, (), classes, self.policy(keys, label))
        if ("class" in keys) == ("below" in keys):
            self.problem(line, f"`{label}` must have either `class` or `below`")
        if "below" in keys and id(keys["below"]) in above:  # an alias of what it is in
            self.problem(line, f"cycle: `{label}`.below holds itself")
        elif "below" in keys:
            children = self.read_level(keys["below"], label, level + 1, above)
            self.nodes[label] = RawNode(
                label, words, parent, children, classes, self.nodes[label].policy
            )
            if not children:
                self.problem(line, f"`{label}` has nothing below it")

    def classes(self, node: yaml.Node, label: str, line: int) -> tuple[int, ...]:
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found = []
        for item in items:
            text = str(item.value)
            index = int(text) if text.isascii() and text.isdigit() else -1
            if not 0 <= index < self.class_count:
                self.problem(
                    line, f"`{label}`: unknown class {text}; they are 0 to {self.class_count - 1}"
                )
                continue
            other = self.class_of.setdefault(index, label)
            if other != label or index in found:
                self.problem(line, f"class {index} is given twice: at `{other}` and `{label}`")
            found.append(index)
        return tuple(found)

    def policy(self, keys: Mapping[str, yaml.Node], label: str) -> Policy:
        node = keys.get("policy")
        if node is None:
            return "normal"
        for policy in get_args(Policy):
            if node.value == policy:
                return cast(Policy, policy)
        line = node.start_mark.line + 1
        self.problem(line, f"`{label}`.policy must be one of {', '.join(_POLICIES)}")
        return "normal"

    def check_whole(self) -> None:
        missing = [i for i in range(self.class_count) if i not in self.class_of]
        if missing:
            some = ", ".join(map(str, missing[:10])) + (", …" if len(missing) > 10 else "")
            self.problem(0, f"{len(missing)} classes have no label: {some}")


def _compose(text: str, path: str) -> yaml.Node | None:
    try:
        node = compose_yaml(text, _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        what = getattr(error, "problem", None) or "it is not YAML"
        raise ConfigError(
            f"{path}: {line}{what}", "correct the line (often the indentation, or a tab)"
        ) from error
    return node


def _raise(path: str, problems: list[tuple[int, str]]) -> None:
    if problems:
        lines = "".join(
            f"\n  line {line}: {text}" if line else f"\n  {text}" for line, text in sorted(problems)
        )
        count = len(problems)
        raise ConfigError(f"{path} has {count} mistake{'s'[: count > 1]}:{lines}")
