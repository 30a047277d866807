"""How keywords are written: the options, and what they say of us."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How to write, from the config; ``read_only`` is that of the photo's folder.

    ``others``: another tagger writes there, so that its tags are no user's, nor are ours that it
    took away.
    """

    target: str = "sidecar-xmp"
    preserve_mtime: bool = True
    exif: str = "never"
    exiftool: bool = False
    provenance: bool = True
    sidecar_name: str = "auto"
    read_only: bool = False
    others: bool = field(default=False, repr=False)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which network found the tags, and which program wrote them.

    ``photo`` is the digest of the photo's bytes before we ever wrote to it; empty: not known.
    """

    model: str
    software: str
    photo: bytes = b""
