"""The features of all photos in little room, to look through for those that look alike.

A file beside the index, made again of it when it is lost. Of every photo it has the signs of its
features around their mean, and the features rounded to a byte: 600 bytes of ResNet-18, 600 MB of a
million photos. A question goes through the signs of all, then through the bytes of the fiftieth
part that agrees best; what is nearest by them is to be compared by what the index has. ``python -m
bench.similar --search`` tells how many are lost by that.

The file is a head with the mean, then blocks of BLOCK photos, each with their ids, the lengths of
their rounded features, the signs in words (each word of all photos together), and the rounded
features. It is read, never mapped: mapped parts of a file on a failing disk end a process.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import logging
import os
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

NAME = "features.bin"
BLOCK = 8192
SHARE, SHORTLIST = 50, 4_000
"""One photo in so many is compared by its bytes, but so many at least."""
MODEL_BYTES = 256
_MAGIC = b"taggerF1"
_HEAD = struct.Struct(f"<8sIIqqq{MODEL_BYTES}s")
_COUNTS, _COUNTS_AT = struct.Struct("<qq"), 16
_ALIGNED = 4096
_CHUNK = 4096


class Head(NamedTuple):
    """What a file holds: features of a model, ``size`` of each photo, of so many ``photos``.

    All up to the id ``covered`` are in it; the mean was learnt of ``learnt`` photos.
    """

    model_id: str
    size: int
    photos: int
    covered: int
    learnt: int

    @property
    def words(self) -> int:
        """How many words the signs of a photo take."""
        return -(-self.size // 64)

    @property
    def begin(self) -> int:
        """Where the first block begins."""
        return -(-(_HEAD.size + 4 * self.size) // _ALIGNED) * _ALIGNED

    @property
    def upper(self) -> int:
        """How many bytes of a block are before its rounded features."""
        return BLOCK * (8 + 4 + 8 * self.words)

    @property
    def block(self) -> int:
        """How many bytes a block takes."""
        return self.upper + BLOCK * self.size


class FeatureFile:
    """Looks through the file in a state directory. For any thread; raises nothing."""

    def __init__(self, state_dir: str) -> None:
        self._path = os.path.join(state_dir, NAME)

    def head(self) -> Head | None:
        """Return what is in the file; None where there is none that can be used."""
        try:
            with open(self._path, "rb", buffering=0) as file:
                return _read_head(file.fileno())
        except OSError:
            return None

    def nearest(self, model_id: str, wanted: NDArray[np.float32], count: int) -> list[int]:
        """Return the ids of the ``count`` photos of a model whose bytes are nearest.

        ``wanted`` (F,) is a direction, of length 1. Empty where the file cannot be used.
        """
        try:
            fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return []
        try:
            head = _read_head(fd)
            if head is None or (head.model_id, head.size) != (model_id, len(wanted)):
                return []
            return _nearest(fd, head, wanted, count) if head.photos else []
        except OSError as error:
            log.debug("%s cannot be read: %s", self._path, error)
            return []
        finally:
            os.close(fd)


class FeatureWriter:
    """Writes the file in a state directory. For one thread; raises OSError.

    It is BlockingIOError while another process has it open for writing.
    """

    def __init__(self, state_dir: str) -> None:
        self._path = os.path.join(state_dir, NAME)
        self._fd = -1
        self.head: Head | None = None
        self._order: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None

    def open(self) -> Head | None:
        """Open the file that there is; return what is in it, None when it cannot be used."""
        if self._fd < 0:
            with contextlib.suppress(FileNotFoundError):
                self._fd = _locked(self._path, 0)
                self.head = _read_head(self._fd)
        return self.head

    def begin(self, model_id: str, rows: NDArray[np.float32]) -> None:
        """Begin an empty file; the mean is that of ``rows`` (N, F). Raise OSError."""
        self.close()
        head = Head(model_id, rows.shape[1], 0, 0, len(rows))
        name = model_id.encode()[:MODEL_BYTES]
        fixed = _HEAD.pack(_MAGIC, head.size, BLOCK, 0, 0, head.learnt, name)
        mean = rows.mean(0).astype("<f4")
        new = f"{self._path}.new"
        fd = _locked(new, os.O_CREAT)
        self._fd, self.head = fd, head
        os.ftruncate(fd, 0)
        _write(fd, (fixed + mean.tobytes()).ljust(head.begin, b"\0"), 0)
        os.fdatasync(fd)
        os.rename(new, self._path)

    def add(self, ids: Sequence[int], rows: NDArray[np.float32], covered: int) -> None:
        """Add photos; all up to the id ``covered`` are there then. Raise OSError."""
        import numpy as np

        head = self._known()
        if len(ids):
            self._put(np.arange(head.photos, head.photos + len(ids)), np.array(ids, np.int64), rows)
            self._order = None
            os.fdatasync(self._fd)  # what is counted is there, even if the power fails
        count = head.photos + len(ids)
        _write(self._fd, _COUNTS.pack(count, covered), _COUNTS_AT)
        self.head = head._replace(photos=count, covered=covered)

    def replace(self, ids: Sequence[int], rows: NDArray[np.float32]) -> None:
        """Write what the features of photos are now, whether they are there or not.

        Raise OSError.
        """
        import numpy as np

        head = self._known()
        wanted = np.array(ids, np.int64)
        sorted_ids, slots = self._sorted()
        at = np.searchsorted(sorted_ids, wanted)
        known = at < len(sorted_ids)
        known[known] = sorted_ids[at[known]] == wanted[known]
        if known.any():
            self._put(slots[at[known]], wanted[known], rows[known])
        if not known.all():
            self.add(wanted[~known].tolist(), rows[~known], head.covered)

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        fd, self._fd, self.head, self._order = self._fd, -1, None, None
        if fd >= 0:
            os.close(fd)

    def discard(self) -> None:
        """Close and delete the file, when it could not be written: it is made again."""
        self.close()
        for path in (self._path, f"{self._path}.new"):
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _known(self) -> Head:
        head = self.open()
        assert head is not None, "begin() makes a file"
        return head

    def _sorted(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the ids that are there, in their order, and the place of each."""
        import numpy as np

        if self._order is None:
            head = self._known()
            parts = [np.empty(0, np.int64)]
            for first in range(0, head.photos, BLOCK):
                there = min(BLOCK, head.photos - first)
                at = head.begin + first // BLOCK * head.block
                parts.append(np.frombuffer(_read(self._fd, 8 * there, at), "<i8"))
            ids = np.concatenate(parts)
            slots = np.argsort(ids, kind="stable")
            self._order = ids[slots], slots
        return self._order

    def _put(
        self, slots: NDArray[np.int64], ids: NDArray[np.int64], rows: NDArray[np.float32]
    ) -> None:
        """Write photos to their places; those that are next to each other together."""
        import numpy as np

        from tagger.duplicates.vectors import rounded, signs_of

        head = self._known()
        if not len(slots):
            return
        size = os.fstat(self._fd).st_size
        blocks = int(slots.max()) // BLOCK + 1
        if size < head.begin + blocks * head.block:
            os.ftruncate(self._fd, head.begin + blocks * head.block)
        signs = signs_of(rows, _read_mean(self._fd, head))
        numbers, lengths = rounded(rows)
        together = (np.diff(slots) == 1) & (slots[1:] % BLOCK != 0)
        edges = [0, *(np.flatnonzero(~together) + 1).tolist(), len(slots)]
        for first, last in itertools.pairwise(edges):
            block, place = divmod(int(slots[first]), BLOCK)
            at = head.begin + block * head.block
            _write(self._fd, ids[first:last].astype("<i8").tobytes(), at + 8 * place)
            at += 8 * BLOCK
            _write(self._fd, lengths[first:last].astype("<f4").tobytes(), at + 4 * place)
            at += 4 * BLOCK
            for word in range(head.words):
                _write(self._fd, signs[first:last, word].tobytes(), at + 8 * place)
                at += 8 * BLOCK
            _write(self._fd, numbers[first:last].tobytes(), at + head.size * place)


def _locked(path: str, flags: int) -> int:
    """Return a descriptor of a file that no other process writes. Raise OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise
    return fd


def _read_head(fd: int) -> Head | None:
    """Return what is in a file; None for what is no such file, or not whole."""
    try:
        raw = os.pread(fd, _HEAD.size, 0)
        if len(raw) < _HEAD.size:
            return None
        magic, size, block, count, covered, learnt, name = _HEAD.unpack(raw)
        if magic != _MAGIC or block != BLOCK or not 0 < size <= 1 << 16 or count < 0:
            return None
        head = Head(name.rstrip(b"\0").decode(), size, count, covered, learnt)
        blocks = -(-count // BLOCK)
        return head if os.fstat(fd).st_size >= head.begin + blocks * head.block else None
    except (OSError, UnicodeDecodeError):
        return None


def _read_mean(fd: int, head: Head) -> NDArray[np.float32]:
    import numpy as np

    return np.frombuffer(_read(fd, 4 * head.size, _HEAD.size), "<f4")


def _read(fd: int, count: int, at: int) -> bytes:
    found = os.pread(fd, count, at)
    if len(found) < count:
        raise OSError(f"the file ends after {at + len(found)} bytes")
    return found


def _write(fd: int, what: bytes, at: int) -> None:
    left = memoryview(what)
    while left:
        written = os.pwrite(fd, left, at)
        left, at = left[written:], at + written


def _nearest(fd: int, head: Head, wanted: NDArray[np.float32], count: int) -> list[int]:
    import numpy as np

    from tagger.duplicates.picture_hash import bit_count
    from tagger.duplicates.vectors import signs_of

    mean = _read_mean(fd, head)
    scale = float(np.sqrt((mean * mean).sum())) or 1.0
    [signs] = signs_of((wanted * np.float32(scale))[np.newaxis], mean)
    ids, lengths = np.empty(head.photos, np.int64), np.empty(head.photos, np.float32)
    differing = np.zeros(head.photos, np.uint16)
    upper = np.empty(head.upper, np.uint8)
    buffer = np.empty(BLOCK, np.uint64)
    for first in range(0, head.photos, BLOCK):
        there = min(BLOCK, head.photos - first)
        last = first + there
        if os.preadv(fd, [upper.data], head.begin + first // BLOCK * head.block) < head.upper:
            raise OSError("the file is not whole")
        ids[first:last] = upper[: 8 * BLOCK].view("<i8")[:there]
        lengths[first:last] = upper[8 * BLOCK : 12 * BLOCK].view("<f4")[:there]
        words = upper[12 * BLOCK :].view("<u8").reshape(head.words, BLOCK)[:, :there]
        counted = differing[first:last]
        for word, sign in zip(words, signs, strict=True):
            counted += bit_count(np.bitwise_xor(word, sign, out=buffer[:there]))
    short = min(head.photos, max(head.photos // SHARE, SHORTLIST, count))
    # The rank of a photo by signs decides whether it is looked at, so ties are all looked at.
    most = np.partition(differing, short - 1)[short - 1]
    near = np.flatnonzero(differing <= most)
    scores = _scores(fd, head, near, wanted) / np.maximum(lengths[near], np.float32(1e-12))
    count = min(len(near), count)
    best = np.argpartition(-scores, count - 1)[:count]
    return [int(number) for number in ids[near[best]]]


def _scores(
    fd: int, head: Head, places: NDArray[np.int64], wanted: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the products of the rounded features at places with a direction."""
    import numpy as np

    found = np.empty(len(places), np.float32)
    rows = np.empty((_CHUNK, head.size), np.int8)
    for first in range(0, len(places), _CHUNK):
        part = places[first : first + _CHUNK]
        offsets = head.begin + part // BLOCK * head.block + head.upper + part % BLOCK * head.size
        start = int(offsets[0])
        # From a disk at one go, instead of one row after the other.
        os.posix_fadvise(fd, start, int(offsets[-1]) - start, os.POSIX_FADV_WILLNEED)
        for row, at in zip(rows, offsets.tolist(), strict=False):
            if os.preadv(fd, [row.data], at) < head.size:
                raise OSError("the file is not whole")
        # Not "@": its threads wait for each other while the daemon uses the cores.
        numbers = rows[: len(part)].astype(np.float32)
        found[first : first + len(part)] = np.einsum("ij,j->i", numbers, wanted)
    return found
