"""A classifier of the user's own: a small YAML file says how an ONNX file is to be used.

::

    file: flowers.onnx            # beside this file
    classes: classes.txt          # one name a line; or a list; or places365
    size: 224                     # pixels a side of a crop
    resize: 256                   # the shorter side before the crop is cut (default: size)
    squash: false                 # true: both sides become `resize`
    interpolation: bilinear
    mean: [0.485, 0.456, 0.406]   # of pixels in 0...1; without both, pixels stay 0...255
    deviation: [0.229, 0.224, 0.225]
    channels: rgb                 # or bgr
    output: logits                # the output to use, when there are several
    scores: logits                # or probabilities
    features: features            # an output with the input of the last layer, if there is one
    labels:                       # what a class means, where its name is no label
      n0123_daisy: flower
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tagger.classify.catalog import MAX_CLASSES, places365
from tagger.config.schema import is_model_path
from tagger.errors import ModelError
from tagger.records import CropSpec
from tagger.text.parsing import compose_yaml
from tagger.text.spelling import nearest

PLACES = "places365"
MAX_SIZE = 1024
"""Pixels a side of a crop."""


@dataclass(frozen=True, slots=True)
class CustomNetwork:
    """What a YAML file says of an ONNX classifier; ``path`` is the ONNX file's.

    ``mean`` and ``deviation`` are of pixels in 0…1, both None for a network that takes 0…255.
    ``categories`` has for each class the label it means, or its own name; ``classes_file`` is
    where these names are, if in a file of their own.
    """

    path: str
    spec: CropSpec
    categories: tuple[str, ...]
    mean: tuple[float, ...] | None
    deviation: tuple[float, ...] | None
    bgr: bool
    output: str
    features: str
    gives_logits: bool
    classes_file: str = ""

    @property
    def meanings(self) -> tuple[str, ...]:
        """What the classes mean, each once: those that mean the same are taken together."""
        return tuple(dict.fromkeys(self.categories))

    @property
    def digest(self) -> str:
        """A text of 16 hexadecimal digits that changes with what the YAML file says."""
        values = [getattr(self, one.name) for one in dataclasses.fields(self)[1:-1]]
        return hashlib.blake2b(repr(values).encode(), digest_size=8).hexdigest()


def read_network(path: str) -> CustomNetwork:
    """Return what the YAML file at ``path`` says.

    Raise ModelError with all its mistakes, one a line, each with its line and key.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
        root = compose_yaml(text, yaml.SafeLoader)
    except OSError as error:
        raise ModelError(
            f"cannot read {path}: {error.strerror}", "correct the path in the config, or its rights"
        ) from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        what = getattr(error, "problem", None) or "it is not UTF-8"
        raise ModelError(f"{path}: {line}{what}", "correct the line") from error
    reader = _Reader(path)
    network = reader.network(root)
    if reader.problems:
        lines = "".join(f"\n  line {line}: {said}" for line, said in sorted(reader.problems))
        raise ModelError(f"{path} describes no network that can be used:{lines}", "correct it")
    assert network is not None
    return network


def scene_categories(scenes: str) -> tuple[str, ...] | None:
    """Return what each class of the network of scenes means; None: it has those of Places365.

    ``scenes`` is ``model.scenes`` of the config. Raise ModelError as :func:`read_network`.
    """
    if not is_model_path(scenes):
        return None
    categories = read_network(scenes).meanings
    return None if categories == places365() else categories


_KEYS = (
    "file classes size resize squash interpolation mean deviation"
    " channels output scores features labels"
).split()


class _Reader:
    """Takes the values out of the YAML nodes and collects what is wrong with them."""

    def __init__(self, path: str) -> None:
        self._folder = os.path.dirname(os.path.abspath(path))
        self.problems: list[tuple[int, str]] = []
        self._nodes: dict[str, yaml.Node] = {}
        self._classes_file = ""

    def network(self, root: yaml.Node | None) -> CustomNetwork | None:
        """Return the network; None after noting what is wrong."""
        if not isinstance(root, yaml.MappingNode):
            self.problems.append((1, "the file must hold `key: value` lines"))
            return None
        for name_node, value in root.value:
            name, line = str(name_node.value), name_node.start_mark.line + 1
            if name in self._nodes:
                self.problems.append((line, f"{name}: given twice; keep one"))
            elif name not in _KEYS:
                near = nearest(name, _KEYS)
                hint = f"did you mean `{near}`?" if near else f"known: {', '.join(_KEYS)}"
                self.problems.append((line, f"{name}: unknown key; {hint}"))
            self._nodes[name] = value
        for name in ("file", "classes", "size"):
            if name not in self._nodes:
                self._problem(name, "it is missing")
        file = self._text("file")
        classes = self._classes()
        size = self._number("size", 224)
        resize = self._number("resize", size)
        if resize < size:
            self._problem("resize", f"it must not be less than `size`, {size}")
        interpolation = self._choice("interpolation", ("bilinear", "bicubic"))
        squash = self._choice("squash", ("false", "true")) == "true"
        mean, deviation = self._three("mean"), self._three("deviation")
        if (mean is None) != (deviation is None):
            missing = "mean" if mean is None else "deviation"
            self._problem(missing, "it is missing: give both, or neither for pixels in 0...255")
        if deviation is not None and min(deviation) <= 0:
            self._problem("deviation", "its numbers must be above 0")
        bgr = self._choice("channels", ("rgb", "bgr")) == "bgr"
        gives_logits = self._choice("scores", ("logits", "probabilities")) == "logits"
        labels = self._labels(classes)
        if self.problems:
            return None
        return CustomNetwork(
            os.path.join(self._folder, os.path.expanduser(file)),
            CropSpec(resize, size, "bicubic" if interpolation == "bicubic" else "bilinear", squash),
            tuple(labels.get(name, name) for name in classes),
            mean,
            deviation,
            bgr,
            self._text("output"),
            self._text("features"),
            gives_logits,
            self._classes_file,
        )

    def _problem(self, name: str, said: str) -> None:
        node = self._nodes.get(name)
        line = node.start_mark.line + 1 if node is not None else 1
        self.problems.append((line, f"{name}: {said}"))

    def _value(self, name: str) -> Any:
        """Return a value as plain data; None when it is not there or nothing."""
        node = self._nodes.get(name)
        if node is None:
            return None
        try:
            return yaml.SafeLoader("").construct_document(node)
        except (yaml.YAMLError, ValueError, ArithmeticError, LookupError, TypeError):
            self._problem(name, "it cannot be read")
            return None

    def _text(self, name: str) -> str:
        value = self._value(name)
        if value is None:
            return ""
        if not isinstance(value, str) or not value or "\0" in value:
            self._problem(name, "must be a text")
            return ""
        return value

    def _number(self, name: str, default: int) -> int:
        value = self._value(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or not 8 <= value <= MAX_SIZE:
            self._problem(name, f"must be a whole number from 8 to {MAX_SIZE}")
            return default
        return value

    def _choice(self, name: str, allowed: tuple[str, ...]) -> str:
        node = self._nodes.get(name)
        if node is None:
            return allowed[0]
        text = str(node.value).lower() if isinstance(node, yaml.ScalarNode) else ""
        if text not in allowed:
            self._problem(name, f"must be {' or '.join(allowed)}")
            return allowed[0]
        return text

    def _three(self, name: str) -> tuple[float, ...] | None:
        value = self._value(name)
        if value is None:
            return None
        right = isinstance(value, list) and len(value) == 3
        if not right or not all(type(one) in (int, float) and abs(one) < 1000 for one in value):
            self._problem(name, "must be three numbers, as [0.485, 0.456, 0.406]")
            return None
        return tuple(float(one) for one in value)

    def _classes(self) -> tuple[str, ...]:
        value = self._value("classes")
        if value == PLACES:
            return places365()
        if isinstance(value, str):
            value = self._lines(value)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            self._problem("classes", f"must be a list of names, a file of such, or {PLACES}")
            return ()
        if not 2 <= len(value) <= MAX_CLASSES or len(set(value)) < len(value):
            self._problem("classes", f"must be 2 to {MAX_CLASSES} names, none of them twice")
            return ()
        return tuple(value)

    def _lines(self, file: str) -> list[str] | None:
        path = os.path.join(self._folder, os.path.expanduser(file))
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
            self._problem("classes", f"cannot read {path}: {reason}")
            return None
        self._classes_file = path
        return [line.strip() for line in text.splitlines() if line.strip()]

    def _labels(self, classes: tuple[str, ...]) -> Mapping[str, str]:
        value = self._value("labels")
        if value is None:
            return {}
        if not isinstance(value, dict) or not all(
            isinstance(one, str) and one for pair in value.items() for one in pair
        ):
            self._problem("labels", "must hold `class: label` lines")
            return {}
        if classes and (unknown := [name for name in value if name not in classes]):
            near = nearest(unknown[0], classes)
            hint = f"; did you mean `{near}`?" if near else ""
            self._problem("labels", f"`{unknown[0]}` is none of the classes{hint}")
        return value
