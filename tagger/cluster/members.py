"""The workers of a cluster as the daemon sees them, and the photos that wait for one.

Pure decisions: time is passed in, in monotonic seconds.
"""

from __future__ import annotations

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
"""A worker that does not see so many photos in a row is refused for a while."""


@dataclass(slots=True, eq=False)
class Asked:
    """A photo that waits for what is seen in it. ``avoid`` are addresses that do not see it."""

    path: str
    root: str | None
    size: int
    seen: Future[Seen]
    lost: int = 0
    avoid: set[str] = field(default_factory=set)

    @property
    def done(self) -> bool:
        """Whether nobody waits for it any more."""
        return self.seen.done()

    def answer(self, seen: Seen) -> bool:
        """Give the answer, unless there is one already; return whether it was given."""
        if self.seen.done() or not self.seen.set_running_or_notify_cancel():
            return False
        self.seen.set_result(seen)
        return True

    def fail(self, error: BaseException) -> bool:
        """Give an error as the answer; as :meth:`answer`."""
        if self.seen.done() or not self.seen.set_running_or_notify_cancel():
            return False
        self.seen.set_exception(error)
        return True

    @property
    def for_us(self) -> bool:
        """Whether no worker is to try it any more."""
        return self.lost >= MOST_LOST or len(self.avoid) >= MOST_UNSEEN


@dataclass(slots=True, eq=False)
class Task:
    """Photos that were sent to a worker together, at a time. ``left``: they went to others."""

    photos: Sequence[Asked]
    since: float
    left: bool = False
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
        """The machine that it is on."""
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
        """Note when the scheduler heard it last, by the scheduler's own clock."""
        if last_seen != self._heard[0]:
            self._heard = (last_seen, now)
            if self.state == "silent":
                self.state, self.reason = "ready", ""
        elif self.state == "ready" and now - self._heard[1] >= SILENT_SECONDS:
            self.state = "silent"
            self.reason = "it was not heard; its photos went to others"

    def refuse(self, reason: str) -> None:
        """Give it nothing for now."""
        self.state, self.reason = "refused", reason

    def saw(self, count: int, now: float) -> None:
        """Note that it looked at so many photos."""
        self.photos += count
        self.unseen = 0
        self._done.append((now, count))

    def saw_not(self) -> bool:
        """Note that it does not see a photo; return whether that were too many."""
        self.unseen += 1
        return self.unseen >= UNSEEN_IN_A_ROW

    def leave(self, task: Task, *, lost: bool) -> list[Asked]:
        """Return the photos of a task that others are to look at; ``lost``: it cannot any more."""
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
        """Return it for the status."""
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
    """The photos that wait: for any worker, or for the daemon's own processes (``ours``).

    ``wanted`` is how many photos workers have and could have, as they were last looked at.
    """

    def __init__(self) -> None:
        self.wanted = 0
        self.photos: deque[Asked] = deque()
        self.ours: deque[Asked] = deque()

    def __len__(self) -> int:
        return len(self.photos) + len(self.ours)

    def again(self, photos: Sequence[Asked]) -> None:
        """Take photos back, that were with a worker: they are the first now."""
        self.ours.extend(one for one in photos if one.for_us)
        self.photos.extendleft(reversed([one for one in photos if not one.for_us]))

    def sort_out(self, ready: Sequence[Member]) -> None:
        """Have those that none of the ``ready`` workers sees looked at by ourselves."""
        if not ready:
            return
        nowhere = [one for one in self.photos if one.avoid and _is_avoided(one, ready)]
        self.ours.extend(nowhere)
        for asked in nowhere:
            self.photos.remove(asked)

    def take(self, *, any_photo: bool) -> Asked | None:
        """Return the next photo for ourselves; ``any_photo``: one that workers could have, too."""
        while source := self.ours or (self.photos if any_photo else None):
            asked = source.popleft()
            if not asked.done:
                return asked
        return None


def _is_avoided(asked: Asked, members: Sequence[Member]) -> bool:
    """Whether none of ``members`` is to try a photo."""
    return all(one.address in asked.avoid for one in members)


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


def portions(queue: deque[Asked], members: Sequence[Member]) -> list[tuple[Member, list[Asked]]]:
    """Take photos from ``queue`` for the workers that have room, the least busy first.

    Few photos are shared out among all. Those that are not wanted any more are dropped; one that
    none of them is to try stays.
    """
    found: list[tuple[Member, list[Asked]]] = []
    given = {id(one): 0 for one in members}
    kept: deque[Asked] = deque()
    while queue:
        free = [one for one in members if one.room - given[id(one)] > 0]
        if not free:
            break
        member = min(free, key=lambda one: one.in_work + given[id(one)])
        share = -(-len(queue) // len(free))
        count = min(TOGETHER, member.room - given[id(member)], share)
        some: list[Asked] = []
        while queue and len(some) < count:
            asked = queue.popleft()
            if asked.done:
                continue
            if member.address in asked.avoid:
                kept.append(asked)
                continue
            some.append(asked)
        if some:
            given[id(member)] += len(some)
            found.append((member, some))
    queue.extendleft(reversed(kept))
    return found
