"""A photo file read in pieces, with a limit on how much: metadata may lie anywhere in it."""

from __future__ import annotations

import os
import zlib

MAX_BYTES = 32 << 20
"""Read of one file at most, whatever its size."""
MAX_READS = 200_000
"""Pieces read of one file at most: 30 MB of empty chunks would take seconds."""
MAX_PART = 8 << 20
"""Bytes of one packet, directory or list; none that a program writes is longer."""


class Source:
    """Bytes in memory, or a file by its descriptor; ``size`` in bytes."""

    def __init__(self, data: bytes | int) -> None:
        self._data = data
        self.size = os.fstat(data).st_size if isinstance(data, int) else len(data)
        self._bytes_left = MAX_BYTES
        self._reads_left = MAX_READS

    def read(self, at: int, size: int) -> bytes:
        """Return ``size`` bytes from ``at`` on, fewer at the end of the file.

        Raise ValueError beyond the limits, OSError when the file cannot be read.
        """
        if at < 0 or size < 0 or size > MAX_PART:
            raise ValueError("a part of its metadata is too long")
        size = max(0, min(size, self.size - at))
        self.spend(size)
        if not isinstance(self._data, int):
            return self._data[at : at + size]
        return os.pread(self._data, size, at) if size else b""

    def spend(self, size: int) -> None:
        """Count ``size`` bytes that were unpacked, or taken once more, among those read."""
        self._bytes_left -= size
        self._reads_left -= 1
        if self._bytes_left < 0 or self._reads_left < 0:
            raise ValueError("its metadata is too long, or in too many parts")

    def unpacked(self, data: bytes) -> bytes:
        """Return what zlib or gzip packed; empty when it is damaged or longer than 8 MB."""
        unpacker = zlib.decompressobj(wbits=47)
        try:
            text = unpacker.decompress(data, MAX_PART)
        except zlib.error:
            return b""
        self.spend(len(text))
        return text if unpacker.eof else b""

    def exactly(self, at: int, size: int) -> bytes:
        """Return ``size`` bytes from ``at`` on. Raise ValueError also when there are fewer."""
        found = self.read(at, size)
        if len(found) < size:
            raise ValueError("its metadata goes beyond its end")
        return found
