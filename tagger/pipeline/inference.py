"""From decoded photos to predictions: several photos in one run of the network.

A photo never waits for a batch: what is decoded already when the network is free goes
together, and what comes later goes next.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING

import numpy as np

from tagger.errors import PhotoError, PhotoVanishedError, TaggerError
from tagger.index.rows import StoredPrediction, unpack_top
from tagger.pipeline.context import Context
from tagger.pipeline.failures import refused, unforeseen
from tagger.pipeline.job import COMPLETED, Job, Recognised
from tagger.pipeline.look import look_further, stored_subjects, with_picture
from tagger.pipeline.networks import Networks
from tagger.records import DecodedPhoto, Outcome, Skipped

if TYPE_CHECKING:
    from tagger.classify.engine import Engine
    from tagger.decode.pool import DecodePool

log = logging.getLogger(__name__)

SHARE = 16
"""Of so many photos one is looked at in fp32 as well, until int8 is proven."""
FIRST, KEPT = 6, 6
"""So many photos at first, and at most at once: each has a megabyte."""
TOGETHER = 8
"""Photos in one run of the network at most."""
CERTAIN = 0.9
"""A thumbnail's best class of at least this probability needs no look at the whole picture. With
MobileNetV2, thumbnails of 320 pixels alone had another best class for 3 of 140 photos where the
whole was sure; with the second look none of 32, and a fifth of the photos were looked at twice."""
DECISIVE = 0.85
"""A centre whose best class has at least this probability decides alone; else the ends of the photo
are classified too. On 250 photos of known class MobileNetV2 then gives every photo the tags that
all crops together give it, from 0.8 on, and three of five are done after the first look."""


class Sample:
    """A share of the photos that were classified, to be looked at again in fp32.

    The first few all are, so that a bad int8 version is found out at once. Used by one thread.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._count = 0
        self._photos: deque[DecodedPhoto] = deque(maxlen=KEPT)

    def offer(self, photos: Iterable[DecodedPhoto]) -> None:
        """Take those of ``photos`` that belong to it; none unless they are ``wanted``."""
        if not self.wanted:
            return
        for photo in photos:
            if not photo.from_thumbnail:  # such a one may be looked at again, as a whole
                if self._count < FIRST or self._count % SHARE == 0:
                    self._photos.append(photo)
                self._count += 1

    def take(self) -> DecodedPhoto | None:
        """Return one photo; None without any."""
        return self._photos.popleft() if self._photos else None


class InferenceStage:
    """Waits for decoded photos and classifies them. Used by one thread."""

    def __init__(self, context: Context, networks: Networks, pool: DecodePool) -> None:
        self._context = context
        self._networks = networks
        self._pool = pool
        self.sample = Sample()

    def use(self, networks: Networks) -> None:
        """Have the same networks in other precision look at photos from now on."""
        self._networks = networks

    def run(self, jobs: Sequence[Job]) -> tuple[list[Recognised], list[Outcome]]:
        """Return the predictions of ``jobs``, and the outcomes of those that have none.

        Jobs not reached before ``stop`` says so are in neither.
        """
        found: list[Recognised] = []
        outcomes: list[Outcome] = []
        waiting = deque(jobs)
        unsure: dict[str, Recognised] = {}
        while waiting and not self._context.stop.is_set():
            fresh: list[tuple[Job, DecodedPhoto]] = []
            while waiting and len(fresh) < TOGETHER and (not fresh or _is_ready(waiting[0])):
                job = waiting.popleft()
                try:
                    known = self._known(job)
                    if known is not None:
                        found.append(known)
                    elif (decoded := self._decoded(job)) is not None:
                        if (same := self._as_before(job, decoded)) is not None:
                            found.append(same)
                        else:
                            fresh.append((job, decoded))
                except PhotoVanishedError as error:
                    outcomes.append(Skipped(job.candidate.path, str(error)))
                except TaggerError as error:
                    if job.how == COMPLETED:  # its tags are no worse than they were
                        outcomes.append(Skipped(job.candidate.path, str(error)))
                        continue
                    if (quick := unsure.get(job.candidate.path)) is not None:
                        found.append(quick)  # its thumbnail is what there is
                        continue
                    outcomes.append(refused(self._context, job.candidate, error))
                except Exception as error:  # noqa: BLE001 - one photo stops no other
                    outcomes.append(unforeseen(self._context, job.candidate, error))
            for job, decoded, one in self._classified(fresh, outcomes):
                # Once: of a file whose header lies, the whole may look like a thumbnail too.
                if job.candidate.path not in unsure and is_unsure(decoded, one.prediction):
                    unsure[job.candidate.path] = one
                    photo = job.candidate
                    job.future = self._pool.submit(photo.path, root=photo.root, whole=True)
                    waiting.append(job)
                else:
                    found.append(one)
        return found, outcomes

    def _known(self, job: Job) -> Recognised | None:
        """Return the stored prediction that serves; without one see to it that one comes."""
        if job.source is None:
            return None
        if job.stored is None:
            job.stored = self._context.store.prediction(job.source.id)
        if job.stored is None:
            job.future = self._pool.submit(job.candidate.path, root=job.candidate.root)
            return None
        return Recognised(job, job.source.facts, job.stored, True)

    def _decoded(self, job: Job) -> DecodedPhoto | None:
        """Wait for the decoded photo; None when stopped."""
        assert job.future is not None
        started = time.perf_counter()
        while not self._context.stop.is_set():
            try:
                decoded = job.future.result(timeout=0.2)
            except FutureTimeoutError:
                if job.future.done():
                    raise
            else:
                job.milliseconds["decode"] = _ms(started)
                return decoded
        return None

    def _as_before(self, job: Job, decoded: DecodedPhoto) -> Recognised | None:
        """Return the old prediction when only metadata changed, not the picture.

        Networks that have not looked at the photo yet do so.
        """
        old = self._former(job)
        if old is None or old.crop_hash != decoded.crop_hash:
            return None
        if job.how != COMPLETED and old.model_id != self._networks.subjects.model_id:
            return None
        if old.model_id in self._networks.refused:
            return None
        [whole] = look_further([decoded], [old], self._networks.lacking(old))
        return Recognised(job, decoded.facts, with_picture(whole, decoded), True)

    def _former(self, job: Job) -> StoredPrediction | None:
        """Return the prediction that the index has of the photo, from when it looked before."""
        if not job.asked and job.row is not None:
            job.asked, job.former = True, self._context.store.prediction(job.row.id)
        return job.former

    def _classified(
        self, fresh: Sequence[tuple[Job, DecodedPhoto]], outcomes: list[Outcome]
    ) -> list[tuple[Job, DecodedPhoto, Recognised]]:
        if not fresh:
            return []
        started = time.perf_counter()
        try:
            stored = look(self._networks, [decoded for _, decoded in fresh])
            self.sample.offer(decoded for _, decoded in fresh)
            found = []
            for (job, decoded), prediction in zip(fresh, stored, strict=True):
                job.milliseconds["classify"] = _ms(started) / len(fresh)
                old = self._former(job)
                same = old is not None and old.crop_hash == decoded.crop_hash
                found.append((job, decoded, Recognised(job, decoded.facts, prediction, same)))
        except Exception as error:  # noqa: BLE001 - one photo stops no other
            if len(fresh) > 1:  # which of them it is shows when each is alone
                return [one for each in fresh for one in self._classified([each], outcomes)]
            outcomes.append(unforeseen(self._context, fresh[0][0].candidate, error))
            return []
        return found


def _is_ready(job: Job) -> bool:
    return job.future is None or job.future.done()


def _ms(started: float) -> float:
    return (time.perf_counter() - started) * 1000


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
