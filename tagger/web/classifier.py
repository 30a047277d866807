"""Says what is in an uploaded picture: decoded in the confined processes, never in here."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, NamedTuple

from tagger.config import Config
from tagger.errors import (
    DecoderCrashedError,
    ImageTooLargeError,
    ModelError,
    NotAnImageError,
    PhotoError,
)
from tagger.index.records import unpack_top
from tagger.labels.vocabulary import Vocabulary
from tagger.loading import decode_pool, make_chooser
from tagger.web.services import Guess, WebError
from tagger.web.uploads import Spool, closing, decode, sniff

if TYPE_CHECKING:
    from tagger.classify.engine import Engine
    from tagger.decode.worker import DecodePool
    from tagger.labels.choose import Chooser
    from tagger.photo import DecodedPhoto

PENDING = 24
"""Pictures in work at once. More are refused, so that nobody waits for minutes."""

RETRY_SECONDS = 10.0
"""A model that could not be loaded is not tried again sooner."""

_MB = 1_000_000


class _Loaded(NamedTuple):
    engine: Engine
    pool: DecodePool
    chooser: Chooser
    labels: tuple[str, ...]
    """The label of each class index."""


class Classifier:
    """Classifies uploads with the engine that ``load`` gives, which is loaded when needed.

    ``pending`` pictures are taken at once. For any thread. ``clock`` is monotonic seconds.
    """

    def __init__(
        self,
        config: Config,
        vocabulary: Vocabulary,
        load: Callable[[], Engine],
        spool: Spool,
        *,
        pending: int = PENDING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._vocabulary = config, vocabulary
        self._load, self._spool = load, spool
        self._free = threading.BoundedSemaphore(pending)
        self._loading, self._running = threading.Lock(), threading.Lock()
        self._loaded: _Loaded | None = None
        self._failed: tuple[float, ModelError] | None = None
        self._clock = clock
        self._closed = False

    def close(self) -> None:
        """Stop the decoding processes."""
        with self._loading:
            self._closed = True
            if self._loaded is not None:
                self._loaded.pool.close()

    def predict(self, upload: IO[bytes]) -> Guess:
        """See :class:`tagger.web.services.Classifies`."""
        if not self._free.acquire(blocking=False):
            raise WebError(
                "too many pictures are being looked at",
                "try again in a few seconds",
                status=503,
                retry_after=2,
            )
        try:
            return self._predict(upload)
        finally:
            self._free.release()

    def _predict(self, upload: IO[bytes]) -> Guess:
        from tagger.labels.choose import Evidence
        from tagger.recognise import predict

        started = time.perf_counter()
        start = upload.tell()
        if sniff(upload.read(12)) is None:
            raise WebError(
                "the file is no picture that is read here",
                "send a JPEG, PNG, GIF, WebP, HEIC or AVIF",
                status=415,
            )
        upload.seek(start)
        engine, pool, chooser, labels = self._ready()
        decoding = time.perf_counter()
        with self._spool.file(upload, limit=self._config.web.max_upload_mb * _MB) as path:
            decoded = _decoded(pool, path)
        classifying = time.perf_counter()
        with self._running:  # the network uses all cores for one picture already
            [stored] = predict(engine, [decoded])
        evidence = Evidence.from_bytes(stored.evidence)
        tags = chooser.choose(evidence)
        sums: dict[str, float] = {}
        for index, probability in unpack_top(stored.top):
            # Several classes may go by one everyday name.
            sums[labels[index]] = sums.get(labels[index], 0.0) + probability
        ended = time.perf_counter()
        return Guess(
            classes=tuple(sorted(sums.items(), key=lambda item: -item[1])),
            tags=tuple(tags),
            keywords=tuple(keyword.path for keyword in chooser.keywords(tags)),
            reasons={line.path[-1]: line.reason for line in chooser.explain(evidence)},
            facts=decoded.facts,
            model=engine.model_id,
            milliseconds={
                "decode": (classifying - decoding) * 1000,
                "classify": (ended - classifying) * 1000,
                "total": (ended - started) * 1000,
            },
        )

    def _ready(self) -> _Loaded:
        """Return the engine and what goes with it. Raise ModelError when it cannot be had."""
        with self._loading:
            if self._closed:
                raise closing()
            if self._loaded is not None:
                return self._loaded
            if self._failed is not None and self._clock() < self._failed[0] + RETRY_SECONDS:
                raise self._failed[1]
            try:
                self._loaded = self._made()
            except ModelError as error:
                self._failed = (self._clock(), error)
                raise
            return self._loaded

    def _made(self) -> _Loaded:
        engine = self._load()
        config, known = self._config, self._vocabulary
        chooser = make_chooser(engine, config, known)
        labels = engine.categories
        if len(labels) == len(known.wnids):
            labels = tuple(known.leaf_of(index) for index in range(len(labels)))
        pool = decode_pool(config, engine.spec)
        return _Loaded(engine, pool, chooser, labels)


def _decoded(pool: DecodePool, path: str) -> DecodedPhoto:
    """Return the decoded upload; raise WebError, which does not tell where it lay."""
    try:
        return decode(pool, path)
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
