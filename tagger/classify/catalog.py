"""The models that can be named: torchvision's ImageNet classifiers and their weights files.

Read from ``models.csv``, a copy of torchvision's metadata (a test compares the two), so that
neither finding a file nor listing models needs torch.
"""

from __future__ import annotations

import csv
import difflib
import functools
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tagger.errors import ModelError
from tagger.records import CropSpec

BASE_URL = "https://download.pytorch.org/models/"
"""Where torchvision's weights are published."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """One published weights file.

    ``weights`` is its name in torchvision, ``default`` whether torchvision prefers it,
    ``megabytes`` its size in MB, ``accuracy`` its top-1 on ImageNet in percent, ``spec``
    how it wants its pictures.
    """

    name: str
    weights: str
    default: bool
    file: str
    spec: CropSpec
    megabytes: float
    accuracy: float

    @property
    def hash_prefix(self) -> str:
        """The first hexadecimal digits of the file's SHA-256, from its name."""
        match = re.search(r"-([0-9a-f]{8,})\.pth$", self.file)
        return match[1] if match else ""


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


def list_models() -> list[ModelInfo]:
    """Return the preferred weights of every model, by name."""
    return [info for info in _table() if info.default]


def check_model_name(name: str) -> list[str]:
    """Return what is wrong with a model's name, if anything, with the nearest right one."""
    names = [info.name for info in list_models()]
    return [] if name in names else [f"model.name: {_unknown(name)}"]


def _unknown(name: str) -> ModelError:
    near = difflib.get_close_matches(name, [info.name for info in list_models()], 1)
    hint = f"did you mean `{near[0]}`?" if near else "see `tagger model list`"
    return ModelError(f"there is no model `{name}`", hint)


def weights_of(name: str) -> list[ModelInfo]:
    """Return the weights published for a model, torchvision's preferred first.

    Raise ModelError when there is no such model.
    """
    found = [info for info in _table() if info.name == name]
    if not found:
        raise _unknown(name)
    return sorted(found, key=lambda info: not info.default)


def info_of_file(name: str, file: str) -> ModelInfo:
    """Return the metadata of the weights file called ``file`` (no folder) of a model.

    A name that torchvision does not know gets the recipe of the model's first weights,
    which most people's own training follows. Raise ModelError for an unknown model.
    """
    known = weights_of(name)
    for info in known:
        if info.file == file:
            return info
    first = "IMAGENET1K_V1"
    return next((info for info in known if info.weights == first), known[0])
