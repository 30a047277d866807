"""The weights, the converted network and the verdict on int8, without loading any of them."""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Iterator

from tagger.classify.catalog import info_of_file
from tagger.classify.int8_trial import AGREEMENT, read_verdict
from tagger.classify.onnx_store import OnnxModel, kept_conversion, model_path, read_converted
from tagger.classify.weights import file_digest, find_weights, places
from tagger.doctor.report import Installation, Result
from tagger.errors import WeightsNotFoundError


def check_model(patient: Installation) -> Iterator[Result]:
    """Yield how the weights are, what runs them, and how int8 fares. Raise ModelError."""
    model, state_dir = patient.config.model, patient.config.state_dir
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
