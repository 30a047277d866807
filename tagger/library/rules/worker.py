"""The thread that decides which rules new photos meet, and does what they ask for, one at a time.

It never holds up the tagging. Tags, copies and moves are done exactly once; programs and webhooks
at least once: one that a crash or a stop interrupts is done again.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace

from tagger.config.rule import ACTIONS, Rule
from tagger.config.schema import Config
from tagger.errors import IndexNotReadyError, PhotoError, RuleError, TaggerError
from tagger.index.connection import concerns_index
from tagger.index.reader import open_reader
from tagger.index.rows import PhotoRow
from tagger.index.rule_photos import NewPhoto, RulePhotos
from tagger.index.rule_tasks import RuleTasks, Task
from tagger.library.daemon_status import RulesStatus
from tagger.library.rules import webhook
from tagger.library.rules.matching import rules_met
from tagger.library.rules.program import InterruptedProgramError, arguments, run_program
from tagger.library.rules.transfer import BusyError, Transfer
from tagger.metadata.xmp.packet import clean
from tagger.pipeline.context import Context
from tagger.records import Candidate
from tagger.system.files import photo_stat, sidecar_stat

log = logging.getLogger(__name__)

POLL_SECONDS = 30.0
"""How often it is looked for work, without being told of any."""
SOON_SECONDS = 1.0
SETTLED_SECONDS = 5.0
"""A single run waits for what is to be done within so long."""
UNWRITTEN_SECONDS = 300.0
"""So long a photo's files wait to be copied or moved until its tags are in them."""
UNSEEN_SECONDS = 3600.0
"""So long a photo waits for a network that is being loaded, or is to look at it."""
FIRST_SECONDS, MOST_SECONDS = 60.0, 3600.0
"""After so long what failed is tried again: twice as long after each try."""
GIVE_UP_SECONDS = 3 * 86400.0
TROUBLE_SECONDS = 10.0
MOST_TROUBLES = 3
"""After so many in a row a single run does not wait for rules any more."""


class RuleWorker:
    """Works until the context's ``stop`` is set. All but :meth:`run` is for any thread.

    ``found`` takes photos whose tags are to be written. ``awaited`` says which networks are there,
    or being loaded, beside the first: what a photo is like is known when they have seen it.
    ``held`` says why photos are to wait, if they are. ``look`` is called again and again,
    ``changed`` when the status is another one.
    """

    def __init__(
        self,
        context: Context,
        found: Callable[[Candidate], None],
        *,
        awaited: Callable[[], Collection[str]] = frozenset,
        held: Callable[[], str | None] = lambda: None,
        look: Callable[[], None] = lambda: None,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._context, self._found = context, found
        self._awaited, self._held, self._look, self._changed = awaited, held, look, changed
        self._rules = {rule.key: rule for rule in context.config.rules}
        self._tasks = RuleTasks(context.store)
        self._transfer = Transfer(context.config, self._tasks, context.stop.is_set)
        self._wake = threading.Event()
        self._began = time.monotonic()
        self._resumed: dict[int, float] = {}
        self._troubles = 0
        has_webhooks = any(rule.webhook for rule in context.config.rules)
        self._no_network = webhook.no_network() if has_webhooks else ""
        self._status = RulesStatus(notice=self._notice())

    @property
    def _photos(self) -> RulePhotos:
        return RulePhotos(self._context.store)

    def _notice(self) -> str | None:
        off = [
            f"{webhook.shown(rule)}: {why}"
            for rule in self._rules.values()
            if (why := webhook.unreachable(rule, self._no_network))
        ]
        if not off:
            return None
        return f"webhooks are off: {'; '.join(off)}; docs/rules.md says what allows them"

    def wake(self) -> None:
        """Have it look for work now."""
        self._wake.set()

    def status(self) -> RulesStatus:
        """Return how it fares."""
        return self._status

    def settled(self) -> bool:
        """Whether nothing is left that can be done within seconds."""
        # In the order in which one becomes the other meanwhile.
        return self._troubles >= MOST_TROUBLES or (
            not self._ready(self._photos.new_photos(0, 10**6))
            and not self._tasks.has_due(SETTLED_SECONDS)
            and not self._to_resume()
        )

    def _to_resume(self) -> list[Task]:
        """Return what was interrupted and can be gone on with: not what failed just now."""
        now = time.monotonic()
        return [
            task
            for task in self._tasks.interrupted()
            if self._is_online(task.path)
            and now >= self._resumed.get(task.id, -math.inf) + FIRST_SECONDS
        ]

    def run(self) -> None:
        """Work."""
        stop = self._context.stop
        if self._status.notice:
            log.warning("%s", self._status.notice)
        first = True
        while not stop.is_set():
            seconds = POLL_SECONDS
            try:
                if first:
                    self._tasks.resume("webhook")  # they were off, perhaps, and are not now
                    first = False
                self._look()
                if self._held() is None:
                    seconds = self._work()
                self._troubles = 0
            except Exception as error:
                self._troubles += 1
                if concerns_index(error) or isinstance(error, IndexNotReadyError):
                    log.warning("rules wait: the index cannot be used: %s", error)
                else:
                    log.exception("the work on rules met an error that nobody foresaw")
                stop.wait(TROUBLE_SECONDS)
            if not stop.is_set() and self._wake.wait(min(seconds, POLL_SECONDS)):
                self._wake.clear()

    def _work(self) -> float:
        """Do all that is due; return in how many seconds there is more."""
        stop, before = self._context.stop, self._status
        for task in self._to_resume():
            if not stop.is_set():
                self._attempt(task, self._transfer.resume)
                self._resumed[task.id] = time.monotonic()
        waiting = self._decide()
        while not stop.is_set() and self._held() is None:
            due = self._tasks.next_task()
            if due is None:
                break
            self._attempt(due, self._do)
            waiting = self._decide()  # what is new goes first: its tags
        self._status = replace(self._status, waiting=self._tasks.waiting())
        if self._status != before:
            self._changed()
        seconds = self._tasks.next_due()
        soon = SOON_SECONDS if waiting else POLL_SECONDS
        return soon if seconds is None else min(soon, seconds)

    # Which rules are met

    def _ready(self, photos: Collection[NewPhoto]) -> list[int]:
        awaited, now = self._awaited(), self._context.store.now()
        return [
            one.photo_id
            for one in photos
            if not one.lacks & {*awaited} or now - one.found_at > UNSEEN_SECONDS
        ]

    def _decide(self) -> bool:
        """Decide about the new photos; return whether some wait for a network."""
        last, left = 0, False
        while photos := self._photos.new_photos(last):
            last = photos[-1].photo_id
            ready = self._ready(photos)
            left = left or len(ready) < len(photos)
            if ready:
                self._photos.decide(ready, self._met(ready))
        return left

    def _met(self, photo_ids: Collection[int]) -> dict[int, list[tuple[str, str]]]:
        from tagger.library.taught_words import known_words

        config = self._context.config
        known = known_words(config.state_dir)
        with open_reader(config.state_dir) as reader:
            met = rules_met(reader, config, known, photo_ids)
        return {photo_id: in_order(rules) for photo_id, rules in met.items()}

    # What they ask for

    def _attempt(self, task: Task, do: Callable[[Task], None]) -> None:
        """Do a task; what fails is noted, and stops no other."""
        try:
            do(task)
        except (BusyError, InterruptedProgramError) as error:
            log.debug("%s", error)
            if task.due_at is not None:
                self._tasks.postpone(task, SOON_SECONDS)
        except Exception as error:
            if concerns_index(error):
                raise
            if not isinstance(error, TaggerError):
                log.exception("the rule %r met an error that nobody foresaw", task.rule)
            self._failed(task, error)
        else:
            now = self._tasks.task(task.id)
            if now is not None and now.state == "done":
                self._status = replace(self._status, done=self._status.done + 1)
                log.info(
                    "rule %r, %s: %s",
                    task.rule,
                    task.action,
                    now.target or now.path,
                    extra={"event": "rule", "path": task.path, "action": task.action},
                )

    def _failed(self, task: Task, error: Exception) -> None:
        reason = str(error)
        log.warning("rule %r, %s, %s: %s", task.rule, task.action, task.path, reason)
        self._status = replace(
            self._status,
            failed=self._status.failed + 1,
            last_failure=f"{task.rule}, {task.action}, {task.path}: {reason}",
            last_failed_at=time.time(),
        )
        now = self._tasks.task(task.id)
        if now is None or now.due_at is None or now.tries > task.tries:
            return  # it was noted already
        late = self._context.store.now() - task.made_at > GIVE_UP_SECONDS
        permanent = not isinstance(error, TaggerError) or getattr(error, "permanent", False)
        if late or permanent:
            self._tasks.end(task, "failed", reason)
        else:
            wait = min(FIRST_SECONDS * 2.0 ** min(task.tries, 10), MOST_SECONDS)
            self._tasks.postpone(task, wait, reason)

    def _do(self, task: Task) -> None:
        if self._tasks.is_moving(task.photo_id):  # where it is to be is not known yet
            self._tasks.postpone(task, SETTLED_SECONDS)
            return
        rule, row = self._rules.get(task.rule), self._row(task)
        if rule is None or task.action not in rule.actions:
            self._tasks.end(task, "failed", "the config has no such rule any more")
            return
        if task.action == "tag":
            self._tag(task, rule, row)
            return
        is_fresh = self._context.store.now() - task.made_at < UNWRITTEN_SECONDS
        if is_fresh and not self._tasks.is_written(row.id):
            self._tasks.postpone(task, SOON_SECONDS / 2)
            return
        moved = self._tasks.moved_to(row.id)
        path = moved if moved is not None and row.status == "missing" else row.path
        if task.action in ("copy_to", "move_to"):
            self._put(task, rule, path, moved)
        elif task.action == "run":
            labels = [tag.label for tag in self._context.store.tags(row.id)]
            words = arguments(rule.run, path, list(dict.fromkeys(labels)), rule.key)
            run_program(words, rule.timeout_seconds, self._context.stop.is_set)
            self._tasks.end(task)
        elif why := webhook.unreachable(rule, self._no_network):
            if self._context.store.now() - task.made_at > GIVE_UP_SECONDS:
                raise RuleError(why, "see docs/rules.md for what allows it", permanent=True)
            self._tasks.postpone(task, MOST_SECONDS)
        else:
            body = webhook.photo_body(rule.key, path, row, self._context.store.tags(row.id))
            webhook.send(rule, body, self._context.stop.is_set)
            self._tasks.end(task)

    def _row(self, task: Task) -> PhotoRow:
        row = self._context.store.photo_of(task.photo_id) if task.photo_id is not None else None
        if row is None or (row.status == "missing" and self._tasks.moved_to(row.id) is None):
            raise RuleError(f"{task.path} is gone", "nothing is to be done", permanent=True)
        return row

    def _tag(self, task: Task, rule: Rule, row: PhotoRow) -> None:
        label = clean(rule.tag or "")
        if row.keep_out or label in self._context.store.tombstones(row.id):
            self._tasks.end(task, reason="the user has taken it away")
            return
        self._tasks.give_tag(task, label)
        try:
            stat, beside = photo_stat(row.path), sidecar_stat(row.path)
        except PhotoError as error:
            log.debug("it is written when the photo is found again: %s", error)
        else:
            self._found(Candidate(row.path, row.root, stat, beside))
        self._tasks.end(task)

    def _is_online(self, path: str) -> bool:
        """Whether what is at ``path`` can be worked at; of what is not watched nobody knows."""
        watched = self._context.config.root_of(path) is not None
        return not watched or self._context.health.is_online(path)

    def _put(self, task: Task, rule: Rule, path: str, moved: str | None) -> None:
        if task.action == "move_to" and moved is not None:
            self._tasks.end(task, reason=f"another rule has moved it to {moved}")
            return
        if not self._is_online(path):
            fresh = time.monotonic() - self._began < FIRST_SECONDS  # it is just being looked at
            self._tasks.postpone(task, SETTLED_SECONDS if fresh else FIRST_SECONDS)
            return
        folder = (rule.copy_to if task.action == "copy_to" else rule.move_to) or ""
        if why := read_only(self._context.config, task.action, path, folder):
            raise RuleError(why, "see `read_only` in the config", permanent=True)
        self._transfer.do(task, path, folder)


def read_only(config: Config, action: str, path: str, folder: str) -> str:
    """Return why a photo may not be copied or moved: nothing is written into some folders."""
    places = (folder, path) if action == "move_to" else (folder,)
    roots = (config.root_of(place) for place in places)
    kept = next((root.path for root in roots if root is not None and root.read_only), None)
    return f"nothing is to be written into {kept}, nor taken out of it" if kept else ""


def in_order(rules: Collection[Rule]) -> list[tuple[str, str]]:
    """Return what rules do, as (rule, action): programs are told where the photo is in the end."""
    return [(rule.key, action) for action in ACTIONS for rule in rules if action in rule.actions]
