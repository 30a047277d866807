"""The exceptions of tagger, all in one tree.

::

    TaggerError
    ├── ConfigError            the configuration, or a file it names, is wrong
    ├── QueryError             a search cannot be understood; says the column
    │   └── SlowQueryError         it took longer than a page may ask for
    ├── StateError             the state directory: locked, not writable, on a network disk
    │   └── IndexNotReadyError     there is none yet, or the daemon has to bring it up to date
    ├── PhotoError             one photo cannot be handled; the daemon goes on
    │   ├── PhotoVanishedError     gone, or replaced, while it was being worked on
    │   │   └── PhotoChangedError       still there, but written to meanwhile
    │   ├── PhotoUnreadableError   the operating system refuses to read it; tried again later
    │   │   └── PhotoForbiddenError     ours is not the right to read it; tried when it is
    │   ├── NotAnImageError        empty, or no image format that we read
    │   ├── DamagedImageError      an image that cannot be decoded (truncated, corrupt)
    │   ├── ImageTooLargeError     more pixels than the limit (decompression bomb)
    │   └── DecoderCrashedError    its decoding process was killed (memory, time, crash)
    ├── MetadataError          tags cannot be written
    │   ├── RefusedError           not safe to embed; a sidecar is used instead
    │   └── WriteFailedError       the disk or its rights said no; tried again later
    ├── RuleError              what a rule is to do cannot be done now, or never
    ├── SilentDiskError        a disk answers no more, and what works on it hangs
    ├── ModelError             model weights: not found, damaged, of another model
    │   ├── WeightsNotFoundError
    │   └── DownloadError
    ├── StoppedError           the work was ended, for the daemon stops
    ├── ServiceError           the systemd service (in tagger.service)
    └── WebError               a request to the page that is refused (in tagger.web)

Every message says what happened, to which path, and what to do next.
"""

from __future__ import annotations


class TaggerError(Exception):
    """Base of all errors that tagger raises on purpose.

    ``message`` says what happened (with the path), ``remedy`` what to do next.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message}; {self.remedy}" if self.remedy else self.message

    def __reduce__(self) -> tuple[type[TaggerError], tuple[str, str]]:
        # Crosses process borders (decode workers) with both parts intact.
        return type(self), (self.message, self.remedy)


class ConfigError(TaggerError):
    """The configuration, or a file it names, is wrong."""


class QueryError(TaggerError):
    """A search cannot be understood; the message says the column."""


class SlowQueryError(QueryError):
    """A search takes longer than it may, or nobody waits for it any more."""


class StateError(TaggerError):
    """The state directory cannot be used."""


class IndexNotReadyError(StateError):
    """There is no index yet, or only the daemon can bring it up to date."""


class PhotoError(TaggerError):
    """One photo cannot be handled; the daemon goes on with the next."""

    permanent = True
    """True when trying again is pointless until the file changes."""


class PhotoVanishedError(PhotoError):
    """The photo went away, or was replaced, while it was being worked on."""

    permanent = False


class PhotoChangedError(PhotoVanishedError):
    """Another program wrote to the photo or its sidecar meanwhile; another try may do it."""


class PhotoUnreadableError(PhotoError):
    """The operating system refuses to read the photo (EACCES, EIO)."""

    permanent = False


class PhotoForbiddenError(PhotoUnreadableError):
    """The user that tagger runs as may not read the photo; tried again once it may."""


class NotAnImageError(PhotoError):
    """An empty file, or one in no image format that we read."""


class DamagedImageError(PhotoError):
    """An image that cannot be decoded: truncated or corrupt."""


class ImageTooLargeError(PhotoError):
    """More pixels than the limit: a decompression bomb, or a gigantic scan."""


class DecoderCrashedError(PhotoError):
    """The decoding process died or was stopped: memory, time or a crash."""

    permanent = False


class MetadataError(TaggerError):
    """Tags cannot be written to a photo or its sidecar."""


class RefusedError(MetadataError):
    """Embedding would not be safe for this file; a sidecar is used instead."""


class WriteFailedError(MetadataError):
    """The disk, or the rights on it, refused the write; tried again later."""


class RuleError(TaggerError):
    """What a rule is to do with a photo cannot be done; ``permanent``: another try is no use."""

    def __init__(self, message: str, remedy: str = "", *, permanent: bool = False) -> None:
        super().__init__(message, remedy)
        self.permanent = permanent


class SilentDiskError(TaggerError):
    """A disk does not answer, and the work hangs on it; another start goes on without it."""


class ModelError(TaggerError):
    """The model's weights are missing, damaged, or of another model."""


class WeightsNotFoundError(ModelError):
    """No file with the model's weights was found in any known place."""


class DownloadError(ModelError):
    """The download of the weights failed; what was fetched is kept for resuming."""


class StoppedError(TaggerError):
    """The work was ended because the daemon stops; what was finished is kept."""
