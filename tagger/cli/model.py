"""``tagger model``: weights, and the int8 versions of the networks."""

from __future__ import annotations

import os
import random
from dataclasses import asdict, replace
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn
from rich.table import Table

from tagger.classify.catalog import Kind, list_models, weights_of
from tagger.classify.download import URL_VARIABLE, download
from tagger.classify.loader import network_file, own_file, weights_file, weights_places
from tagger.classify.torch_installed import torch_installed
from tagger.classify.weights import BRING
from tagger.cli.common import (
    config_or_default,
    indexed_photos,
    json_option,
    leave_folder,
    photos_in,
    print_json,
    print_paths,
)
from tagger.cli.model_transfer import convert_command, give_to_owner, import_command
from tagger.cli.model_trial import try_command, use_command
from tagger.cli.speech import say, tell
from tagger.config.schema import NO_MODEL, Config, is_model_path
from tagger.errors import DownloadError, ModelError, WeightsNotFoundError
from tagger.library.network_trial import FIELDS
from tagger.text.messages import gettext
from tagger.text.printable import printable

MOST_PHOTOS = 1000
"""That int8 is judged by."""


@click.group("model")
def model_command() -> None:
    """List, fetch, find, convert, import and optimize networks."""


model_command.add_command(convert_command)
model_command.add_command(import_command)
model_command.add_command(try_command)
model_command.add_command(use_command)


@model_command.command("list")
@json_option
def list_command(as_json: bool) -> None:
    """List the models that can be named in the config, and which are on this machine."""
    config = config_or_default()
    rows = []
    for kind, wanted in _configured(config).items():
        for info in list_models(kind):
            rows.append(
                {
                    "name": info.name,
                    "kind": kind,
                    "megabytes": info.megabytes,
                    "accuracy": info.accuracy,
                    "file": info.file,
                    "path": _found(config, info.name),
                    "configured": info.name == wanted,
                    "licence": info.origin.licence,
                    "source": info.origin.source,
                }
            )
        if is_model_path(wanted):
            rows.append(_own_row(kind, wanted))
    if as_json:
        print_json(rows)
        return
    table = Table(gettext("model"), "MB", gettext("accuracy %%"))
    table.add_column(gettext("weights"), overflow="fold")  # a path cut short is of no use
    for row in rows:
        mark = f" ({gettext('configured')})" if row["configured"] else ""
        megabytes, accuracy = row["megabytes"], row["accuracy"]
        table.add_row(
            escape(printable(f"{row['name']}{mark}")),
            "" if megabytes is None else f"{megabytes:.0f}",
            "" if accuracy is None else f"{accuracy:.1f}",
            escape(printable(str(row["path"]))) if row["path"] else gettext("not here"),
        )
    Console(soft_wrap=True).print(table)
    say(
        "Subjects are told by torchvision's models (top-1 on ImageNet; docs.pytorch.org/vision;"
        " BSD-3-Clause),"
    )
    say(
        "scenes by resnet18_places365 (top-1 on Places365; github.com/CSAILVision/places365;"
        " CC BY),"
    )
    say(
        "people and things by YOLOX (mAP on COCO; github.com/Megvii-BaseDetection/YOLOX;"
        " Apache-2.0)."
    )


def _configured(config: Config) -> dict[Kind, str]:
    return {kind: getattr(config.model, field) for kind, field in FIELDS.items()}


def _own_row(kind: Kind, path: str) -> dict[str, Any]:
    """Return what is listed of a network of the user's own."""
    there = path if os.path.isfile(path) else None
    nothing = dict.fromkeys(("megabytes", "accuracy", "licence", "source"))
    own = {"name": path, "kind": kind, "file": os.path.basename(path), "path": there}
    return own | nothing | {"configured": True}


def find_model(config: Config, name: str) -> str:
    """Return the file of a model, or the path that the config names; raise ModelError.

    It is that of the converted network where that has come without its weights.
    """
    if is_model_path(name):
        return own_file(name)
    try:
        return weights_file(config, name)
    except WeightsNotFoundError:
        if (network := network_file(config, name)) is None:
            raise
        return network


def _found(config: Config, name: str) -> str | None:
    try:
        return find_model(config, name)
    except ModelError:
        return None


@model_command.command("download")
@click.argument("name", required=False)
@click.option("--url", help="Fetch from this address instead of where it is published.")
def download_command(name: str | None, url: str | None) -> None:
    """Fetch the weights of NAME into the state directory (default: all that the config names).

    A download that was interrupted goes on where it stopped; its hash is checked. An address that
    ends in .onnx is that of a network that `tagger model convert` wrote.
    """
    config = config_or_default()
    names = [name] if name else _to_download(config)
    if url and len(names) > 1:
        raise click.UsageError(gettext("say which model comes from --url"))
    failed: DownloadError | None = None
    for one in names:
        try:
            print_paths([_downloaded(config, one, url)])
        except DownloadError as error:  # the others are of use without it
            if failed is not None:
                tell(failed)
            failed = error
    give_to_owner(config.state_dir)
    if failed is not None:
        raise failed


def _to_download(config: Config) -> list[str]:
    named = _configured(config).values()
    return [name for name in named if name != NO_MODEL and not is_model_path(name)]


def _downloaded(config: Config, name: str, url: str | None) -> str:
    """Fetch one file, showing how far it is; return its path."""
    network = _network_address(name, url)
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        task = progress.add_task(name, total=None)

        def show(done: int, total: int | None) -> None:
            progress.update(task, completed=done, total=total)

        if network is not None:
            from tagger.classify.ready_network import download_network

            return download_network(network, name, config.state_dir, progress=show)
        return download(name, state_dir=config.state_dir, url=url, progress=show)


def _network_address(name: str, url: str | None) -> str | None:
    """Return where a converted network is fetched from; None: weights are, or a detector.

    Raise DownloadError where there is no torch to convert weights.
    """
    if weights_of(name)[0].kind == "detector":
        return None
    if url and url.endswith(".onnx"):
        return url
    if torch_installed():
        return None
    if not url and (mirror := os.environ.get(URL_VARIABLE)):
        return f"{mirror.rstrip('/')}/{name}.onnx"
    raise DownloadError(
        f"{name} is published as weights that torch converts, and torch is not installed", BRING
    )


@model_command.command("path")
@click.argument("name", required=False)
@json_option
def path_command(name: str | None, as_json: bool) -> None:
    """Print which weights file is used, or where one is looked for.

    NAME is a model of any kind (default: that of subjects).
    """
    config = config_or_default()
    name = name or config.model.name
    if as_json:
        where = [name] if is_model_path(name) else weights_places(config, name)
        print_json({"name": name, "path": _found(config, name), "places": where})
    else:
        print_paths([find_model(config, name)])


@model_command.command("optimize")
@click.argument("photos", nargs=-1, metavar="[PHOTO|FOLDER]...")
@json_option
def optimize_command(photos: tuple[str, ...], as_json: bool) -> None:
    """Make an int8 version of each network now, and judge it by photos.

    The daemon does this by itself, while it works. Of the PHOTOs (default: those in the index)
    both versions say what they see, until it is proven that int8 gives the same answer for 98 %
    of those where the full network is sure, or that it does not.
    """
    from tagger.library.daemon_status import Int8Status
    from tagger.pipeline.decoding import decode_pool, decoded_photos
    from tagger.pipeline.int8_judge import made_judge

    config = config_or_default()
    if config.model.engine == "torch":
        raise ModelError("the engine torch does not run int8", "set `model.engine: auto`")
    config = replace(config, model=replace(config.model, precision="auto"))
    console = Console(stderr=True)
    paths = photos_in(photos) if photos else indexed_photos(config.state_dir)
    random.Random(0).shuffle(paths)  # noqa: S311 - the same order every time
    leave_folder()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        making = progress.add_task("int8", total=None)
        judge, states = made_judge(config)
        progress.remove_task(making)
        if judge is not None:
            networks = judge.networks
            with decode_pool(config, networks.subjects.spec, views=networks.views) as pool:
                decoded = decoded_photos(pool, paths[:MOST_PHOTOS])
                total = min(len(paths), MOST_PHOTOS)
                for photo in progress.track(decoded, total=total, description="photos"):
                    judge.judge(photo)
                    if not judge.has_open:
                        break
            judge.close()
            states |= judge.states()
    found = [Int8Status.of(kind, state) for kind, state in states.items()]
    if as_json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        click.echo(printable(f"{one.kind} ({one.model}): {one.text}"))
