"""Opens a photo's container and puts a packet into it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from tagger.errors import RefusedError
from tagger.metadata.containers.base import Container
from tagger.metadata.containers.reader import PNG_SIGNATURE
from tagger.metadata.safe_write.content import Content, Spliced


def open_container(data: bytes) -> Container | None:
    """Return the file taken apart, by its first bytes; ``None`` when it is no such format.

    Raise RefusedError when it begins like one but its structure is broken.
    """
    from tagger.metadata.containers.jpeg import Jpeg
    from tagger.metadata.containers.png import Png
    from tagger.metadata.containers.webp import WebP

    if data.startswith(b"\xff\xd8\xff"):
        return Jpeg(data)
    if data.startswith(PNG_SIGNATURE):
        return Png(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return WebP(data)
    return None


def splice(old: Container, packet: bytes | None, exif: bytes | None) -> Content:
    """Return a file with another XMP packet and EXIF block, proved to change nothing else.

    What takes long is left to ``Spliced.prove``. Raise RefusedError when it is not to be edited.
    """
    if old.refusal:
        raise RefusedError(old.refusal)
    made = old.replaced(packet, exif)
    new = open_container(made.beginning() if isinstance(made, Spliced) else made)
    changes = old.exif != exif
    if (
        new is None
        or (new.packet, new.exif) != (packet, exif)
        # What is not copied begins where the parser of either file says.
        or (isinstance(made, Spliced) and made.at != old.kept_from)
        or (isinstance(made, Spliced) and len(made.head) != new.kept_from)
        or not _same(old.rest(without_exif=changes), new.rest(without_exif=changes))
    ):
        raise RefusedError("the edit could not be proved to change nothing else")
    return made


def _same(first: Iterator[bytes], second: Iterator[bytes]) -> bool:
    return all(one == other for one, other in itertools.zip_longest(first, second))
