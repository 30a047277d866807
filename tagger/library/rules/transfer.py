"""Copies or moves a photo with its sidecars to another folder, over nothing, and back.

What becomes of each file is in the index before the first one changes, and the row of a photo that
moves is at its new path from then on: no deletion is seen where it was. After a crash
:meth:`Transfer.resume` goes on; what cannot be done is taken back, so that a photo is never left
in two halves.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tagger.config.schema import Config
from tagger.errors import RuleError, TaggerError
from tagger.index.rule_tasks import RuleTasks, Task, TaskFile
from tagger.library.rules.shot_film import is_of_shot
from tagger.library.rules.sidecars import films_among, renamed, sidecars_among
from tagger.pipeline.photo_lock import photo_locks
from tagger.records import FileStat
from tagger.system.file_transfer import (
    StoppedEarlyError,
    copy_file,
    digest_of,
    move_file,
    numbered_names,
)
from tagger.system.files import photo_stat, sidecar_stat
from tagger.system.open_beneath import Folder
from tagger.system.paths import OWN_PREFIX, is_inside
from tagger.watch.walk import WalkRules

log = logging.getLogger(__name__)

LOCK_SECONDS = 5.0
"""So long a task waits for somebody else who is changing the photo; it then comes later."""
TRY_SECONDS = 60.0
"""After so long a task is tried again whose disk refused, and twice as long after each try."""


class BusyError(RuleError):
    """Somebody else is changing the photo; the task comes later."""


class Transfer:
    """Does and undoes the tasks ``copy_to`` and ``move_to``. For any thread.

    ``stop`` ends a long copy early.
    """

    def __init__(
        self, config: Config, tasks: RuleTasks, stop: Callable[[], bool] = lambda: False
    ) -> None:
        self._config, self._tasks, self._stop = config, tasks, stop

    def do(self, task: Task, path: str, folder: str) -> str:
        """Copy or move the photo that is at ``path`` to ``folder``; return what to say of it.

        Raise RuleError when it cannot be done, which is noted; BusyError when it is to come later.
        """
        if is_inside(path, folder):
            return self._nothing(task, "it is in that folder already")
        with self._alone(path):
            for name in numbered_names(path):
                target = os.path.join(folder, name)
                files = self._plan(task, path, target)
                if files is None:
                    continue
                if not files:
                    return self._nothing(task, f"it is there already: {target}")
                with self._alone(target):
                    self._carry_out(self._tasks.begin(task, target, files, self._watched(target)))
                return f"{'moved' if task.action == 'move_to' else 'copied'} to {target}"
        raise AssertionError("names do not end")

    def _nothing(self, task: Task, said: str) -> str:
        self._tasks.end(task, reason=said)
        return said

    def resume(self, task: Task) -> None:
        """Go on with what a crash, or an error, interrupted. Raise as :meth:`do`."""
        with self._alone(task.path), self._alone(task.target or task.path):
            if not self._is_still(task):
                return  # another process has ended it
            # The row may have been led back meanwhile, by a scan that found the photo.
            if task.state == "undoing":
                self._tasks.begin_undo(task, self._watched(task.origin))
                self._carry_back(task)
            else:
                target = task.target or task.path
                root = self._watched(target)
                self._carry_out(self._tasks.begin(task, target, task.files, root))

    def undo(self, task: Task) -> str:
        """Bring a moved photo back, or delete a copy that nobody changed; return what to say.

        Raise RuleError when something is in the way; nothing has changed then.
        """
        with self._alone(task.path), self._alone(task.target or task.path):
            if not self._is_still(task):
                raise BusyError(f"{task.path} is being changed by somebody else", "try again later")
            if task.action == "move_to":
                task = self._with_new_sidecars(task)
                self._check_way_back(task)
            self._tasks.begin_undo(task, self._watched(task.origin))
            return self._carry_back(task)

    def _is_still(self, task: Task) -> bool:
        """Whether a task is in the state in which it was read."""
        now = self._tasks.task(task.id)
        return now is not None and now.state == task.state

    @contextmanager
    def _alone(self, path: str) -> Iterator[None]:
        with photo_locks(self._config.state_dir) as locks:
            if not locks.take(path, LOCK_SECONDS):
                raise BusyError(f"{path} is being changed by somebody else", "try again later")
            yield

    def _watched(self, path: str) -> str | None:
        """Return the watched folder whose photos ``path`` would be among, None without any."""
        root = self._config.root_of(path)
        if root is None:
            return None
        rules, inside = WalkRules(root), os.path.relpath(path, root.path).split(os.sep)
        for depth in range(1, len(inside)):
            if not rules.enters(os.sep.join(inside[:depth]), inside[depth - 1]):
                return None
        return root.path if rules.takes(os.sep.join(inside), inside[-1]) else None

    def _root(self, path: str) -> str:
        """Return from which folder on no link is followed on the way to ``path``."""
        root = self._config.root_of(path)
        return root.path if root is not None else os.path.dirname(path)

    def _place(self, path: str) -> tuple[str, str]:
        return self._root(path), path

    def _plan(self, task: Task, path: str, target: str) -> list[TaskFile] | None:
        """Return what becomes of each file; None when a name is taken, nothing when it is there."""
        folder = os.path.dirname(target)
        with _told(path, folder):
            try:
                here = Folder(self._root(path), os.path.dirname(path))
                found = here.stat(os.path.basename(path))
            except FileNotFoundError as error:
                raise _gone(path) from error
            if not stat.S_ISREG(found.st_mode):
                raise _gone(path)
            there = Folder(self._root(target), folder)
            if task.action == "copy_to" and there.has(os.path.basename(target)):
                with contextlib.suppress(OSError):
                    same = there.stat(os.path.basename(target)).st_size == found.st_size
                    if same and digest_of(*self._place(target)) == digest_of(*self._place(path)):
                        return []
            photo, new = os.path.basename(path), os.path.basename(target)
            how = "move" if task.action == "move_to" else "copy"
            names = here.names()
            own = sidecars_among(photo, names)
            own |= dict.fromkeys(_own_films(here, films_among(photo, names)), False)
            files = [
                TaskFile(
                    os.path.join(here.path, name),
                    os.path.join(folder, renamed(name, photo, new)),
                    "copy" if shared else how,
                )
                for name, shared in sorted(own.items())
            ]
            files.append(TaskFile(path, target, how))  # last: what is seen of it is complete
            taken = any(there.has(os.path.basename(one.target)) for one in files)
        return None if taken else files

    def _carry_out(self, task: Task) -> None:
        """Do what was begun; when it cannot be done take all of it back."""
        done: list[TaskFile] = []
        try:
            for number, one in enumerate(task.files):
                with _told(one.source, os.path.dirname(one.target)):
                    done.append(self._transfer(one, f"{OWN_PREFIX}rule-{task.id}-{number}.tmp"))
        except RuleError as error:
            self._take_back(task, done)
            seconds = TRY_SECONDS * 2.0 ** min(task.tries, 6)
            later = None if error.permanent else seconds
            self._tasks.give_up(task, later, str(error), self._watched(task.origin))
            raise
        self._tasks.settle(task, "done", done, self._seen(task.target or "", task))

    def _transfer(self, one: TaskFile, partial: str) -> TaskFile:
        """Copy or move one file, or find that this has been done. Raise OSError."""
        source, target = self._place(one.source), self._place(one.target)
        is_here, is_there = os.path.lexists(one.source), os.path.lexists(one.target)
        if one.how == "move" and is_there and not is_here:
            return one
        if is_here and is_there:
            digest = digest_of(*source)
            if digest != digest_of(*target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), one.target)
            if one.how == "move":  # the copy was complete, the original not yet deleted
                with Folder(source[0], os.path.dirname(one.source)) as folder:
                    folder.unlink(os.path.basename(one.source))
            return one._replace(digest=digest)
        if one.how == "move":
            move_file(source, target, partial, self._stop)
            return one
        return one._replace(digest=copy_file(source, target, partial, self._stop)[0])

    def _take_back(self, task: Task, done: Sequence[TaskFile]) -> None:
        """Undo what was done of a task. Raise RuleError when not even that can be done."""
        for number, one in enumerate(reversed(done)):
            with _told(one.target, os.path.dirname(one.source)):
                if one.how == "copy":
                    self._delete_copy(one)
                elif not os.path.lexists(one.source):
                    partial = f"{OWN_PREFIX}rule-{task.id}-{number}.tmp"
                    back, from_there = self._place(one.source), self._place(one.target)
                    move_file(from_there, back, partial, lambda: False)

    def _delete_copy(self, one: TaskFile) -> bool:
        """Delete a copy; return False when somebody has changed it. Raise OSError."""
        root, path = self._place(one.target)
        if not os.path.lexists(path):
            return True
        if digest_of(root, path) != one.digest:
            return False
        with Folder(root, os.path.dirname(path)) as folder:
            folder.unlink(os.path.basename(path))
        return True

    # Back again

    def _with_new_sidecars(self, task: Task) -> Task:
        """Return the task with the sidecars that were made since beside the moved photo."""
        if task.target is None:
            return task
        source, folder = task.origin, os.path.dirname(task.target)
        known = {one.target for one in task.files}
        with _told(task.target, os.path.dirname(source)):
            names = Folder(self._root(task.target), folder).names()
        photo, old = os.path.basename(task.target), os.path.basename(source)
        more = [
            TaskFile(
                os.path.join(os.path.dirname(source), renamed(name, photo, old)),
                os.path.join(folder, name),
                "move",
            )
            for name, shared in sidecars_among(photo, names).items()
            if not shared and os.path.join(folder, name) not in known
        ]
        return self._tasks.with_files(task, (*more, *task.files)) if more else task

    def _check_way_back(self, task: Task) -> None:
        for one in task.files:
            if one.how != "move":
                continue
            if os.path.lexists(one.source):
                raise RuleError(
                    f"{one.source} is another file by now: {one.target} stays",
                    "move that away, then try again",
                )
            if one.target == task.target and not os.path.lexists(one.target):
                raise RuleError(f"{one.target} is not there any more", "nothing can be undone")

    def _carry_back(self, task: Task) -> str:
        kept = []
        for number, one in enumerate(task.files):
            with _told(one.target, os.path.dirname(one.source)):
                if one.how == "copy":
                    if not self._delete_copy(one):
                        kept.append(one.target)
                elif not os.path.lexists(one.source) and os.path.lexists(one.target):
                    partial = f"{OWN_PREFIX}rule-{task.id}-{number}.tmp"
                    move_file(self._place(one.target), self._place(one.source), partial, self._stop)
        reason = f"changed since, so it stays: {', '.join(kept)}" if kept else ""
        photo = task.origin
        seen = self._seen(photo, task)
        self._tasks.settle(task, "undone", task.files, seen, reason)
        if task.action == "move_to":
            return "; ".join(filter(None, [f"back at {photo}", reason]))
        return reason or f"{task.target} is deleted"

    def _seen(self, path: str, task: Task) -> tuple[FileStat, FileStat | None] | None:
        """Return how a moved photo is at its new place; None when it is in no watched folder."""
        if task.action != "move_to" or self._watched(path) is None:
            return None
        try:
            return photo_stat(path), sidecar_stat(path)
        except TaggerError as error:
            log.debug("%s is looked at again: %s", path, error)
            return None


def _own_films(folder: Folder, names: Sequence[str]) -> list[str]:
    """Return those of the films in a folder that are as short as a live photo's. Raise OSError."""
    found = []
    for name in names:
        if not stat.S_ISREG(folder.stat(name).st_mode):
            continue
        try:
            fd = folder.open(name)
        except PermissionError:
            found.append(name)  # it tells nothing, and is moved without being read
            continue
        try:
            if is_of_shot(fd):
                found.append(name)
        finally:
            os.close(fd)
    return found


def _gone(path: str) -> RuleError:
    return RuleError(f"{path} is gone", "nothing is to be done", permanent=True)


@contextmanager
def _told(path: str, folder: str) -> Iterator[None]:
    """Turn what the operating system says into RuleError."""
    try:
        yield
    except StoppedEarlyError as error:
        raise BusyError(f"{path} was not copied to its end", "it is tried again") from error
    except FileNotFoundError as error:
        if not os.path.isdir(folder):
            raise RuleError(
                f"the folder {folder} is not there", "make it, or mount its disk"
            ) from error
        raise _gone(path) from error
    except OSError as error:
        raise RuleError(
            f"cannot put {path} into {folder}: {error.strerror}",
            "check the folder, its rights and its free space",
        ) from error
