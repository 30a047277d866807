"""The tree of everyday words, in several languages, and the search for a word in it.

Light on purpose, because ``tagger query`` needs it at once: the shipped tree is read from
its ready-made form, further shipped languages when they are asked for
(:mod:`~tagger.labels.translations`), and YAML is imported only for other trees and for
translations of the user's own.
"""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tagger.errors import ConfigError
from tagger.labels.compiled import CompiledVocabulary, Node, dump_ready, read_ready
from tagger.labels.plurals import singulars
from tagger.labels.translations import (
    digest_of,
    fold_word,
    labels_called,
    shipped_languages,
    shipped_words,
)
from tagger.text.spelling import nearest
from tagger.text.unicode import normalized

if TYPE_CHECKING:
    from tagger.records import TaughtLabel

_HERE = os.path.dirname(__file__)
_SHIPPED = os.path.join(_HERE, "imagenet.yaml")


@dataclass(frozen=True)
class Vocabulary:
    """The whole tree. ``digest`` changes with any change of its content.

    ``nodes`` is in the file's order, parents before children; ``wnids`` has the WordNet 3.0 id
    of each class, such as ``n02123045``; ``languages`` those in which at least one label has a
    name, ``shipped`` those of them whose words are read when they are needed; ``scenes`` and
    ``things`` the names of the outputs of Places365's networks and of the detector.
    """

    nodes: Mapping[str, Node]
    wnids: tuple[str, ...]
    languages: tuple[str, ...]
    digest: str
    scenes: tuple[str, ...] = ()
    things: tuple[str, ...] = ()
    shipped: tuple[str, ...] = ()
    _leaves: Mapping[int, str] = field(repr=False, default_factory=dict)
    _ready_words: Mapping[str, Sequence[str]] | None = field(repr=False, default=None)

    def path(self, label: str) -> tuple[str, ...]:
        """Return the labels from the root down to ``label``. Raise KeyError if unknown."""
        steps = [label]
        while (parent := self.nodes[steps[-1]].parent) is not None:
            steps.append(parent)
        return tuple(reversed(steps))

    def with_taught(self, taught: Sequence[TaughtLabel]) -> Vocabulary:
        """Return this vocabulary with labels of the user's own; those it has stay as they are.

        They are found and counted as others are; tags are never chosen by it.
        """
        nodes = dict(self.nodes)
        words = {word: tuple(labels) for word, labels in self._words.items()}
        for one in taught:
            for depth, label in enumerate(one.path):
                if label in nodes:
                    continue
                above = one.path[depth - 1] if depth else None
                synonyms = {"en": one.synonyms} if label == one.label and one.synonyms else {}
                nodes[label] = Node(label, {"en": label}, synonyms, above, (), ())
                if above is not None:
                    parent = nodes[above]
                    nodes[above] = parent._replace(children=(*parent.children, label))
                for key in _keys(nodes[label]):
                    words[key] = tuple(dict.fromkeys((*words.get(key, ()), label)))
        return dataclasses.replace(self, nodes=nodes, _ready_words=words)

    def leaf_of(self, class_index: int) -> str:
        """Return the label that stands for the model's output ``class_index``."""
        return self._leaves[class_index]

    def name(self, label: str, language: str = "en") -> str:
        """Return what ``label`` is called in ``language``; in English where it has no name."""
        return next(iter(self.words(label, language)), label)

    def words(self, label: str, language: str) -> tuple[str, ...]:
        """Return the name of ``label`` in ``language`` and more words for it; () without a name."""
        node = self.nodes.get(label)
        if node is not None and language in node.names:
            return (node.names[language], *node.synonyms.get(language, ()))
        return shipped_words(language).get(label, ()) if language in self.shipped else ()

    def names(self, label: str) -> dict[str, str]:
        """Return what ``label`` is called, by language. Raise KeyError if unknown."""
        own = self.nodes[label].names
        more = {language: self.words(label, language)[:1] for language in self.shipped}
        return {**own, **{language: name[0] for language, name in more.items() if name}}

    def digest_in(self, language: str) -> str:
        """Return a text that changes with the content, as far as keywords in ``language`` tell."""
        return self.digest + (digest_of(language) if language in self.shipped else "")

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

    def resolve(
        self, word: str, rename: Mapping[str, str] | None = None, language: str = "en"
    ) -> tuple[str, ...]:
        """Return the labels that ``word`` means: a name or synonym in any language.

        A word of ``language`` is taken first, then one of the languages in the tree: a French
        ``car`` is no car. Case, width, hyphens and a simple English plural do not matter; a name's
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
        if language in self.shipped and (found := labels_called(key, language)):
            return found
        if exact := self._words.get(key):
            return tuple(exact)
        for form in singulars(key):
            if near := self._words.get(form) or self._stems.get(form):
                return tuple(near)
        if stem := self._stems.get(key):
            return stem
        others = (label for one in self.shipped for label in labels_called(key, one))
        return tuple(dict.fromkeys(others))

    def named(self, word: str) -> str | None:
        """Return the one label whose name in any language is ``word`` exactly, but for case."""
        key = _key(word)
        if label := self._names.get(key):
            return label
        for language in self.shipped:
            for label in labels_called(key, language):
                if _key(self.name(label, language)) == key:
                    return label
        return None

    def nearest(self, word: str, language: str = "en") -> str | None:
        """Return the known word (a name or synonym) most like ``word``, if any is near."""
        shown = self._shown
        if language in self.shipped:
            own = (more for words in shipped_words(language).values() for more in words)
            shown = shown | {_key(one): one for one in own}
        near = nearest(_key(word), shown)
        return shown[near] if near is not None else None

    @functools.cached_property
    def _names(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for label, node in self.nodes.items():
            for name in node.names.values():
                found.setdefault(_key(name), label)
        return found

    @functools.cached_property
    def _words(self) -> Mapping[str, Sequence[str]]:
        if self._ready_words is not None:
            return self._ready_words
        found: dict[str, tuple[str, ...]] = {}
        for label, node in self.nodes.items():
            for key in _keys(node):
                if label not in found.get(key, ()):
                    found[key] = (*found.get(key, ()), label)
        return found

    @functools.cached_property
    def _stems(self) -> dict[str, tuple[str, ...]]:
        """Words that are plurals themselves (jeans), by their singular."""
        found: dict[str, tuple[str, ...]] = {}
        for key, labels in self._words.items():
            for form in singulars(key):
                found[form] = tuple(dict.fromkeys((*found.get(form, ()), *labels)))
        return found

    @functools.cached_property
    def _shown(self) -> dict[str, str]:
        return {_key(word): word for node in self.nodes.values() for word in _all_words(node)}


def _all_words(node: Node) -> Iterator[str]:
    yield from node.names.values()
    for words in node.synonyms.values():
        yield from words


def _keys(node: Node) -> Iterator[str]:
    """Yield what finds a label: its words, also without what tells two meanings apart."""
    for word in _all_words(node):
        yield _key(word)
        yield _key(word.partition(" (")[0])


def _key(word: str) -> str:
    """Return the form in which words are compared."""
    return " ".join(fold_word(normalized("NFKC", word)).split())


@functools.lru_cache(maxsize=8)
def load_vocabulary(path: str = _SHIPPED, *, extra_dirs: tuple[str, ...] = ()) -> Vocabulary:
    """Return the shipped vocabulary, or that of another tree file, with its translations.

    A translation of the user's own is a file ``<language>.yaml`` in one of ``extra_dirs`` (which
    need not exist); a later one overrides an earlier one's names, and those that are shipped.
    Raise ConfigError with all mistakes of a file. The result is cached.
    """
    text = _read(path)
    if (tree := read_ready(path, text)) is None:
        from tagger.labels.yaml_parser import parse_tree

        tree = parse_tree(text, path)
    files = [file for folder in extra_dirs for file in _names_in(folder)]
    if not files:
        return _made(tree, path)
    import hashlib

    from tagger.labels.yaml_parser import check_language, parse_names

    hashed = hashlib.blake2b(text.encode(), digest_size=16)
    labels = tuple(node.label for node in tree.nodes)
    translated: dict[str, dict[str, tuple[str, ...]]] = {}
    for file in files:
        language = os.path.splitext(os.path.basename(file))[0]
        if not check_language(language) or language == "en":
            raise ConfigError(
                f"{file}: `{language}` is not the code of a language to add",
                "name the file after the language, such as de.yaml or pt-BR.yaml",
            )
        text = _read(file)
        hashed.update(b"\0" + language.encode() + b"\0" + text.encode())
        translated.setdefault(language, {}).update(parse_names(text, file, labels))
    nodes = [_translated(node, translated) for node in tree.nodes]
    return _made(tree._replace(digest=hashed.hexdigest(), nodes=nodes, words=None), path)


def own_vocabulary(state_dir: str) -> Vocabulary:
    """Return the vocabulary with the translations that a user has in ``state_dir``/names."""
    return load_vocabulary(extra_dirs=(os.path.join(state_dir, "names"),))


def ready_made(path: str = _SHIPPED) -> str:
    """Return the content of the ready-made form of a tree file, made from its YAML anew."""
    from tagger.labels.yaml_parser import parse_tree

    text = _read(path)
    made = parse_tree(text, path)
    return dump_ready(made._replace(words=_made(made, "")._words), text)


def _names_in(folder: str) -> Iterable[str]:
    """Return the translation files in ``folder``, which need not exist, in order."""
    if not os.path.isdir(folder):
        return ()
    return sorted(os.path.join(folder, n) for n in os.listdir(folder) if n.endswith(".yaml"))


def _translated(node: Node, names: Mapping[str, Mapping[str, tuple[str, ...]]]) -> Node:
    """Return ``node`` with what it is called in further languages, or in other words."""
    found = {
        language: given[node.label] for language, given in names.items() if node.label in given
    }
    if not found:
        return node
    synonyms = {
        language: words for language, words in node.synonyms.items() if language not in found
    }
    return node._replace(
        names={**node.names, **{language: words[0] for language, words in found.items()}},
        synonyms=synonyms | {language: words[1:] for language, words in found.items() if words[1:]},
    )


def _made(tree: CompiledVocabulary, path: str) -> Vocabulary:
    shipped = shipped_languages() if path == _SHIPPED else ()
    languages = (language for node in tree.nodes for language in node.names)
    return Vocabulary(
        {node.label: node for node in tree.nodes},
        tree.wnids,
        tuple(dict.fromkeys((*languages, *shipped))),
        tree.digest,
        tree.scenes,
        tree.things,
        shipped,
        {index: node.label for node in tree.nodes for index in node.classes},
        tree.words,
    )


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}", "check the path and its rights"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not UTF-8 (byte {error.start})", "save it as UTF-8"
        ) from error
