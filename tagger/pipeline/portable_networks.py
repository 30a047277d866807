"""Loaded networks as files and a description, from which another machine loads the very same."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tagger.classify.digest_cache import DigestCache
from tagger.classify.weights import file_digest, models_dir
from tagger.errors import ModelError
from tagger.pipeline.networks import KINDS, Networks, NetworksLoader
from tagger.records import INT8_ENDING, INT8_NAME, CropSpec

if TYPE_CHECKING:
    from tagger.classify.engine import Engine
    from tagger.classify.int8_files import FullNetwork
    from tagger.config.schema import Config
    from tagger.detect.detector import Detector

CONVERTED, CUSTOM, YOLOX = "converted", "custom", "yolox"


@dataclass(frozen=True, slots=True)
class PortableNetwork:
    """One network.

    ``kind`` is one of :data:`tagger.pipeline.networks.KINDS`, ``form`` how its file is used:
    CONVERTED, CUSTOM or YOLOX. ``full`` and ``int8`` are the SHA-256 of its ONNX files, empty for
    one that is not needed. ``about`` has what else is known of it, in values of JSON.
    """

    kind: str
    form: str
    model_id: str
    full: str
    int8: str
    about: Mapping[str, Any]

    @property
    def files(self) -> tuple[str, ...]:
        """The SHA-256 of the files that are needed."""
        return tuple(filter(None, (self.full, self.int8)))


def portable(
    networks: Networks, loader: NetworksLoader, config: Config
) -> tuple[tuple[PortableNetwork, ...], dict[str, str]]:
    """Return ``networks`` of ``loader`` to be sent, and the paths of their files by SHA-256.

    Raise ModelError for a network that ONNX Runtime does not run, or whose file is gone.
    """
    loaders = loader.loaders(config)
    found: list[PortableNetwork] = []
    paths: dict[str, str] = {}
    digest = DigestCache(models_dir(config.state_dir)).of
    for kind, network in zip(KINDS, networks.all(), strict=True):
        if network is None:
            continue
        one, own = loaders[kind]
        full = one.full(own)
        if full is None:
            raise ModelError(
                f"{network.model_id} is run by {network.name}, and cannot be sent to workers",
                "set `model.engine: onnx` in the config",
            )
        in_int8 = network.name == INT8_NAME
        form, about = _described(network, full)
        int8_alone = in_int8 and form == CONVERTED
        needed = ("" if int8_alone else full.path, full.int8_path if in_int8 else "")
        whole, quick = digests = [digest(path) if path else "" for path in needed]
        paths |= {sha: path for sha, path in zip(digests, needed, strict=True) if path}
        found.append(PortableNetwork(kind, form, network.model_id, whole, quick, about))
    return tuple(found), paths


def _described(network: Engine | Detector, full: FullNetwork) -> tuple[str, dict[str, Any]]:
    from tagger.classify.custom_engine import CustomEngine
    from tagger.classify.onnx_engine import OnnxEngine

    name = full.model_id.rpartition("-")[0]
    if isinstance(network, OnnxEngine):
        spec = dataclasses.asdict(network.spec)
        categories = network.categories
        return CONVERTED, {"name": name, "digest": full.key, "spec": spec, "categories": categories}
    if isinstance(network, CustomEngine):
        return CUSTOM, {"name": name, "network": dataclasses.asdict(network.network)}
    return YOLOX, {}


def open_portable(networks: tuple[PortableNetwork, ...], folder: str, *, threads: int) -> Networks:
    """Return networks whose files lie in ``folder``, see :func:`file_path`. Raise ModelError."""
    loaded: dict[str, Any] = {one.kind: _opened(one, folder, threads) for one in networks}
    if "subjects" not in loaded:
        raise ModelError("no network of subjects was sent", "set `model.name` in the config")
    for one in networks:
        if (model_id := loaded[one.kind].model_id) != one.model_id:
            raise ModelError(
                f"{one.model_id} was loaded as {model_id}",
                "install the same version of tagger on both machines",
            )
    return Networks(loaded["subjects"], loaded.get("scenes"), loaded.get("detector"))


def file_path(folder: str, digest: str) -> str:
    """Return where the file with a SHA-256 lies."""
    return os.path.join(folder, f"{digest}.onnx")


def is_sound(folder: str, digest: str) -> bool:
    """Whether the file with a SHA-256 lies in ``folder``, whole."""
    path = file_path(folder, digest)
    return os.path.isfile(path) and file_digest(path) == digest


def place_file(folder: str, digest: str, part: str) -> bool:
    """Put the file ``part`` where :func:`file_path` says; remove it if it is another one.

    Return whether it was the right one.
    """
    if file_digest(part) != digest:
        os.unlink(part)
        return False
    os.replace(part, file_path(folder, digest))
    return True


def _opened(one: PortableNetwork, folder: str, threads: int) -> Any:
    about, full, int8 = one.about, file_path(folder, one.full), file_path(folder, one.int8)
    if one.form == CONVERTED:
        from tagger.classify.onnx_engine import OnnxEngine
        from tagger.classify.onnx_store import OnnxModel

        model = OnnxModel(
            full if one.full else int8,
            about["name"],
            about["digest"],
            "",
            CropSpec(**about["spec"]),
            tuple(about["categories"]),
        )
        return OnnxEngine(model, int8=int8 if one.int8 else None, threads=threads)
    network: Any
    if one.form == CUSTOM:
        from tagger.classify.custom_engine import CustomEngine
        from tagger.classify.custom_network import CustomNetwork

        said = dict(about["network"]) | {"path": full, "classes_file": ""}
        said["spec"] = CropSpec(**said["spec"])
        for key in ("categories", "mean", "deviation"):
            said[key] = None if said[key] is None else tuple(said[key])
        network = CustomEngine(about["name"], CustomNetwork(**said), folder, threads=threads)
    else:
        from tagger.detect.onnx_detector import OnnxDetector

        plain = one.model_id.removesuffix(INT8_ENDING)
        network = OnnxDetector(full, plain, threads=threads)
    if one.int8:
        network.use_int8(int8, threads)
    return network
