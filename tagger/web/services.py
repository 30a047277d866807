"""What the routes need, in one record, so that a test can put a small engine behind them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol

from tagger.config.schema import Config
from tagger.index.reader import Reader
from tagger.index.rows import PhotoRow
from tagger.index.store import Store
from tagger.labels.vocabulary import Vocabulary
from tagger.library.daemon_status import DaemonStatus
from tagger.library.taught_words import with_taught
from tagger.pipeline.outcome import Outcome
from tagger.records import PhotoFacts, Tag

if TYPE_CHECKING:
    from tagger.web.auth.gate import Gate


Size = Literal["thumbnail", "view"]


@dataclass(frozen=True, slots=True)
class Guess:
    """What the model says of one uploaded picture.

    ``classes`` are (label, probability 0…1), most probable first, no label twice; ``tags``
    what the daemon would give it, ``keywords`` the words it would write, ``reasons`` why, by
    label. ``facts`` are the picture's own, ``milliseconds`` the time of each step. ``boxes`` are
    what the detector sees, as documented; None without one.
    """

    classes: tuple[tuple[str, float], ...]
    tags: tuple[Tag, ...]
    keywords: tuple[tuple[str, ...], ...]
    reasons: Mapping[str, str]
    facts: PhotoFacts
    model: str
    milliseconds: Mapping[str, float]
    boxes: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG to be shown, without metadata; ``etag`` changes with the photo."""

    jpeg: bytes
    etag: str


class Classifies(Protocol):
    """Says what is in a picture."""

    def predict(self, upload: IO[bytes], *, tags: bool = True) -> Guess:
        """Return what is in the picture that ``upload`` holds from its position on.

        Without ``tags`` nothing but its classes may be relied on, which come sooner. Raise
        WebError when it is no image or there is too much to do, PhotoError when it cannot be
        decoded, ModelError when there is no model.
        """


class Shows(Protocol):
    """Gives photos of the library in sizes for a page."""

    def picture(self, row: PhotoRow, size: Size, have: Container[str] = ()) -> Picture:
        """Return the photo, oriented. Raise WebError when it must or can not be shown.

        Its ``jpeg`` may be empty when ``have``, the etags of what the browser has, holds its.
        """


class TagCommands(Protocol):
    """The daemon, for a page inside it; for any thread.

    :class:`tagger.daemon.commands.DaemonCommands` is the real one.
    """

    @property
    def store(self) -> Store:
        """The daemon's index, to be written to."""

    @property
    def paused(self) -> bool:
        """Whether photos wait because somebody said so."""

    @property
    def status(self) -> DaemonStatus | None:
        """How the daemon fared at its last tick; None before the first."""

    def online(self, path: str) -> bool:
        """Return whether the watched folder of ``path`` is there now."""

    def pause(self, paused: bool) -> str:
        """Have photos wait from now on, or no longer; return what to say of it."""

    def scan(self, paths: Sequence[str] = ()) -> str:
        """Have ``paths``, or without any all folders, looked at; return what to say of it.

        Raise StateError for a path that is in no watched folder.
        """

    def taught(self) -> str:
        """Have what was taught learned; return what to say of it."""

    def listen(self, hear: Callable[[Outcome], None]) -> Callable[[], None]:
        """Have ``hear`` called with every outcome, in the working thread; it must return at once.

        Return what ends that.
        """


@dataclass(frozen=True)
class Services:
    """All that the routes need. ``reader`` opens the index, or raises StateError.

    ``manager`` is the daemon, None for a page that runs alone. ``closing`` is set when the
    page is to end: an answer that goes on for long must then stop within a second.
    """

    config: Config
    vocabulary: Vocabulary
    classifier: Classifies
    gallery: Shows
    reader: Callable[[], AbstractContextManager[Reader]]
    status: Callable[[], dict[str, Any]]
    hosts: frozenset[str] = field(default_factory=frozenset)
    """The names, in lower case and without port, by which a browser may call the page."""
    manager: TagCommands | None = None
    gate: Gate | None = None
    """Asks for the password, when there is one; None: made of the config."""
    closing: threading.Event = field(default_factory=threading.Event)

    def words(self) -> Vocabulary:
        """Return all labels there are now: those of ``vocabulary``, and those taught."""
        return with_taught(self.vocabulary, self.config.state_dir)
