"""Recognition by the processes of this machine: several photos in one run of the networks.

A photo never waits for a batch: what is decoded already when the networks are free goes together,
and what comes later goes next.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING

from tagger.errors import TaggerError
from tagger.index.rows import StoredPrediction
from tagger.pipeline.inference import is_unsure, look
from tagger.pipeline.look import look_further, with_picture
from tagger.pipeline.recognition import Former, Seen, answer
from tagger.records import DecodedPhoto

if TYPE_CHECKING:
    from tagger.decode.pool import DecodePool
    from tagger.pipeline.networks import Networks

SHARE = 16
"""Of so many photos one is looked at in fp32 as well, until int8 is proven."""
FIRST, KEPT = 6, 6
"""So many photos at first, and at most at once: each has a megabyte."""
TOGETHER = 8
"""Photos in one run of the network at most."""
HELD = 20
"""Photos that are being decoded or looked at, at most: each has a megabyte, and a JPEG is decoded
up to four times as fast as it is looked at. More where many processes decode."""
_Start = Callable[[], bool]
"""Starts something; whether it did."""


class Sample:
    """A share of the photos that were classified, to be looked at again in fp32.

    The first few all are, so that a bad int8 version is found out at once. One thread offers, one
    takes.
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
        return self._photos.popleft() if self._photos else None


class LocalRecognition:
    """Decodes photos in the processes of ``pool``, and has ``networks`` look at them in a thread.

    See :class:`~tagger.pipeline.recognition.Recognition`. The pool is not closed with it. At most
    ``readers`` photos are read at a time (0: as many as the pool has processes).
    """

    ahead = 0

    def __init__(self, networks: Networks, pool: DecodePool) -> None:
        self.sample = Sample()
        self._networks, self.pool = networks, pool
        self._gate, self._room = _Gate(), _Gate()
        self._room.open(max(HELD, TOGETHER + pool.workers))
        self._decoded: queue.SimpleQueue[_Asked | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="classify", daemon=True)
        self._thread.start()

    def submit(
        self, path: str, *, root: str | None = None, size: int = 0, former: Former | None = None
    ) -> Future[Seen]:
        """Return the future of what is seen; see :meth:`.recognition.Recognition.submit`."""
        if self._closed:
            raise RuntimeError("recognition is closed")
        asked = _Asked(path, root, former)
        asked.seen.add_done_callback(asked.give_up)
        self._room.enter(lambda: self._begin(asked))
        return asked.seen

    def use(self, networks: Networks) -> None:
        self._networks = networks

    def state(self) -> None:
        """There is no cluster."""

    def read_at_once(self, readers: int) -> None:
        """Read at most so many photos at a time from now on."""
        self._gate.open(readers)

    def close(self) -> None:
        """End the thread, when what it is at is done. The pool is to be closed as well."""
        self._closed = True
        self._decoded.put(None)
        self._thread.join()

    def _begin(self, asked: _Asked) -> bool:
        """Decode a photo for which there is room, which it keeps until it is answered."""
        if asked.seen.cancelled():
            return False
        asked.seen.add_done_callback(lambda seen: self._room.leave())
        self._decode(asked)
        return True

    def _decode(self, asked: _Asked) -> None:
        self._gate.enter(lambda: self._start(asked))

    def _start(self, asked: _Asked) -> bool:
        """Have the pool decode a photo: all of it, if its thumbnail left a doubt."""
        if asked.seen.cancelled():
            return False
        later = asked.former is not None and asked.former.completes
        try:
            asked.decoding = self.pool.submit(
                asked.path, root=asked.root, later=later, whole=asked.quick is not None
            )
        except RuntimeError:  # the pool is closed
            asked.decoding = Future()
            asked.decoding.cancel()
        asked.decoding.add_done_callback(lambda future: self._take(asked))
        return True

    def _take(self, asked: _Asked) -> None:
        self._gate.leave()
        self._decoded.put(asked)

    def _run(self) -> None:
        while (first := self._decoded.get()) is not None:
            some = [first]
            ends = False
            while len(some) < TOGETHER and not ends:
                try:
                    one = self._decoded.get_nowait()
                except queue.Empty:
                    break
                if one is None:
                    ends = True
                else:
                    some.append(one)
            self._look([one for one in some if not one.seen.cancelled()])
            del first, some  # not kept while there is nothing to do
            if ends:
                break
        while not self._decoded.empty():
            left = self._decoded.get()
            if left is not None:
                left.seen.cancel()

    def _look(self, some: Sequence[_Asked]) -> None:
        fresh: list[tuple[_Asked, DecodedPhoto]] = []
        for asked in some:
            assert asked.decoding is not None
            try:
                decoded = asked.decoding.result()
                kept = self._kept(asked, decoded)
            except CancelledError:
                asked.seen.cancel()
            except TaggerError as error:
                answer(asked.seen, asked.quick or error)  # its thumbnail is what there is
            except Exception as error:  # noqa: BLE001 - one photo stops no other
                answer(asked.seen, error)
            else:
                if kept is not None:
                    answer(asked.seen, Seen(decoded.facts, kept))
                else:
                    fresh.append((asked, decoded))
            asked.decoding = None  # a megabyte
        self._classify(fresh)

    def _kept(self, asked: _Asked, decoded: DecodedPhoto) -> StoredPrediction | None:
        """Return the former prediction when only metadata changed, not the picture.

        Networks that have not looked at the photo yet do so.
        """
        if asked.former is None or asked.former.prediction.crop_hash != decoded.crop_hash:
            return None
        old = asked.former.prediction
        if not asked.former.serves(self._networks.subjects.model_id):
            return None
        if old.model_id in self._networks.refused:
            return None
        [whole] = look_further([decoded], [old], self._networks.lacking(old))
        return with_picture(whole, decoded)

    def _classify(self, fresh: Sequence[tuple[_Asked, DecodedPhoto]]) -> None:
        if not fresh:
            return
        started = time.perf_counter()
        photos = [decoded for _, decoded in fresh]
        try:
            found = look(self._networks, photos)
        except Exception as error:  # noqa: BLE001 - one photo stops no other
            if len(fresh) > 1:  # which of them it is shows when each is alone
                for each in fresh:
                    self._classify([each])
            else:
                answer(fresh[0][0].seen, error)
            return
        self.sample.offer(photos)
        share = (time.perf_counter() - started) * 1000 / len(fresh)
        for (asked, decoded), prediction in zip(fresh, found, strict=True):
            seen = Seen(decoded.facts, prediction, share)
            # Once: of a file whose header lies, the whole may look like a thumbnail too.
            if asked.quick is None and is_unsure(decoded, prediction):
                asked.quick = seen
                self._decode(asked)
            else:
                answer(asked.seen, seen)


class _Asked:
    """A photo that was asked for. ``quick`` is what its thumbnail gave, which left a doubt."""

    __slots__ = ("decoding", "former", "path", "quick", "root", "seen")

    def __init__(self, path: str, root: str | None, former: Former | None) -> None:
        self.path, self.root, self.former = path, root, former
        self.seen: Future[Seen] = Future()
        self.decoding: Future[DecodedPhoto] | None = None
        self.quick: Seen | None = None

    def give_up(self, seen: Future[Seen]) -> None:
        """Do not decode it any more, if nobody wants it."""
        decoding = self.decoding
        if seen.cancelled() and decoding is not None:
            decoding.cancel()


class _Gate:
    """Lets at most so many through at a time (0: all). For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._most = self._inside = 0
        self._waiting: deque[_Start] = deque()

    def open(self, most: int) -> None:
        """Let at most so many through from now on."""
        with self._lock:
            if most == self._most:
                return
            self._most = most
        self._admit()

    def enter(self, start: _Start) -> None:
        """Call ``start`` as soon as there is room."""
        with self._lock:
            self._waiting.append(start)
        self._admit()

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
        self._admit()

    def _admit(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or (self._most and self._inside >= self._most):
                    return
                self._inside += 1
                start = self._waiting.popleft()
            if not start():
                with self._lock:
                    self._inside -= 1
