"""Converted models: ONNX files under ``models/`` in the state directory.

``NAME-WEIGHTS-vN.onnx`` holds a network with its features, ``NAME-WEIGHTS-vN.json`` what is
known of it. WEIGHTS is the beginning of the SHA-256 of the weights, N the version of the
exporter. The JSON file is written last: without it there is no converted model. Nothing
here imports torch; :mod:`tagger.classify.export_worker` does, in a process of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from tagger.classify.child_process import ChildError, never, run_child
from tagger.classify.digest_cache import DigestCache
from tagger.classify.torch_installed import torch_installed
from tagger.classify.weights import BRING, file_digest, models_dir
from tagger.errors import ModelError
from tagger.records import CropSpec
from tagger.system.files import move_into_place, replace_atomically
from tagger.text.parsing import parse_json

log = logging.getLogger(__name__)

EXPORTER = 2
"""Version of what the exporter writes: another one is exported again."""
KEY = re.compile(r"(?P<name>[a-z0-9_]+)-(?P<weights>[0-9a-f]{16})-v(?P<exporter>\d+)")
SCRATCH = "optimize-"
"""How the names of folders for temporary files begin."""


class ExportError(ModelError):
    """The weights are good, but the network cannot be converted here."""


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A converted model.

    ``path`` is that of the ONNX file, ``digest`` the SHA-256 of the weights it was made of
    and ``source`` the path where they were. The graph takes ``crops``, uint8 (N, S, S, 3),
    and gives ``logits`` (N, C) and ``features`` (N, F), both float32.
    """

    path: str
    name: str
    digest: str
    source: str
    spec: CropSpec
    categories: tuple[str, ...]

    @property
    def model_id(self) -> str:
        """The model's name and its weights, the same as with torch."""
        return f"{self.name}-{self.digest[:8]}"

    @property
    def known(self) -> dict[str, Any]:
        """What is kept of it in JSON, wherever its file is."""
        return {
            "name": self.name,
            "digest": self.digest,
            "spec": astuple(self.spec),
            "categories": self.categories,
        }

    def beside(self, ending: str) -> str:
        """Return the path of another file of this model, as ``.int8.onnx``."""
        return self.path.removesuffix(".onnx") + ending


def model_path(name: str, digest: str, state_dir: str) -> str:
    """Return where the conversion of a model's weights is."""
    return os.path.join(models_dir(state_dir), f"{name}-{digest[:16]}-v{EXPORTER}.onnx")


def convert(
    name: str, weights: str, state_dir: str, *, stop: Callable[[], bool] = never
) -> OnnxModel:
    """Return the converted model for a weights file; convert it if that is not done yet.

    Raise ModelError when the file is not this model's weights, ExportError when it cannot
    be converted or stored, StoppedError as soon as ``stop`` is true.
    """
    digest = DigestCache(models_dir(state_dir)).of(weights)
    path = model_path(name, digest, state_dir)
    found = read_converted(path)
    if found is not None:
        return found
    if os.path.exists(path):
        log.warning("the converted model %s is damaged; converting it again", path)
    return _convert(name, weights, path, stop)


def convert_again(old: OnnxModel, *, stop: Callable[[], bool] = never) -> OnnxModel:
    """Replace a converted model that cannot be loaded. Raise as :func:`convert`."""
    with contextlib.suppress(OSError):
        os.unlink(old.beside(".json"))
    return _convert(old.name, old.source, old.path, stop)


def _convert(name: str, weights: str, path: str, stop: Callable[[], bool]) -> OnnxModel:
    if not torch_installed():
        raise ExportError(
            f"{weights} has to be converted for ONNX Runtime, and torch is not installed", BRING
        )
    log.info("converting %s for ONNX Runtime, once", weights)
    request = {"name": name, "weights": os.path.abspath(weights), "path": path}
    try:
        run_child("tagger.classify.export_worker", request, stop=stop)
    except ChildError as error:
        raise ExportError(
            f"{name} cannot be converted for ONNX Runtime: {error.message}",
            "set `model.engine: torch` in the config, or repair the installation of torch",
        ) from error
    found = read_converted(path)
    if found is None:
        raise ExportError(f"{weights} changed while it was converted", "it is tried again")
    return found


def read_converted(path: str) -> OnnxModel | None:
    """Return the converted model at ``path``; None when there is none, or it is damaged."""
    try:
        known = read_json(f"{path.removesuffix('.onnx')}.json")
        if DigestCache(os.path.dirname(path)).of(path) != known["sha256"]:
            return None
        return OnnxModel(
            path,
            known["name"],
            known["digest"],
            known["source"],
            CropSpec(*known["spec"]),
            tuple(known["categories"]),
        )
    except (OSError, ValueError, KeyError, TypeError, ModelError):
        return None


def kept_conversion(name: str, places: Sequence[str], state_dir: str) -> OnnxModel | None:
    """Return a converted model whose weights are gone, if they were in one of ``places``.

    So the weights may be deleted once they are converted; but a file made from others than
    those the config asks for is not taken.
    """
    folder = models_dir(state_dir)
    wanted = {os.path.abspath(place) for place in places}
    for key in sorted(_keys(folder, name)):
        found = read_converted(os.path.join(folder, f"{key}.onnx"))
        if found and key.endswith(f"-v{EXPORTER}"):
            source = os.path.abspath(found.source)
            if wanted & {source, os.path.dirname(source)}:
                return found
    return None


def store_converted(path: str, write: Callable[[str], dict[str, Any]]) -> None:
    """Let ``write`` make the file of a converted model, and put it in place at once.

    ``write`` gets the path of a temporary file and returns what is to be known of it.
    Conversions of the same model by another exporter or of other weights are removed.
    Does nothing when another process has stored it meanwhile.
    """
    folder = os.path.dirname(path)
    key = os.path.basename(path).removesuffix(".onnx")
    os.makedirs(folder, exist_ok=True)
    with sole_writer(folder):
        if read_converted(path) is not None:
            return
        _remove(folder, key)  # what there is does not fit
        part = os.path.join(folder, f"{key}.onnx.part")
        try:
            known = write(part) | {"sha256": file_digest(part)}
            move_into_place(part, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(part)  # a full disk is not left full
        write_json(path.removesuffix(".onnx") + ".json", known)
        for stale in _keys(folder, key.partition("-")[0]) - {key}:
            _remove(folder, stale)


@contextlib.contextmanager
def sole_writer(folder: str) -> Iterator[None]:
    """Wait until no other process converts into ``folder``; clear what a crash left."""
    with open(os.path.join(folder, "convert.lock"), "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in os.listdir(folder):
            if "-agreement.json" in name:
                continue  # a daemon may be writing it
            if KEY.match(name) and name.endswith(".part"):
                os.unlink(os.path.join(folder, name))
            elif name.startswith(SCRATCH):
                shutil.rmtree(os.path.join(folder, name), ignore_errors=True)
        yield


def write_json(path: str, known: dict[str, Any]) -> None:
    """Store ``known`` at ``path``, at once."""
    replace_atomically(path, json.dumps(known).encode("ascii"))


def read_json(path: str) -> dict[str, Any]:
    """Return a JSON object. Raise OSError or ValueError."""
    with open(path, encoding="ascii") as file:
        known = parse_json(file.read())
    if not isinstance(known, dict):
        raise ValueError(path)
    return known


def _keys(folder: str, name: str) -> set[str]:
    """Return the keys of a model's files in ``folder``."""
    try:
        there = os.listdir(folder)
    except OSError:
        return set()
    matches = (KEY.match(file) for file in there)
    return {match[0] for match in matches if match and match["name"] == name}


def _remove(folder: str, key: str) -> None:
    for ending in (".json", ".onnx", ".int8.json", ".int8.onnx", ".int8-agreement.json"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, key + ending))
