"""The protocols of the index, the sink and the claims of roots, and the status of a root."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tagger.records import Candidate, FileStat
from tagger.text.json_records import Moment

Clock = Callable[[], float]
"""Seconds that never go back, like :func:`time.monotonic`."""


class KnownPhotos(Protocol):
    """The index, as the watch reads it. Must be thread-safe."""

    def is_current(self, path: str, stat: FileStat, sidecar: FileStat | None) -> bool:
        """Whether there is nothing to do for this version of the photo.

        True as well for one that failed and is not to be tried yet.
        """

    def known_under(self, root: str) -> Iterable[str]:
        """Yield the paths of the photos in the index below the folder, missing ones left out."""

    def move_folder(self, old: str, new: str, root: str) -> int:
        """Give all photos in the folder ``old`` their path in ``new``, the same folder of ``root``.

        Return how many there were.
        """


class CandidateSink(Protocol):
    """Takes what was found. Called from several threads, one for each root."""

    def found(self, candidate: Candidate) -> None:
        """Take a finished file; may block until there is room for it.

        The same version may come twice, when it is found again before the index knows.
        Must return soon once the program is stopping.
        """

    def gone(self, paths: Sequence[str], root: str) -> None:
        """Learn that these photos are not there any more, though their root is."""


class RootClaims:
    """Which of several taggers writes tags into a root. This one: no other does."""

    def claim(self, root: str) -> str:
        """Become the writer of ``root`` if nobody else is; return why not, else nothing."""
        return ""

    def foreign(self, root: str) -> str:
        """Return why no tags are written in ``root``, else nothing; costs little."""
        return ""

    def regained(self, root: str) -> None:
        """Learn that the tags in ``root`` are to be written anew: another wrote there before."""


State = Literal["online", "offline", "missing"]


@dataclass(frozen=True, slots=True)
class RootStatus:
    """The state of one root, for users.

    ``state`` is "missing" when there is no such folder, "offline" when its disk seems to
    be away or it cannot be read. ``mode`` is how it is watched, ``reason`` why it is
    offline or polled, or ``not_written``: why no tags are written to files there, else empty (none
    are wanted, or they are written). ``last_scan`` is when a full scan last ended, in seconds since
    the epoch; ``seen`` how many photos it met, ``waiting`` how many are unfinished,
    ``missing_unconfirmed`` how many missing ones are not taken for deleted yet.
    """

    path: str
    state: State
    mode: Literal["events", "poll"] = "events"
    reason: str = ""
    last_scan: Moment | None = None
    waiting: int = 0
    seen: int = 0
    missing_unconfirmed: int = 0
    not_written: str = ""
