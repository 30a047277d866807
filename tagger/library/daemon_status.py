"""How the daemon fares, as one record.

The daemon makes it once a tick and hands it to the status file, systemd, Prometheus and the page;
whoever asks from outside reads it from the file.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from tagger.pipeline.cluster_state import ClusterState
from tagger.system.humanize import duration
from tagger.system.state_dir import read_heartbeat
from tagger.text.json_records import Moment, hints_of, read_value
from tagger.watch.interfaces import RootStatus

STALE_SECONDS = 180.0
"""The record is made at least once a minute: when it is three times as old, the daemon hangs."""


@dataclass(frozen=True, slots=True)
class ProgressSnapshot:
    """How far the work is.

    ``done`` counts photos since the start, ``remaining`` those that are known to be left,
    ``rate`` is photos a second, ``seconds_left`` is for the rest of them at that rate. Both
    are None while there is nothing to go by.
    """

    done: int
    remaining: int
    rate: float | None = None
    seconds_left: float | None = None

    def __str__(self) -> str:
        parts = [f"{self.done:,} photos done, {self.remaining:,} to go"]
        if self.rate is not None:
            parts.append(f"{self.rate:.1f} a second")
        if self.seconds_left is not None:
            parts.append(f"about {duration(self.seconds_left)} left")
        return ", ".join(parts)


NO_PROGRESS = ProgressSnapshot(0, 0)


@dataclass(frozen=True, slots=True)
class LastPhoto:
    """The photo that was handled last: when, in seconds since the epoch, and what it took."""

    path: str
    at: Moment
    milliseconds: float


@dataclass(frozen=True, slots=True)
class UnexpectedErrors:
    """How many errors nobody foresaw; the last one, and when it was (seconds since the epoch)."""

    count: int
    last: str
    at: Moment


@dataclass(frozen=True, slots=True)
class NetworkStatus:
    """How a network besides the first is: ``model`` is None while it is not there.

    ``kind`` is "scenes" or "detector", ``name`` what the config says, ``problem`` why it is not
    there.
    """

    kind: str
    name: str
    model: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class RulesStatus:
    """How the rules fare: what waits to be done, was done and failed since the start.

    ``last_failure`` was at ``last_failed_at``, in seconds since the epoch; ``notice`` says what of
    the rules is off, and why.
    """

    waiting: int = 0
    done: int = 0
    failed: int = 0
    last_failure: str | None = None
    last_failed_at: Moment | None = None
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class Int8Status:
    """How the int8 version of a network is, and by how many photos that was found.

    ``kind`` is "subjects", "scenes" or "detector", ``model`` the id of the full network, ``state``
    "missing", "useless", "slower", "provisional", "proven" or "refused", ``text`` all in a line. Of
    ``judged`` photos fp32 was sure of ``sure``, and int8 said the same of ``same`` of these; each
    bound, ``lower`` and ``upper`` (0…1), holds with 95 % certainty. Of ``same_tags`` of
    those judged the tags were the very same.
    """

    kind: str
    model: str
    state: str
    judged: int
    sure: int
    same: int
    same_tags: int
    lower: float
    upper: float
    text: str

    @staticmethod
    def of(kind: str, state: Any) -> Int8Status:
        """Return it of a :class:`tagger.classify.int8_agreement.Int8State`."""
        return Int8Status(
            kind,
            state.model,
            state.state,
            state.judged,
            state.sure,
            state.same,
            state.same_tags,
            round(state.lower, 4),
            round(state.upper, 4),
            str(state),
        )


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """How the daemon fares; times are seconds since the epoch.

    ``state`` is "running" or "stopped". ``model`` and ``engine`` are None until weights are
    loaded. ``problem`` is why photos wait that should not, ``paused_reason`` why they wait as they
    were told to, ``notice`` what is worth knowing. ``moving`` is False when one batch of photos
    takes so long that the work must hang. ``unconfined`` is what decoding processes could not do
    to confine themselves, None before the first one. ``queue`` counts photos that were found and
    are not done, ``incomplete`` those that one of ``networks`` has not seen yet. ``rules`` and
    ``cluster`` are None without any in the config. ``memory_mb`` is that of all processes, in
    10⁶ bytes.
    """

    state: str | None = None
    pid: int | None = None
    version: str | None = None
    started_at: Moment | None = None
    updated_at: Moment | None = None
    memory_mb: float | None = None
    model: str | None = None
    engine: str | None = None
    networks: tuple[NetworkStatus, ...] = ()
    int8: tuple[Int8Status, ...] = ()
    problem: str | None = None
    notice: str | None = None
    paused_reason: str | None = None
    moving: bool = True
    errors: UnexpectedErrors | None = None
    unconfined: tuple[str, ...] | None = None
    queue: int = 0
    incomplete: int = 0
    progress: ProgressSnapshot | None = None
    last: LastPhoto | None = None
    rules: RulesStatus | None = None
    cluster: ClusterState | None = None
    roots: tuple[RootStatus, ...] = ()

    def root(self, path: str) -> RootStatus | None:
        """Return how the watched folder ``path`` fares, if the daemon says so."""
        return next((root for root in self.roots if root.path == path), None)

    def same_as(self, other: DaemonStatus | None) -> bool:
        """Whether it says the same as ``other``, apart from the time and the memory."""
        return other is not None and self == replace(
            other, updated_at=self.updated_at, memory_mb=self.memory_mb
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as objects, arrays and values of JSON, with the names of the fields."""
        return asdict(self)

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> DaemonStatus:
        """Return what :meth:`to_json` made; a field that is missing or malformed is left out.

        The file may come from another version, or have been cut off by a full disk.
        """
        found = {}
        for name, hint in hints_of(DaemonStatus).items():
            if value.get(name) is not None:
                # What is malformed is as if it was not there.
                with contextlib.suppress(ValueError):
                    found[name] = read_value(hint, value[name])
        return DaemonStatus(**found)


def read_status(state_dir: str) -> DaemonStatus:
    """Return the last record of the daemon; without any value when it never ran."""
    return DaemonStatus.from_json(read_heartbeat(state_dir))
