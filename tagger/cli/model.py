"""``tagger model``."""

from __future__ import annotations

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn
from rich.table import Table

from tagger.classify.weights import download, find_weights, list_models, places
from tagger.cli.common import config_or_default, json_option, print_json, print_paths
from tagger.errors import ModelError
from tagger.logs import printable


@click.group("model")
def model_command() -> None:
    """List, fetch and find model weights."""


@model_command.command("list")
@json_option
@click.pass_context
def list_command(ctx: click.Context, as_json: bool) -> None:
    """List the models that can be named in the config, and which are on this machine."""
    config = config_or_default(ctx)
    rows = []
    for info in list_models():
        try:
            path = find_weights(
                info.name,
                configured=config.model.weights if info.name == config.model.name else None,
                state_dir=config.state_dir,
            )
        except ModelError:
            path = None
        rows.append(
            {
                "name": info.name,
                "megabytes": info.megabytes,
                "accuracy": info.accuracy,
                "file": info.file,
                "path": path,
                "configured": info.name == config.model.name,
            }
        )
    if as_json:
        print_json(rows)
        return
    table = Table("model", "MB", "top-1 %")
    table.add_column("weights", overflow="fold")  # a path cut short is of no use
    for row in rows:
        mark = " (configured)" if row["configured"] else ""
        table.add_row(
            f"{row['name']}{mark}",
            f"{row['megabytes']:.0f}",
            f"{row['accuracy']:.1f}",
            escape(printable(str(row["path"]))) if row["path"] else "not here",
        )
    Console(soft_wrap=True).print(table)


@model_command.command("download")
@click.argument("name", required=False)
@click.option("--url", help="Fetch from this address instead of PyTorch's.")
@click.pass_context
def download_command(ctx: click.Context, name: str | None, url: str | None) -> None:
    """Fetch the weights of NAME (default: the configured model) into the state directory.

    A download that was interrupted goes on where it stopped; its hash is checked.
    """
    config = config_or_default(ctx)
    name = name or config.model.name
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(name, total=None)
        path = download(
            name,
            state_dir=config.state_dir,
            url=url,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    print_paths([path])


@model_command.command("path")
@click.argument("name", required=False)
@json_option
@click.pass_context
def path_command(ctx: click.Context, name: str | None, as_json: bool) -> None:
    """Print which weights file is used, or where one is looked for."""
    config = config_or_default(ctx)
    name = name or config.model.name
    configured = config.model.weights if name == config.model.name else None
    if as_json:
        try:
            found = find_weights(name, configured=configured, state_dir=config.state_dir)
        except ModelError:
            found = None
        print_json(
            {
                "name": name,
                "path": found,
                "places": list(places(name, configured=configured, state_dir=config.state_dir)),
            }
        )
        return
    print_paths([find_weights(name, configured=configured, state_dir=config.state_dir)])
