"""Why a photo is, or is not, given the taught labels: its scores, and the examples like it."""

from __future__ import annotations

import math
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tagger.index.rows import StoredPrediction
from tagger.labels.personal.stored_features import rows_of
from tagger.pipeline.taught_tags import TaughtTags

if TYPE_CHECKING:
    from tagger.labels.evidence import Evidence
    from tagger.labels.personal.model import LabelFit, TaughtModel

MOST_NEAR = 3
"""Examples that are named."""


@dataclass(frozen=True, slots=True)
class TaughtReason:
    """Why one taught label was, or was not, given.

    It is given from the score ``write`` on (infinity: never), and asked about from ``ask`` on.
    ``near`` are the paths of the examples most like the photo, each with how like it is: the cosine
    of the angle between the two (-1…1).
    """

    path: tuple[str, ...]
    score: float
    write: float
    ask: float
    given: bool
    reason: str
    near: tuple[tuple[str, float], ...] = ()

    def __str__(self) -> str:
        verdict = "tagged" if self.given else "not tagged"
        needs = f"needs {self.write:.3f}" if math.isfinite(self.write) else "no threshold yet"
        near = ", ".join(f"{os.path.basename(path)} {like:.2f}" for path, like in self.near)
        return (
            f"{' > '.join(self.path)}: taught, score {self.score:.3f} ({needs}), {verdict}:"
            f" {self.reason}" + (f" [nearest examples: {near}]" if near else "")
        )


class TaughtReasons:
    """Explains what ``tags`` gives. ``read`` asks the index, now and not later."""

    def __init__(self, read: Callable[[str], list[sqlite3.Row]], tags: TaughtTags) -> None:
        self._tags = tags
        self._examples: dict[tuple[str, str], list[tuple[bytes, str]]] = {}
        for row in read(
            "SELECT f.model_id, e.label, e.path, f.features FROM taught_examples e"
            " JOIN taught_features f ON f.content_hash = e.content_hash WHERE e.positive = 1"
        ):
            own = self._examples.setdefault((row["model_id"], row["label"]), [])
            own.append((bytes(row["features"]), os.fsdecode(row["path"])))

    def of(self, stored: StoredPrediction, evidence: Evidence) -> list[TaughtReason]:
        """Return why a photo is or is not given each label, the likeliest first.

        Empty for a network that nothing was learned for.
        """
        model = self._tags.models.get(stored.model_id)
        if model is None:
            return []
        scores = model.scores_of([stored.features])[0]
        said = model.said.get(stored.features, {})
        found = []
        for number, fit in enumerate(model.fits):
            score, own = float(scores[number]), said.get(number)
            if not math.isfinite(score):
                continue
            gated = bool(fit.gate) and not self._tags.passes(evidence, fit.gate)
            given = own if own is not None else score >= fit.thresholds.write and not gated
            found.append(
                TaughtReason(
                    fit.label.path,
                    score,
                    fit.thresholds.write,
                    fit.thresholds.ask,
                    given,
                    _reason(fit, score, own, gated),
                    self._near(model, fit, stored.features),
                )
            )
        return sorted(found, key=lambda one: (not one.given, one.write - one.score, one.path))

    def _near(
        self, model: TaughtModel, fit: LabelFit, features: bytes
    ) -> tuple[tuple[str, float], ...]:
        own = self._examples.get((model.model_id, fit.label.label), [])
        own = [one for one in own if len(one[0]) == len(features) and one[0] != features]
        if not own:
            return ()
        rows = rows_of([features, *(blob for blob, _ in own)], model.whitening.size)
        vectors = model.whitening.vectors(rows, fit.shrinkage)
        like = vectors[1:] @ vectors[0]
        best = np.argsort(-like, kind="stable")[:MOST_NEAR]
        return tuple((own[n][1], float(like[n])) for n in best.tolist())


def _reason(fit: LabelFit, score: float, said: bool | None, gated: bool) -> str:
    limits = fit.thresholds
    if said is not None:
        return "you said that it shows it" if said else "you said that it does not show it"
    if not math.isfinite(limits.write):
        more = max(limits.missing, 1)
        return f"too little is known of it; {more} more answer{'' if more == 1 else 's'} may do"
    if score >= limits.write:
        return f"{fit.gate} is not likely on it" if gated else "sure enough"
    if score >= limits.ask:
        return f"not sure enough; `tagger teach {fit.label.label} --ask` may ask about it"
    return "unlike the examples"
