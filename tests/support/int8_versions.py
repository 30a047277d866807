"""int8 versions that are as good or as bad as a test wants, without quantizing anything."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import onnx
from onnx import helper

from tagger.classify.int8_files import (
    QUANTIZER,
    FullNetwork,
    Int8Record,
    cpu_kind,
    full_network,
)
from tagger.classify.onnx_store import read_converted
from tagger.classify.weights import file_digest


def plant_int8(full: FullNetwork, *, good: bool = True) -> Int8Record:
    """Store an int8 version of a converted network that says the same, or the opposite.

    It is the full network itself; if it is not ``good``, with all signs of its logits turned.
    """
    model = onnx.load(full.path)
    if not good:
        for node in model.graph.node:
            node.output[:] = ["turned" if name == "logits" else name for name in node.output]
        model.graph.node.append(helper.make_node("Neg", ["turned"], ["logits"]))
    onnx.save(model, full.int8_path)
    digest = file_digest(full.int8_path)
    record = Int8Record(full.key, cpu_kind(), QUANTIZER, 9.0, 3.0, digest)
    Path(full.record_path).write_text(json.dumps(asdict(record)))
    return record


def converted_in(state: Path) -> FullNetwork:
    """Return the one converted network in a state directory."""
    [path] = [p for p in (state / "models").glob("*.onnx") if not p.stem.endswith(".int8")]
    model = read_converted(str(path))
    assert model is not None
    return full_network(model)
