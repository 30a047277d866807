"""Whether a network's int8 version gives the answers of the full one: counted, and proven.

Of a share of the user's photos both say what they see. Of those where fp32 is sure it is counted
how often int8 says the same, and the share p that this holds for all photos is bounded by the exact
interval of Clopper and Pearson ("The use of confidence or fiducial limits illustrated in the case
of the binomial", Biometrika 26, 1934): with k of n the same, the lower bound is the p with
P(X >= k) = 5 %, the upper one that with P(X <= k) = 5 %, X binomial (n, p).

The counts stand in ``….int8-agreement.json`` beside the int8 version.
"""

from __future__ import annotations

import fcntl
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Literal

from tagger.classify.child_process import never
from tagger.classify.int8_files import FullNetwork, Int8Record, intact_int8, make_int8, read_record
from tagger.classify.onnx_store import read_json, write_json
from tagger.errors import ModelError
from tagger.text import json_records

AGREEMENT = 0.98
"""The share of photos with the same answer, of those where fp32 is sure, that is to be proven."""
SURE = 0.5
"""The probability of the best class from which on fp32 is sure."""
ERROR = 0.05
"""How often a bound may be wrong."""
STEPS = 50
"""Halvings of the interval in which a bound is sought: beyond that doubles are no finer."""

State = Literal["missing", "useless", "slower", "provisional", "proven", "refused"]
"""``missing``: not made yet; ``useless``: it cannot be made; ``slower`` than fp32 here, and so not
used; ``provisional``: used, its agreement not proven yet."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often both gave the same answer.

    Of ``judged`` photos fp32 was sure of ``sure``; of these ``same`` had the same answer. Of all
    ``judged`` ``same_tags`` had the very same tags. ``sha256`` is that of the int8 version.
    ``seen`` are beginnings of crop hashes, so that no photo counts twice.
    """

    sha256: str
    judged: int = 0
    sure: int = 0
    same: int = 0
    same_tags: int = 0
    seen: tuple[str, ...] = ()

    @property
    def lower(self) -> float:
        """The lower bound of the share of photos with the same answer (0…1)."""
        return lower_bound(self.same, self.sure)

    @property
    def upper(self) -> float:
        """The upper bound."""
        return upper_bound(self.same, self.sure)

    @property
    def state(self) -> State:
        """What the counts say."""
        if self.upper < AGREEMENT:
            return "refused"
        return "proven" if self.lower >= AGREEMENT else "provisional"

    def knows(self, crop_hash: bytes) -> bool:
        """Whether a photo with this crop was counted."""
        return _short(crop_hash) in self.seen

    def with_photo(self, crop_hash: bytes, *, sure: bool, same: bool, same_tags: bool) -> Agreement:
        """Return the counts with one photo more."""
        return replace(
            self,
            judged=self.judged + 1,
            sure=self.sure + sure,
            same=self.same + (sure and same),
            same_tags=self.same_tags + same_tags,
            seen=(*self.seen, _short(crop_hash)),
        )


def _short(crop_hash: bytes) -> str:
    return crop_hash[:6].hex()


def lower_bound(same: int, count: int) -> float:
    """Return the lower bound of Clopper and Pearson for ``same`` of ``count``; 0 for none."""
    if same <= 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if _at_most(count - same, count, 1 - middle) > ERROR:  # P(X >= same)
            high = middle
        else:
            low = middle
    return low


def upper_bound(same: int, count: int) -> float:
    """Return the upper bound; 1 for none."""
    return 1.0 - lower_bound(count - same, count)


def _at_most(most: int, count: int, chance: float) -> float:
    """Return P(X <= most) of the binomial distribution (count, chance)."""
    if most >= count or chance <= 0:
        return 1.0
    if chance >= 1:
        return 0.0
    log_yes, log_no, whole = math.log(chance), math.log1p(-chance), math.lgamma(count + 1)
    return math.fsum(
        math.exp(
            whole
            - math.lgamma(k + 1)
            - math.lgamma(count - k + 1)
            + k * log_yes
            + (count - k) * log_no
        )
        for k in range(most + 1)
    )


def read_agreement(network: FullNetwork, record: Int8Record) -> Agreement:
    """Return the counts of the int8 version that ``record`` tells of; none yet: zeros."""
    try:
        value = read_json(_path(network))
        found = json_records.read_record(Agreement, value)
        whole = value.keys() == {field.name for field in fields(Agreement)}
        ordered = 0 <= found.same <= found.sure <= found.judged >= found.same_tags >= 0
        if found.sha256 == record.sha256 and whole and ordered:
            return found
    except (OSError, ValueError):
        pass
    return Agreement(record.sha256)


def write_agreement(network: FullNetwork, agreement: Agreement) -> None:
    """Keep the counts. Raise OSError."""
    path = _path(network)
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # The daemon counts while `tagger model optimize` begins anew.
        fcntl.flock(folder, fcntl.LOCK_EX)
        write_json(path, asdict(agreement))
    finally:
        os.close(folder)


def _path(network: FullNetwork) -> str:
    return f"{network.stem}.int8-agreement.json"


@dataclass(frozen=True, slots=True)
class Int8State:
    """How the int8 version of one network is: figures as in Int8Record and Agreement."""

    model: str
    state: State
    judged: int = 0
    sure: int = 0
    same: int = 0
    same_tags: int = 0
    lower: float = 0.0
    upper: float = 1.0
    fp32_ms: float = 0.0
    int8_ms: float = 0.0
    problem: str = ""

    def __str__(self) -> str:
        if self.state == "missing":
            return "not made yet"
        if self.state == "useless":
            return f"cannot be made: {self.problem}"
        speed = f"{self.int8_ms:.1f} ms a picture, fp32 {self.fp32_ms:.1f} ms"
        if self.state == "slower":
            return f"not used, as it is no faster here: {speed}"
        if not self.judged:
            return f"{self.state}, no photo judged yet; {speed}"
        return (
            f"{self.state}: the same answer for {self.same:,} of {self.sure:,} photos where fp32 is"
            f" sure, so for {self.lower:.1%} to {self.upper:.1%} of all such; the same tags for"
            f" {self.same_tags:,} of {self.judged:,}; {speed}"
        )


def int8_to_use(
    network: FullNetwork, precision: str, *, stop: Callable[[], bool] = never
) -> str | None:
    """Return the path of the int8 version if it is to be used; None: fp32 is.

    ``precision`` "auto": where it is there, faster, and not refused. "int8": always; it is made
    if it is not there. Raise ModelError when int8 is demanded and cannot be made; StoppedError.
    """
    if precision == "fp32":
        return None
    path = intact_int8(network, read_record(network))
    if precision == "auto":
        return path if int8_state(network).state in ("provisional", "proven") else None
    if path is None:
        made = make_int8(network, stop=stop)
        path = intact_int8(network, made)
        if path is None:
            raise ModelError(
                f"no int8 version of {network.model_id} can be made: {made.problem}",
                "set `model.precision: auto` in the config",
            )
    return path


def int8_state(network: FullNetwork) -> Int8State:
    """Return how the int8 version of a network is, as its files say."""
    record = read_record(network)
    if record is None:
        return Int8State(network.model_id, "missing")
    return state_of(network, record, read_agreement(network, record))


def state_of(network: FullNetwork, record: Int8Record, counts: Agreement) -> Int8State:
    """Return how an int8 version is by what was measured and counted."""
    if record.problem:
        return Int8State(network.model_id, "useless", problem=record.problem)
    state = counts.state
    if state != "refused" and not record.is_faster:
        state = "slower"
    return Int8State(
        network.model_id,
        state,
        counts.judged,
        counts.sure,
        counts.same,
        counts.same_tags,
        counts.lower,
        counts.upper,
        record.fp32_ms,
        record.int8_ms,
    )
