"""The models that can be named: classifiers of subjects and of scenes, and detectors.

torchvision's ImageNet classifiers are read from ``models.csv``, a copy of torchvision's metadata
(a test compares the two), so that neither finding a file nor listing models needs torch.
"""

from __future__ import annotations

import csv
import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tagger.config.schema import NO_MODEL, is_model_path
from tagger.errors import ModelError
from tagger.records import CropSpec
from tagger.text.spelling import nearest

BASE_URL = "https://download.pytorch.org/models/"
"""Where torchvision's weights are published."""
Kind = Literal["subjects", "scenes", "detector"]
KEYS: dict[Kind, str] = {
    "subjects": "model.name",
    "scenes": "model.scenes",
    "detector": "model.detector",
}
"""Which key of the config names a model of each kind."""
MAX_CLASSES = 0xFFFF
"""As the index keeps their numbers in 16 bits."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a weights file comes from, and what may be done with it.

    ``address`` is that of the file, ``source`` the page that speaks of it, ``licence`` its SPDX
    name or a short text. ``sha256`` is in hexadecimal, "" where none is published: then that of
    the first download is kept.
    """

    address: str
    source: str
    licence: str
    sha256: str = ""


_TORCHVISION = Origin(
    "",
    "https://docs.pytorch.org/vision/stable/models.html",
    "BSD-3-Clause; trained on ImageNet, whose terms are for research",
)
_YOLOX = "https://github.com/Megvii-BaseDetection/YOLOX"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One published weights file.

    ``weights`` is its name in torchvision, ``default`` whether torchvision prefers it,
    ``megabytes`` its size in MB, ``spec`` how it wants its pictures. ``accuracy`` is in percent:
    top-1 on ImageNet or Places365, or a detector's mean average precision on COCO.
    ``architecture`` is torchvision's name of the network, if that is not ``name``.
    """

    name: str
    weights: str
    default: bool
    file: str
    spec: CropSpec
    megabytes: float
    accuracy: float
    kind: Kind = "subjects"
    architecture: str = ""
    origin: Origin = _TORCHVISION

    @property
    def hash_prefix(self) -> str:
        """The first hexadecimal digits of its SHA-256; "" if neither origin nor name has them."""
        match = re.search(r"-([0-9a-f]{8,})\.pth$", self.file)
        return self.origin.sha256 or (match[1] if match else "")

    @property
    def address(self) -> str:
        """Where the file is published."""
        return self.origin.address or BASE_URL + self.file


def _yolox(size: str, sha256: str, megabytes: float, accuracy: float) -> ModelInfo:
    name = f"yolox_{size}"
    file = f"{name}.onnx"
    origin = Origin(f"{_YOLOX}/releases/download/0.1.1rc0/{file}", _YOLOX, "Apache-2.0", sha256)
    return ModelInfo(
        name, "COCO", True, file, CropSpec(), megabytes, accuracy, "detector", origin=origin
    )


_OTHERS = (
    ModelInfo(
        "resnet18_places365",
        "PLACES365",
        True,
        "resnet18_places365.pth.tar",
        # A scene is all of the picture. On 115 home photos the network knew as many places so as
        # by the centre, and gave them more probability; by three crops it costs three times.
        CropSpec(squash=True),
        45.5,
        54.7,
        "scenes",
        "resnet18",
        Origin(
            "https://places2.csail.mit.edu/models_places365/resnet18_places365.pth.tar",
            "https://github.com/CSAILVision/places365",
            "CC-BY-4.0, Zhou et al., MIT CSAIL",
        ),
    ),
    _yolox("nano", "c789161ed43c8269fcd4e67c67eeeb4e80c622da2eb296a20bc6007bd18a0b7d", 3.7, 25.8),
    _yolox("tiny", "427cc366d34e27ff7a03e2899b5e3671425c262ea2291f88bb942bc1cc70b0f7", 20.2, 32.8),
    _yolox("s", "c5c2d13e59ae883e6af3b45daea64af4833a4951c92d116ec270d9ddbe998063", 35.9, 40.5),
)
"""Scenes: ResNet-18 by the authors of Places365. Detectors: the release 0.1.1rc0 of YOLOX."""


@functools.cache
def _table() -> tuple[ModelInfo, ...]:
    with open(Path(__file__).with_name("models.csv"), encoding="utf-8", newline="") as file:
        return tuple(
            ModelInfo(
                row["name"],
                row["weights"],
                row["default"] == "1",
                row["file"],
                CropSpec(int(row["resize"]), int(row["size"]), _interpolation(row)),
                float(row["megabytes"]),
                float(row["accuracy"]),
            )
            for row in csv.DictReader(file)
        )


def _interpolation(row: dict[str, str]) -> Literal["bilinear", "bicubic"]:
    return "bicubic" if row["interpolation"] == "bicubic" else "bilinear"


def list_models(kind: Kind = "subjects") -> list[ModelInfo]:
    """Return the preferred weights of every model of a ``kind``, by name."""
    return [info for info in (*_table(), *_OTHERS) if info.default and info.kind == kind]


def check_model_name(name: str, kind: Kind = "subjects") -> list[str]:
    """Return what is wrong with a model's name, if anything, with the nearest right one."""
    names = [info.name for info in list_models(kind)]
    return [] if name in names else [f"{KEYS[kind]}: {_unknown(name, names)}"]


def check_model_names(name: str, scenes: str, detector: str) -> list[str]:
    """Return what is wrong with the names of models in the config, if anything.

    Each may also be the path of a file, ``scenes`` and ``detector`` NO_MODEL.
    """
    problems = [] if is_model_path(name) else check_model_name(name)
    others: tuple[tuple[str, Kind], ...] = ((scenes, "scenes"), (detector, "detector"))
    for other, kind in others:
        if other != NO_MODEL and not is_model_path(other):
            problems += check_model_name(other, kind)
    return problems


def _unknown(name: str, names: Sequence[str]) -> ModelError:
    near = nearest(name, names)
    hint = f"did you mean `{near}`?" if near else "see `tagger model list`"
    return ModelError(f"there is no model `{name}`", hint)


def weights_of(name: str) -> list[ModelInfo]:
    """Return the weights published for a model of any kind, preferred first. Raise ModelError."""
    known = (*_table(), *_OTHERS)
    found = [info for info in known if info.name == name]
    if not found:
        raise _unknown(name, [info.name for info in known])
    return sorted(found, key=lambda info: not info.default)


@functools.cache
def places365() -> tuple[str, ...]:
    """Return the names of the 365 classes of Places365, in the order of its networks."""
    return tuple(Path(__file__).with_name("places365.txt").read_text("ascii").splitlines())


def info_of_file(name: str, file: str) -> ModelInfo:
    """Return the metadata of the weights file called ``file`` (no folder) of a model.

    A name that torchvision does not know gets the recipe of the model's first weights,
    which most people's own training follows. Raise ModelError for an unknown model.
    """
    known = weights_of(name)
    named = [info for info in known if info.file == file]
    first = [info for info in known if info.weights == "IMAGENET1K_V1"]
    return (named + first + known)[0]
