"""Reads the vocabulary's YAML files and reports every mistake in them, each with its line."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import cast, get_args

import yaml

from tagger.config.yaml_text import compose
from tagger.labels.compiled import CompiledVocabulary, Node, Policy
from tagger.labels.yaml_reader import YamlReader, name_problem, raise_problems
from tagger.text.spelling import nearest

MAX_LEVELS = 4
REQUIRED_LANGUAGES = ("zh",)
"""The languages every label of the shipped tree has, beside English."""

_POLICIES: tuple[str, ...] = get_args(Policy)
_SOURCES = ("class", "scene", "thing")
_LABEL_KEYS = (
    *REQUIRED_LANGUAGES,
    "also",
    *_SOURCES,
    "implied_by",
    "where",
    "at_least",
    "hints",
    "policy",
    "below",
)
_PLACES = ("indoor", "outdoor")
_KEYS = ("wnids", "scenes", "indoor", "things", "tree")
_WNID = re.compile(r"n\d{8}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


def parse_tree(text: str, path: str, class_count: int = 1000) -> CompiledVocabulary:
    """Parse ``text``, the content of the vocabulary file ``path``; its ``words`` are left out.

    Raise ConfigError with all mistakes: unknown or missing or repeated classes, scenes and
    things, missing languages, cycles, names used twice, unknown keys, too many levels.
    """
    reader = _TreeReader(class_count)
    root = compose(text, path)
    for key, value, line in reader.pairs(root, "the file"):
        if key == "wnids":
            reader.read_wnids(value, line)
        elif key in ("scenes", "things"):
            reader.read_names(key, value, line)
        elif key == "indoor":
            reader.read_indoor(value, line)
        elif key == "tree":
            reader.read_level(value, None, 1, ())
        else:
            reader.unknown_key(line, key, _KEYS, "")
    reader.check_whole()
    raise_problems(path, reader.problems)
    scenes, things = (tuple(reader.names[key]) for key in ("scenes", "things"))
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    nodes = tuple(reader.nodes.values())
    return CompiledVocabulary(digest, tuple(reader.wnids), nodes, None, scenes, things)


def parse_names(text: str, path: str, labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Parse ``text``, the translation file ``path``: by label the name and its synonyms.

    Labels may be missing. Raise ConfigError with all mistakes: labels that are not in
    ``labels``, names used twice, values that are not names.
    """
    reader = YamlReader()
    canonical = {label.casefold(): label for label in labels}
    found: dict[str, tuple[str, ...]] = {}
    used: dict[str, str] = {}
    for key, value, line in reader.pairs(compose(text, path), "the file"):
        label = canonical.get(key.casefold())
        if label is None:
            reader.unknown_key(line, key, labels, "", what="label")
            continue
        words = reader.words(value, key)
        if not words:
            continue
        reader.claim(used, words[0], label, line)
        found[label] = words
    raise_problems(path, reader.problems)
    return found


def check_language(code: str) -> bool:
    """Whether ``code`` looks like a language code: ``de``, ``pt-BR``, ``zh-Hant``."""
    return _LANGUAGE.fullmatch(code) is not None


class _TreeReader(YamlReader):
    def __init__(self, class_count: int) -> None:
        super().__init__()
        self.class_count = class_count
        self.nodes: dict[str, Node] = {}
        self.wnids: list[str] = []
        self.used: dict[str, dict[str, str]] = {"en": {}}
        self.names: dict[str, dict[str, int]] = {"scenes": {}, "things": {}}
        self.indoor: frozenset[int] = frozenset()
        self.placed: dict[str, dict[int, str]] = {"classes": {}, "scenes": {}, "things": {}}

    def read_names(self, key: str, node: yaml.Node, line: int) -> None:
        """Read the names of a network's outputs, in their order; ``_`` stands for a space."""
        for name in self._tokens(node):
            if name in self.names[key]:
                self.problem(line, f"`{key}`: {name!r} is named twice")
            self.names[key].setdefault(name, len(self.names[key]))

    def read_indoor(self, node: yaml.Node, line: int) -> None:
        """Read which of the scenes, named before, are indoors."""
        known = self.names["scenes"]
        tokens = self._tokens(node)
        for name in tokens:
            if name not in known:
                self.problem(line, f"`indoor`: unknown scene {name!r}")
        self.indoor = frozenset(known[name] for name in tokens if name in known)

    @staticmethod
    def _tokens(node: yaml.Node) -> list[str]:
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        return [token.replace("_", " ") for token in str(text).split()]

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
        at_least = self.at_least(keys, label)
        scenes = self.outputs(keys, "scene", label, self.placed["scenes"])
        # Several labels may stand for several of a thing, one for the thing itself.
        things = self.outputs(keys, "thing", label, self.placed["things"] if at_least == 1 else {})
        found = Node(
            label,
            {language: every[0] for language, every in words.items()},
            {language: every[1:] for language, every in words.items() if every[1:]},
            parent,
            (),
            classes,
            self.policy(keys, label),
            scenes,
            things,
            self.implied(keys, label),
            at_least,
            tuple(name for name, _ in self._named(keys.get("hints"))),
        )
        # Reserve the place first: the mapping lists parents before their children.
        self.nodes[label] = found
        if "class" in keys and "below" in keys:
            self.problem(line, f"`{label}` must have either `class` or `below`")
        if not {"below", "where", *_SOURCES} & set(keys):
            self.problem(
                line, f"`{label}` must have either `below` or what it stands for, as `class`"
            )
        if "below" in keys and id(keys["below"]) in above:  # an alias of what it is in
            self.problem(line, f"cycle: `{label}`.below holds itself")
        elif "below" in keys:
            children = self.read_level(keys["below"], label, level + 1, above)
            self.nodes[label] = found._replace(children=children)
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
            other = self.placed["classes"].setdefault(index, label)
            if other != label or index in found:
                self.problem(line, f"class {index} is given twice: at `{other}` and `{label}`")
            found.append(index)
        return tuple(found)

    def outputs(
        self, keys: Mapping[str, yaml.Node], key: str, label: str, placed: dict[int, str]
    ) -> tuple[int, ...]:
        """Return the indices of the outputs named under ``key``; note that they are placed."""
        found = []
        for name, line in self._named(keys.get(key)):
            index = self._output(name, f"{key}s" if key != "implied_by" else "scenes", label, line)
            if index is None:
                continue
            if (other := placed.setdefault(index, label)) != label or index in found:
                self.problem(line, f"{key} {name!r} is given twice: at `{other}` and `{label}`")
            found.append(index)
        return tuple(found)

    def implied(self, keys: Mapping[str, yaml.Node], label: str) -> tuple[int, ...]:
        """Return the further scenes that show ``label``: those named, those indoors or out."""
        found = self.outputs(keys, "implied_by", label, {})
        if (node := keys.get("where")) is None:
            return found
        if node.value not in _PLACES:
            line = node.start_mark.line + 1
            self.problem(line, f"`{label}`.where must be one of {', '.join(_PLACES)}")
        inside = node.value == _PLACES[0]
        every = self.names["scenes"].values()
        there = (index for index in every if (index in self.indoor) == inside)
        return tuple(dict.fromkeys((*found, *there)))

    def at_least(self, keys: Mapping[str, yaml.Node], label: str) -> int:
        node = keys.get("at_least")
        if node is None:
            return 1
        text = str(node.value)
        if not (text.isascii() and text.isdigit() and int(text) > 1):
            self.problem(node.start_mark.line + 1, f"`{label}`.at_least must be 2 or more")
            return 1
        return int(text)

    @staticmethod
    def _named(node: yaml.Node | None) -> list[tuple[str, int]]:
        items = [] if node is None else node.value
        if isinstance(node, yaml.ScalarNode):
            items = [node]
        return [(str(item.value), item.start_mark.line + 1) for item in items]

    def _output(self, name: str, kind: str, label: str, line: int) -> int | None:
        known = self.names[kind]
        index = known.get(name.replace("_", " "))
        if index is None:
            near = nearest(name, known)
            hint = f"; did you mean `{near}`?" if near else ""
            self.problem(line, f"`{label}`: {name!r} is not among `{kind}`{hint}")
        return index

    def policy(self, keys: Mapping[str, yaml.Node], label: str) -> Policy:
        node = keys.get("policy")
        if node is None:
            return "normal"
        if node.value in _POLICIES:
            return cast(Policy, node.value)
        line = node.start_mark.line + 1
        self.problem(line, f"`{label}`.policy must be one of {', '.join(_POLICIES)}")
        return "normal"

    def check_whole(self) -> None:
        for label, node in self.nodes.items():
            for hint in node.hints:
                if hint not in self.nodes:
                    self.problem(0, f"`{label}`.hints: there is no label `{hint}`")
        classes = {str(index): index for index in range(self.class_count)}
        for kind, indices in {"classes": classes, **self.names}.items():
            left = [name for name, at in indices.items() if at not in self.placed[kind]]
            if left:
                some = ", ".join(left[:10]) + (", …" if len(left) > 10 else "")
                self.problem(0, f"{len(left)} {kind} have no label: {some}")
