"""The check of a config beyond its form: do the labels, languages and models exist?"""

from __future__ import annotations

from tagger.config.schema import Config
from tagger.config.yaml_text import mistakes_in
from tagger.errors import ConfigError


def config_problems(config: Config) -> list[str]:
    """Return what the config asks for and does not exist, each with its key and what to do."""
    from tagger.classify.catalog import check_model_names
    from tagger.labels.config_check import check_labels_config
    from tagger.labels.vocabulary import own_vocabulary

    known, model = own_vocabulary(config.state_dir), config.model
    return [
        *check_labels_config(config.labels, known),
        *check_model_names(model.name, model.scenes, model.detector),
    ]


def check_config(config: Config, path: str, *, watches: bool = False) -> None:
    """Raise ConfigError when the config, which is from ``path``, asks for what does not exist.

    ``watches``: also when it names no folder to watch.
    """
    if problems := config_problems(config):
        raise mistakes_in(path, problems)
    if watches and not config.watch:
        raise ConfigError(f"{path} watches no folder", "add one under `watch:`")
