"""``tagger model try`` and ``tagger model use``: another network, compared and taken up."""

from __future__ import annotations

import json
import os
import random
from dataclasses import replace

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from tagger.classify.catalog import KEYS, Kind
from tagger.classify.download import download
from tagger.cli.common import (
    indexed_photos,
    json_option,
    leave_folder,
    photos_in,
    print_json,
    read_config,
)
from tagger.cli.speech import say, tell
from tagger.config.edit import with_value
from tagger.config.schema import NO_MODEL, Config, is_model_path
from tagger.errors import ConfigError, ModelError, StateError, WeightsNotFoundError
from tagger.library.network_trial import (
    FIELDS,
    NetworkTrial,
    keep_trial,
    kind_of,
    open_tried,
    trial_json,
    try_network,
    with_network,
)
from tagger.system.control_socket import send_command
from tagger.system.files import replace_atomically
from tagger.system.state_dir import daemon_runs
from tagger.text.messages import gettext
from tagger.text.parsing import parse_json
from tagger.text.printable import printable

PHOTOS, SHOWN = 100, 20
"""Photos that are looked at, and that are told of, unless more are asked for."""
BEFORE_NAME = "networks-before.json"
"""The file in the state directory that says what the config named before."""

_kind_option = click.option(
    "--kind", type=click.Choice(list(FIELDS)), help="What NAME is, if it is a path, or none."
)


@click.command("try")
@click.argument("name")
@click.argument("photos", nargs=-1, metavar="[PHOTO|FOLDER]...")
@_kind_option
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=PHOTOS, help="Photos at most (100)."
)
@click.option("--all", "show_all", is_flag=True, help="Show every photo that gets other tags.")
@json_option
def try_command(
    name: str, photos: tuple[str, ...], kind: Kind | None, limit: int, show_all: bool, as_json: bool
) -> None:
    """Compare the network NAME with the one in use: its time, and the tags it gives.

    Both look at PHOTOS (default: a hundred of those in the index) in fp32. Nothing is changed. The
    page shows the photos that get other tags side by side, at /networks.
    """
    config, _ = read_config()
    name = os.path.abspath(name) if is_model_path(name) else name
    kind = kind_of(name, kind)
    if name == getattr(config.model, FIELDS[kind]):
        raise ModelError(f"{name} is the network in use", "name another one")
    paths = photos_in(photos) if photos else indexed_photos(config.state_dir)
    random.Random(0).shuffle(paths)  # noqa: S311 - the same photos every time
    paths = paths[:limit]
    if not paths:
        raise ModelError("there are no photos to compare networks on", "name some")
    leave_folder()
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("photos", total=len(paths))
        trial = try_network(
            config, kind, name, paths, done=lambda count: progress.update(task, completed=count)
        )
    if os.path.isdir(config.state_dir):
        keep_trial(config.state_dir, trial)
    if as_json:
        print_json(trial_json(trial))
    else:
        _print(trial, len(trial.differing) if show_all else SHOWN)


def _print(trial: NetworkTrial, most: int) -> None:
    names = [printable(name) for name in trial.names]
    table = Table(trial.kind, *(escape(name) for name in names))
    rows: list[tuple[object, ...]] = [
        (gettext("Milliseconds a photo"), *map("{:.1f}".format, trial.milliseconds)),
        (gettext("CPU milliseconds"), *map("{:.1f}".format, trial.cpu_milliseconds)),
        (gettext("Tags"), *trial.tags),
        (gettext("Photos without a tag"), *trial.untagged),
        *trial.labels(),
    ]
    for what, present, other in rows:
        table.add_row(escape(printable(str(what))), str(present), str(other))
    Console(soft_wrap=True).print(table)
    count = len(trial.photos)
    same = {"n": count - len(trial.differing), "all": count}
    say("%(n)s of %(all)s photos get the same tags.", **same)
    if trial.failed:
        say("%(n)s could not be opened.", n=trial.failed)
    for photo in trial.differing[:most]:
        changes = [f"- {label}" for label in photo.lost] + [f"+ {label}" for label in photo.gained]
        click.echo(printable(f"{photo.path}: {', '.join(changes)}"))
    if len(trial.differing) > most:
        say("… and %(n)s more (--all)", n=len(trial.differing) - most)


@click.command("use")
@click.argument("name", required=False)
@_kind_option
@click.option("--back", is_flag=True, help="Return to the network before the last change.")
def use_command(name: str | None, kind: Kind | None, back: bool) -> None:
    """Take up the network NAME instead of the one in use.

    It is loaded first, downloaded if it may be; then the config names it. All photos are looked at
    again while nothing else is to do, and keep their tags until then. What was decided about them,
    what was taught and what rules gave stays. `--back` returns to the network before.
    """
    if back == (name is not None):
        raise click.UsageError(gettext("say which network, or --back"))
    config, path = read_config()
    if name is None:
        wanted = _before(config.state_dir)
        [kind] = [one for one, field in FIELDS.items() if field in wanted]
        name = str(wanted[FIELDS[kind]])
    else:
        name = os.path.abspath(name) if is_model_path(name) else name
        kind = kind_of(name, kind)
        wanted = {FIELDS[kind]: name}
        if with_network(config, kind, name).model.weights != config.model.weights:
            wanted["weights"] = None
    if name == getattr(config.model, FIELDS[kind]):
        raise ModelError(f"{name} is the network in use", "name another one")
    leave_folder()
    _fetch(replace(config, model=replace(config.model, **wanted)), name, kind)  # type: ignore[arg-type]
    old = {key: getattr(config.model, key) for key in wanted}
    _write(path, wanted)
    os.makedirs(config.state_dir, mode=0o750, exist_ok=True)
    replace_atomically(os.path.join(config.state_dir, BEFORE_NAME), json.dumps(old).encode())
    said = gettext("%(path)s names %(name)s as `%(key)s`.", path=path, name=name, key=KEYS[kind])
    click.echo(printable(said))
    if not daemon_runs(config.state_dir):
        say("Photos are looked at again by the next `tagger run`.")
        return
    try:
        click.echo(printable(send_command(config.state_dir, "reload")))
    except StateError as error:
        tell(error)


def _fetch(config: Config, name: str, kind: Kind) -> None:
    """See to it that the network can be loaded; raise ModelError when it cannot."""
    try:
        open_tried(config, kind, name)
    except ModelError as error:
        missing = isinstance(error, WeightsNotFoundError) or kind != "subjects"
        if not missing or not config.model.download or name == NO_MODEL or is_model_path(name):
            raise
        click.echo(printable(gettext("downloading %(name)s", name=name)), err=True)
        download(name, state_dir=config.state_dir)
        open_tried(config, kind, name)


def _write(path: str, values: dict[str, str | None]) -> None:
    """Set keys of `model` in the config file. Raise ConfigError when that cannot be done."""
    path = os.path.realpath(path)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            text, st = file.read(), os.fstat(file.fileno())
        for key, value in values.items():
            plain = value is not None and not is_model_path(value)
            written = str(value) if plain else json.dumps(value, ensure_ascii=False)
            text = with_value(text, path, "model", key, written)
        replace_atomically(path, text.encode(), like=st, unique=True)
    except OSError as error:
        lines = ", ".join(f"{key}: {value}" for key, value in values.items())
        raise ConfigError(
            f"cannot write {path}: {error.strerror}", f"write `{lines}` below `model:` yourself"
        ) from error


def _before(state_dir: str) -> dict[str, str | None]:
    """Return what the config named before the last change. Raise ModelError without one."""
    try:
        with open(os.path.join(state_dir, BEFORE_NAME), encoding="ascii") as file:
            values = parse_json(file.read())
        known = {*FIELDS.values(), "weights"}
        if isinstance(values, dict) and len(set(FIELDS.values()) & values.keys()) == 1:
            return {key: value for key, value in values.items() if key in known}
    except (OSError, ValueError):
        pass  # none, or not ours
    raise ModelError("the network was not changed by `tagger model use`", "name the one to use")
