"""``tagger config check``."""

from __future__ import annotations

import os

import click

from tagger.cli.common import read_config
from tagger.library.rules.check import check_rules
from tagger.pipeline.preflight import check_config, config_warnings
from tagger.system.logs import printable


@click.group("config")
def config_command() -> None:
    """Check the config file."""


@config_command.command("check")
@click.pass_context
def check(ctx: click.Context) -> None:
    """Say whether the config file is right; all mistakes at once, each with its line."""
    config, path = read_config(ctx)
    check_config(config, path)
    click.echo(f"{path} is right: {len(config.watch)} folder(s), tags go to {config.write.target}.")
    for root in config.watch:
        if not os.path.isdir(root.path):
            click.echo(f"Note: {root.path} is not there now; it is watched once it is.")
    for warning in config_warnings(config):
        click.echo(f"Note: {printable(warning)}.")
    for finding in check_rules(config):
        if finding.state != "ok":
            click.echo(
                printable(f"Note: rule {finding.rule!r}: {finding.message}; {finding.remedy}.")
            )
