"""``tagger model``: weights, and the int8 version of the network."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn
from rich.table import Table

from tagger.classify.catalog import list_models
from tagger.classify.download import download
from tagger.classify.weights import find_weights, places
from tagger.cli.common import (
    ask_path,
    config_or_default,
    json_option,
    leave_folder,
    print_json,
    print_paths,
    vocabulary,
)
from tagger.config.schema import Config
from tagger.errors import ModelError, PhotoVanishedError
from tagger.paths import is_photo_name
from tagger.system.logs import printable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tagger.classify.engine import Engine
    from tagger.classify.int8_trial import Compare, Verdict


@click.group("model")
def model_command() -> None:
    """List, fetch, find and optimize model weights."""


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
            escape(printable(f"{row['name']}{mark}")),
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


@model_command.command("optimize")
@click.argument("photos", nargs=-1, metavar="[PHOTO|FOLDER]...")
@json_option
@click.pass_context
def optimize_command(ctx: click.Context, photos: tuple[str, ...], as_json: bool) -> None:
    """Make an int8 version of the network, and use it if it proves as good.

    It is made with one part of the PHOTOs and judged on the others (default: the photos in
    the index). It is used from the next start on if it gives at least 98 % of the photos
    where the plain network is sure the same answer.
    """
    from tagger.classify.int8_trial import CALIBRATE, JUDGE, gather, optimize
    from tagger.classify.loader import converted_model, open_engine
    from tagger.decode.pool import DecodePool, decoded_crops

    config = config_or_default(ctx)
    if config.model.engine == "torch":
        raise ModelError("the engine torch does not run int8", "set `model.engine: auto`")
    model_config = replace(config.model, engine="onnx", precision="fp32")
    config = replace(config, model=model_config)
    engine = open_engine(config)  # converts it, if that is not done yet
    model = converted_model(config)
    if model is None:
        raise ModelError("the converted model is gone", "try again")
    paths = _photos(photos) if photos else _indexed(config.state_dir)
    leave_folder()
    random.Random(0).shuffle(paths)  # noqa: S311 - the same sample every time
    decode = config.decode
    console = Console(stderr=True)
    with (
        DecodePool(
            engine.spec,
            workers=decode.workers,
            max_pixels=decode.max_megapixels * 1_000_000,
            timeout=decode.timeout_seconds,
            memory_mb=decode.memory_mb,
            more=False,
        ) as pool,
        Progress(console=console, transient=True, disable=not console.is_terminal) as progress,
    ):
        total = min(len(paths), CALIBRATE + JUDGE)
        crops = decoded_crops(pool, paths)
        calibrate, judge = gather(progress.track(crops, total=total, description="photos"), model)
        progress.add_task("int8", total=None)
        verdict = optimize(
            model,
            calibrate,
            judge,
            compare=_same_tags(config, engine),
            threads=config.model.threads,
        )
    if as_json:
        print_json(asdict(verdict))
    else:
        _print_verdict(verdict)


def _photos(places: Sequence[str]) -> list[str]:
    """Return the photos among ``places`` and in the folders among them."""
    found: list[str] = []
    for place in map(ask_path, places):
        if os.path.isdir(place):
            for folder, _, names in os.walk(place):
                found += [os.path.join(folder, name) for name in names if is_photo_name(name)]
        elif os.path.exists(place):
            found.append(place)
        else:
            raise PhotoVanishedError(f"there is no photo {place}", "correct the path")
    return sorted(set(found))


def _indexed(state_dir: str) -> list[str]:
    from tagger.index.reader import open_reader

    with open_reader(state_dir) as reader:
        return [path for status in ("tagged", "untagged") for path in reader.paths(status)]


def _same_tags(config: Config, engine: Engine) -> Compare:
    """Return what tells the share of photos with the same tags, seeing their centre only."""
    from tagger.labels.chooser import make_chooser
    from tagger.labels.evidence import Evidence

    chooser = make_chooser(engine.categories, config, vocabulary(config))

    def compare(fp32: NDArray[np.float32], int8: NDArray[np.float32]) -> dict[str, float]:
        def labels(row: NDArray[np.float32]) -> list[str]:
            return [tag.label for tag in chooser.choose(Evidence.of(row))]

        same = [labels(one) == labels(other) for one, other in zip(fp32, int8, strict=True)]
        return {"agreement_tags": sum(same) / len(same)}

    return compare


def _print_verdict(verdict: Verdict) -> None:
    from tagger.classify.int8_trial import AGREEMENT, SURE

    table = Table(escape(printable(verdict.model_id)), "photos", "int8 agrees")
    table.add_row("calibrated on", str(verdict.calibrated), "")
    table.add_row(
        f"top-1 where fp32 is sure (>= {SURE:g})",
        str(verdict.sure),
        f"{verdict.agreement_sure:.1%} (needs {AGREEMENT:.0%})",
    )
    table.add_row("top-1 of all", str(verdict.judged), f"{verdict.agreement_all:.1%}")
    tags = verdict.more["agreement_tags"]
    table.add_row("tags, all of a photo", str(verdict.judged), f"{tags:.1%}")
    table.add_row("largest difference, mean", str(verdict.judged), f"{verdict.difference:.3f}")
    table.add_row("ms a photo, fp32 and int8", "", f"{verdict.fp32_ms:.1f}, {verdict.int8_ms:.1f}")
    Console(soft_wrap=True).print(table)
    if verdict.accepted:
        click.echo("accepted: used from the next start on, unless `model.precision` is fp32")
    else:
        click.echo(f"refused: {verdict.reason}; the plain network stays in use")
