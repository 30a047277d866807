"""The daemon's end of a cluster: one connection to the scheduler, in an event loop of its own.

Dask carries messages, knows which workers there are and notices when one goes. Which photo goes to
which worker is decided here, so that a worker has only a few at a time, a photo is blamed for
nothing, and what a sleeping worker had goes to others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tagger.cluster.exchange import ask, take_answers
from tagger.cluster.greeting import Greeting
from tagger.cluster.members import (
    Asked,
    Member,
    Task,
    Waiting,
    elsewhere,
    least_together,
    portions,
    working,
)
from tagger.cluster.offer import Offer
from tagger.config.cluster import ClusterConfig
from tagger.pipeline.cluster_state import ClusterState

if TYPE_CHECKING:
    from distributed import Client
    from distributed.security import Security

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
CONNECT_SECONDS, RETRY_SECONDS = 5.0, 5.0
ANSWER_SECONDS = 10.0
"""A scheduler that does not answer for so long is lost."""
GREET_SECONDS, GREETED_SECONDS = 600.0, 60.0
"""So long a greeting may take, with weights to send; and so long photos wait for it."""
AGAIN_SECONDS = 60.0
"""A worker that was refused is greeted again."""
GRACE_SECONDS = 10.0
"""So long there may be no worker before the daemon's own processes look at photos."""
HERE = 16
"""Photos that these have at a time."""
GATHER_SECONDS = 0.02
"""Photos that come within so long go together."""


@dataclass(frozen=True, slots=True)
class Work:
    """What workers are to do: the ``offer`` they are greeted with, and the ``files`` by SHA-256."""

    offer: Offer
    files: dict[str, str]


class Coordinator:
    """Gives photos to workers. All but :attr:`state` is for the event loop's thread.

    ``here`` has the daemon's own processes look at a photo, and calls back when it did; ``changed``
    is called when a worker comes, goes or is refused, and when the scheduler does.
    """

    def __init__(
        self,
        config: ClusterConfig,
        here: Callable[[Asked, Callable[[Asked], None]], None],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        assert config.scheduler is not None
        self._config = config
        self._here, self._changed = here, changed
        self._waiting = Waiting()
        self._members: dict[str, Member] = {}
        self._work: Work | None = None
        self._client: Client | None = None
        self._greeting: Greeting | None = None
        self._problem: str | None = None
        self._without_since = time.monotonic()
        self._in_work_here = self._done_here = 0
        self._background: set[asyncio.Task[None]] = set()
        self._due = False
        self.state = ClusterState(config.scheduler, False, "it is being connected")

    @property
    def _address(self) -> str:
        return self.state.scheduler

    @property
    def wanted(self) -> int:
        """How many photos it wants to have at a time. For any thread."""
        return self._waiting.wanted

    def use(self, work: Work | None, problem: str = "") -> None:
        """Have workers greeted with another offer; None: there is none, for a ``problem``."""
        self._work, self._problem = work, problem or None
        for member in self._members.values():
            if member.state != "silent":
                member.state, member.reason = "greeted", ""
                self._greet(member)
        self._dispatch_soon()

    def add(self, asked: Asked) -> None:
        self._waiting.add(asked)
        self._dispatch_soon()

    async def run(self) -> None:
        """Keep the connection, until this is cancelled."""
        try:
            while True:
                try:
                    await self._session()
                except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                    self._lost(f"{type(error).__name__}: {error}")
                for _ in range(int(RETRY_SECONDS / TICK_SECONDS)):
                    self._tick()
                    await asyncio.sleep(TICK_SECONDS)
        finally:
            self._due = True  # nothing is given out any more
            for task in self._background:
                task.cancel()

    async def _session(self) -> None:
        """Be connected; raise what ends it."""
        from distributed import Client

        async with asyncio.timeout(CONNECT_SECONDS * 2):
            client = await Client(
                self._address,
                asynchronous=True,
                set_as_default=False,
                security=_security(self._config),
                timeout=CONNECT_SECONDS,
                name="tagger",
            )
        try:
            log.info("connected to the scheduler %s", self._address)
            self._client, self._greeting = client, Greeting(client)
            self._without_since = time.monotonic()
            while True:
                async with asyncio.timeout(ANSWER_SECONDS):
                    said = await client.scheduler.identity()
                self._look_at_members(said["workers"])
                self._tick()
                await asyncio.sleep(TICK_SECONDS)
        finally:
            self._client = self._greeting = None
            for member in list(self._members.values()):
                self._drop(member, lost=False)  # no fault of theirs
            with contextlib.suppress(Exception):  # it is gone already, or goes with the loop
                async with asyncio.timeout(2):
                    await client.close()

    def _lost(self, reason: str) -> None:
        problem = (
            f"the scheduler {self._address} cannot be reached ({reason.splitlines()[0][:200]});"
            " start it, or correct `cluster.scheduler`"
        )
        if self._problem is None:
            log.warning("%s", problem)
        self._problem = problem

    def _look_at_members(self, said: dict[str, Any]) -> None:
        now = time.monotonic()
        if self._work is not None:
            self._problem = None
        for address in self._members.keys() - said.keys():
            log.info("the worker %s is gone", self._members[address].name)
            self._drop(self._members[address])
        for address, one in said.items():
            member = self._members.get(address)
            if member is None:
                member = Member(address, str(one["name"]), int(one["nthreads"]), now)
                self._members[address] = member
                self._greet(member)
            before = member.state
            member.heard(float(one["last_seen"]), now)
            if member.state == "greeted" and before == "silent":
                self._greet(member)
            elif member.state == "silent":
                if before != "silent":
                    log.warning("the worker %s is silent; others get its photos", member.name)
                    member.stop_greeting()
                for task in list(member.tasks):
                    self._waiting.again(member.leave(task, lost=True))
            elif member.state == "refused" and now - member.greeted_at >= AGAIN_SECONDS:
                self._greet(member)
            self._waiting.again(member.stuck(now))

    def _drop(self, member: Member, *, lost: bool = True) -> None:
        """Forget a worker that is gone; its photos go to others."""
        self._members.pop(member.address, None)
        member.stop_greeting()
        for task in list(member.tasks):
            self._waiting.again(member.leave(task, lost=lost))
            task.stop()

    def _greet(self, member: Member) -> None:
        if self._work is not None and self._greeting is not None:
            member.greeted_at = time.monotonic()
            member.stop_greeting()
            task = self._start(self._greeted(member, self._greeting, self._work))
            member.stop_greeting = task.cancel

    async def _greeted(self, member: Member, greeting: Greeting, work: Work) -> None:
        try:
            async with asyncio.timeout(GREET_SECONDS):
                problem = await greeting.greet(member, work.offer, work.files)
        except TimeoutError:
            problem = f"it took more than {GREET_SECONDS:.0f} s to get ready; see its log"
        except (ImportError, AttributeError) as error:
            problem = f"{error}; install there `pip install 'tagger[cluster]'` of the same version"
        except Exception as error:  # noqa: BLE001 - a worker may raise anything; it is refused
            problem = f"{type(error).__name__}: {error}; see its log, it is asked again soon"
        if work is not self._work or self._members.get(member.address) is not member:
            return
        if problem:
            if member.reason != problem:
                log.warning("the worker %s is refused: %s", member.name, problem)
            member.refuse(problem)
        else:
            if member.state != "ready":
                log.info("the worker %s is ready, with %d threads", member.name, member.threads)
            member.state, member.reason, member.unseen = "ready", "", 0
        self._dispatch_soon()

    def _tick(self) -> None:
        """Give out what waits, and tell how all is. Once a second; it raises nothing."""
        try:
            self._waiting.measure(time.monotonic())
            self._waiting.sort_out([one for one in self._members.values() if one.state == "ready"])
            self._dispatch()
            self._tell(time.monotonic())
        except Exception:
            log.exception("photos cannot be given to workers now; it is tried again")

    def _dispatch_soon(self) -> None:
        """Give out what waits, with what comes in a moment."""
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self._dispatch)

    def _dispatch(self) -> None:
        """Give photos to workers that have room, or to the daemon's own processes."""
        self._due = False
        now = time.monotonic()
        members, readers = working(self._members.values(), self._config.readers)
        if members:
            self._without_since = now
        if self._client is not None and self._work is not None:
            waiting, client = self._waiting, self._client
            self._send(client, elsewhere(waiting.unseen, members), readers, now)
            least = least_together(waiting.rate)
            self._send(client, portions(waiting.photos, members, least), readers, now)
        self._waiting.wanted = sum(one.room + one.in_work for one in members)
        self._look_here(members, now)

    def _send(
        self,
        client: Client,
        some: Sequence[tuple[Member, list[Asked]]],
        readers: int,
        now: float,
    ) -> None:
        for member, photos in some:
            task = Task(photos, now)
            member.tasks.add(task)
            task.stop = self._start(self._look(client, member, task, readers)).cancel

    def _look_here(self, members: Sequence[Member], now: float) -> None:
        """Have our own processes look at photos: those that no worker can, or all without any."""
        alone = not members and self._config.lost == "local"
        alone = alone and now - self._without_since >= self._grace()
        while self._in_work_here < HERE:
            if (asked := self._waiting.take(any_photo=alone)) is None:
                break
            self._in_work_here += 1
            self._here(asked, self._looked_here)

    def _grace(self) -> float:
        """Return how long there may be no worker: longer while one is being greeted."""
        if self._work is None or (self._client is None and self._problem is not None):
            return 0.0
        states = {one.state for one in self._members.values()}
        return GREETED_SECONDS if "greeted" in states else 0.0 if states else GRACE_SECONDS

    def _looked_here(self, asked: Asked) -> None:
        self._in_work_here -= 1
        self._done_here += 1
        if asked.done and not asked.seen.cancelled() and asked.seen.exception() is None:
            self._was_there(asked)
        self._dispatch_soon()

    async def _look(self, client: Client, member: Member, task: Task, readers: int) -> None:
        """Have a worker look at photos; take its answers."""
        try:
            answers = await ask(client, member.address, task.photos, self._config.paths, readers)
            ids = self._work.offer.ids if self._work is not None else None
            taken = take_answers(member.address, task, answers, ids)
        except asyncio.CancelledError:
            self._waiting.again(member.leave(task, lost=True))
        except Exception as error:  # noqa: BLE001 - whatever a worker or Dask raises
            # Without the scheduler it is no fault of the worker.
            self._waiting.again(member.leave(task, lost=client.status == "running"))
            log.info("the worker %s failed: %s: %s", member.name, type(error).__name__, error)
            self._greet_again(member)
        else:
            self._waiting.again(taken.again)
            for asked in taken.unseen:
                self._was_there(asked)
            if taken.count:
                member.saw(taken.count, time.monotonic())
            if taken.outdated:
                self._greet_again(member)
        finally:
            member.tasks.discard(task)
        self._dispatch_soon()

    def _greet_again(self, member: Member) -> None:
        if self._members.get(member.address) is member and member.state == "ready":
            member.state = "greeted"
            self._greet(member)

    def _was_there(self, asked: Asked) -> None:
        """Note who did not see a photo that was seen at last."""
        for address, reason in asked.avoid.items():
            member = self._members.get(address)
            if member is not None and member.saw_not() and member.state == "ready":
                member.refuse(f"it does not see photos that others see: {reason}")
                log.warning("the worker %s is refused: %s", member.name, member.reason)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def _tell(self, now: float) -> None:
        """Note how the cluster is, for other threads."""
        members = [one.told(now) for one in self._members.values()]
        problem = self._problem
        if problem is None and not any(one.state == "ready" for one in members):
            problem = "no worker is ready"
        if problem is not None and self._config.lost == "local":
            problem += "; this machine looks at photos meanwhile"
        elif problem is not None:
            problem += "; photos wait for it"
        before = self.state
        self.state = ClusterState(
            self._address,
            self._client is not None,
            problem,
            len(self._waiting),
            self._done_here,
            tuple(sorted(members, key=lambda one: one.address)),
        )
        if _essence(before) != _essence(self.state):
            self._changed()


def _security(config: ClusterConfig) -> Security | None:
    """Return the certificates of ``config``; None where it has none, as for tcp."""
    from distributed.security import Security

    if config.tls_ca is None:
        return None
    return Security(
        tls_ca_file=config.tls_ca,
        tls_client_cert=config.tls_cert,
        tls_client_key=config.tls_key,
        require_encryption=True,
    )


def _essence(state: ClusterState) -> object:
    """Return what somebody who waits for a change is to be told of at once."""
    workers = [(one.address, one.state, one.photos > 0) for one in state.workers]
    return state.connected, state.problem, workers
