"""How a cluster is, as records for the status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

WorkerState = Literal["greeted", "ready", "silent", "refused"]


@dataclass(frozen=True, slots=True)
class ClusterWorker:
    """One worker: its name and address.

    ``state``: it is being "greeted" (asked, and sent weights), "ready", "silent" (it was not heard
    for a while; its photos went to others) or "refused", for the ``reason``. ``photos`` counts
    those it looked at, ``rate`` is photos a second now, ``in_work`` those that it has.
    """

    name: str
    address: str
    state: WorkerState
    reason: str = ""
    photos: int = 0
    rate: float = 0.0
    in_work: int = 0


@dataclass(frozen=True, slots=True)
class ClusterState:
    """The cluster of ``scheduler``.

    ``connected``: the scheduler answers. ``problem`` is why photos are not looked at there, if
    they are not. ``waiting`` counts photos that no worker has yet, ``here`` those that this machine
    looked at for the cluster.
    """

    scheduler: str
    connected: bool
    problem: str | None = None
    waiting: int = 0
    here: int = 0
    workers: tuple[ClusterWorker, ...] = ()
