"""What the routes need, in one record, so that a test can put a small engine behind them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tagger.config.schema import Config
from tagger.index.reader import Reader
from tagger.index.store import Store
from tagger.labels.vocabulary import Vocabulary
from tagger.library.daemon_status import DaemonStatus
from tagger.library.taught_words import with_taught
from tagger.pipeline.outcome import Outcome

if TYPE_CHECKING:
    from tagger.web.auth.gate import Gate
    from tagger.web.photo_images import PhotoImages
    from tagger.web.upload_classifier import UploadClassifier


class TagCommands(Protocol):
    """The daemon, for a page inside it; for any thread.

    :class:`tagger.daemon.commands.DaemonCommands` is the real one.
    """

    @property
    def store(self) -> Store:
        """The daemon's index, to be written to."""

    @property
    def status(self) -> DaemonStatus | None:
        """How the daemon fared at its last tick; None before the first."""

    def online(self, path: str) -> bool:
        """Return whether the watched folder of ``path`` is there now."""

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
    classifier: UploadClassifier
    gallery: PhotoImages
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
