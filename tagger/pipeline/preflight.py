"""The check of a config beyond its form: do labels, languages, models and rules' words exist?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from tagger.config.schema import Config
from tagger.config.yaml_text import mistakes_in
from tagger.errors import ConfigError, QueryError

if TYPE_CHECKING:
    from tagger.labels.vocabulary import Vocabulary


def config_problems(config: Config) -> list[str]:
    """Return what the config asks for and does not exist, each with its key and what to do."""
    from tagger.classify.catalog import check_model_names
    from tagger.labels.config_check import check_labels_config
    from tagger.labels.vocabulary import own_vocabulary

    known, model = own_vocabulary(config.state_dir), config.model
    return [
        *check_labels_config(config.labels, known),
        *_rule_problems(config, known),
        *check_model_names(model.name, model.scenes, model.detector),
    ]


def config_warnings(config: Config) -> list[str]:
    """Return what in the config is allowed, but better done otherwise."""
    from tagger.labels.config_check import labels_config_warnings

    return labels_config_warnings(config.labels)


def _rule_problems(config: Config, known: Vocabulary) -> Iterator[str]:
    """Yield queries that are none, and words that can be no keywords."""
    if not config.rules:
        return
    from tagger.index.query_parser import parse
    from tagger.metadata.xmp.keywords import keyword_problem

    for number, rule in enumerate(config.rules):
        try:
            parse(rule.query, partial(known.resolve, language=config.labels.language))
        except QueryError as error:
            yield f"rules[{number}].query: {error}"
        if rule.tag and (problem := keyword_problem(rule.tag)) is not None:
            yield f"rules[{number}].tag: {rule.tag!r} cannot be a keyword: {problem}"


def check_config(config: Config, path: str, *, watches: bool = False) -> None:
    """Raise ConfigError when the config, which is from ``path``, asks for what does not exist.

    ``watches``: also when it names no folder to watch.
    """
    if problems := config_problems(config):
        raise mistakes_in(path, problems)
    if watches and not config.watch:
        raise ConfigError(f"{path} watches no folder", "add one under `watch:`")
