"""The int8 version of a network: made once beside the full one, and measured.

``….int8.json`` says how it was made and how fast it is on this kind of CPU, ``….int8.onnx`` is the
network where it is the faster one. Whether it gives the answers of the full network is found out
on the photos of the user, see :mod:`~tagger.classify.int8_agreement`. Nothing here imports ONNX
Runtime: the work is done by :mod:`tagger.classify.int8_worker` in a process of its own.
"""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tagger.classify.child_process import ChildError, never, run_child
from tagger.classify.digest_cache import DigestCache
from tagger.classify.network_input import NetworkInput
from tagger.classify.onnx_store import SCRATCH, OnnxModel, read_json, sole_writer, write_json
from tagger.classify.weights import file_digest
from tagger.errors import ModelError
from tagger.system.files import move_into_place
from tagger.text import json_records

QUANTIZER = 3
"""Version of how it is quantized: what another one made does not count."""
LEAST_DB = 6.0
"""The signal of an output has to be so far above the noise that int8 adds, on drawn pictures. It is
14 with MobileNetV2 and SqueezeNet; below 0, with YOLOX-Nano, half of all things are not found."""
GAIN = 0.95
"""int8 pays when it takes this share of fp32's time, at most."""
ROOM = 4
"""So many times the size of the network has to be free on the disk while it is quantized."""


@dataclass(frozen=True, slots=True)
class FullNetwork:
    """A network in fp32 of which an int8 version can be made.

    ``path`` is its ONNX file, ``stem`` the path of the files of its int8 version without their
    endings; ``key`` changes with the file and with what its ``input`` is.
    """

    path: str
    stem: str
    model_id: str
    key: str
    input: NetworkInput

    @property
    def int8_path(self) -> str:
        """Where its int8 version is, if there is one."""
        return f"{self.stem}.int8.onnx"

    @property
    def record_path(self) -> str:
        """Where it is written how that was made."""
        return f"{self.stem}.int8.json"


@dataclass(frozen=True, slots=True)
class Int8Record:
    """How an int8 version was made.

    ``fp32_ms`` and ``int8_ms`` are milliseconds a picture, in one thread on ``cpu``, the kind of
    CPU; ``sha256`` is that of the file, ``key`` that of the :class:`FullNetwork`, ``quantizer``
    QUANTIZER. ``problem`` says why there is none.
    """

    key: str
    cpu: str
    quantizer: int
    fp32_ms: float
    int8_ms: float
    sha256: str
    problem: str = ""

    @property
    def is_faster(self) -> bool:
        """Whether it pays to use it."""
        return not self.problem and self.int8_ms <= GAIN * self.fp32_ms


def full_network(model: OnnxModel) -> FullNetwork:
    """Return a converted model as what an int8 version can be made of."""
    taken = NetworkInput("crops", model.spec.size, rows_first=True, whole=True)
    return FullNetwork(model.path, model.beside(""), model.model_id, model.digest, taken)


def own_network(path: str, folder: str, model_id: str, taken: NetworkInput) -> FullNetwork:
    """Return an ONNX file that was not converted here, whose int8 version lies in ``folder``.

    ``model_id`` names the file and the way in which it is used. Raise ModelError when it is
    unreadable.
    """
    stem = os.path.join(folder, re.sub(r"[^A-Za-z0-9_.-]", "_", model_id))
    return FullNetwork(path, stem, model_id, DigestCache(folder).of(path), taken)


def cpu_kind() -> str:
    """Return the machine's architecture, with "vnni" where int8 has its own instructions."""
    machine = platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="ascii") as file:
        flags = set(file.read().split())
        if flags & {"avx512_vnni", "avx_vnni"}:
            return f"{machine} vnni"
    return machine


def read_record(network: FullNetwork) -> Int8Record | None:
    """Return how the int8 version was made for this kind of CPU; None: it was not."""
    try:
        record = json_records.read_record(Int8Record, read_json(network.record_path))
    except (OSError, ValueError):
        return None
    wanted = (network.key, cpu_kind(), QUANTIZER)
    return record if (record.key, record.cpu, record.quantizer) == wanted else None


def intact_int8(network: FullNetwork, record: Int8Record | None) -> str | None:
    """Return the path of the int8 version if it is as ``record`` says."""
    path = network.int8_path
    if record is None or record.problem:
        return None
    try:
        whole = DigestCache(os.path.dirname(path)).of(path) == record.sha256
    except ModelError:
        return None
    return path if whole else None


def make_int8(network: FullNetwork, *, stop: Callable[[], bool] = never) -> Int8Record:
    """Make the int8 version of a network, measure it, and keep what was found.

    This takes seconds and blocks; the work is done by another process. A network that cannot be
    quantized is noted as such. Raise ModelError when the disk has no room or cannot be written
    to; StoppedError.
    """
    folder = os.path.dirname(network.stem)
    with (
        _storing(network.int8_path, folder),
        sole_writer(folder),
        tempfile.TemporaryDirectory(prefix=SCRATCH, dir=folder) as scratch,
    ):
        _check_room(network, folder)
        part, cpu = os.path.join(scratch, "int8.onnx"), cpu_kind()
        request: dict[str, Any] = {
            "fp32": os.path.abspath(network.path),
            "int8": part,
            "input": asdict(network.input),
            "reduce_range": cpu == "x86_64",
        }
        found, problem = {"fp32_ms": 0.0, "int8_ms": 0.0}, ""
        try:
            found = run_child("tagger.classify.int8_worker", request, stop=stop)
        except ChildError as error:
            problem = error.message
        else:
            if found["signal_db"] < LEAST_DB:
                problem = "8 bits are too coarse for it: on drawn pictures it says something else"
        # The record is written last; one that does not fit its file never counts.
        if problem:
            Path(network.int8_path).unlink(missing_ok=True)
            digest = ""
        else:
            digest = file_digest(part)
            move_into_place(part, network.int8_path)
        record = Int8Record(
            network.key, cpu, QUANTIZER, found["fp32_ms"], found["int8_ms"], digest, problem
        )
        write_json(network.record_path, asdict(record))
    return record


def _check_room(network: FullNetwork, folder: str) -> None:
    """Raise ModelError when it may fill the disk: that takes no index and no sidecars either."""
    needed = ROOM * os.path.getsize(network.path)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise ModelError(
            f"no int8 version of {network.model_id} can be made: {folder} has "
            f"{free / 1e6:,.0f} MB free, and {needed / 1e6:,.0f} MB are needed for a while",
            "make room there, or set `model.precision: fp32` in the config",
        )


@contextlib.contextmanager
def _storing(path: str, folder: str) -> Iterator[None]:
    try:
        os.makedirs(folder, exist_ok=True)
        yield
    except OSError as error:
        raise ModelError(
            f"cannot store {path}: {error.strerror or error}", "check the disk and its rights"
        ) from error
