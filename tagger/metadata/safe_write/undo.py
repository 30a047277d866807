"""Digests, and the reverse patch that undoes a write byte for byte.

A patch says how to make the old bytes from the new ones: runs to copy, and the few bytes
that the new file lacks. Its format: ``T1``, one byte of flags, the digest of the file as
it was just before the write (16 zero bytes: there was none), then a zlib stream of
operations, each an unsigned byte and two 64-bit little-endian numbers: 0 = copy (offset,
length), 1 = literal (length, 0) followed by its bytes.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import xxhash

from tagger.metadata.safe_write.content import Content, Spliced, joined, pieces

DIGEST_BYTES = 16
NO_FILE = bytes(DIGEST_BYTES)
MAGIC = b"T1"
PACKET_CREATED = 1
"""Flag: the photo had no XMP packet before."""

_OP = struct.Struct("<BQQ")
_ANCHOR = 64
_MAX_SEARCHED = 1 << 30
"""So many bytes are looked through for what moved: half a second."""
_HEAD = len(MAGIC) + 1 + DIGEST_BYTES


def digest(data: Content) -> bytes:
    """Return the XXH3-128 digest of ``data``, see :func:`tagger.system.files.hash_file`."""
    found = xxhash.xxh3_128()
    for piece, start in pieces(data):
        found.update(memoryview(piece)[start:])
    return found.digest()


@dataclass(frozen=True, slots=True)
class Undo:
    """A decoded patch; ``prior`` is the digest just before the write, empty for no file."""

    flags: int
    prior: bytes
    operations: bytes

    def apply(self, new: bytes) -> bytes:
        """Return the old bytes. Raise ValueError when the patch does not fit ``new``."""
        try:
            operations = zlib.decompress(self.operations)
        except zlib.error as error:
            raise ValueError("a damaged reverse patch") from error
        out, at = [], 0
        while at < len(operations):
            if at + _OP.size > len(operations):
                raise ValueError("a damaged reverse patch")
            kind, first, second = _OP.unpack_from(operations, at)
            at += _OP.size
            if kind == 0 and first + second <= len(new):
                out.append(new[first : first + second])
            elif kind == 1 and at + first <= len(operations):
                out.append(operations[at : at + first])
                at += first
            else:
                raise ValueError("a reverse patch that does not fit its file")
        return b"".join(out)


def decode(blob: bytes) -> Undo:
    """Return a stored patch. Raise ValueError when it is none."""
    if blob[:2] != MAGIC or len(blob) < _HEAD:
        raise ValueError("not a reverse patch")
    prior = blob[3:_HEAD]
    return Undo(blob[2], b"" if prior == NO_FILE else prior, blob[_HEAD:])


def encode(new: Content, old: bytes, *, flags: int = 0, prior: bytes = b"") -> bytes:
    """Return the patch that makes ``old`` from ``new``, as the journal stores it."""
    if isinstance(new, Spliced) and new.old is old:
        operations = _operations(new.head, old[: new.at])
        operations.append(_OP.pack(0, len(new.head), len(old) - new.at))
    else:
        operations = _operations(joined(new), old)
    head = MAGIC + bytes([flags]) + (prior or NO_FILE)
    return head + zlib.compress(b"".join(operations), 6)


def _operations(new: bytes, old: bytes) -> list[bytes]:
    operations: list[bytes] = []
    literal = bytearray()
    at = expected = searched = 0
    while at < len(old):
        anchor, found = old[at : at + _ANCHOR], expected
        if not new.startswith(anchor, expected):
            found = new.find(anchor, expected) if searched < _MAX_SEARCHED else -1
        searched += len(new) - expected if found < 0 else found - expected
        length = _common(new, old, found, at) if found >= 0 else 0
        if length < min(_ANCHOR, len(old) - at):
            step = 1 if found < 0 and len(old) - at < _ANCHOR else _ANCHOR
            literal += old[at : at + step]
            at += step
            continue
        back = 0  # the run may have begun inside the literal
        while back < len(literal) and found > back and new[found - back - 1] == literal[-1 - back]:
            back += 1
        del literal[len(literal) - back :]
        _flush(operations, literal)
        operations.append(_OP.pack(0, found - back, length + back))
        at += length
        expected = found + length
    _flush(operations, literal)
    return operations


def _flush(operations: list[bytes], literal: bytearray) -> None:
    if literal:
        operations.append(_OP.pack(1, len(literal), 0) + bytes(literal))
        literal.clear()


def _common(new: bytes, old: bytes, in_new: int, in_old: int) -> int:
    """Return how many bytes are the same from the two offsets on."""
    limit = min(len(new) - in_new, len(old) - in_old)
    done, step = 0, 1 << 16
    while step and done < limit:
        end = min(done + step, limit)
        # Slices of bytes, though they are copies: views are compared byte by byte.
        if new[in_new + done : in_new + end] == old[in_old + done : in_old + end]:
            done = end
        else:
            step //= 2
    return done
