"""Earning int8: quantize on some of the user's photos, prove it on others.

The verdict stands in ``….int8.json`` beside the converted model, the network in
``….int8.onnx`` if it was accepted. Nothing here imports ONNX Runtime: the work is done by
:mod:`tagger.classify.int8_worker` in a process of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagger.classify.child_process import ChildError, never, run_child
from tagger.classify.digest_cache import DigestCache
from tagger.classify.onnx_store import SCRATCH, OnnxModel, read_json, sole_writer, write_json
from tagger.classify.weights import file_digest
from tagger.errors import ModelError
from tagger.system.files import move_into_place

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

QUANTIZER = 1
"""Version of how it is quantized: the verdict on another one does not count."""
CALIBRATE, JUDGE = 128, 600
"""The most crops that are calibrated on, and judged on."""
ENOUGH = 256
"""Photos that :func:`maybe_optimize` waits for."""
AGREEMENT = 0.98
"""The least share of photos with the same best class, of those where fp32 is sure."""
SURE = 0.5
"""The probability of the best class from which on fp32 is sure."""
SLOWER = 1.5
"""From this many times fp32's time on int8 is refused: less may be what else runs."""
MIN_SURE = 50
"""Fewer sure photos prove nothing."""

Compare = Callable[["NDArray[np.float32]", "NDArray[np.float32]"], Mapping[str, float]]
"""Further figures from the probabilities (N, C) with fp32 and with int8."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the int8 network may be used, and the figures that say so.

    ``calibrated`` and ``judged`` are numbers of photos; ``sure`` of the judged have a best
    class that fp32 gives at least 0.5. ``agreement_sure`` and ``agreement_all`` are shares
    (0…1) with the same best class; ``difference`` is the mean over photos of the largest
    difference of a probability. ``fp32_ms`` and ``int8_ms`` are milliseconds a crop.
    ``reason`` says why not; ``more`` holds other figures. ``cpu`` is the kind of CPU that
    it was found on.
    """

    accepted: bool
    reason: str
    calibrated: int
    judged: int
    sure: int
    agreement_sure: float
    agreement_all: float
    difference: float
    fp32_ms: float
    int8_ms: float
    model_id: str
    cpu: str
    more: Mapping[str, float] = field(default_factory=dict)


def cpu_kind() -> str:
    """Return the machine's architecture, with "vnni" where int8 has its own instructions."""
    machine = platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="ascii") as file:
        flags = set(file.read().split())
        if flags & {"avx512_vnni", "avx_vnni"}:
            return f"{machine} vnni"
    return machine


def read_verdict(model: OnnxModel) -> Verdict | None:
    """Return the verdict on the int8 version of ``model`` on this kind of CPU, if any."""
    known = _read(model)
    return None if known is None else known[0]


def accepted_int8(model: OnnxModel) -> str | None:
    """Return the path of the int8 version of ``model`` if it was accepted and is intact."""
    known = _read(model)
    if known is None or not known[0].accepted:
        return None
    path = model.beside(".int8.onnx")
    try:
        whole = DigestCache(os.path.dirname(path)).of(path) == known[1]
    except ModelError:
        return None
    return path if whole else None


def _read(model: OnnxModel) -> tuple[Verdict, str] | None:
    try:
        known = read_json(model.beside(".int8.json"))
        verdict = Verdict(**known["verdict"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if known.get("quantizer") != QUANTIZER or verdict.cpu != cpu_kind():
        return None
    return verdict, str(known.get("sha256"))


def optimize(
    model: OnnxModel,
    calibrate: NDArray[np.uint8],
    judge: NDArray[np.uint8],
    *,
    compare: Compare | None = None,
    threads: int = 0,
    stop: Callable[[], bool] = never,
) -> Verdict:
    """Quantize ``model`` by the crops ``calibrate`` and keep it if ``judge`` agrees.

    Both are uint8 (N, S, S, 3), of different photos. The verdict is kept either way, and
    replaces an older one. Raise ModelError when there are too few crops to find out, or
    quantizing fails; StoppedError.
    """
    import numpy as np

    if not len(calibrate) or len(judge) < MIN_SURE:
        raise ModelError(
            f"{len(calibrate) + len(judge)} photos are too few to optimize by",
            f"name {2 * MIN_SURE} or more, or tag some first",
        )
    folder = os.path.dirname(model.path)
    path = model.beside(".int8.onnx")
    with (
        _storing(path),
        sole_writer(folder),
        tempfile.TemporaryDirectory(prefix=SCRATCH, dir=folder) as scratch,
    ):
        files = {name: os.path.join(scratch, f"{name}.npy") for name in ("calibrate", "judge")}
        found = os.path.join(scratch, "probabilities.npz")
        part = f"{path}.part"
        cpu = cpu_kind()
        request = {
            **files,
            "fp32": model.path,
            "int8": part,
            "probabilities": found,
            "threads": threads,
            "reduce_range": cpu == "x86_64",
        }
        try:
            np.save(files["calibrate"], calibrate)
            np.save(files["judge"], judge)
            try:
                times = run_child("tagger.classify.int8_worker", request, stop=stop)
            except ChildError as error:
                raise ModelError(
                    f"{model.name} cannot be quantized: {error.message}",
                    "set `model.precision: fp32` in the config",
                ) from error
            with np.load(found) as both:
                verdict = _judge(
                    model, len(calibrate), both["fp32"], both["int8"], times, cpu, compare
                )
            known: dict[str, Any] = {"quantizer": QUANTIZER, "verdict": asdict(verdict)}
            # The verdict is written last; one that does not fit its file never counts.
            if verdict.accepted:
                known["sha256"] = file_digest(part)
                move_into_place(part, path)
            else:
                Path(path).unlink(missing_ok=True)
            write_json(model.beside(".int8.json"), known)
        finally:
            Path(part).unlink(missing_ok=True)
    return verdict


@contextlib.contextmanager
def _storing(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelError(
            f"cannot store {path}: {error.strerror or error}", "check the disk and its rights"
        ) from error


def _judge(
    model: OnnxModel,
    calibrated: int,
    fp32: NDArray[np.float32],
    int8: NDArray[np.float32],
    times: Mapping[str, float],
    cpu: str,
    compare: Compare | None,
) -> Verdict:
    import numpy as np

    same = fp32.argmax(1) == int8.argmax(1)
    sure = fp32.max(1) >= SURE
    count = int(sure.sum())
    agreement = float(same[sure].mean()) if count else 0.0
    reason = ""
    if count < MIN_SURE:
        reason = f"only {count} photos where fp32 is sure; {MIN_SURE} are needed"
    elif agreement < AGREEMENT:
        reason = f"the same answer for {agreement:.1%} of them; {AGREEMENT:.0%} are needed"
    elif times["int8_ms"] >= SLOWER * times["fp32_ms"]:
        reason = "int8 is slower on this machine"
    return Verdict(
        accepted=not reason,
        reason=reason,
        calibrated=calibrated,
        judged=len(fp32),
        sure=count,
        agreement_sure=agreement,
        agreement_all=float(same.mean()),
        difference=float(np.abs(fp32 - int8).max(1).mean()),
        fp32_ms=times["fp32_ms"],
        int8_ms=times["int8_ms"],
        model_id=model.model_id,
        cpu=cpu,
        more=dict(compare(fp32, int8)) if compare is not None else {},
    )


def gather(
    crops: Iterable[NDArray[np.uint8]], model: OnnxModel
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return crops to quantize ``model`` by, see :func:`split`, if its disk has room for all that.

    Raise ModelError when it has not, before one is taken: a disk that is full for a while takes
    no index and no sidecars either.
    """
    folder = os.path.dirname(model.path)
    with _storing(model.beside(".int8.onnx")):
        # The crops lie there twice, and the quantizer makes copies of the network.
        crop = 3 * model.spec.size**2
        needed = 2 * (CALIBRATE + JUDGE) * crop + 3 * os.path.getsize(model.path)
        free = shutil.disk_usage(folder).free
        if free < needed:
            raise ModelError(
                f"whether {model.name} may be int8 cannot be found out: {folder} has "
                f"{free / 1e6:,.0f} MB free, and {needed / 1e6:,.0f} MB are needed for a while",
                "make room there, or set `model.precision: fp32` in the config",
            )
        return split(crops, folder)


def split(
    crops: Iterable[NDArray[np.uint8]], folder: str
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return crops to calibrate and to judge by, from at most as many as are of use.

    Each of ``crops`` is uint8 (S, S, 3), of another photo and in random order: neighbours
    in an album look alike. The first third calibrate, but no more than 128. They are kept
    in an unnamed file in ``folder``: 100 MB that a small machine has on its disk only.
    """
    import numpy as np

    shape: tuple[int, ...] = (0, 0, 3)
    total = 0
    with tempfile.TemporaryFile(dir=folder) as file:
        for crop in itertools.islice(crops, CALIBRATE + JUDGE):
            file.write(crop.tobytes())
            shape, total = crop.shape, total + 1
        file.flush()
        if not total:
            nothing = np.zeros((0, *shape), np.uint8)
            return nothing, nothing
        kept = np.memmap(file, np.uint8, "r", shape=(total, *shape))
    count = min(CALIBRATE, total // 3)
    return kept[:count], kept[count:]


def maybe_optimize(
    model: OnnxModel,
    seen: int,
    crops: Iterable[NDArray[np.uint8]],
    *,
    threads: int = 0,
    stop: Callable[[], bool] = never,
) -> Verdict | None:
    """Optimize ``model`` if that is due, for a daemon in its idle hours.

    ``seen`` is the number of photos in the index: with fewer than ENOUGH nothing happens,
    nor when there is a verdict already, unless that one had too few sure photos and there
    are twice as many by now. ``crops`` is uint8 (S, S, 3) of photos in random order; not
    one is taken from it unless it is due, so a generator may decode them. This takes
    seconds to minutes and blocks; the work is done by another process. Return the new
    verdict, or None when it is not due. When it is accepted, load the engine anew.

    Raise as :func:`optimize`.
    """
    verdict = read_verdict(model)
    if seen < ENOUGH or (
        verdict is not None
        and (verdict.sure >= MIN_SURE or seen < 2 * (verdict.calibrated + verdict.judged))
    ):
        return None
    calibrate, judge = gather(crops, model)
    return optimize(model, calibrate, judge, threads=threads, stop=stop)
