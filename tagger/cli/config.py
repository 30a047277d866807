"""``tagger config check``."""

from __future__ import annotations

import os

import click

from tagger.cli.common import read_config
from tagger.cli.speech import note, say
from tagger.config.loader import old_keys
from tagger.library.rules.check import check_rules
from tagger.pipeline.preflight import check_config, config_warnings
from tagger.text.error_texts import all_in_language, error_text
from tagger.text.messages import gettext


@click.group("config")
def config_command() -> None:
    """Check the config file."""


@config_command.command("check")
def check() -> None:
    """Say whether the config file is right; all mistakes at once, each with its line."""
    config, path = read_config()
    check_config(config, path)
    say(
        "%(path)s is right: %(n)s folder(s), tags go to %(target)s.",
        path=path,
        n=len(config.watch),
        target=config.write.target,
    )
    for root in config.watch:
        if not os.path.isdir(root.path):
            note(gettext("%(path)s is not there now; it is watched once it is.", path=root.path))
    for warning in (*old_keys(path), *config_warnings(config)):
        note(f"{all_in_language(warning)}.")
    for finding in check_rules(config):
        if finding.state != "ok":
            rule = gettext("rule %(rule)r", rule=finding.rule)
            note(f"{rule}: {error_text(finding.message, finding.remedy)}.")
