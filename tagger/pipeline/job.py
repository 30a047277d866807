"""What is known of one photo on its way through the pipeline."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field

from tagger.index.rows import PhotoRow, StoredPrediction
from tagger.pipeline.recognition import Seen
from tagger.records import Candidate, JournalEntry, PhotoFacts

COMPLETED = "completed"
"""How a photo was handled that only further networks had to look at."""


@dataclass(slots=True)
class Job:
    """A photo on its way. ``source`` is the row whose prediction serves, if one does.

    ``previous`` is its journal, ``others`` that of another photo that had its name before;
    ``moved``: it was seen at another name before; ``renewed``: the user asked meanwhile that it
    is classified again. ``stored`` is the prediction of ``source``; ``former``, once ``asked``,
    that of ``row``: the index is asked for each once.
    """

    candidate: Candidate
    digest: bytes
    row: PhotoRow | None
    source: PhotoRow | None = None
    how: str = "classified"
    future: Future[Seen] | None = None
    previous: tuple[JournalEntry, ...] = ()
    others: tuple[JournalEntry, ...] = ()
    moved: bool = False
    renewed: bool = False
    stored: StoredPrediction | None = None
    former: StoredPrediction | None = None
    asked: bool = False
    milliseconds: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class Recognised:
    """A job with what the model says; ``same_picture``: as when the photo was last handled."""

    job: Job
    facts: PhotoFacts
    prediction: StoredPrediction
    same_picture: bool
