"""Learns the taught labels anew, and finds which photos of the library are to change for it.

All is read from the index, some thousand photos at a time, and no photo is opened. Photos whose
taught labels differ are noted as due before what was learned is stored: a kill in between costs
nothing but another lesson.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from tagger.index import taught_tables as tables
from tagger.index.store import Store
from tagger.index.taught_store import ask, number, record
from tagger.labels.evidence import Evidence
from tagger.labels.personal.learner import Lesson, learn
from tagger.labels.personal.model import TaughtModel
from tagger.labels.personal.moments import Moments
from tagger.labels.personal.stored_features import rows_of
from tagger.labels.personal.whitening import Whitening
from tagger.pipeline.library_features import features, moments, sample, update_moments
from tagger.pipeline.taught_tags import TaughtTags
from tagger.records import Example, TaughtLabel

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

ALL_KEPT = 20_000
"""In a larger library only the highest scores are looked at: those of three in a hundred photos."""
KEPT_SHARE = 0.03
GROWTH = 1.25
"""When the library has grown so many times, it is learned anew, and what is usual in it with it."""
GATE_SHARE, GATE_EXAMPLES = 0.9, 3
"""A label above is a gate when so many examples, and so large a share of them, pass it."""
_TOGETHER = 500


class StoppedLessonError(Exception):
    """It was to end early."""


@dataclass(slots=True, eq=False)
class Scores:
    """What a walk through the library found: by label the ids and scores of its best photos.

    ``said`` are the photos of which the user said something: by id, by the label's number.
    """

    ids: list[NDArray[np.int64]]
    scores: list[NDArray[np.float32]]
    said: dict[int, Mapping[int, bool]] = field(default_factory=dict)


def key_of(store: Store, model_id: str, precision: float) -> str:
    """Return what a lesson depends on, but for single photos of the library."""
    photos = max(store.classified(), 1)
    size = int(math.log(photos) / math.log(GROWTH))
    return f"{number(store)} {model_id} {precision} {size}"


def take_features(store: Store, model_ids: Sequence[str]) -> None:
    """Give examples whose photos the index knows the features that it has of them now."""
    statements: list[tables.Statement] = []
    for model_id in model_ids:
        for one in ask(store, lambda db, m=model_id: tables.examples(db, m)):  # type: ignore[misc]
            rows = store.read(
                "SELECT r.features FROM photos p JOIN predictions r ON r.photo_id = p.id"
                " WHERE (p.content_hash = ?1 OR p.source_hash = ?1) AND r.model_id = ?2"
                " ORDER BY p.id LIMIT 1",
                (one.content_hash, model_id),
            )
            if rows and (found := bytes(rows[0]["features"])) != one.features:
                statements.append(tables.add_features(one.content_hash, model_id, found))
    if statements:
        record(store, statements)


def lesson(
    store: Store,
    model_id: str,
    precision: float,
    *,
    before: TaughtModel | None = None,
    usual: Sequence[bytes] | None = None,
    only: TaughtLabel | None = None,
    more: Sequence[Example] = (),
) -> Lesson | None:
    """Return what can be learned for a network; None where it has seen nothing.

    ``before`` lends its whitening, ``usual`` is a sample drawn already; ``only`` learns one label
    alone, from ``more`` examples.
    """
    labels = (only,) if only else ask(store, tables.labels)
    examples = [] if only else ask(store, lambda db: tables.examples(db, model_id))
    examples = [*examples, *more]
    size = next((len(one.features) // 2 for one in examples if one.features), 0)
    drawn = sample(store, model_id) if usual is None else usual
    library = [blob for blob in drawn if len(blob) == 2 * size]
    if not size or not library:
        return None
    usual_moments = moments(store, model_id)
    return learn(
        labels,
        examples,
        rows_of(library, size),
        model_id=model_id,
        precision=precision,
        whitening=_whitening(size, before.whitening if before else None, usual_moments),
        count=store.classified(),
    )


def _whitening(size: int, before: Whitening | None, library: Moments | None) -> Whitening | None:
    """Return the whitening by the library's moments: the one before, while it has not grown much.

    None where nothing is known of the library.
    """
    if before is not None and before.size == size:
        count = library.count if library is not None else 0
        if count <= GROWTH * before.count or not before.count:
            return before
    if library is not None and len(library.mean) == size:
        return Whitening.of(library)
    return None


def walk(store: Store, found: Lesson, stop: Callable[[], bool] = lambda: False) -> Scores:
    """Return the best photos of the library by label. Raise StoppedLessonError."""
    model = found.model
    count = store.classified()
    floors = np.full(len(model.fits), -np.inf, np.float32)
    if count > ALL_KEPT:
        usual = model.scores(rows_of(sample(store, model.model_id, 1), model.whitening.size))
        floors = np.quantile(usual, 1 - KEPT_SHARE, axis=0).astype(np.float32)
    ids = [[np.empty(0, np.int64)] for _ in model.fits]
    scores = [[np.empty(0, np.float32)] for _ in model.fits]
    said: dict[int, Mapping[int, bool]] = {}
    for numbers, blobs in features(store, model.model_id):
        if stop():
            raise StoppedLessonError
        values = model.scores_of(blobs)
        known = {n: model.said[blob] for n, blob in enumerate(blobs) if blob in model.said}
        said.update((numbers[n], one) for n, one in known.items())
        for n, one in known.items():
            values[n, list(one)] = -np.inf
        kept = np.array(numbers, np.int64)
        for label in range(len(model.fits)):
            mask = (values[:, label] >= floors[label]) & np.isfinite(values[:, label])
            ids[label].append(kept[mask])
            scores[label].append(values[mask, label])
    best = Scores([], [], said)
    for own_ids, own_scores in zip(ids, scores, strict=True):
        together = np.concatenate(own_scores)
        order = np.argsort(-together, kind="stable")
        best.ids.append(np.concatenate(own_ids)[order])
        best.scores.append(together[order])
    return best


class Lessons:
    """Keeps what was learned up to date, and tells ``tags`` of it. Used by one thread."""

    def __init__(
        self, store: Store, precision: float, tags: TaughtTags, stop: Callable[[], bool]
    ) -> None:
        self._store, self._precision = store, precision
        self._tags, self._stop = tags, stop
        self._number = -1
        self._photos = 0

    def is_due(self, *, sizes: bool = False) -> bool:
        """Whether something was taught since; ``sizes``: or the library has grown much."""
        if number(self._store) != self._number:
            return True
        photos = self._store.classified() if sizes and self._tags.models else 0
        return bool(photos) and photos > GROWTH * max(self._photos, 1)

    def give_up(self) -> None:
        """Wait until something else is taught: what there is cannot be learned."""
        self._number = number(self._store)
        self._photos = self._store.classified()

    def update(self) -> list[str]:
        """Learn anew what other things were learned from; return the photos that are now due."""
        store = self._store
        self._photos = store.classified()
        model_ids = ask(store, tables.model_ids)
        take_features(store, model_ids)
        self._number = number(store)
        rows = store.read("SELECT model_id, key FROM taught_models")
        stored = {row["model_id"]: row["key"] for row in rows}
        wanted = {one: key_of(store, one, self._precision) for one in model_ids}
        due: list[str] = []
        try:
            for model_id, key in wanted.items():
                if stored.get(model_id) != key or model_id not in self._tags.models:
                    due += self._learn(model_id, key)
        except StoppedLessonError:
            self._number = -1
            return []
        due += self._forgotten()
        if gone := set(stored) - set(wanted):
            with store.transaction() as db:
                for table in ("taught_models", "taught_statistics"):
                    db.executemany(
                        f"DELETE FROM {table} WHERE model_id = ?",  # noqa: S608 - our own names
                        [(model_id,) for model_id in gone],
                    )
        if due or gone or wanted != stored:
            self._tags.load()
        return due

    def _learn(self, model_id: str, key: str) -> list[str]:
        store = self._store
        update_moments(store, model_id)
        found = lesson(store, model_id, self._precision, before=self._tags.models.get(model_id))
        if found is None:
            return []
        best = walk(store, found, self._stop)
        model = self._gated(found.finished(best.scores, self._precision), model_id)
        due: dict[int, None] = {}
        for place, fit in enumerate(model.fits):
            numbers = best.ids[place][best.scores[place] >= fit.thresholds.write].tolist()
            given = {n for n in numbers if not fit.gate or self._passes(n, fit.gate)}
            given |= {n for n, said in best.said.items() if said.get(place)}
            changed = _wanted(store, fit.label.label, given) ^ _carried(store, model_id, fit.label)
            due |= dict.fromkeys(sorted(changed))
        paths = _note_due(store, list(due))
        with store.transaction() as db:
            db.execute(
                "INSERT OR REPLACE INTO taught_models VALUES (?, ?, ?)",
                (model_id, key, model.to_bytes()),
            )
        log.info("%d taught labels were learned; %d photos change", len(model.fits), len(paths))
        return paths

    def _passes(self, photo_id: int, gate: str) -> bool:
        stored = self._store.prediction(photo_id)
        try:
            return stored is None or self._tags.passes(Evidence.from_bytes(stored.evidence), gate)
        except ValueError:
            return True

    def _gated(self, model: TaughtModel, model_id: str) -> TaughtModel:
        """Return the model with the label above as a gate, where nearly all examples pass it."""
        examples = ask(self._store, lambda db: tables.examples(db, model_id))
        fits = []
        for fit in model.fits:
            path = fit.label.path
            own = [one for one in examples if one.label == fit.label.label and one.positive]
            gate = ""
            if len(path) > 1 and len(own) >= GATE_EXAMPLES:
                known = [n for one in own if (n := self._row_of(one)) is not None]
                passed = sum(self._passes(n, path[-2]) for n in known)
                if len(known) >= GATE_EXAMPLES and passed >= GATE_SHARE * len(known):
                    gate = path[-2]
            fits.append(replace(fit, gate=gate))
        return replace(model, fits=tuple(fits))

    def _row_of(self, one: Example) -> int | None:
        rows = self._store.read(
            "SELECT id FROM photos WHERE content_hash = ?1 OR source_hash = ?1 LIMIT 1",
            (one.content_hash,),
        )
        return int(rows[0]["id"]) if rows else None

    def _forgotten(self) -> list[str]:
        """Note as due the photos with labels that are no longer taught, or in another place."""
        labels = ask(self._store, tables.labels)
        paths = {one.path[:depth] for one in labels for depth in range(1, len(one.path) + 1)}
        known = [json.dumps(path, ensure_ascii=False) for path in paths]
        rows = self._store.read(
            "SELECT DISTINCT photo_id FROM names CROSS JOIN tags ON name_id = names.id"
            " WHERE source = 'taught' AND path NOT IN (SELECT value FROM json_each(?))",
            (json.dumps(known),),
        )
        return _note_due(self._store, [row["photo_id"] for row in rows])


def _carried(store: Store, model_id: str, label: TaughtLabel) -> set[int]:
    """Return the photos that a network has seen and that carry a taught label."""
    rows = store.read(
        "SELECT t.photo_id FROM names n CROSS JOIN tags t ON t.name_id = n.id"
        " CROSS JOIN predictions r ON r.photo_id = t.photo_id"
        " WHERE n.source = 'taught' AND n.label = ? AND r.model_id = ?",
        (label.label, model_id),
    )
    return {row["photo_id"] for row in rows}


def _wanted(store: Store, label: str, given: set[int]) -> set[int]:
    """Return those of the photos that may have a label: the user has not taken it away, and the
    networks have not given it."""
    rows = store.read(
        "SELECT photo_id FROM tombstones WHERE label = ?1 UNION ALL SELECT id FROM photos WHERE"
        " keep_out UNION ALL SELECT id FROM photos WHERE status NOT IN ('tagged', 'untagged')"
        " UNION ALL SELECT photo_id FROM names n CROSS JOIN tags t ON t.name_id = n.id"
        " WHERE n.label = ?1 AND n.source = 'model'",
        (label,),
    )
    return given - {row["photo_id"] for row in rows}


def _note_due(store: Store, photo_ids: Sequence[int]) -> list[str]:
    """Note that other tags are to be written to photos; return their paths."""
    rows = store.read(
        "SELECT path FROM photos WHERE id IN (SELECT value FROM json_each(?))"
        " AND status IN ('tagged', 'untagged')",
        (json.dumps(list(photo_ids)),),
    )
    paths = [os.fsdecode(row["path"]) for row in rows]
    for at in range(0, len(paths), _TOGETHER):
        store.forget_keywords(paths[at : at + _TOGETHER])
    return paths
