"""What the daemon and its workers say, as bytes of our own form.

Nothing that was made of a stranger's file is pickled. What was seen in one photo is
:mod:`tagger.pipeline.seen_bytes`.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tagger.text.parsing import parse_json

PROTOCOL = 1
"""Version of what is said; another one is refused."""
MAX_MESSAGE = 1 << 24
_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class PhotoRequest:
    """One photo to look at: its path on the worker, and on the daemon's machine (``known_as``).

    ``root`` is the watched folder as the worker sees it, ``size`` in bytes that of the version that
    is meant (0: any).
    """

    path: str
    known_as: str
    root: str | None = None
    size: int = 0


def path_text(path: str) -> str:
    """Return a path in hexadecimal: not every one is text."""
    return os.fsencode(path).hex()


def text_path(text: str) -> str:
    """Return the path that :func:`path_text` made text. Raise ValueError or TypeError."""
    return os.fsdecode(bytes.fromhex(text))


def pack_request(photos: Sequence[PhotoRequest], readers: int = 0) -> bytes:
    """Return the request to look at ``photos``, of which ``readers`` may be read at a time."""
    rows = [
        [path_text(one.path), path_text(one.known_as), one.root and path_text(one.root), one.size]
        for one in photos
    ]
    return json.dumps({"protocol": PROTOCOL, "readers": readers, "photos": rows}).encode("ascii")


def unpack_request(data: bytes) -> tuple[list[PhotoRequest], int]:
    """Return the photos, and how many may be read at a time. Raise ValueError."""
    try:
        said = parse_json(data)
        if said["protocol"] != PROTOCOL:
            raise ValueError(f"protocol {said['protocol']}, not {PROTOCOL}")
        photos = [
            PhotoRequest(
                text_path(path),
                text_path(known_as),
                None if root is None else text_path(root),
                int(size),
            )
            for path, known_as, root, size in said["photos"]
        ]
        return photos, int(said["readers"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"unknown request: {error!r}") from error


def join(parts: Iterable[bytes]) -> bytes:
    """Return several answers as one message."""
    return b"".join(piece for part in parts for piece in (_LENGTH.pack(len(part)), part))


def split(data: bytes, count: int) -> list[bytes]:
    """Return the ``count`` answers of one message. Raise ValueError for another number."""
    parts: list[bytes] = []
    at = 0
    while at < len(data) and len(parts) < count:
        if at + _LENGTH.size > len(data):
            break
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        parts.append(data[at : at + length])
        at += length
    if at != len(data) or len(parts) != count:
        raise ValueError(f"{len(data)} bytes with {len(parts)} of {count} answers")
    return parts
