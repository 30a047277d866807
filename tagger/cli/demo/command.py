"""``tagger demo``: the real daemon at work on a temporary folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
import yaml

from tagger.classify.download import download
from tagger.classify.loader import ready_network, weights_file
from tagger.classify.torch_installed import torch_installed
from tagger.cli.common import ask_path, config_or_default
from tagger.cli.daemon_process import start_daemon, stop_daemon, tagger_command
from tagger.cli.speech import say
from tagger.config.schema import NO_MODEL, Config, ModelConfig, is_model_path
from tagger.errors import (
    DownloadError,
    PhotoVanishedError,
    StateError,
    TaggerError,
    WeightsNotFoundError,
)
from tagger.index.reader import open_reader
from tagger.library.daemon_status import read_status
from tagger.records import Tag
from tagger.text.error_texts import in_language
from tagger.text.messages import gettext, number
from tagger.text.printable import printable

START_SECONDS = 120.0
PHOTO_SECONDS = 90.0
STOP_SECONDS = 10.0


@click.command("demo")
@click.argument("photos", nargs=-1, metavar="[PHOTO...]")
def demo_command(photos: tuple[str, ...]) -> None:
    """Start the daemon on a temporary folder, drop photos into it, find them again.

    Without PHOTO it draws sample pictures. Your own folders and index are not touched.
    """
    given = [ask_path(photo) for photo in photos]
    for path in given:
        if not os.path.isfile(path):
            raise PhotoVanishedError(f"there is no photo {path}", "name photos that exist")
    own = config_or_default()
    folder = tempfile.mkdtemp(prefix="tagger-demo-")
    inbox = os.path.join(folder, "inbox")
    os.mkdir(inbox)
    state_dir = os.path.join(folder, "state")
    config_path = _write_config(folder, inbox, _weights(own, folder, state_dir), own)
    if not given:
        from tagger.cli.demo.scenes import write_samples

        samples = os.path.join(folder, "samples")
        os.mkdir(samples)
        given = write_samples(samples)
        say("Drew %(n)s sample pictures.", n=len(given))
    with _daemon(config_path, folder) as daemon:
        say("Starting the daemon on %(folder)s ...", folder=inbox)
        _wait_for_start(daemon, state_dir, folder)
        found: list[Tag] = []
        for path in given:
            found += _drop(path, inbox, state_dir, daemon)
        for label in _labels_to_query(found):
            _query(config_path, label)
    _say_where(folder, inbox, config_path, given)


def _weights(config: Config, folder: str, state_dir: str) -> tuple[str, str | None]:
    """Return (model, weights file): the real ones, downloaded if need be, or demo weights.

    The file is None where ``state_dir``, of the demo, was given a converted network instead.
    """
    model = config.model
    if is_model_path(model.name):  # a network of the user's own knows other things
        model = ModelConfig()
    try:
        found = weights_file(config, model.name)
    except WeightsNotFoundError:
        if (ready := ready_network(config, model.name)) is not None:
            from tagger.classify.ready_network import copy_network

            say("Using the converted network %(file)s.", file=ready.path)
            copy_network(ready, state_dir)
            return model.name, None
        if not torch_installed():
            raise  # neither weights nor torch to make some
    else:
        say("Using the weights %(file)s.", file=found)
        return model.name, found
    say("No weights of %(model)s on this machine; trying to download them ...", model=model.name)
    try:
        return model.name, download(model.name, state_dir=config.state_dir, timeout=5)
    except DownloadError as error:
        from tagger.cli.demo.scenes import demo_weights

        path = os.path.join(folder, "demo-weights.pth")
        click.echo(printable(in_language(error.message)))
        say(
            "So this demo uses DEMO WEIGHTS made on the spot. They know nothing but the\n"
            "sample pictures below, and are useless for your photos. For the real ones, run\n"
            "    tagger model download\n"
            "on a machine with a network, then see `tagger model path --json`."
        )
        demo_weights(path)
        return "resnet18", path


def _write_config(folder: str, inbox: str, weights: tuple[str, str | None], own: Config) -> str:
    path = os.path.join(folder, "config.yaml")
    name, known = weights
    settings = {
        "state_dir": os.path.join(folder, "state"),
        "watch": [{"path": inbox}],
        # Drawings say nothing to the others, and a demo is to download no more than it needs.
        "model": {"name": name, "weights": known, "scenes": NO_MODEL, "detector": NO_MODEL},
        "labels": {"language": own.labels.language},
    }
    with open(path, "w", encoding="utf-8") as file:
        yaml.safe_dump(settings, file, sort_keys=False)
    return path


@contextmanager
def _daemon(config_path: str, folder: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon in a process of its own; stop it at the end and say how long that took."""
    with open(os.path.join(folder, "daemon.log"), "wb") as log:
        process = start_daemon(config_path, log)
    try:
        yield process
    finally:
        started = time.monotonic()
        stop_daemon(process, STOP_SECONDS)
        seconds = number(time.monotonic() - started, 1)
        click.echo("\n" + gettext("Stopped the daemon in %(seconds)s s.", seconds=seconds))


def _wait_for_start(daemon: subprocess.Popen[bytes], state_dir: str, folder: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while read_status(state_dir).model is None:
        if daemon.poll() is not None or time.monotonic() > deadline:
            raise StateError(
                "the daemon did not start", f"read {os.path.join(folder, 'daemon.log')}"
            )
        time.sleep(0.1)


def _drop(path: str, inbox: str, state_dir: str, daemon: subprocess.Popen[bytes]) -> list[Tag]:
    """Copy a photo into the inbox, show what becomes of it, and return its tags."""
    target = _free_name(inbox, os.path.basename(path))
    started = time.monotonic()
    shutil.copy2(path, target)
    tags = _wait_for_photo(target, state_dir, daemon)
    seconds = time.monotonic() - started
    name = printable(os.path.basename(target))
    if tags is None:
        click.echo(f"  {name}: " + gettext("not tagged (see `tagger failures`)"))
        return []
    said = ", ".join(f"{' > '.join(t.path)} {t.confidence:.2f}" for t in _most_specific(tags))
    said = said or gettext("nothing it can stand behind")
    click.echo(f"  {name}: {said}  ({number(seconds, 1)} s)")
    return tags


def _wait_for_photo(path: str, state_dir: str, daemon: subprocess.Popen[bytes]) -> list[Tag] | None:
    deadline = time.monotonic() + PHOTO_SECONDS
    while time.monotonic() < deadline and daemon.poll() is None:
        with open_reader(state_dir) as reader:
            row = reader.photo(path)
            if row is not None and row.status in ("tagged", "untagged"):
                return list(reader.tags(row.id))
            if row is not None and row.status == "failed":
                return None
        time.sleep(0.1)
    raise TaggerError(f"{path} was not handled in time", "read the daemon's log beside the inbox")


def _most_specific(tags: Sequence[Tag]) -> list[Tag]:
    above = {label for tag in tags for label in tag.path[:-1]}
    return [tag for tag in tags if tag.label not in above and tag.source == "model"]


def _free_name(folder: str, name: str) -> str:
    stem, suffix = os.path.splitext(name)
    target, number = os.path.join(folder, name), 1
    while os.path.exists(target):
        number += 1
        target = os.path.join(folder, f"{stem}-{number}{suffix}")
    return target


def _labels_to_query(tags: Sequence[Tag]) -> list[str]:
    """Return two labels worth asking for: a general one, and the most specific of another."""
    general = Counter(tag.path[0] for tag in tags if len(tag.path) > 1).most_common(1)
    labels = [general[0][0]] if general else []
    labels += [tag.label for tag in reversed(_most_specific(tags)) if tag.label not in labels]
    return labels[:2]


def _query(config_path: str, label: str) -> None:
    click.echo(f"\n$ tagger --config {config_path} query {label!r}")
    result = subprocess.run(
        tagger_command(config_path, "query", label), capture_output=True, check=False, timeout=60
    )
    click.echo(
        printable(os.fsdecode(result.stdout).replace("\n", "\0")).replace("\\x00", "\n"), nl=False
    )


def _say_where(folder: str, inbox: str, config_path: str, photos: Sequence[str]) -> None:
    first = os.path.join(inbox, os.path.basename(photos[0]))
    places = (
        (gettext("photos and their sidecars"), inbox),
        (gettext("index"), os.path.join(folder, "state")),
        (gettext("config"), config_path),
        (gettext("the daemon's log"), os.path.join(folder, "daemon.log")),
    )
    width = max(len(name) for name, _ in places)
    click.echo()
    say("Everything is in %(folder)s:", folder=folder)
    for name, place in places:
        click.echo(f"  {name:<{width}}  {place}")
    say("Look closer with: %(command)s", command=f"tagger --config {config_path} show {first}")
    say("Remove it with: %(command)s", command=f"rm -r {folder}")
    say("For your own photos: tagger init FOLDER, then tagger run.")
