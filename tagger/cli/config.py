"""``tagger init`` and ``tagger config check``."""

from __future__ import annotations

import os

import click

from tagger.cli.common import ask_path, read_config
from tagger.config.example import example_config
from tagger.config.loader import config_places
from tagger.errors import ConfigError
from tagger.paths import is_inside
from tagger.pipeline.preflight import check_config


@click.command("init")
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...")
@click.option("--force", is_flag=True, help="Replace a config file that exists.")
@click.pass_context
def init_command(ctx: click.Context, folders: tuple[str, ...], force: bool) -> None:
    """Write a config file, with every key explained, that watches the given folders.

    It goes to the file named by --config, else to ~/.config/tagger/config.yaml. For a file in
    /etc, of a service of the system, the state directory is /var/lib/tagger.
    """
    from tagger.service.units import STATE

    place = os.path.abspath(ctx.find_root().obj or config_places(os.environ)[0])
    wanted = [ask_path(os.path.expanduser(folder)) for folder in folders]
    for folder in wanted:
        if not os.path.isdir(folder):
            raise ConfigError(f"there is no folder {folder}", "name folders that exist")
    if os.path.exists(place) and not force:
        raise ConfigError(
            f"there is a config file at {place} already", "edit it, or replace it with --force"
        )
    system = is_inside(place, "/etc")
    text = example_config(wanted, state_dir=STATE if system else None)
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(
            f"cannot write {place}: {error.strerror}", "name another file with --config"
        ) from error
    then = "service install" if system else "run"
    click.echo(f"Wrote {place}.\nStart tagging with: tagger --config {place} {then}")


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
