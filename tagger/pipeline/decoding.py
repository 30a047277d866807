"""The pool of decoding processes that a config asks for, and photos from it one after the other."""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future

from tagger.config.schema import Config
from tagger.decode.pool import DecodePool
from tagger.errors import PhotoError
from tagger.records import NO_VIEWS, CropSpec, DecodedPhoto, ExtraViews

log = logging.getLogger(__name__)

AHEAD = 8
"""Photos that are given to the decoding processes before the first is asked for."""


def decode_pool(
    config: Config, spec: CropSpec, *, workers: int = 0, views: ExtraViews = NO_VIEWS
) -> DecodePool:
    """Return the decoding processes that ``config`` asks for; ``workers`` instead of its own."""
    decode = config.decode
    return DecodePool(
        spec,
        workers=workers or decode.workers,
        max_pixels=decode.max_megapixels * 1_000_000,
        timeout=decode.timeout_seconds,
        memory_mb=decode.memory_mb,
        more=config.labels.crops > 1,
        views=views,
    )


def decoded_photos(pool: DecodePool, paths: Iterable[str]) -> Iterator[DecodedPhoto]:
    """Yield each photo that can be decoded, by the whole picture. A few are decoded ahead."""
    left = iter(paths)
    futures: deque[Future[DecodedPhoto]] = deque()

    def submit(count: int) -> None:
        some = itertools.islice(left, count)
        futures.extend(pool.submit(path, later=True, whole=True) for path in some)

    submit(AHEAD)
    while futures:
        future = futures.popleft()
        submit(1)
        try:
            yield future.result()
        except PhotoError as error:
            log.debug("passed over: %s", error)


def decoded_by_each(
    pools: Sequence[DecodePool], paths: Iterable[str]
) -> Iterator[tuple[str, list[DecodedPhoto] | None]]:
    """Yield each path and its photo as each pool decodes it; None if it cannot be opened."""
    for path in paths:
        futures = [pool.submit(path, whole=True) for pool in pools]
        try:
            yield path, [future.result() for future in futures]
        except PhotoError as error:
            log.debug("passed over: %s", error)
            yield path, None
