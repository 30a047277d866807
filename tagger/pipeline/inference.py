"""From begun photos to predictions, and what a look at decoded photos is.

A photo is looked at once where its centre decides, else at its ends as well.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Sequence
from concurrent import futures
from typing import TYPE_CHECKING

import numpy as np

from tagger.errors import PhotoError, PhotoVanishedError, TaggerError
from tagger.index.rows import StoredPrediction, unpack_top
from tagger.pipeline.context import Context
from tagger.pipeline.failures import refused, unforeseen, vanished
from tagger.pipeline.job import COMPLETED, Job, Recognised
from tagger.pipeline.look import look_further, stored_subjects
from tagger.pipeline.networks import Networks
from tagger.pipeline.outcome import Outcome, Skipped
from tagger.pipeline.recognition import Former, Recognition, Seen
from tagger.records import DecodedPhoto

if TYPE_CHECKING:
    from tagger.classify.engine import Engine
    from tagger.decode.pool import DecodePool

log = logging.getLogger(__name__)

CERTAIN = 0.9
"""A thumbnail's best class of at least this probability needs no look at the whole picture. With
MobileNetV2, thumbnails of 320 pixels alone had another best class for 3 of 140 photos where the
whole was sure; with the second look none of 32, and a fifth of the photos were looked at twice."""
DECISIVE = 0.85
"""A centre whose best class has at least this probability decides alone; else the ends of the photo
are classified too. On 250 photos of known class MobileNetV2 then gives every photo the tags that
all crops together give it, from 0.8 on, and three of five are done after the first look."""


class InferenceStage:
    """Has photos recognised, and waits for what is seen in them. Used by one thread.

    ``looked`` is set whenever a photo was looked at.
    """

    def __init__(self, context: Context, networks: Networks, recognition: Recognition) -> None:
        self._context = context
        self._networks = networks
        self._recognition = recognition
        self.looked = threading.Event()

    def use(self, networks: Networks) -> None:
        self._networks = networks

    def begin(self, job: Job) -> None:
        candidate = job.candidate
        if job.row is not None and not job.asked:
            job.asked, job.former = True, self._context.store.prediction(job.row.id)
        known = job.former
        former = Former(known, job.how == COMPLETED) if known is not None else None
        job.future = self._recognition.submit(
            candidate.path, root=candidate.root, size=candidate.stat.size, former=former
        )
        job.future.add_done_callback(lambda future: self.looked.set())

    def run(self, jobs: Sequence[Job]) -> tuple[list[Recognised], list[Outcome]]:
        """Return the predictions of ``jobs``, and the outcomes of those that have none.

        Jobs not reached before ``stop`` says so are in neither.
        """
        found: list[Recognised] = []
        outcomes: list[Outcome] = []
        for job in jobs:
            if self._context.stop.is_set():
                break
            try:
                one = self._known(job) or self._seen(job)
            except PhotoVanishedError as error:
                outcomes.append(vanished(self._context, job.candidate, error))
            except TaggerError as error:
                if job.how == COMPLETED:  # its tags are no worse than they were
                    outcomes.append(Skipped(job.candidate.path, str(error)))
                    continue
                outcomes.append(refused(self._context, job.candidate, error))
            except Exception as error:  # noqa: BLE001 - one photo stops no other
                outcomes.append(unforeseen(self._context, job.candidate, error))
            else:
                if one is not None:
                    found.append(one)
        return found, outcomes

    def _known(self, job: Job) -> Recognised | None:
        """Return the stored prediction that serves; without one see to it that one comes."""
        if job.source is None:
            return None
        if job.stored is None:
            job.stored = self._context.store.prediction(job.source.id)
        if job.stored is None:
            self.begin(job)
            return None
        return Recognised(job, job.source.facts, job.stored, True)

    def _seen(self, job: Job) -> Recognised | None:
        """Wait for what is seen in the photo; None when stopped."""
        started = time.perf_counter()
        while (seen := self._wait(job)) is not None:
            prediction = seen.prediction
            if not self._networks.refused.isdisjoint(
                {prediction.model_id, prediction.scenes_id, prediction.detector_id}
            ):
                self.begin(job)  # by an int8 version that was refused meanwhile
                continue
            waited = (time.perf_counter() - started) * 1000
            job.milliseconds["decode"] = max(waited - seen.classify_ms, 0.0)
            job.milliseconds["classify"] = seen.classify_ms
            old = job.former
            same = old is not None and old.crop_hash == prediction.crop_hash
            return Recognised(job, seen.facts, prediction, same)
        return None

    def _wait(self, job: Job) -> Seen | None:
        assert job.future is not None
        while not self._context.stop.is_set():
            # Not result(0.2): answered just then, a photo failed with its TimeoutError.
            if futures.wait([job.future], timeout=0.2).done:
                return job.future.result()
        return None


def is_unsure(photo: DecodedPhoto, prediction: StoredPrediction) -> bool:
    """Whether the whole picture is to be classified, for its thumbnail leaves a doubt."""
    return photo.from_thumbnail and unpack_top(prediction.top, 1)[0][1] < CERTAIN


def classify_photo(
    networks: Networks, pool: DecodePool, path: str, decoded: DecodedPhoto
) -> StoredPrediction:
    """Classify one decoded photo, the whole picture if its thumbnail leaves a doubt."""
    [stored] = look(networks, [decoded])
    if is_unsure(decoded, stored):
        try:
            [stored] = look(networks, [pool.submit(path, whole=True).result()])
        except PhotoError as error:
            log.debug("the thumbnail has to do: %s", error)
    return stored


def look(networks: Networks, photos: Sequence[DecodedPhoto]) -> list[StoredPrediction]:
    """Have all networks look at decoded photos; return what the index keeps."""
    return look_further(photos, predict(networks.subjects, photos), networks)


def predict(engine: Engine, photos: Sequence[DecodedPhoto]) -> list[StoredPrediction]:
    """Classify decoded photos by the first network into what the index keeps.

    First the centres of all in one run; then, in another, the ends of those that are in doubt.
    """
    seen = [[centre] for centre in engine.predict(np.stack([photo.crop for photo in photos]))]
    doubtful = [
        (photo.more, found)
        for photo, found in zip(photos, seen, strict=True)
        if photo.more is not None
        and len(photo.more)
        and found[0].probabilities.max() < DECISIVE
        and not photo.from_thumbnail  # such a one is looked at again, as a whole
    ]
    if doubtful:
        ends = iter(engine.predict(np.concatenate([more for more, _ in doubtful])))
        for more, found in doubtful:
            found += itertools.islice(ends, len(more))
    return [stored_subjects(engine.model_id, *each) for each in zip(photos, seen, strict=True)]
