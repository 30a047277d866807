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
    """What a page inside the daemon asks of :class:`tagger.daemon.commands.DaemonCommands`."""

    store: Store
    status: DaemonStatus | None
    online: Callable[[str], bool]

    def scan(self, paths: Sequence[str]) -> str: ...

    def taught(self) -> str: ...

    def listen(self, hear: Callable[[Outcome], None]) -> Callable[[], None]: ...


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
