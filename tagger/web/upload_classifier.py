"""Says what is in an uploaded picture: decoded in the confined processes, never in here."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from tagger.classify.shared_engine import SharedEngine
from tagger.config.schema import Config
from tagger.errors import (
    DecoderCrashedError,
    ImageTooLargeError,
    ModelError,
    NotAnImageError,
    PhotoError,
)
from tagger.index.rows import unpack_top
from tagger.labels.vocabulary import Vocabulary
from tagger.library.serialize import boxes_json
from tagger.pipeline.decoding import decode_pool
from tagger.pipeline.networks import Networks
from tagger.web.errors import WebError
from tagger.web.uploads import Spool, closing, kind_of

if TYPE_CHECKING:
    from tagger.decode.pool import DecodePool
    from tagger.labels.chooser import Chooser
    from tagger.records import DecodedPhoto, PhotoFacts, Tag

log = logging.getLogger(__name__)

PENDING = 24
"""Pictures in work at once. More are refused, so that nobody waits for minutes."""

RETRY_SECONDS = 10.0
"""A model that could not be loaded is not tried again sooner."""

REST_SECONDS = 300.0
"""After so long without a picture the decoding processes are ended, and started when one comes."""

_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Guess:
    """What the model says of one uploaded picture.

    ``classes`` are (label, probability 0…1), most probable first, no label twice; ``tags``
    what the daemon would give it, ``keywords`` the words it would write, ``reasons`` why, by
    label. ``facts`` are the picture's own, ``milliseconds`` the time of each step. ``boxes`` are
    what the detector sees, as documented; None without one.
    """

    classes: tuple[tuple[str, float], ...]
    tags: tuple[Tag, ...]
    keywords: tuple[tuple[str, ...], ...]
    reasons: Mapping[str, str]
    facts: PhotoFacts
    model: str
    milliseconds: Mapping[str, float]
    boxes: Sequence[Mapping[str, Any]] | None


class _Loaded(NamedTuple):
    given: Networks
    networks: Networks
    """The same, but for many threads."""
    pool: DecodePool
    chooser: Chooser
    labels: tuple[str, ...]
    """The label of each class index."""


class UploadClassifier:
    """Classifies uploads with the networks that ``load`` gives when they are needed.

    ``pending`` pictures are taken at once. For any thread. ``clock`` is monotonic seconds.
    ``shared``: they are another's, who may change them, and has them loaded already.
    """

    def __init__(
        self,
        config: Config,
        vocabulary: Vocabulary,
        load: Callable[[], Networks],
        spool: Spool,
        *,
        pending: int = PENDING,
        shared: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._vocabulary = config, vocabulary
        self._load, self._spool = load, spool
        self._loading = threading.Lock()
        self._loaded: _Loaded | None = None
        self._failed: tuple[float, ModelError] | None = None
        self._clock, self._shared = clock, shared
        self._closed = False
        self._counting = threading.Lock()
        self._pending, self._at_work, self._used_at = pending, 0, clock()

    def close(self) -> None:
        """Stop the decoding processes."""
        with self._loading:
            self._closed = True
            if self._loaded is not None:
                self._loaded.pool.close()

    def predict(self, upload: IO[bytes], *, tags: bool = True) -> Guess:
        """Return what is in the picture that ``upload`` holds from its position on.

        Without ``tags`` nothing but its classes may be relied on, which come sooner. Raise
        WebError when it is no image or there is too much to do, PhotoError when it cannot be
        decoded, ModelError when there is no model.
        """
        with self._counting:
            if self._at_work >= self._pending:
                raise WebError(
                    "too many pictures are being looked at",
                    "try again in a few seconds",
                    status=503,
                    retry_after=2,
                )
            self._at_work += 1
        try:
            return self._predict(upload, with_tags=tags)
        finally:
            with self._counting:
                self._at_work -= 1
                self._used_at = self._clock()

    def rest(self) -> None:
        """Give back the memory of a model and processes that nobody has used for minutes."""
        if not self._loading.acquire(blocking=False):
            return  # one is being loaded, which may take minutes
        try:
            with self._counting:
                unused = not self._at_work and self._clock() >= self._used_at + REST_SECONDS
                if unused and self._loaded is not None:
                    self._loaded.pool.close()
                    self._loaded = None
        finally:
            self._loading.release()

    def _predict(self, upload: IO[bytes], *, with_tags: bool) -> Guess:
        from tagger.labels.evidence import Evidence
        from tagger.pipeline.inference import classify_photo

        started = time.perf_counter()
        kind_of(upload)
        _, networks, pool, chooser, labels = self._ready()
        if not with_tags:
            networks = Networks(networks.subjects)
        decoding = time.perf_counter()
        with self._spool.file(upload, limit=self._config.web.max_upload_mb * _MB) as path:
            # The ends of the picture have a say in the tags alone.
            decoded = _decoded(pool, path, ends=with_tags)
            classifying = time.perf_counter()
            try:
                stored = classify_photo(networks, pool, path, decoded)
            except (CancelledError, RuntimeError) as error:
                if not self._closed:
                    raise
                raise closing() from error
        evidence = Evidence.from_bytes(stored.evidence)
        tags = chooser.choose(evidence, decoded.facts.kinds)
        sums: dict[str, float] = {}
        for index, probability in unpack_top(stored.top):
            # Several classes may go by one everyday name.
            sums[labels[index]] = sums.get(labels[index], 0.0) + probability
        things = self._vocabulary.things
        ended = time.perf_counter()
        return Guess(
            classes=tuple(sorted(sums.items(), key=lambda item: -item[1])),
            tags=tuple(tags),
            keywords=tuple(keyword.path for keyword in chooser.keywords(tags)),
            reasons={line.path[-1]: line.reason for line in chooser.explain(evidence)},
            facts=decoded.facts,
            model=networks.subjects.model_id,
            milliseconds={
                "decode": (classifying - decoding) * 1000,
                "classify": (ended - classifying) * 1000,
                "total": (ended - started) * 1000,
            },
            boxes=boxes_json(stored.evidence, things) if stored.detector_id else None,
        )

    def _ready(self) -> _Loaded:
        """Return the networks and what goes with them. Raise ModelError without the first."""
        with self._loading:
            if self._closed:
                raise closing()
            if self._shared:
                self._loaded = self._made(self._load(), self._loaded)
            if self._loaded is not None:
                return self._loaded
            if self._failed is not None and self._clock() < self._failed[0] + RETRY_SECONDS:
                raise self._failed[1]
            try:
                self._loaded = self._made(self._load(), None)
            except ModelError as error:
                self._failed = (self._clock(), error)
                raise
            return self._loaded

    def _made(self, given: Networks, before: _Loaded | None) -> _Loaded:
        if before is not None and before.given == given:
            return before
        config, known, engine = self._config, self._vocabulary, given.subjects
        labels = engine.categories
        if len(labels) == len(known.wnids):
            labels = tuple(known.leaf_of(index) for index in range(len(labels)))
        fits = before is not None and before.networks.subjects.spec == engine.spec
        if before is not None and fits and before.given.views == given.views:
            pool = before.pool
        else:
            if before is not None:
                before.pool.close()
            # An upload is compared with no photo.
            views = replace(given.views, thumbnail=False)
            pool = decode_pool(config, engine.spec, views=views)
        shared = replace(given, subjects=SharedEngine(engine))
        return _Loaded(given, shared, pool, given.chooser(config, known), labels)


def _decoded(pool: DecodePool, path: str, *, ends: bool) -> DecodedPhoto:
    """Return the decoded upload; raise WebError, which does not tell where it lay."""
    try:
        return pool.submit(path, ends=ends).result()
    except (CancelledError, RuntimeError) as error:
        raise closing() from error
    except PhotoError as error:
        status, remedy = 422, "send another picture"
        if isinstance(error, NotAnImageError):
            status = 415
        elif isinstance(error, ImageTooLargeError):
            status, remedy = 413, "send a smaller picture"
        elif isinstance(error, DecoderCrashedError):
            remedy = "send it in another format"
        message = error.message.replace(path, "the picture")
        raise WebError(message, remedy, status=status) from error
