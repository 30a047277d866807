"""``tagger model convert`` and ``import``: networks that go from one machine to another."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator

import click

from tagger.classify.catalog import KEYS, ModelInfo, info_of_file, list_models, weights_of
from tagger.classify.loader import own_file, ready_network, weights_file
from tagger.classify.torch_installed import torch_installed
from tagger.classify.weights import BRING, file_digest, models_dir
from tagger.cli.common import ask_path, config_or_default, print_paths
from tagger.cli.speech import note
from tagger.config.schema import NO_MODEL, Config, is_model_path
from tagger.errors import ModelError, WeightsNotFoundError
from tagger.library.network_trial import FIELDS
from tagger.system.files import move_into_place
from tagger.text.messages import gettext

NETWORK = ".onnx"


@click.command("convert")
@click.argument("name", required=False)
@click.option(
    "--to",
    metavar="FILE|FOLDER",
    help="Where the network is written, for `tagger model import` on another machine.",
)
def convert_command(name: str | None, to: str | None) -> None:
    """Convert weights for ONNX Runtime, which needs torch, here or for another machine.

    NAME is a model of subjects or scenes (default: the one of subjects that the config names; with
    --to FOLDER all that it names). A file is called NAME.onnx in a folder.
    """
    config = config_or_default()
    target = ask_path(to) if to else None
    folder = target and os.path.isdir(target)
    if target and not folder and not target.endswith(NETWORK):
        raise click.UsageError(gettext("--to takes a folder, or a file that ends in .onnx"))
    model = config.model
    every = (model.name, model.scenes, model.detector) if folder else (model.name,)
    names = [name] if name else [one for one in every if one != NO_MODEL]
    for one in names:
        place = os.path.join(target, f"{one}{NETWORK}") if target and folder else target
        if is_model_path(one) or weights_of(one)[0].kind == "detector":
            _copy_own(config, one, name is not None, place)
        else:
            print_paths([_converted(config, one, place)])


def _copy_own(config: Config, name: str, asked: bool, place: str | None) -> None:
    """Copy the file of a network that needs no conversion; raise if just that was ``asked``."""
    if asked or place is None:
        raise ModelError(
            f"{name} is an ONNX file already, or described by one: there is nothing to convert",
            "copy its file; `tagger model path` says where it is",
        )
    if is_model_path(name):
        note(gettext("%(file)s is your own; copy it and what it names.", file=name), err=True)
        return
    _copy(weights_file(config, name), place)
    print_paths([place])


def _converted(config: Config, name: str, place: str | None) -> str:
    """Convert a model's weights; return the path of what was made."""
    from tagger.classify.onnx_store import convert
    from tagger.classify.ready_network import write_network

    try:
        made = convert(name, weights_file(config, name), config.state_dir)
    except WeightsNotFoundError:
        if (ready := ready_network(config, name)) is None:
            raise
        made = ready
    if place is None:
        return made.path
    write_network(made, place)
    return place


@click.command("import")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--name", help="Which model a weights file of your own is of, as resnet18.")
def import_command(files: tuple[str, ...], name: str | None) -> None:
    """Take networks from another machine: what `tagger model convert` wrote, or weights.

    FILE.onnx needs no torch. Weights (FILE.pth) are converted, which does.
    """
    config = config_or_default()
    if name:
        weights_of(name)  # raises
    for file in map(ask_path, files):
        if not os.path.isfile(file):
            raise ModelError(f"there is no file {file}", "correct the path")
        if file.endswith(NETWORK):
            network, path = _import_network(config, file)
        else:
            network, path = _import_weights(config, file, name)
        give_to_owner(config.state_dir)
        print_paths([path])
        for said in _notes(config, network, path):
            note(said, err=True)


def give_to_owner(state_dir: str) -> None:
    """Let what root put into the folder of networks belong to whom the state directory does.

    The daemon runs under that account, and keeps more files beside them.
    """
    folder = models_dir(state_dir)
    with contextlib.suppress(OSError):  # it is not there, or not ours: then nothing was written
        owner = os.stat(state_dir)
        if os.geteuid() != 0 or owner.st_uid == 0:
            return
        for place in (folder, *(os.path.join(folder, name) for name in os.listdir(folder))):
            if os.lstat(place).st_uid == 0:
                os.lchown(place, owner.st_uid, owner.st_gid)


def _import_network(config: Config, file: str) -> tuple[str, str]:
    """Take a converted network, or a published detector; return its name and path."""
    from tagger.classify.ready_network import import_network

    digest = file_digest(file)
    for info in list_models("detector"):
        if info.origin.sha256 == digest:
            return info.name, _stored(config, file, info.file)
        if info.file == os.path.basename(file):
            raise _damaged(file, info)
    made = import_network(file, config.state_dir)
    return made.name, made.path


def _import_weights(config: Config, file: str, name: str | None) -> tuple[str, str]:
    """Take weights and convert them; return the model's name and the path of the weights."""
    from tagger.classify.onnx_store import convert, model_path, read_converted

    base = os.path.basename(file)
    known = name or _name_of(base)
    if known is None:
        raise ModelError(
            f"the name of {file} does not say which model it is of",
            "name it with --name, as `--name resnet18`",
        )
    info = info_of_file(known, base)
    digest = file_digest(file)
    if info.file == base and not digest.startswith(info.hash_prefix):
        raise _damaged(file, info)
    done = read_converted(model_path(known, digest, config.state_dir)) is not None
    if not done and not torch_installed():
        raise ModelError(f"{file} has to be converted, and torch is not installed", BRING)
    fits = info.file == base or _name_of(base) == known
    stored = base if fits else f"{known}-{base.removesuffix('.pth')}.pth"
    old = os.path.exists(os.path.join(models_dir(config.state_dir), stored))
    path = _stored(config, file, stored)
    try:
        convert(known, path, config.state_dir)
    except ModelError:
        if not old:
            os.unlink(path)  # it is not this model's
        raise
    return known, path


def _damaged(file: str, info: ModelInfo) -> ModelError:
    return ModelError(
        f"{file} is damaged: its SHA-256 does not begin with {info.hash_prefix}", "copy it again"
    )


def _name_of(base: str) -> str | None:
    """Return the model that a weights file is of, as its name tells."""
    infos = [*list_models("subjects"), *list_models("scenes")]
    for info in infos:
        if base in {one.file for one in weights_of(info.name)}:
            return info.name
    first = base.removesuffix(".pth").partition("-")[0]
    named = base.endswith(".pth") and first in {info.name for info in infos}
    return first if named else None


def _stored(config: Config, file: str, name: str) -> str:
    """Copy ``file`` into the folder of weights as ``name``; return its path there."""
    folder = models_dir(config.state_dir)
    path = os.path.join(folder, name)
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise ModelError(
            f"cannot make {folder}: {error.strerror}", "check `state_dir` and its rights"
        ) from error
    if not (os.path.exists(path) and os.path.samefile(file, path)):
        _copy(file, path)
    return path


def _copy(file: str, path: str) -> None:
    part = f"{path}.part"
    try:
        shutil.copyfile(file, part)
        move_into_place(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise ModelError(
            f"cannot write {path}: {error.strerror}", "check the folder, its rights and its room"
        ) from error


def _notes(config: Config, name: str, path: str) -> Iterator[str]:
    """Yield why what was imported is not what the daemon will run, if so."""
    kind = weights_of(name)[0].kind
    named = getattr(config.model, FIELDS[kind])
    if named != name:
        key = f"{KEYS[kind]}: {name}"
        yield gettext(
            "the config names %(named)s; set `%(key)s` to have this used.", named=named, key=key
        )
    if kind == "detector":
        return
    try:
        first = weights_file(config, name)
    except ModelError:
        return  # the converted network is all there is
    from tagger.classify.onnx_store import model_path

    if path not in (first, model_path(name, file_digest(first), config.state_dir)):
        yield gettext(
            "the weights %(file)s come first; move them away to have this used.",
            file=own_file(first),
        )
