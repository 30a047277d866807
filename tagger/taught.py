"""The records of what the user teaches: labels of his own, and what he said of which photo."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Origin = Literal["given", "folder", "keyword", "answer"]
"""Where an example comes from: named by the user, found in a folder of the config, taken over
from a keyword of the user's, or the answer to a question."""


@dataclass(frozen=True, slots=True)
class TaughtLabel:
    """A label of the user's own. ``path`` leads from the root of the tree down to it.

    ``synonyms`` are further words by which it is found.
    """

    path: tuple[str, ...]
    synonyms: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """Its name, the last of the path."""
        return self.path[-1]


@dataclass(frozen=True, slots=True)
class Example:
    """What the user said of one photo: it shows the label, or not; None: he did not say.

    ``content_hash`` is the digest of the photo's bytes before anything was written to it, ``path``
    where it was. Examples of one ``occasion`` (the same hour and place) are judged together; empty:
    it stands alone. ``features`` are a network's, float16; empty: it has not seen the photo.
    """

    label: str
    content_hash: bytes
    path: str
    positive: bool | None
    origin: Origin = "given"
    occasion: str = ""
    features: bytes = field(default=b"", repr=False)
