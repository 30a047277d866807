"""Checks the ``labels`` section of the configuration against the vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

from tagger.config.schema import LabelsConfig
from tagger.labels.vocabulary import Vocabulary
from tagger.labels.yaml_reader import name_problem
from tagger.text.spelling import nearest


def prefix_parts(prefix: str) -> tuple[str, ...]:
    """Return the levels of ``labels.prefix``: ``AI|photos|`` is ("AI", "photos")."""
    return tuple(part.strip() for part in prefix.replace("/", "|").split("|") if part.strip())


def meant(known: Vocabulary | Sequence[str], word: str, language: str = "en") -> tuple[str, ...]:
    """Return the labels that a word of the configuration stands for.

    A name, in any language, means its label even where it is also a synonym of others; a word
    of ``language`` comes first. Instead of a vocabulary a model may have categories.
    """
    if not isinstance(known, Vocabulary):
        return tuple(name for name in known if name.casefold() == word.casefold())
    named = known.named(word)
    own = known.resolve(word, language=language)
    return (named,) if named in own else own


def renamed(config: LabelsConfig, known: Vocabulary | Sequence[str]) -> dict[str, str]:
    """Return the user's own words by canonical label."""
    return {
        label: new
        for word, new in config.rename.items()
        for label in meant(known, word, config.language)
    }


def check_labels_config(
    config: LabelsConfig, vocabulary: Vocabulary, categories: Sequence[str] | None = None
) -> list[str]:
    """Return what in ``config`` does not fit, each with its key and the nearest name.

    ``categories`` are the labels of a model that has no place in the vocabulary.
    """
    problems: list[str] = []

    def check_word(where: str, word: str) -> tuple[str, ...]:
        if categories is not None:
            labels = meant(categories, word)[:1]
            near = nearest(word, categories)
        else:
            labels = meant(vocabulary, word, config.language)
            near = None if labels else vocabulary.nearest(word, config.language)
        if not labels:
            hint = f"did you mean `{near}`?" if near else "`tagger labels --all` shows the names"
            problems.append(f"{where}: unknown label `{word}`; {hint}")
        elif len(labels) > 1:
            names = ", ".join(f"`{label}`" for label in labels)
            problems.append(f"{where}: `{word}` may mean {names}; name one of them")
        return labels

    for number, word in enumerate(config.exclude):
        check_word(f"labels.exclude[{number}]", word)
    taken: dict[str, str] = {}
    for word, new in config.rename.items():
        labels = check_word("labels.rename", word)
        if len(labels) == 1 and (other := taken.setdefault(labels[0], word)) != word:
            problems.append(f"labels.rename: `{other}` and `{word}` are one label; keep one line")
        if bad := name_problem(new):
            problems.append(f"labels.rename.{word}: the new name {new!r} {bad}")
    if config.language not in vocabulary.languages:
        known = ", ".join(vocabulary.languages)
        problems.append(f"labels.language: `{config.language}` is not known; known: {known}")
    for part in prefix_parts(config.prefix):
        if bad := name_problem(part):
            problems.append(f"labels.prefix: the level {part!r} {bad}")
    return problems


def labels_config_warnings(config: LabelsConfig) -> list[str]:
    """Return what is allowed but better done otherwise."""
    parts = prefix_parts(config.prefix)
    if parts and parts[0].casefold() == "auto":
        return [
            "labels.prefix: digiKam keeps its own automatic tags under `auto`; where digiKam "
            "reads the photos, choose another root, such as `AI|`"
        ]
    return []
