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
from tagger.classify.loader import network_file, own_file, weights_file, weights_places
from tagger.classify.network_input import NetworkInput
from tagger.classify.onnx_store import OnnxModel, kept_conversion, model_path, read_converted
from tagger.classify.torch_installed import torch_installed
from tagger.classify.weights import BRING, file_digest, first_digest, models_dir, ready_file
from tagger.config.schema import NO_MODEL, is_model_path
from tagger.doctor.report import Installation, Result, failed
from tagger.errors import WeightsNotFoundError
from tagger.text.error_texts import all_in_language, in_language
from tagger.text.messages import gettext


def check_model(patient: Installation) -> Iterator[Result]:
    """Yield how the weights are, what runs them, and how int8 fares. Raise ModelError."""
    config, model = patient.config, patient.config.model
    if is_model_path(model.name):
        yield _custom("weights", model.name)
        yield _engine(patient, None, own=True)
        yield _int8(patient, _of_description(patient, model.name))
        return
    digest = functools.cache(file_digest)
    converted: OnnxModel | None
    try:
        path = weights_file(config, model.name, environ=patient.environ, digest=digest)
    except WeightsNotFoundError as error:
        where = weights_places(config, model.name, patient.environ)
        converted = kept_conversion(model.name, where, config.state_dir)
        if converted is not None:
            text = gettext("not needed: %(file)s is converted", file=converted.path)
            yield Result("weights", "ok", text)
        elif file := ready_file(model.name, where):
            text = gettext("not needed: %(file)s was converted elsewhere", file=file)
            yield Result("weights", "ok", text)
            yield Result("engine", "ok", gettext("the daemon takes that network when it starts"))
            yield _int8(patient, None)
            return
        elif model.download and torch_installed():
            later = gettext("the daemon downloads them if it has a network")
            text = f"{in_language(error.message)}; {later}"
            yield Result("weights", "warning", text, in_language(error.remedy))
        else:
            yield failed("weights", "error", error)
    else:
        file = os.path.basename(path)
        proof = gettext("its SHA-256 is that of its name")
        if info_of_file(model.name, file).file != file:
            proof = gettext("of your own, not verified")
        yield Result("weights", "ok", f"{path} ({proof})")
        converted = read_converted(model_path(model.name, digest(path), config.state_dir))
    yield _engine(patient, converted)
    yield _int8(patient, full_network(converted) if converted else None)


def check_scenes(patient: Installation) -> Iterator[Result]:
    """Yield how the network of scenes is. Raise ModelError."""
    name, state_dir = patient.config.model.scenes, patient.config.state_dir
    full = None
    if is_model_path(name):
        yield _custom("scenes", name)
        full = _of_description(patient, name)
    else:
        result, path = _further(patient, "scenes", name)
        yield result
        if path and (found := read_converted(model_path(name, file_digest(path), state_dir))):
            full = full_network(found)
    if name != NO_MODEL:
        yield _int8(patient, full, "int8 of scenes")


def _custom(check: str, description: str) -> Result:
    """Say how a network of the user's own is. Raise ModelError."""
    from tagger.classify.custom_network import read_network

    network = read_network(own_file(description))
    text = gettext(
        "%(file)s (%(n)s classes, your own)", file=own_file(network.path), n=len(network.categories)
    )
    return Result(check, "ok", text)


def check_detector(patient: Installation) -> Iterator[Result]:
    """Yield how the detector is. Raise ModelError."""
    name = patient.config.model.detector
    if is_model_path(name):
        proof = gettext("of your own, not verified")
        yield Result("detector", "ok", f"{own_file(name)} ({proof})")
        path: str | None = name
    else:
        result, path = _further(patient, "detector", name)
        yield result
    if name != NO_MODEL:
        full = _own(patient, path, path) if path else None
        yield _int8(patient, full, "int8 of detector")


def _of_description(patient: Installation, description: str) -> FullNetwork:
    """Return the network that a YAML file describes. Raise ModelError."""
    from tagger.classify.custom_network import read_network

    network = read_network(description)
    return _own(patient, description, network.path, network.digest[:8])


def _own(patient: Installation, named: str, path: str, more: str = "") -> FullNetwork:
    """Return the network in an ONNX file, whose id begins as the file ``named`` is called.

    Raise ModelError when it is unreadable.
    """
    folder = models_dir(patient.config.state_dir)
    stem = os.path.splitext(os.path.basename(named))[0]
    model_id = f"{stem}-{DigestCache(folder).of(path)[:8]}{more}"
    return own_network(path, folder, model_id, NetworkInput("", 0))


def _further(patient: Installation, kind: Kind, name: str) -> tuple[Result, str | None]:
    """Say how a published network is that photos can do without, and which file, if any, has it."""
    if name == NO_MODEL:
        return Result(kind, "ok", gettext("not asked for")), None
    model = patient.config.model
    known = patient.status.networks if patient.runs else ()
    problem = next((one.problem for one in known if one.kind == kind), None)
    try:
        path = weights_file(patient.config, name, environ=patient.environ)
    except WeightsNotFoundError as error:
        if kind == "scenes" and network_file(patient.config, name, environ=patient.environ):
            return Result(kind, "ok", gettext("its weights are not needed: it is converted")), None
        said = f"{in_language(error.message)}; {gettext('photos are tagged without it')}"
        if model.download and (kind == "detector" or torch_installed()):
            said += "; " + gettext("the daemon downloads it if it has a network")
        return Result(kind, "warning", said, in_language(error.remedy)), None
    info = info_of_file(name, os.path.basename(path))
    if info.file != os.path.basename(path):
        proof = gettext("of your own, not verified")
    elif info.hash_prefix:
        proof = gettext("its SHA-256 is the published one")
    elif first_digest(path):
        proof = gettext("its SHA-256 is that of the first download")
    else:
        proof = gettext("not verified")
    text = f"{path} ({proof}; {info.origin.licence})"
    if problem:
        remedy = gettext("see the log of the daemon")
        return Result(kind, "warning", f"{text}: {all_in_language(problem)}", remedy), path
    return Result(kind, "ok", text), path


def _engine(patient: Installation, converted: OnnxModel | None, *, own: bool = False) -> Result:
    """Say what runs the network; ``own``: it is an ONNX file of the user's."""
    model, status = patient.config.model, patient.status
    if patient.runs and status.problem and not status.engine:
        remedy = gettext("see the daemon's problem")
        return Result("engine", "error", gettext("the daemon has none yet"), remedy)
    if model.engine != "torch" and importlib.util.find_spec("onnxruntime") is None:
        state = gettext("ONNX Runtime is not installed")
        remedy = gettext("pip install onnxruntime, or set `model.engine: torch`")
        if model.engine == "onnx":
            return Result("engine", "error", state, remedy)
        slower = gettext("torch is used, which is slower")
        return Result("engine", "warning", f"{state}; {slower}", remedy)
    if patient.runs and status.engine:
        text = gettext("%(engine)s runs %(model)s", engine=status.engine, model=status.model)
        if model.engine == "auto" and status.engine == "torch":
            remedy = gettext("see the log of the daemon for why the network was not converted")
            return Result("engine", "warning", f"{text}, {gettext('which is slower')}", remedy)
        return Result("engine", "ok", text)
    if model.engine == "torch":
        if not torch_installed():
            remedy = gettext("set `model.engine: auto`, or install `tagger[torch]`")
            return Result("engine", "error", gettext("torch is not installed"), remedy)
        return Result("engine", "ok", gettext("torch, as the config says"))
    if own:
        return Result("engine", "ok", gettext("an ONNX file"))
    if converted:
        return Result("engine", "ok", gettext("converted for ONNX Runtime"))
    if not torch_installed():
        text = gettext("not converted yet, and torch is not installed")
        return Result("engine", "error", text, in_language(BRING))
    return Result("engine", "ok", gettext("not converted yet; the daemon does it"))


def _int8(patient: Installation, full: FullNetwork | None, check: str = "int8") -> Result:
    """Say how the int8 version of a network is; None: the network is not there yet."""
    model = patient.config.model
    if model.precision == "fp32" or model.engine == "torch":
        return Result(check, "ok", gettext("not asked for"))
    state = int8_state(full) if full is not None else None
    if state is None or state.state == "missing":
        return Result(check, "ok", gettext("not made yet; the daemon does it"))
    text, remedy = in_language(str(state)), gettext("set `model.precision: auto`")
    if state.state == "useless" and model.precision == "int8" and check == "int8":
        return Result(check, "error", text, remedy)
    if state.state == "refused" and model.precision == "int8":
        return Result(check, "warning", text, remedy)
    return Result(check, "ok", text)
