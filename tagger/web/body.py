"""The body of an upload as it comes in: written once, to where the decoding processes read it.

A form of one picture, as nearly all are, is not parsed piece by piece and copied. What stands
before its picture stays in memory, the picture goes to a file, and what follows is cut off.
Every other form is given to Werkzeug, which reads the body from here as from anywhere.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from werkzeug.datastructures import FileStorage
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import File, MultipartDecoder, Preamble

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from tagger.web.uploads import Spool, SpoolFile

_HEAD = 16_384
"""Bytes; what a form says of its picture before it is not longer."""
_STRIDE = 28_000
"""Bytes that are searched at once: of less than 30,000 CPython makes the faster search."""


def spooled(content_type: str, spool: Spool) -> Body | None:
    """Return a body for a form of this type; None if it is none, or ``spool`` cannot hold it."""
    kind, options = parse_options_header(content_type)
    boundary = options.get("boundary", "")
    if kind != "multipart/form-data" or not boundary or not boundary.isascii():
        return None
    file = spool.unnamed()
    return None if file is None else Body(boundary.encode(), file)


class Body(io.RawIOBase):
    """A form on its way in, divided by ``boundary``: written with ``append``, then read."""

    def __init__(self, boundary: bytes, file: SpoolFile) -> None:
        super().__init__()
        self.boundary = boundary
        self._mark = b"--" + boundary
        self._file = file
        self._head, self._has_head = b"", False
        self._size = 0  # of the file
        self._seam = b""
        self._marks = 0  # in the file
        self._position = 0

    def __len__(self) -> int:
        return len(self._head) + self._size

    def append(self, data: bytes) -> None:
        """Add what has come. Raise OSError when the disk is full."""
        if not self._has_head:
            data = self._head + data
            end = data.find(b"\r\n\r\n", 0, _HEAD)
            if end < 0 and len(data) < _HEAD:
                self._head = data
                return
            self._has_head = True
            self._head, data = (
                data[: end + 4 if end >= 0 else 0],
                data[end + 4 if end >= 0 else 0 :],
            )
        self._count(data)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]
        self._size += len(data)

    def getfile(self) -> Body:
        """Return what is read from; waitress asks for it."""
        return self

    def close(self) -> None:
        """Give up the file."""
        self._file.close()
        super().close()

    def only_file(self, boundary: bytes) -> FileStorage | None:
        """Return the file of a form that holds this one and nothing else; None for other forms.

        Nothing can be read from the body afterwards.
        """
        end = b"\r\n" + self._mark + b"--"
        tail = os.pread(self._file.fileno(), len(end) + 2, max(0, self._size - len(end) - 2))
        if tail.endswith(b"\r\n"):
            end += b"\r\n"
        if boundary != self.boundary or self._marks != 1 or not tail.endswith(end):
            return None
        decoder = MultipartDecoder(boundary, max_parts=1)
        decoder.receive_data(self._head)
        try:
            before, part = decoder.next_event(), decoder.next_event()
        except ValueError:
            return None
        if not isinstance(before, Preamble) or not isinstance(part, File):
            return None
        if decoder.buffer != b"\r\n":  # it takes other ends of lines as well
            return None
        self._file.truncate(self._size - len(end))
        self._file.seek(0)
        self._position = len(self)
        return FileStorage(self._file, part.filename, part.name, headers=part.headers)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        target = memoryview(buffer).cast("B")
        if self._position < len(self._head):
            data = self._head[self._position : self._position + len(target)]
        else:
            at = self._position - len(self._head)
            data = os.pread(self._file.fileno(), min(len(target), max(0, self._size - at)), at)
        target[: len(data)] = data
        self._position += len(data)
        return len(data)

    def _count(self, data: bytes) -> None:
        """Count the marks, also one that comes in two pieces."""
        mark, over = self._mark, len(self._mark) - 1
        self._marks += (self._seam + data[:over]).count(mark)
        for start in range(0, len(data), _STRIDE):
            self._marks += data.count(mark, start, start + _STRIDE + over)
        self._seam = (self._seam + data[-over:])[-over:]
