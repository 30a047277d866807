"""The workers of a cluster as the daemon sees them, and the photos that wait for one.

Pure decisions: time is passed in, in monotonic seconds.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from tagger.pipeline.cluster_state import ClusterWorker, WorkerState
from tagger.pipeline.recognition import Seen

TOGETHER = 8
"""Photos that are sent in one task at most."""
BATCHES = 2
"""So many tasks a worker has at most, besides one for each of its threads."""
SILENT_SECONDS = 20.0
"""A worker that the scheduler has not heard for so long sleeps, or is gone."""
STUCK_SECONDS = 120.0
"""Photos that a worker has not answered for so long go to others; it keeps their place."""
RATE_SECONDS = 30.0
MOST_LOST = 3
"""A photo that so many workers were lost with is looked at by the daemon's own processes."""
MOST_UNSEEN = 2
"""One that so many workers do not see, too."""
UNSEEN_IN_A_ROW = 8
"""A worker that does not see so many photos in a row, which others see, is refused for a while."""
TASKS_A_SECOND = 40
"""About so many are sent at most: each costs the scheduler and the daemon some milliseconds."""


@dataclass(slots=True, eq=False)
class Asked:
    """A photo that waits for what is seen in it.

    ``avoid``: the addresses of workers that do not see it, or failed, with what they said.
    """

    path: str
    root: str | None
    size: int
    seen: Future[Seen]
    lost: int = 0
    avoid: dict[str, str] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.seen.done()

    @property
    def for_us(self) -> bool:
        """Whether no worker is to try it any more."""
        return self.lost >= MOST_LOST or len(self.avoid) >= MOST_UNSEEN


@dataclass(slots=True, eq=False)
class Task:
    """Photos that were sent to a worker together, at a time.

    ``left``: they went to others; ``lost``: because it stood still, or is gone.
    """

    photos: Sequence[Asked]
    since: float
    left: bool = False
    lost: bool = False
    stop: Callable[[], object] = lambda: None
    """Ends the wait for its answer."""


class Member:
    """One worker: how it is, what it has to do and what it did."""

    def __init__(self, address: str, name: str, threads: int, now: float) -> None:
        self.address, self.name, self.threads = address, name, max(threads, 1)
        self.state: WorkerState = "greeted"
        self.reason = ""
        self.tasks: set[Task] = set()
        self.photos = self.unseen = 0
        self.greeted_at = now
        self.stop_greeting: Callable[[], object] = lambda: None
        self._heard: tuple[float, float] = (-1.0, now)
        self._done: deque[tuple[float, int]] = deque()

    @property
    def host(self) -> str:
        return self.address.rpartition("//")[2].rpartition(":")[0]

    @property
    def in_work(self) -> int:
        """How many photos it has."""
        return sum(len(task.photos) for task in self.tasks)

    @property
    def room(self) -> int:
        """How many more it may be given now."""
        if self.state != "ready":
            return 0
        return max(TOGETHER * (self.threads + BATCHES) - self.in_work, 0)

    def heard(self, last_seen: float, now: float) -> None:
        """Note when the scheduler heard it last, by the scheduler's own clock.

        One that was silent is to be greeted anew: the offer may be another one by now.
        """
        if last_seen != self._heard[0]:
            self._heard = (last_seen, now)
            if self.state == "silent":
                self.state, self.reason = "greeted", ""
        elif self.state in ("ready", "greeted") and now - self._heard[1] >= SILENT_SECONDS:
            self.state = "silent"
            self.reason = "it was not heard; its photos went to others"

    def refuse(self, reason: str) -> None:
        self.state, self.reason = "refused", reason

    def saw(self, count: int, now: float) -> None:
        """Note that it looked at so many photos."""
        self.photos += count
        self.unseen = 0
        self._done.append((now, count))

    def saw_not(self) -> bool:
        """Note a photo that others saw, and it did not; return whether that were too many."""
        self.unseen += 1
        return self.unseen >= UNSEEN_IN_A_ROW

    def leave(self, task: Task, *, lost: bool) -> list[Asked]:
        """Return the photos of a task that others are to look at; ``lost``: it cannot any more."""
        task.lost |= lost
        if task.left:
            return []
        task.left = True
        again = [asked for asked in task.photos if not asked.done]
        for asked in again:
            asked.lost += lost
        return again

    def stuck(self, now: float) -> list[Asked]:
        """Return the photos that it has had for too long."""
        return [
            asked
            for task in self.tasks
            if now - task.since >= STUCK_SECONDS
            for asked in self.leave(task, lost=False)
        ]

    def rate(self, now: float) -> float:
        """Return how many photos a second it looked at lately."""
        while self._done and now - self._done[0][0] > RATE_SECONDS:
            self._done.popleft()
        return sum(count for _, count in self._done) / RATE_SECONDS

    def told(self, now: float) -> ClusterWorker:
        return ClusterWorker(
            self.name,
            self.address,
            self.state,
            self.reason,
            self.photos,
            round(self.rate(now), 2),
            self.in_work,
        )


class Waiting:
    """The photos that wait: for any worker, for one that sees them, or for this machine (``ours``).

    ``wanted`` is how many photos workers have and could have, as they were last looked at.
    """

    def __init__(self) -> None:
        self.wanted = 0
        self.photos: deque[Asked] = deque()
        self.unseen: deque[Asked] = deque()
        """Those that not every worker is to try."""
        self.ours: deque[Asked] = deque()
        self.rate = 0.0
        """Photos a second that came lately."""
        self._came, self._since = 0, 0.0

    def add(self, asked: Asked) -> None:
        self.photos.append(asked)
        self._came += 1

    def measure(self, now: float) -> None:
        """Note how many photos a second came since this was last called."""
        if now > self._since:
            self.rate = self._came / (now - self._since)
            self._came, self._since = 0, now

    def __len__(self) -> int:
        return len(self.photos) + len(self.unseen) + len(self.ours)

    def again(self, photos: Sequence[Asked]) -> None:
        """Take photos back, that were with a worker: they are the first now."""
        for asked in reversed(photos):
            if asked.done:
                continue
            queue = self.ours if asked.for_us else self.unseen if asked.avoid else self.photos
            queue.appendleft(asked)

    def sort_out(self, ready: Sequence[Member]) -> None:
        """Have those that none of the ``ready`` workers sees looked at by ourselves."""
        if not ready:
            return
        for asked in [one for one in self.unseen if not _able(one, ready)]:
            self.unseen.remove(asked)
            self.ours.append(asked)

    def take(self, *, any_photo: bool) -> Asked | None:
        """Return the next photo for ourselves; ``any_photo``: one that workers could have, too."""
        while source := self.ours or (self.unseen or self.photos if any_photo else None):
            asked = source.popleft()
            if not asked.done:
                return asked
        return None


def _able(asked: Asked, members: Iterable[Member]) -> list[Member]:
    """Return those of ``members`` that are to try a photo."""
    return [one for one in members if one.address not in asked.avoid]


def working(members: Iterable[Member], readers: int) -> tuple[list[Member], int]:
    """Return the workers that may be given photos, and how many each may read at a time.

    At most ``readers`` photos are read at a time by all together; 0: as many as they can, which
    also stands for it in the answer.
    """
    ready = [one for one in members if one.state == "ready"]
    if not readers or not ready:
        return ready, 0
    ready = sorted(ready, key=lambda one: one.address)[:readers]
    return ready, readers // len(ready)


def least_together(rate: float) -> int:
    """Return how many photos a task has at least while so many a second are sent."""
    return min(max(math.ceil(rate / TASKS_A_SECOND), 1), TOGETHER)


def portions(
    queue: deque[Asked], members: Sequence[Member], least: int = 1
) -> list[tuple[Member, list[Asked]]]:
    """Take photos from ``queue`` for the workers that have room, the least busy first.

    Few photos are shared out among all, in portions of ``least`` as far as they reach. Those that
    are not wanted any more are dropped.
    """
    found: list[tuple[Member, list[Asked]]] = []
    busy = {one: one.in_work for one in members}
    room = {one: one.room for one in members if one.room}
    while queue and room:
        member = min(room, key=busy.__getitem__)
        share = max(-(-len(queue) // len(room)), least)
        count = min(TOGETHER, room[member], share)
        some: list[Asked] = []
        while queue and len(some) < count:
            asked = queue.popleft()
            if not asked.done:
                some.append(asked)
        if some:
            found.append((member, some))
            busy[member] += len(some)
            room[member] -= len(some)
            if not room[member]:
                del room[member]
    return found


def elsewhere(queue: deque[Asked], members: Sequence[Member]) -> list[tuple[Member, list[Asked]]]:
    """Take those photos from ``queue`` that a worker with room can try which has not yet.

    Each goes alone, to the least busy one. The others stay.
    """
    found: list[tuple[Member, list[Asked]]] = []
    busy = {one: one.in_work for one in members}
    room = {one: one.room for one in members}
    for asked in list(queue):
        able = [one for one in _able(asked, members) if room[one]]
        if able or asked.done:
            queue.remove(asked)
        if able and not asked.done:
            member = min(able, key=busy.__getitem__)
            busy[member] += 1
            room[member] -= 1
            found.append((member, [asked]))
    return found
