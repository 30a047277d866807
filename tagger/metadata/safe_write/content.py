"""A file's new content of which the greater part is the old one's, and not copied in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

_SCAN_HEADER = 1 << 17
"""More than a fill byte, a marker and its segment take."""


@dataclass(frozen=True, slots=True, eq=False)
class Spliced:
    """A new beginning, ``head``, and the bytes ``old`` from ``at`` on.

    ``prove`` raises RefusedError when the file turns out to be one that must not be edited;
    it takes milliseconds, and is called once before the content is used.
    """

    head: bytes
    old: bytes
    at: int
    prove: Callable[[], None]

    def __len__(self) -> int:
        return len(self.head) + len(self.old) - self.at

    def beginning(self) -> bytes:
        """Return a JPEG's header and the beginning of its first scan."""
        return self.head + self.old[self.at : self.at + _SCAN_HEADER]


Content: TypeAlias = bytes | Spliced


def pieces(content: Content) -> list[tuple[bytes, int]]:
    """Return what the content consists of: bytes, and the offset from which on they count."""
    if isinstance(content, Spliced):
        return [(content.head, 0), (content.old, content.at)]
    return [(content, 0)]


def joined(content: Content) -> bytes:
    """Return the content as bytes."""
    if isinstance(content, Spliced):
        return b"".join((content.head, memoryview(content.old)[content.at :]))
    return content


def proved(content: Content | None) -> bytes | None:
    """Return the content as bytes once nothing speaks against it; raise RefusedError."""
    if isinstance(content, Spliced):
        content.prove()
    return None if content is None else joined(content)


def same(content: Content | None, data: bytes | None) -> bool:
    """Whether the content is what ``data`` is."""
    if not isinstance(content, Spliced):
        return content == data
    if data is None or len(content) != len(data) or not data.startswith(content.head):
        return False
    # Comparing views as such goes byte by byte.
    return data.startswith(memoryview(content.old)[content.at :], len(content.head))
