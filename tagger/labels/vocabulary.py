"""The tree of everyday words, in several languages, and the search for a word in it.

Light on purpose (standard library and YAML), because ``tagger query`` needs it at once.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import os
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tagger.errors import ConfigError
from tagger.labels.schema import Policy, RawTree, check_language, parse_names, parse_tree

_HERE = Path(__file__).parent

_IRREGULAR = {
    "mice": "mouse",
    "geese": "goose",
    "oxen": "ox",
    "wolves": "wolf",
    "calves": "calf",
    "knives": "knife",
    "loaves": "loaf",
    "scarves": "scarf",
    "shelves": "shelf",
    "leaves": "leaf",
    "men": "man",
    "women": "woman",
    "feet": "foot",
    "teeth": "tooth",
    "oases": "oasis",
    "cacti": "cactus",
    "fungi": "fungus",
}


@dataclass(frozen=True, slots=True)
class Node:
    """One label.

    ``names`` has its name by language ("en" always, equal to ``label``), ``synonyms``
    more words to search for. ``classes`` are the model's output indices it stands for
    (leaves only). ``policy`` "reluctant" needs far more evidence, "never" is not said.
    """

    label: str
    names: Mapping[str, str]
    synonyms: Mapping[str, tuple[str, ...]]
    parent: str | None
    children: tuple[str, ...]
    classes: tuple[int, ...]
    policy: Policy = "normal"


@dataclass(frozen=True)
class Vocabulary:
    """The whole tree. ``digest`` changes with any change of its content.

    ``nodes`` is in the file's order, parents before children; ``wnids`` has the WordNet
    id of each class; ``languages`` those in which at least one label has a name.
    """

    nodes: Mapping[str, Node]
    wnids: tuple[str, ...]
    languages: tuple[str, ...]
    digest: str
    _leaves: Mapping[int, str] = field(repr=False, default_factory=dict)

    def path(self, label: str) -> tuple[str, ...]:
        """Return the labels from the root down to ``label``. Raise KeyError if unknown."""
        steps = [label]
        while (parent := self.nodes[steps[-1]].parent) is not None:
            steps.append(parent)
        return tuple(reversed(steps))

    def leaf_of(self, class_index: int) -> str:
        """Return the label that stands for the model's output ``class_index``."""
        return self._leaves[class_index]

    def wnid(self, class_index: int) -> str:
        """Return the WordNet 3.0 id of the class, such as ``n02123045``."""
        return self.wnids[class_index]

    def name(self, label: str, language: str = "en") -> str:
        """Return what ``label`` is called in ``language``; in English where it has no name."""
        node = self.nodes.get(label)
        return label if node is None else node.names.get(language, label)

    def roots(self) -> tuple[str, ...]:
        """Return the labels that have nothing above them."""
        return tuple(label for label, node in self.nodes.items() if node.parent is None)

    def below(self, label: str) -> set[str]:
        """Return ``label`` and everything under it. Raise KeyError if unknown."""
        found = {label}
        waiting = list(self.nodes[label].children)
        while waiting:
            child = waiting.pop()
            found.add(child)
            waiting.extend(self.nodes[child].children)
        return found

    def resolve(self, word: str, rename: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """Return the labels that ``word`` means: a name or synonym in any language.

        Case, width, hyphens and a simple English plural do not matter; a name's
        disambiguation in brackets may be left out. Several labels may share a word
        (``crane``); none is (). ``rename`` has the user's own words by label.
        """
        key = _key(word)
        if not key:
            return ()
        if rename:
            own = [lb for lb, new in rename.items() if _key(new) == key and lb in self.nodes]
            if own:
                return tuple(own)
        exact = self._words.get(key)
        if exact:
            return exact
        for form in _singulars(key):
            if found := self._words.get(form) or self._stems.get(form):
                return found
        return self._stems.get(key, ())

    def named(self, word: str) -> str | None:
        """Return the one label whose name in any language is ``word`` exactly, but for case."""
        return self._names.get(_key(word))

    def nearest(self, word: str) -> str | None:
        """Return the known word (a name or synonym) most like ``word``, if any is near."""
        near = difflib.get_close_matches(_key(word), self._shown, 1, 0.6)
        return self._shown[near[0]] if near else None

    def check(self) -> list[str]:
        """Return the words that are given twice for one label, each as a sentence.

        There are none in the vocabulary that is shipped.
        """
        problems = []
        for label, node in self.nodes.items():
            seen: set[str] = set()
            for language, name in node.names.items():
                for word in (name, *node.synonyms.get(language, ())):
                    if _key(word) in seen:
                        problems.append(f"`{label}` has the word {word!r} twice")
                    seen.add(_key(word))
        return problems

    @functools.cached_property
    def _names(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for label, node in self.nodes.items():
            for name in node.names.values():
                found.setdefault(_key(name), label)
        return found

    @functools.cached_property
    def _words(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for label, node in self.nodes.items():
            for word in _all_words(node):
                for key in {_key(word), _key(word.partition(" (")[0])}:
                    if label not in found.get(key, ()):
                        found[key] = (*found.get(key, ()), label)
        return found

    @functools.cached_property
    def _stems(self) -> dict[str, tuple[str, ...]]:
        """Words that are plurals themselves (jeans), by their singular."""
        found: dict[str, tuple[str, ...]] = {}
        for key, labels in self._words.items():
            for form in _singulars(key):
                found[form] = tuple(dict.fromkeys((*found.get(form, ()), *labels)))
        return found

    @functools.cached_property
    def _shown(self) -> dict[str, str]:
        return {_key(word): word for node in self.nodes.values() for word in _all_words(node)}


def _all_words(node: Node) -> Iterator[str]:
    yield from node.names.values()
    for words in node.synonyms.values():
        yield from words


def _key(word: str) -> str:
    """Return the form in which words are compared."""
    text = unicodedata.normalize("NFKC", word).casefold()
    text = text.replace("-", " ").replace("'", "").replace("’", "").replace(".", "")
    return " ".join(text.split())


def _singulars(key: str) -> Iterator[str]:
    """Yield what the last word of ``key`` may be the English plural of."""
    head, space, last = key.rpartition(" ")
    if last in _IRREGULAR:
        yield head + space + _IRREGULAR[last]
    if len(last) > 4 and last.endswith("ies"):
        yield head + space + last[:-3] + "y"
    if len(last) > 3 and last.endswith(("ses", "xes", "zes", "ches", "shes", "oes")):
        yield head + space + last[:-2]
    if len(last) > 2 and last.endswith("s") and not last.endswith("ss"):
        yield head + space + last[:-1]


def load_vocabulary(*, extra_dirs: Sequence[str] = ()) -> Vocabulary:
    """Return the shipped vocabulary with its translations.

    A translation is a file ``<language>.yaml``, shipped in ``names/`` or found in one of
    ``extra_dirs`` (which need not exist); a later one overrides an earlier one's names.
    Raise ConfigError with all mistakes of a file. The result is cached.
    """
    return _load(str(_HERE / "imagenet.yaml"), (str(_HERE / "names"), *extra_dirs))


def own_vocabulary(state_dir: str) -> Vocabulary:
    """Return the vocabulary with the translations that a user has in ``state_dir``/names."""
    return load_vocabulary(extra_dirs=(os.path.join(state_dir, "names"),))


def load_vocabulary_file(path: str, extra_dirs: Sequence[str] = ()) -> Vocabulary:
    """Return the vocabulary of another tree file; see :func:`load_vocabulary`."""
    return _load(path, tuple(extra_dirs))


@functools.lru_cache(maxsize=8)
def _load(path: str, name_dirs: tuple[str, ...]) -> Vocabulary:
    hashed = hashlib.blake2b(digest_size=16)
    text = _read(path)
    hashed.update(text.encode())
    tree = parse_tree(text, path)
    translated: dict[str, dict[str, tuple[str, ...]]] = {}
    for folder in name_dirs:
        for file in sorted(Path(folder).glob("*.yaml")) if os.path.isdir(folder) else ():
            language = file.stem
            if not check_language(language) or language == "en":
                raise ConfigError(
                    f"{file}: `{language}` is not the code of a language to add",
                    "name the file after the language, such as de.yaml or pt-BR.yaml",
                )
            text = _read(str(file))
            hashed.update(b"\0" + language.encode() + b"\0" + text.encode())
            names = parse_names(text, str(file), tuple(tree.nodes))
            translated.setdefault(language, {}).update(names)
    return _build(tree, translated, hashed.hexdigest())


def _build(
    tree: RawTree, translated: Mapping[str, Mapping[str, tuple[str, ...]]], digest: str
) -> Vocabulary:
    nodes: dict[str, Node] = {}
    languages: dict[str, None] = {}
    for label, raw in tree.nodes.items():
        words = dict(raw.words)
        for language, names in translated.items():
            if label in names:
                words[language] = names[label]
        languages.update(dict.fromkeys(words))
        nodes[label] = Node(
            label,
            {language: found[0] for language, found in words.items()},
            {language: found[1:] for language, found in words.items() if found[1:]},
            raw.parent,
            raw.children,
            raw.classes,
            raw.policy,
        )
    leaves = {index: label for label, node in nodes.items() for index in node.classes}
    return Vocabulary(nodes, tree.wnids, tuple(languages), digest, leaves)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}", "check the path and its rights"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not UTF-8 (byte {error.start})", "save it as UTF-8"
        ) from error
