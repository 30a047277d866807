"""What was learned, applied to photos: scores, and whether a label is given or asked about."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np

from tagger.labels.personal.stored_features import rooted, rows_of
from tagger.labels.personal.thresholds import Thresholds
from tagger.labels.personal.whitening import Whitening
from tagger.records import TaughtLabel

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = 4096
"""Photos whose scores are found at a time; they take some 10 MB."""
FORMAT = 2


@dataclass(frozen=True, slots=True, eq=False)
class LabelFit:
    """One label: its ``weights`` (F,) on vectors whitened with ``shrinkage``, and thresholds.

    ``width`` is the score over which wrong photos become 2.7 times rarer; ``gate`` the label above
    that must not be unlikely, if any.
    """

    label: TaughtLabel
    weights: NDArray[np.float32]
    shrinkage: float
    thresholds: Thresholds
    width: float = 1.0
    gate: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class TaughtModel:
    """All labels, for the features of the network ``model_id``.

    ``said`` has by features what the user said of a photo, by the label's number; ``unbiased`` the
    scores (L,) of photos that were counter-examples, as if they were none.
    """

    model_id: str
    whitening: Whitening
    fits: tuple[LabelFit, ...]
    said: Mapping[bytes, Mapping[int, bool]] = field(default_factory=dict)
    unbiased: Mapping[bytes, NDArray[np.float32]] = field(default_factory=dict)

    def scores(self, features: NDArray[np.float16]) -> NDArray[np.float32]:
        """Return the score of every label for photos (N, F), as (N, L).

        They are found with one product of matrices: whitened vectors are never made.
        """
        white, shrinkages = self.whitening, np.array([fit.shrinkage for fit in self.fits])
        folded = [white.spread_out(fit.weights[np.newaxis], fit.shrinkage) for fit in self.fits]
        rows = np.concatenate([white.directions.T, white.mean[np.newaxis], *folded])
        columns = np.ascontiguousarray(rows.T, np.float32)
        at_mean, mean_length = white.mean @ columns, float(white.mean @ white.mean)
        count = len(white.spreads)
        found = np.empty((len(features), len(self.fits)), np.float32)
        for at in range(0, len(features), CHUNK):
            roots = rooted(np.ascontiguousarray(features[at : at + CHUNK], "<f2"))
            along, beside, raw = np.split(roots @ columns - at_mean, (count, count + 1), axis=1)
            # The square of what is left of the mean's part: |z - m|² = |z|² - 2(z - m)m - |m|².
            lengths = np.einsum("ij,ij->i", roots, roots) - 2 * beside[:, 0] - mean_length
            squares = along * along
            scaled = np.empty((len(shrinkages), len(roots)), np.float32)
            for shrinkage in np.unique(shrinkages):
                drawn, other = white.scales(float(shrinkage))
                length = lengths / other**2 + squares @ (1 / drawn**2 - 1 / other**2)
                scaled[shrinkages == shrinkage] = np.sqrt(np.maximum(length, 1e-12))
            found[at : at + CHUNK] = raw / np.maximum(scaled.T, 1e-6)
        return found

    def scores_of(self, blobs: Sequence[bytes]) -> NDArray[np.float32]:
        """Return the scores of stored photos, (N, L); counter-examples as if they were none."""
        found = self.scores(rows_of(blobs, self.whitening.size))
        for row, blob in enumerate(blobs):
            if (own := self.unbiased.get(blob)) is not None:
                found[row] = own
            if len(blob) != 2 * self.whitening.size:
                found[row] = -np.inf
        return found

    def given(self, blob: bytes, scores: NDArray[np.float32]) -> dict[int, float]:
        """Return the labels, by number, that a photo is given, and how sure that is (0…1)."""
        said = self.said.get(blob, {})
        found = {number: 1.0 for number, yes in said.items() if yes}
        for number in np.flatnonzero(scores >= self.write_from).tolist():
            if number not in said:
                found[number] = self.confidence(number, float(scores[number]))
        return found

    def confidence(self, number: int, score: float) -> float:
        """Return how sure a label is at a ``score`` from its threshold on."""
        fit = self.fits[number]
        if not math.isfinite(fit.thresholds.write):
            return 0.0
        return 1.0 - 0.05 * math.exp(min(0.0, (fit.thresholds.write - score) / fit.width))

    @property
    def write_from(self) -> NDArray[np.float32]:
        """From which score on each label is given, (L,)."""
        return np.array([fit.thresholds.write for fit in self.fits], np.float32)

    def to_bytes(self) -> bytes:
        """Return the model as the index keeps it: NumPy's npz, of numbers and a JSON text."""
        described: dict[str, Any] = {
            "format": FORMAT,
            "model": self.model_id,
            "labels": [
                {
                    "path": fit.label.path,
                    "synonyms": fit.label.synonyms,
                    "shrinkage": fit.shrinkage,
                    "write": fit.thresholds.write,
                    "ask": fit.thresholds.ask,
                    "missing": fit.thresholds.missing,
                    "width": fit.width,
                    "gate": fit.gate,
                }
                for fit in self.fits
            ],
            "said": [list(map(int, pair)) for one in self.said.values() for pair in one.items()],
            "counts": [len(one) for one in self.said.values()],
        }
        size, white = self.whitening.size, self.whitening
        file = io.BytesIO()
        np.savez(
            file,
            described=np.frombuffer(json.dumps(described).encode(), np.uint8),
            mean=white.mean,
            directions=white.directions,
            spreads=white.spreads,
            levels=np.array([white.rest, white.average, white.count]),
            weights=np.array([fit.weights for fit in self.fits], np.float32).reshape(-1, size),
            said=rows_of(list(self.said), size),
            unbiased=rows_of(list(self.unbiased), size),
            unbiased_scores=np.array(list(self.unbiased.values()), np.float32),
        )
        return file.getvalue()

    @classmethod
    def from_bytes(cls, blob: bytes) -> TaughtModel:
        """Return what :meth:`to_bytes` wrote. Raise ValueError when it is none, or of another
        version."""
        try:
            with np.load(io.BytesIO(blob), allow_pickle=False) as file:
                data = {name: file[name] for name in file.files}
            described = json.loads(data["described"].tobytes())
            if described["format"] != FORMAT:
                raise ValueError("of another version")
            fits = tuple(
                LabelFit(
                    TaughtLabel(tuple(one["path"]), tuple(one["synonyms"])),
                    data["weights"][number],
                    one["shrinkage"],
                    Thresholds(one["write"], one["ask"], one["missing"]),
                    one["width"],
                    one["gate"],
                )
                for number, one in enumerate(described["labels"])
            )
            whitening = Whitening(
                data["mean"], data["directions"], data["spreads"], *data["levels"].tolist()
            )
            pairs = iter(described["said"])
            said = {
                row.tobytes(): {
                    number: bool(yes) for number, yes in (next(pairs) for _ in range(n))
                }
                for row, n in zip(data["said"], described["counts"], strict=True)
            }
            unbiased = {
                row.tobytes(): scores
                for row, scores in zip(data["unbiased"], data["unbiased_scores"], strict=True)
            }
            return cls(described["model"], whitening, fits, said, unbiased)
        except (KeyError, TypeError, OSError, EOFError, StopIteration, BadZipFile) as error:
            raise ValueError(f"it is no taught model: {error}") from error
