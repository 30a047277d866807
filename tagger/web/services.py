"""What the routes need, in one record, so that a test can put a small engine behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import IO, Any, Literal, Protocol

from tagger.config import Config
from tagger.errors import TaggerError
from tagger.index.records import PhotoRow
from tagger.index.search import Reader
from tagger.labels.vocabulary import Vocabulary
from tagger.photo import PhotoFacts, Tag

Size = Literal["thumbnail", "view"]


class WebError(TaggerError):
    """A request that is refused: ``status`` is HTTP's, ``retry_after`` in seconds."""

    def __init__(
        self, message: str, remedy: str = "", *, status: int = 400, retry_after: int | None = None
    ) -> None:
        super().__init__(message, remedy)
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Guess:
    """What the model says of one uploaded picture.

    ``classes`` are (label, probability 0…1), most probable first, no label twice; ``tags``
    what the daemon would give it, ``keywords`` the words it would write, ``reasons`` why, by
    label. ``facts`` are the picture's own, ``milliseconds`` the time of each step.
    """

    classes: tuple[tuple[str, float], ...]
    tags: tuple[Tag, ...]
    keywords: tuple[tuple[str, ...], ...]
    reasons: Mapping[str, str]
    facts: PhotoFacts
    model: str
    milliseconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG to be shown, without metadata; ``etag`` changes with the photo."""

    jpeg: bytes
    etag: str


class Classifies(Protocol):
    """Says what is in a picture."""

    def predict(self, upload: IO[bytes]) -> Guess:
        """Return what is in the picture that ``upload`` holds from its position on.

        Raise WebError when it is no image or there is too much to do, PhotoError when it
        cannot be decoded, ModelError when there is no model.
        """


class Shows(Protocol):
    """Gives photos of the library in sizes for a page."""

    def picture(self, row: PhotoRow, size: Size) -> Picture:
        """Return the photo, oriented. Raise WebError when it must or can not be shown."""


@dataclass(frozen=True)
class Services:
    """All that the routes need. ``reader`` opens the index, or raises StateError."""

    config: Config
    vocabulary: Vocabulary
    classifier: Classifies
    gallery: Shows
    reader: Callable[[], AbstractContextManager[Reader]]
    status: Callable[[], dict[str, Any]]
    hosts: frozenset[str] = field(default_factory=frozenset)
    """The names, in lower case and without port, by which a browser may call the page."""
