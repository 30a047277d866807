"""The weights, the converted network and the verdict on int8, without loading any of them."""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Iterator

from tagger.classify.catalog import Kind, info_of_file
from tagger.classify.int8_trial import AGREEMENT, read_verdict
from tagger.classify.loader import own_file
from tagger.classify.onnx_store import OnnxModel, kept_conversion, model_path, read_converted
from tagger.classify.weights import file_digest, find_weights, first_digest, places
from tagger.config.schema import NO_MODEL
from tagger.doctor.report import Installation, Result
from tagger.errors import WeightsNotFoundError
from tagger.paths import is_model_path


def check_model(patient: Installation) -> Iterator[Result]:
    """Yield how the weights are, what runs them, and how int8 fares. Raise ModelError."""
    model, state_dir = patient.config.model, patient.config.state_dir
    if is_model_path(model.name):
        yield _custom("weights", model.name)
        yield _engine(patient, None)
        yield Result("int8", "ok", "a network of your own is used as it is")
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
            yield Result("weights", "ok", "gone, but converted before; they are not needed")
        elif model.download:
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
    yield _int8(patient, converted)


def check_scenes(patient: Installation) -> Iterator[Result]:
    """Yield how the network of scenes is. Raise ModelError."""
    name = patient.config.model.scenes
    if is_model_path(name):
        yield _custom("scenes", name)
    else:
        yield _further(patient, "scenes", name)


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
    else:
        yield _further(patient, "detector", name)


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
        where = places(name, configured=None, state_dir=state_dir, environ=patient.environ)
        if kind == "scenes" and kept_conversion(name, where, state_dir) is not None:
            return Result(kind, "ok", "its weights are gone, but converted before")
        later = "; the daemon downloads it if it has a network" if model.download else ""
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


def _engine(patient: Installation, converted: OnnxModel | None) -> Result:
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
        return Result("engine", "ok", "torch, as the config says")
    state = "converted for ONNX Runtime" if converted else "not converted yet; the daemon does it"
    return Result("engine", "ok", state)


def _int8(patient: Installation, converted: OnnxModel | None) -> Result:
    model = patient.config.model
    if model.precision == "fp32" or model.engine == "torch":
        return Result("int8", "ok", "not asked for")
    verdict = read_verdict(converted) if converted else None
    needed = model.precision == "int8"
    if verdict is None:
        text = "not tried yet"
        if needed:
            return Result("int8", "error", f"{text}, but asked for", "run `tagger model optimize`")
        return Result("int8", "ok", f"{text}; the daemon does so when it has seen enough photos")
    figures = (
        f"{verdict.agreement_sure:.1%} of {verdict.sure} sure photos agree (least {AGREEMENT:.0%}),"
        f" {verdict.int8_ms:.1f} ms a photo instead of {verdict.fp32_ms:.1f} ms"
    )
    if verdict.accepted:
        return Result("int8", "ok", f"accepted: {figures}")
    text = f"refused, {verdict.reason}: {figures}"
    if needed:
        return Result("int8", "error", text, "set `model.precision: auto`")
    return Result("int8", "ok", f"{text}; the full network is used")
