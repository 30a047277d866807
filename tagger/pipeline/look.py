"""What all networks say of decoded photos, as the index keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from tagger.duplicates.picture_hash import picture_hash
from tagger.duplicates.thumbnails import packed
from tagger.index.rows import TOP_KEPT, StoredPrediction, pack_top
from tagger.labels.evidence import Boxes, Evidence, Ranking, combine
from tagger.records import Box, DecodedPhoto, PhotoFacts, Prediction

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tagger.pipeline.networks import Networks


LEAST_SIDE = 40
"""Pixels. Of a smaller picture (an icon, a strip, a single pixel) classifiers say nothing of use:
they took a footballer of 50 by 33 pixels for a dog, and one pixel for outdoors. A detector, which
compares what is large with what is small, did see the footballer."""


def too_small(facts: PhotoFacts) -> bool:
    """Whether there is too little of a picture for classifiers to tell what is on it."""
    return min(facts.width or LEAST_SIDE, facts.height or LEAST_SIDE) < LEAST_SIDE


def stored_subjects(
    model_id: str, photo: DecodedPhoto, predictions: Sequence[Prediction]
) -> StoredPrediction:
    """Return what is kept of the first network's ``predictions``: of the centre, and the ends."""
    centre = predictions[0]
    best = np.argsort(-centre.probabilities, kind="stable")[:TOP_KEPT]
    together = combine(np.stack([prediction.probabilities for prediction in predictions]))
    if too_small(photo.facts):
        together = _unsure(together)
    stored = StoredPrediction(
        model_id=model_id,
        top=pack_top((int(index), float(centre.probabilities[index])) for index in best),
        evidence=Evidence.of(together).to_bytes(),
        features=centre.features.astype("<f2").tobytes(),
        crop_hash=photo.crop_hash,
    )
    return with_picture(stored, photo)


def with_picture(stored: StoredPrediction, photo: DecodedPhoto) -> StoredPrediction:
    """Return a prediction with the hash of the whole picture, if the photo was decoded for it."""
    if photo.thumbnail is None:
        return stored
    made, kept = picture_hash(photo.thumbnail), packed(photo.thumbnail)
    return replace(stored, picture_hash=made, thumbnail=kept)


def look_further(
    photos: Sequence[DecodedPhoto],
    stored: Sequence[StoredPrediction],
    networks: Networks,
) -> list[StoredPrediction]:
    """Return ``stored`` with what further ``networks`` say of the same ``photos``, in their order.

    A network of scenes looks at the crop that it wants, a detector at the whole picture. A
    photo that was decoded without these is left as it is.
    """
    found = list(stored)
    scenes, detector = networks.scenes, networks.detector
    if scenes is not None:
        same = networks.views.crop is None
        every = enumerate(photo.crop if same else photo.other for photo in photos)
        crops = {at: crop for at, crop in every if crop is not None}
        said = scenes.predict(np.stack(list(crops.values()))) if crops else []
        for at, prediction in zip(crops, said, strict=True):
            values = prediction.probabilities
            values = _unsure(values) if too_small(photos[at].facts) else values
            ranking = Ranking.of(values, network=scenes.model_id)
            found[at] = with_scenes(found[at], ranking)
    if detector is not None:
        for at, photo in enumerate(photos):
            if photo.picture is not None:
                [boxes] = detector.detect([photo.picture])
                found[at] = with_boxes(found[at], boxes, detector.model_id)
    return found


def _unsure(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.full_like(probabilities, 1 / len(probabilities))


def with_boxes(stored: StoredPrediction, boxes: Sequence[Box], network: str) -> StoredPrediction:
    classes = np.array([box.class_index for box in boxes], np.int64)
    scores = np.array([box.score for box in boxes], np.float64)
    rects = np.array([box[2:] for box in boxes], np.float64).reshape(-1, 4)
    said = Boxes.of(classes, scores, rects, network)
    evidence = replace(Evidence.from_bytes(stored.evidence), boxes=said)
    return replace(stored, evidence=evidence.to_bytes(), detector_id=network, people=said.people)


def with_scenes(stored: StoredPrediction, scenes: Ranking) -> StoredPrediction:
    evidence = replace(Evidence.from_bytes(stored.evidence), scenes=scenes)
    return replace(stored, evidence=evidence.to_bytes(), scenes_id=scenes.network)
