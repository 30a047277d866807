"""Questions about a taught label: is this it? The photo whose answer tells the most comes first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tagger.config.schema import Config
from tagger.errors import StateError
from tagger.index import taught_tables as tables
from tagger.index.rows import PhotoRow
from tagger.index.store import Store
from tagger.index.taught_store import ask
from tagger.labels.personal.belief import Belief
from tagger.labels.personal.learner import Lesson
from tagger.labels.personal.questions import next_question
from tagger.library.teach import Teacher, present_network
from tagger.pipeline.lessons import lesson, walk
from tagger.records import TaughtLabel
from tagger.system.paths import is_inside

POOL = 2000
"""The best photos of the library, of which one is asked about after the other."""


@dataclass(frozen=True, slots=True)
class Question:
    """A photo of which it is asked whether it shows the label; ``likely`` is how likely (0…1).

    ``doubtful``: it has the user's keyword, but looks unlike the others that have.
    """

    photo_id: int
    path: str
    likely: float
    doubtful: bool = False


class Questions:
    """The questions about one label. Used by one thread at a time.

    Raise StateError when nothing can be asked yet.
    """

    def __init__(self, config: Config, store: Store, label: TaughtLabel) -> None:
        self._config, self._store, self.label = config, store, label
        self._teacher = Teacher(config, store)
        self._model_id = present_network(store)
        self._pool: list[tuple[int, bytes]] = []
        self._skipped: set[int] = set()
        self._lesson: Lesson | None = None
        self.answered = 0
        self._learn()

    def _learn(self) -> None:
        """Learn what there is, the first time with a walk through the library."""
        store = self._store
        before = self._lesson.model if self._lesson else None
        found = lesson(store, self._model_id, self._config.labels.precision, before=before)
        labels = [fit.label.label for fit in found.model.fits] if found else []
        if found is None or self.label.label not in labels:
            raise StateError(
                f"nothing can be asked about {self.label.label!r} yet",
                "give it an example: `tagger teach " + self.label.label + " PHOTO`",
            )
        self._lesson, self._number = found, labels.index(self.label.label)
        if before is None:
            best = walk(store, found)
            self._pool = [
                (photo_id, stored.features)
                for photo_id in best.ids[self._number][:POOL].tolist()
                if (stored := store.prediction(photo_id)) is not None
            ]

    def next(self) -> Question | None:
        """Return the next question; None when there is none left."""
        found, number = self._lesson, self._number
        assert found is not None
        own = found.labels[number]
        for one in own.doubtful:
            rows = self._store.read(
                "SELECT id FROM photos WHERE content_hash = ?1 OR source_hash = ?1 LIMIT 1",
                (one.content_hash,),
            )
            row = self._shown(rows[0]["id"]) if rows else None
            if row is not None and row.id not in self._skipped:
                return Question(row.id, row.path, 0.5, doubtful=True)
        said = found.model.said
        skipped = self._skipped | self._unsaid()
        while self._pool:
            left = [
                (photo_id, blob)
                for photo_id, blob in self._pool
                if photo_id not in skipped and number not in said.get(blob, {})
            ]
            if not left:
                return None
            scores = found.model.scores_of([blob for _, blob in left])[:, number]
            order = np.argsort(-scores, kind="stable")
            place = next_question(scores[order], own.fall, own.answers, own.shown)
            if place is None:
                return None
            photo_id, _ = left[int(order[place])]
            if (row := self._shown(photo_id)) is None:
                skipped.add(photo_id)
                self._skipped.add(photo_id)
                continue
            belief = Belief(own.fall, scores[order], own.answers, own.shown)
            likely = float(belief.probabilities(scores[order][place : place + 1])[0])
            return Question(row.id, row.path, likely)
        return None

    def answer(self, photo_id: int, yes: bool | None) -> None:
        """Note an answer (None: skipped), and learn from it. Raise StateError."""
        row = self._shown(photo_id)
        if row is None:
            raise StateError("the photo is not there any more", "choose another one")
        self._teacher.answer(self.label, row.path, yes)
        self._skipped.add(photo_id)
        self.answered += 1
        if yes is not None:
            self._learn()

    def _unsaid(self) -> set[int]:
        """Return the photos of which the user did not say."""
        found: set[int] = set()
        for one in ask(self._store, lambda db: tables.examples(db, label=self.label.label)):
            if one.positive is None and (row := self._store.photo(one.path)) is not None:
                found.add(row.id)
        return found

    def _shown(self, photo_id: int) -> PhotoRow | None:
        """Return the row of a photo that is there and may be shown."""
        row = self._store.photo_of(photo_id)
        if row is None or row.status not in ("tagged", "untagged"):
            return None
        inside = any(is_inside(row.path, root.path) for root in self._config.watch)
        return row if inside else None
