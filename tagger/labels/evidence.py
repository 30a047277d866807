"""The part of a photo's predictions that is kept: what each network said, in few bytes.

Tags are always chosen from evidence, never from whole predictions, so that choosing again
from what is stored gives exactly what the first choice gave.

Stored form, little-endian. Version 1, of photos that one network has seen: version, number of
classes, number kept, the classes (u16), their probabilities (f16). Version 2: version, then for
each part its letter (``s`` subjects, ``p`` scenes, ``b`` boxes) and the length of its content
(u16). A ranking's content is that of version 1 without the version, then the network's name;
the boxes' is their number (u8), 11 bytes for each (class u8, score and rectangle u16, of 65535),
then the network's name.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOP_K = 64
"""How many classes are kept: of ImageNet's 1,000 they hold all but a few thousandths."""

LEAST_SCORE = 0.1
"""Boxes of a smaller score are not kept: what they say is hardly ever there."""
MOST_BOXES = 64
PERSON = 0
"""The detector's class of people."""
SURE_SCORE = 0.45
"""From this score on a box is shown and counted."""

_ONE, _PARTS = 1, 2  # versions
_COUNTS = struct.Struct("<HH")  # number of classes, number kept
_PART = struct.Struct("<cH")  # letter, bytes
_BOX = np.dtype([("class", "u1"), ("score", "<u2"), ("rect", "<u2", 4)])
_FULL = 0xFFFF
_FLOOR = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The K most probable of a classifier's ``class_count`` classes, best first.

    ``indices`` uint16 (K,), ``probabilities`` float16 (K,): as the model gave them, before any
    temperature. ``network`` says which model it was; empty where that was not noted.
    """

    indices: NDArray[np.uint16]
    probabilities: NDArray[np.float16]
    class_count: int
    network: str = ""

    @classmethod
    def of(cls, probabilities: NDArray[np.floating[Any]], network: str = "") -> Ranking:
        """Return the best :data:`TOP_K` of ``probabilities`` (C,), each in 0…1.

        Raise ValueError when they are not, or not one row.
        """
        values = np.asarray(probabilities, np.float32)
        if values.ndim != 1 or not 0 < len(values) <= 0xFFFF:
            raise ValueError(f"probabilities must be one row of 1 to 65535, not {values.shape}")
        if not ((values >= 0) & (values <= 1 + 1e-4)).all():  # also false for NaN
            raise ValueError("probabilities must be numbers from 0 to 1")
        # A stable sort of the negated values: equal ones keep the order of the classes.
        best = np.argsort(-values, kind="stable")[:TOP_K]
        kept = values[best].astype(np.float16)
        return cls(best.astype(np.uint16), kept, len(values), network)

    def top(self, k: int) -> tuple[tuple[int, float], ...]:
        """Return the ``k`` best as (class index, probability)."""
        pairs = zip(self.indices[:k], self.probabilities[:k], strict=True)
        return tuple((int(index), float(value)) for index, value in pairs)

    def content(self) -> bytes:
        """Return the stored form without version and name."""
        return (
            _COUNTS.pack(self.class_count, len(self.indices))
            + self.indices.astype("<u2").tobytes()
            + self.probabilities.astype("<f2").tobytes()
        )

    @classmethod
    def from_content(cls, blob: bytes) -> Ranking:
        """Return the ranking in ``blob``; what follows it is the name. Raise ValueError."""
        if len(blob) < _COUNTS.size:
            raise _broken(f"{len(blob)} bytes of a ranking")
        class_count, kept = _COUNTS.unpack_from(blob)
        end = _COUNTS.size + 4 * kept
        if len(blob) < end:
            raise _broken(f"a ranking of {kept} in {len(blob)} bytes")
        indices = np.frombuffer(blob, "<u2", kept, _COUNTS.size).astype(np.uint16)
        values = np.frombuffer(blob, "<f2", kept, _COUNTS.size + 2 * kept).astype(np.float16)
        if (indices >= class_count).any() or not np.isfinite(values).all():
            raise ValueError("a stored prediction names a class that does not exist, or is not one")
        return cls(indices, values, class_count, _name(blob[end:]))


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """What a detector saw, best first; none is an answer, too.

    ``classes`` uint8 (N,), ``scores`` float32 (N,) in 0…1, ``rects`` float32 (N, 4): left, top,
    width and height, each in 0…1 of the upright picture. ``network`` says which model it was.
    """

    classes: NDArray[np.uint8]
    scores: NDArray[np.float32]
    rects: NDArray[np.float32]
    network: str = ""

    @classmethod
    def of(
        cls, classes: NDArray[Any], scores: NDArray[Any], rects: NDArray[Any], network: str = ""
    ) -> Boxes:
        """Return the boxes that are kept, as they are stored: sorted, cut and rounded.

        Raise ValueError when the arrays do not fit each other or hold no numbers.
        """
        values = np.asarray(scores, np.float64).reshape(-1)
        places = np.asarray(rects, np.float64).reshape(-1, 4)
        kinds = np.asarray(classes).reshape(-1)
        if not len(values) == len(places) == len(kinds):
            raise ValueError(
                f"boxes must have as many classes ({len(kinds)}) as scores ({len(values)}) and "
                f"rectangles ({len(places)})"
            )
        if not (np.isfinite(values).all() and np.isfinite(places).all()):
            raise ValueError("scores and rectangles of boxes must be numbers")
        if len(kinds) and (kinds.min() < 0 or kinds.max() > 0xFF):
            raise ValueError("classes of boxes must be 0 to 255")
        best = np.argsort(-values, kind="stable")
        best = best[values[best] >= LEAST_SCORE][:MOST_BOXES]
        # Corners are cut, not widths, so that a box that leaves the picture ends at its edge.
        start = np.clip(places[best, :2], 0, 1)
        end = np.clip(places[best, :2] + places[best, 2:], start, 1)
        table = np.zeros(len(best), _BOX)
        table["class"] = kinds[best]
        table["score"] = np.rint(np.clip(values[best], 0, 1) * _FULL)
        table["rect"] = np.rint(np.concatenate([start, end - start], axis=1) * _FULL)
        return cls._of_table(table, network)

    @classmethod
    def _of_table(cls, table: NDArray[Any], network: str) -> Boxes:
        scores, rects = ((table[name] / _FULL).astype(np.float32) for name in ("score", "rect"))
        return cls(table["class"].astype(np.uint8), scores, rects, network)

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def people(self) -> int:
        """How many people it saw and is sure of."""
        return int(((self.classes == PERSON) & (self.scores >= SURE_SCORE)).sum())

    def content(self) -> bytes:
        """Return the stored form without the name."""
        table = np.zeros(len(self), _BOX)
        table["class"] = self.classes
        table["score"] = np.rint(self.scores.astype(np.float64) * _FULL)
        table["rect"] = np.rint(self.rects.astype(np.float64) * _FULL)
        return bytes([len(self)]) + table.tobytes()

    @classmethod
    def from_content(cls, blob: bytes) -> Boxes:
        """Return the boxes in ``blob``; what follows them is the name. Raise ValueError."""
        end = 1 + _BOX.itemsize * (blob[0] if blob else 0)
        if not blob or len(blob) < end:
            raise _broken(f"boxes in {len(blob)} bytes")
        return cls._of_table(np.frombuffer(blob[1:end], _BOX), _name(blob[end:]))


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What is known of one photo; None for a network that has not seen it.

    ``subjects`` is ImageNet's ranking (or that of a model with categories of its own),
    ``scenes`` that of Places365, ``boxes`` are the detector's.
    """

    subjects: Ranking | None = None
    scenes: Ranking | None = None
    boxes: Boxes | None = None

    @classmethod
    def of(cls, probabilities: NDArray[np.floating[Any]]) -> Evidence:
        """Return the evidence of the subjects' network alone; see :meth:`Ranking.of`."""
        return cls(Ranking.of(probabilities))

    @property
    def class_count(self) -> int:
        """How many classes the subjects' network has; 0 where it has not seen the photo."""
        return self.subjects.class_count if self.subjects else 0

    def to_bytes(self) -> bytes:
        """Return the stored form: version 1 where one network without a name has seen it."""
        subjects, scenes, boxes = self.subjects, self.scenes, self.boxes
        if subjects and scenes is None and boxes is None and not subjects.network:
            return bytes([_ONE]) + subjects.content()
        blob = bytes([_PARTS])
        for letter, part in ((b"s", subjects), (b"p", scenes), (b"b", boxes)):
            if part is not None:
                content = part.content() + part.network.encode()
                blob += _PART.pack(letter, len(content)) + content
        return blob

    @classmethod
    def from_bytes(cls, blob: bytes) -> Evidence:
        """Return what :meth:`to_bytes` stored. Raise ValueError when ``blob`` is not such."""
        if not blob:
            raise _broken("0 bytes")
        if blob[0] == _ONE:
            alone = Ranking.from_content(blob[1:])
            if alone.network:
                raise _broken(f"version 1, {len(blob)} bytes")
            return cls(alone)
        if blob[0] != _PARTS:
            raise _broken(f"version {blob[0]}, {len(blob)} bytes")
        parts: dict[bytes, bytes] = {}
        at = 1
        while at < len(blob):
            if len(blob) < at + _PART.size:
                raise _broken(f"cut at byte {len(blob)}")
            letter, length = _PART.unpack_from(blob, at)
            at += _PART.size + length
            if letter not in b"spb" or letter in parts or at > len(blob):
                raise _broken(f"part {letter!r}, {len(blob)} bytes")
            parts[letter] = blob[at - length : at]
        subjects, scenes = (
            Ranking.from_content(parts[letter]) if letter in parts else None
            for letter in (b"s", b"p")
        )
        return cls(subjects, scenes, Boxes.from_content(parts[b"b"]) if b"b" in parts else None)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Evidence) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())


def _broken(what: str) -> ValueError:
    return ValueError(f"no stored prediction ({what})")


def _name(blob: bytes) -> str:
    try:
        return blob.decode()
    except UnicodeDecodeError as error:
        raise _broken("a network's name that is no text") from error


def combine(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return the probabilities (C,) of a photo from those of its crops (1 + K, C).

    Their geometric mean, scaled to sum 1, which is the softmax of the mean of the logits. On
    the photos for calibration it is as likely as the arithmetic mean once each has its best
    temperature, but that is nearer to the single crop's (0.74, against 0.66 and 0.84), so
    square and wide photos can share one calibration.
    """
    values = np.asarray(probabilities, np.float32)
    if len(values) == 1:
        return np.asarray(values[0], np.float32)
    logs = np.log(np.maximum(values, _FLOOR)).mean(axis=0)
    scaled = np.exp(logs - logs.max())
    return np.asarray(scaled / scaled.sum(), np.float32)
