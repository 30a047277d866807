"""``tagger classify``."""

from __future__ import annotations

import os
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from tagger.cli.common import (
    ask_path,
    config_or_default,
    json_option,
    leave_folder,
    print_json,
    vocabulary,
)
from tagger.cli.speech import tell
from tagger.config.schema import NO_MODEL, Config, is_model_path
from tagger.errors import PhotoError, StateError
from tagger.library.serialize import boxes_json, facts_json, tags_json, top_json
from tagger.system.process import cores
from tagger.text.messages import gettext
from tagger.text.printable import printable

if TYPE_CHECKING:
    from tagger.classify.engine import Engine
    from tagger.index.rows import StoredPrediction
    from tagger.labels.chooser import Chooser
    from tagger.pipeline.taught_reasons import TaughtReasons
    from tagger.pipeline.taught_tags import TaughtTags
    from tagger.records import DecodedPhoto

AHEAD = 8


@click.command("classify")
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...")
@click.option("--explain", is_flag=True, help="Say why each tag was or was not given.")
@json_option
def classify_command(photos: tuple[str, ...], explain: bool, as_json: bool) -> int:
    """Say what is in each PHOTO. Nothing is written, nothing remembered."""
    from tagger.classify.torch_installed import torch_installed
    from tagger.labels.evidence import Evidence
    from tagger.pipeline.decoding import decode_pool
    from tagger.pipeline.inference import classify_photo
    from tagger.pipeline.networks import open_networks, with_further

    config = config_or_default()
    photos = tuple(map(ask_path, photos))
    leave_folder()
    model = config.model
    # Without a daemon's state directory none is made: torch does it, where it is installed.
    stays = os.path.isdir(config.state_dir) or not torch_installed()
    if model.engine == "onnx" or stays or is_model_path(model.name):
        networks = open_networks(config)
    else:
        if not is_model_path(model.scenes):
            config = replace(config, model=replace(model, scenes=NO_MODEL))
        networks = with_further(_torch_engine(config), config)
    engine = networks.subjects
    chooser = networks.chooser(config)
    taught, reasons = _taught(config, chooser, explain)
    results: list[dict[str, Any]] = []
    failed = False
    workers = min(config.decode.workers or cores(), len(photos))
    with decode_pool(config, engine.spec, workers=workers, views=networks.views) as pool:
        ahead: list[Future[DecodedPhoto]] = []
        for number, photo in enumerate(photos):
            while len(ahead) < min(number + AHEAD, len(photos)):
                # A link that the user names himself is followed; strangers' links are not.
                ahead.append(pool.submit(os.path.realpath(photos[len(ahead)])))
            try:
                decoded = ahead[number].result()
            except PhotoError as error:
                failed = True
                tell(error)
                results.append({"path": photo, "tags": [], "error": str(error)})
                continue
            stored = classify_photo(networks, pool, photo, decoded)
            result = _classified(photo, decoded, stored, taught, chooser, config)
            if explain:
                evidence = Evidence.from_bytes(stored.evidence)
                why = reasons.of(stored, evidence) if reasons else []
                result["explain"] = [*map(str, chooser.explain(evidence)), *map(str, why)]
            results.append(result)
            if not as_json:
                _print(result, len(photos) > 1)
    if as_json:
        print_json(results)
    return 2 if failed else 0


def _torch_engine(config: Config) -> Engine:
    """Return the engine without keeping a converted network anywhere."""
    from tagger.classify.factory import load_engine
    from tagger.classify.loader import weights_file

    model = config.model
    return load_engine(
        model.name,
        weights_file(config, model.name),
        engine=model.engine,
        precision=model.precision,
        threads=model.threads,
    )


def _taught(
    config: Config, chooser: Chooser, explain: bool
) -> tuple[TaughtTags | None, TaughtReasons | None]:
    """Return what gives a photo its taught labels, and explains them; None where there are none."""
    from tagger.index.taught_tables import TAUGHT_NAME

    if not os.path.exists(os.path.join(config.state_dir, TAUGHT_NAME)):
        return None, None
    from tagger.index.reader import open_reader
    from tagger.pipeline.taught_reasons import TaughtReasons
    from tagger.pipeline.taught_tags import TaughtTags

    try:
        with open_reader(config.state_dir) as reader:
            tags = TaughtTags(reader.read, config, chooser)
            return tags, TaughtReasons(reader.read, tags) if explain else None
    except StateError:
        return None, None  # there is no index, or it is an older tagger's


def _classified(
    path: str,
    decoded: DecodedPhoto,
    stored: StoredPrediction,
    taught: TaughtTags | None,
    chooser: Chooser,
    config: Config,
) -> dict[str, Any]:
    from tagger.labels.evidence import Evidence

    evidence = Evidence.from_bytes(stored.evidence)
    tags = chooser.choose(evidence, decoded.facts.kinds)
    if taught is not None:
        tags = taught.added(tags, stored, evidence)
    known = vocabulary(config)
    return {
        "path": path,
        "tags": tags_json(tags),
        **facts_json(decoded.facts),
        "top": top_json(stored.top, config.labels.top_k, known),
        "model": stored.model_id,
        "people": stored.people,
        "boxes": boxes_json(stored.evidence, known.things) if stored.detector_id else None,
    }


def _print(result: dict[str, Any], several: bool) -> None:
    click.echo(printable(result["path"]))
    if not result["tags"]:
        click.echo(f"  {gettext('nothing to say')}")
    for tag in result["tags"]:
        click.echo(f"  {printable(' > '.join(tag['path']))}  {tag['confidence']:.2f}")
    for line in result.get("explain", ()):
        click.echo(f"    {printable(line)}")
    for raw in () if several else result["top"]:
        what = gettext("class %(number)s: %(label)s", number=raw["index"], label=raw["label"])
        click.echo(f"  {what} {raw['probability']:.4f}")
