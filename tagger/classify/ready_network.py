"""Converted networks as one file, which goes from one machine to another.

The file is the ONNX file of :mod:`~tagger.classify.onnx_store` with what is known of it in the
entry ``tagger`` of its metadata_props (the ONNX specification, "Metadata"), as JSON: ``format``,
``exporter``, ``name``, ``digest``, ``spec`` and ``categories``, as in :class:`OnnxModel`. So a
machine without torch can use weights that another one converted.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from typing import Any

import numpy as np

from tagger.classify.catalog import MAX_CLASSES, Kind, info_of_file, list_models
from tagger.classify.download import Progress, fetch_file
from tagger.classify.onnx_store import EXPORTER, OnnxModel, model_path, store_converted
from tagger.classify.weights import file_digest, models_dir
from tagger.errors import ModelError
from tagger.records import CropSpec
from tagger.system.files import move_into_place
from tagger.text.parsing import parse_json

ENTRY = "tagger"
FORMAT = 1
AGAIN = "write it again there with `tagger model convert --to FILE`"
KINDS: tuple[Kind, ...] = ("subjects", "scenes")
"""The networks that are converted."""


def write_network(model: OnnxModel, path: str) -> None:
    """Write a converted model to ``path`` with all that another machine needs. Raise ModelError."""
    import onnx

    known = {"format": FORMAT, "exporter": EXPORTER, **model.known}
    part = f"{path}.part"
    try:
        graph = onnx.load_model(model.path, load_external_data=False)
        onnx.helper.set_model_props(graph, {ENTRY: json.dumps(known)})
        with open(part, "wb") as file:
            file.write(graph.SerializeToString())
        move_into_place(part, path)
    except OSError as error:
        if os.path.exists(part):
            os.unlink(part)
        raise ModelError(
            f"cannot write {path}: {error.strerror}", "check the folder, its rights and its room"
        ) from error


def download_network(
    address: str, name: str, state_dir: str, *, progress: Progress | None = None
) -> str:
    """Fetch the converted network of the model ``name``; return its path in ``state_dir``.

    Raise DownloadError; ModelError as :func:`import_network`, or when it is another model's.
    """
    fetched = os.path.join(models_dir(state_dir), f"fetched-{name}.onnx")
    fetch_file(address, fetched, progress=progress)
    try:
        found = read_network_file(fetched).name
        if found != name:
            raise ModelError(f"{address} is {found}, not {name}", "correct the address or the name")
        return import_network(fetched, state_dir).path
    finally:
        os.unlink(fetched)


def import_network(path: str, state_dir: str) -> OnnxModel:
    """Take the converted network in the file ``path`` into ``state_dir``, and return it there.

    It is tried on a picture first. Raise ModelError for a file that ``tagger model convert`` has
    not written, or that does not fit this version.
    """
    return copy_network(read_network_file(path), state_dir)


def copy_network(model: OnnxModel, state_dir: str) -> OnnxModel:
    """Copy a converted network into ``state_dir``, and return it there. Raise ModelError.

    It counts as made of weights in there that are gone; see ``onnx_store.kept_conversion``.
    """
    source = os.path.join(models_dir(state_dir), info_of_file(model.name, "").file)
    target = model_path(model.name, model.digest, state_dir)

    def write(part: str) -> dict[str, Any]:
        shutil.copyfile(model.path, part)
        return model.known | {"source": source}

    try:
        store_converted(target, write)
    except OSError as error:
        raise ModelError(
            f"cannot store {target}: {error.strerror}", "check the folder, its rights and its room"
        ) from error
    return dataclasses.replace(model, path=target, source=source)


def read_network_file(path: str) -> OnnxModel:
    """Return what the file of a converted network says it is, once that was seen to be true.

    Raise ModelError when it is none, or does not do what it says.
    """
    from tagger.classify.onnx_engine import OnnxEngine, session_metadata

    file_digest(path)  # raises, and says so, when it cannot be read
    said = session_metadata(path).get(ENTRY)
    if said is None:
        raise ModelError(
            f"{path} was not written by `tagger model convert`",
            "describe a network of your own by a YAML file, see docs/networks.md, or "
            "convert it with tagger on the machine with its weights",
        )
    try:
        known = parse_json(said)
        if known["format"] != FORMAT or known["exporter"] != EXPORTER:
            raise ModelError(f"{path} was written by another version of tagger", AGAIN)
        ready = _ready(path, known)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} does not say what it holds: {error}", AGAIN) from error
    size = ready.spec.size
    picture = np.linspace(0, 255, size * size * 3).astype(np.uint8).reshape(1, size, size, 3)
    try:
        [found] = OnnxEngine(ready).predict(picture)
        sound = np.isfinite(found.probabilities).all() and np.isfinite(found.features).all()
    except ModelError:
        raise
    except Exception as error:  # ONNX Runtime's have no common base
        reason = (str(error).splitlines() or [""])[0]
        raise ModelError(f"{path} cannot be run: {reason}", AGAIN) from error
    if not sound or found.probabilities.shape != (len(ready.categories),):
        raise ModelError(
            f"{path} does not give a probability for each of its {len(ready.categories)} classes",
            AGAIN,
        )
    return ready


def _ready(path: str, known: dict[str, Any]) -> OnnxModel:
    """Return what ``known`` describes. Raise ValueError, KeyError or TypeError if it is none."""
    name, digest = known["name"], known["digest"]
    if name not in {info.name for kind in KINDS for info in list_models(kind)}:
        raise ValueError(f"there is no model {name!r}")
    if len(digest) != 64 or set(digest) - set("0123456789abcdef"):
        raise ValueError("its digest is none")
    resize, size, interpolation, squash = known["spec"]
    sizes = all(type(one) is int and 1 <= one <= 2048 for one in (resize, size))
    if not sizes or interpolation not in ("bilinear", "bicubic") or type(squash) is not bool:
        raise ValueError(f"it wants its pictures as {known['spec']}")
    categories = tuple(known["categories"])
    if not 1 <= len(categories) <= MAX_CLASSES or {type(one) for one in categories} != {str}:
        raise ValueError("its classes have no names")
    return OnnxModel(path, name, digest, "", CropSpec(*known["spec"]), categories)
