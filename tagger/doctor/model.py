"""The weights, the converted network and the verdict on int8, without loading any of them."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Iterator

from tagger.classify.catalog import Kind, info_of_file
from tagger.classify.digest_cache import DigestCache
from tagger.classify.int8_agreement import int8_state
from tagger.classify.int8_files import FullNetwork, full_network, own_network
from tagger.classify.loader import network_file, own_file
from tagger.classify.network_input import NetworkInput
from tagger.classify.onnx_store import OnnxModel, kept_conversion, model_path, read_converted
from tagger.classify.torch_installed import torch_installed
from tagger.classify.weights import (
    BRING,
    file_digest,
    find_weights,
    first_digest,
    models_dir,
    places,
    ready_file,
)
from tagger.config.schema import NO_MODEL
from tagger.doctor.report import Installation, Result
from tagger.errors import WeightsNotFoundError
from tagger.paths import is_model_path


def check_model(patient: Installation) -> Iterator[Result]:
    """Yield how the weights are, what runs them, and how int8 fares. Raise ModelError."""
    model, state_dir = patient.config.model, patient.config.state_dir
    if is_model_path(model.name):
        yield _custom("weights", model.name)
        yield _engine(patient, None, own=True)
        yield _int8(patient, _of_description(patient, model.name))
        return
    digest = functools.cache(file_digest)
    converted: OnnxModel | None
    try:
        path = find_weights(
            model.name,
            configured=model.weights,
            state_dir=state_dir,
            environ=patient.environ,
            digest=digest,
        )
    except WeightsNotFoundError as error:
        where = places(
            model.name, configured=model.weights, state_dir=state_dir, environ=patient.environ
        )
        converted = kept_conversion(model.name, where, state_dir)
        if converted is not None:
            yield Result("weights", "ok", f"not needed: {converted.path} is converted")
        elif file := ready_file(model.name, where):
            yield Result("weights", "ok", f"not needed: {file} was converted elsewhere")
            yield Result("engine", "ok", "the daemon takes that network when it starts")
            yield _int8(patient, None)
            return
        elif model.download and torch_installed():
            text = f"{error.message}; the daemon downloads them if it has a network"
            yield Result("weights", "warning", text, error.remedy)
        else:
            yield Result("weights", "error", error.message, error.remedy)
    else:
        info = info_of_file(model.name, path.rpartition("/")[2])
        official = info.file == path.rpartition("/")[2]
        proof = "its SHA-256 is that of its name" if official else "of your own, not verified"
        yield Result("weights", "ok", f"{path} ({proof})")
        converted = read_converted(model_path(model.name, digest(path), state_dir))
    yield _engine(patient, converted)
    yield _int8(patient, full_network(converted) if converted else None)


def check_scenes(patient: Installation) -> Iterator[Result]:
    """Yield how the network of scenes is. Raise ModelError."""
    name = patient.config.model.scenes
    if is_model_path(name):
        yield _custom("scenes", name)
        yield _int8(patient, _of_description(patient, name), "int8 of scenes")
        return
    yield _further(patient, "scenes", name)
    if name != NO_MODEL:
        found = _found(patient, name)
        converted = None
        if found is not None:
            converted = read_converted(
                model_path(name, file_digest(found), patient.config.state_dir)
            )
        yield _int8(patient, full_network(converted) if converted else None, "int8 of scenes")


def _custom(check: str, description: str) -> Result:
    """Say how a network of the user's own is. Raise ModelError."""
    from tagger.classify.custom_network import read_network

    network = read_network(own_file(description))
    classes = len(network.categories)
    return Result(check, "ok", f"{own_file(network.path)} ({classes} classes, your own)")


def check_detector(patient: Installation) -> Iterator[Result]:
    """Yield how the detector is. Raise ModelError."""
    name = patient.config.model.detector
    if is_model_path(name):
        yield Result("detector", "ok", f"{own_file(name)} (your own, not verified)")
        yield _int8(patient, _of_file(patient, name), "int8 of detector")
        return
    yield _further(patient, "detector", name)
    if name != NO_MODEL:
        found = _found(patient, name)
        full = _of_file(patient, found) if found is not None else None
        yield _int8(patient, full, "int8 of detector")


def _found(patient: Installation, name: str) -> str | None:
    """Return the path of the file of a published network besides the first; None without one."""
    try:
        return find_weights(
            name, configured=None, state_dir=patient.config.state_dir, environ=patient.environ
        )
    except WeightsNotFoundError:
        return None


def _of_description(patient: Installation, description: str) -> FullNetwork:
    """Return the network that a YAML file describes. Raise ModelError."""
    from tagger.classify.custom_network import read_network

    network = read_network(description)
    folder = models_dir(patient.config.state_dir)
    name = os.path.splitext(os.path.basename(description))[0]
    digest = DigestCache(folder).of(network.path)
    model_id = f"{name}-{digest[:8]}{network.digest[:8]}"
    return own_network(network.path, folder, model_id, NetworkInput("", 0))


def _further(patient: Installation, kind: Kind, name: str) -> Result:
    """Say how a published network besides the first is; without it photos are tagged, too."""
    if name == NO_MODEL:
        return Result(kind, "ok", "not asked for")
    model, state_dir = patient.config.model, patient.config.state_dir
    known = patient.status.networks if patient.runs else ()
    problem = next((one.problem for one in known if one.kind == kind), None)
    try:
        path = find_weights(
            name, configured=None, state_dir=state_dir, environ=patient.environ, digest=file_digest
        )
    except WeightsNotFoundError as error:
        if kind == "scenes" and network_file(patient.config, name, environ=patient.environ):
            return Result(kind, "ok", "its weights are not needed: it is converted")
        comes = model.download and (kind == "detector" or torch_installed())
        later = "; the daemon downloads it if it has a network" if comes else ""
        said = f"{error.message}; photos are tagged without it{later}"
        return Result(kind, "warning", said, error.remedy)
    info = info_of_file(name, os.path.basename(path))
    if info.file != os.path.basename(path):
        proof = "of your own, not verified"
    elif info.hash_prefix:
        proof = "its SHA-256 is the published one"
    else:
        first = first_digest(path)
        proof = "its SHA-256 is that of the first download" if first else "not verified"
    text = f"{path} ({proof}; {info.origin.licence})"
    if problem:
        return Result(kind, "warning", f"{text}: {problem}", "see the log of the daemon")
    return Result(kind, "ok", text)


def _engine(patient: Installation, converted: OnnxModel | None, *, own: bool = False) -> Result:
    """Say what runs the network; ``own``: it is an ONNX file of the user's."""
    model, status = patient.config.model, patient.status
    if patient.runs and status.problem and not status.engine:
        return Result("engine", "error", "the daemon has none yet", "see the daemon's problem")
    if model.engine != "torch" and importlib.util.find_spec("onnxruntime") is None:
        state = "ONNX Runtime is not installed"
        remedy = "pip install onnxruntime, or set `model.engine: torch`"
        if model.engine == "onnx":
            return Result("engine", "error", state, remedy)
        return Result("engine", "warning", f"{state}; torch is used, which is slower", remedy)
    if patient.runs and status.engine:
        text = f"{status.engine} runs {status.model}"
        if model.engine == "auto" and status.engine == "torch":
            remedy = "see the log of the daemon for why the network was not converted"
            return Result("engine", "warning", f"{text}, which is slower", remedy)
        return Result("engine", "ok", text)
    if model.engine == "torch":
        if not torch_installed():
            remedy = "set `model.engine: auto`, or install `tagger[torch]`"
            return Result("engine", "error", "torch is not installed", remedy)
        return Result("engine", "ok", "torch, as the config says")
    if converted or own:
        return Result("engine", "ok", "an ONNX file" if own else "converted for ONNX Runtime")
    if not torch_installed():
        return Result("engine", "error", "not converted yet, and torch is not installed", BRING)
    return Result("engine", "ok", "not converted yet; the daemon does it")


def _int8(patient: Installation, full: FullNetwork | None, check: str = "int8") -> Result:
    """Say how the int8 version of a network is; None: the network is not there yet."""
    model = patient.config.model
    if model.precision == "fp32" or model.engine == "torch":
        return Result(check, "ok", "not asked for")
    state = int8_state(full) if full is not None else None
    if state is None or state.state == "missing":
        return Result(check, "ok", "not made yet; the daemon does it")
    if state.state == "useless" and model.precision == "int8" and check == "int8":
        return Result(check, "error", str(state), "set `model.precision: auto`")
    if state.state == "refused" and model.precision == "int8":
        return Result(check, "warning", str(state), "set `model.precision: auto`")
    return Result(check, "ok", str(state))


def _of_file(patient: Installation, path: str) -> FullNetwork:
    """Return the detector in an ONNX file. Raise ModelError when it is unreadable."""
    folder = models_dir(patient.config.state_dir)
    stem = os.path.splitext(os.path.basename(path))[0]
    digest = DigestCache(folder).of(path)
    model_id = f"{stem}-{digest[:8]}"
    return own_network(path, folder, model_id, NetworkInput("", 0))
