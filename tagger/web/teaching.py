"""Teaching on the page: what `tagger teach` does, one thing after the other.

Inside the daemon its own index is written to, and it learns at once; otherwise the index is opened
beside it, as the command does.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tagger.config.schema import Config
from tagger.errors import PhotoError, StateError
from tagger.index.store import Store
from tagger.library.teach import LabelState, Teacher
from tagger.system.control_socket import send_command
from tagger.system.state_dir import daemon_runs
from tagger.web.edits import writing
from tagger.web.errors import WebError

if TYPE_CHECKING:
    from tagger.library.questions import Question, Questions
    from tagger.records import TaughtLabel
    from tagger.web.services import TagCommands

log = logging.getLogger(__name__)

MOST_PHOTOS = 200
"""Photos that are taught at once."""
ANSWERS = {"yes": True, "no": False, "skip": None}


class Teaching:
    """Teaches labels. For any thread.

    All methods raise WebError, which says what could not be done, and StateError when the index
    cannot be written to.
    """

    def __init__(self, config: Config, manager: TagCommands | None) -> None:
        self._config, self._manager = config, manager
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._questions: Questions | None = None

    @contextmanager
    def teacher(self) -> Iterator[Teacher]:
        """Give what teaches, to one at a time."""
        with self._lock, writing():
            try:
                yield Teacher(self._config, self._opened())
            except (StateError, PhotoError) as error:
                raise WebError(error.message, error.remedy, status=409) from error

    def teach(
        self, text: str, under: str | None, paths: Sequence[str], *, shows: bool, extend: bool
    ) -> LabelState:
        """Add photos of the library as examples of a label; return how that fares then."""
        with self.teacher() as teacher:
            label = teacher.place(text, under=under, extend=extend)
            teacher.teach(label, paths, positive=shows)
            return self._taught(teacher, label)

    def teach_keyword(self, word: str) -> LabelState:
        """Take the photos with a keyword of the user's as examples of a label of that name."""
        with self.teacher() as teacher:
            label = teacher.place(word)
            teacher.teach_keyword(label, word)
            return self._taught(teacher, label)

    def forget(self, text: str) -> int:
        """Forget a label; return how many examples it had."""
        with self.teacher() as teacher:
            count = teacher.forget(teacher.find(text))
            self._questions = None
            self._learn()
            return count

    def question(self, text: str) -> Question | None:
        """Return what to ask next about a label; None when there is nothing."""
        with self.teacher() as teacher:
            return self._asking(teacher, text).next()

    def answer(self, text: str, photo_id: int, said: bool | None) -> Question | None:
        """Note an answer; return what to ask next."""
        with self.teacher() as teacher:
            questions = self._asking(teacher, text)
            questions.answer(photo_id, said)
            self._learn()
            return questions.next()

    def _taught(self, teacher: Teacher, label: TaughtLabel) -> LabelState:
        self._questions = None
        self._learn()
        [state] = [one for one in teacher.states() if one.label.label == label.label]
        return state

    def _asking(self, teacher: Teacher, text: str) -> Questions:
        from tagger.library.questions import Questions

        label = teacher.find(text)
        if self._questions is None or self._questions.label != label:
            self._questions = Questions(self._config, self._opened(), label)
        return self._questions

    def _learn(self) -> None:
        """Have a running daemon learn what was said."""
        try:
            if self._manager is not None:
                self._manager.taught()
            elif daemon_runs(self._config.state_dir):
                send_command(self._config.state_dir, "taught")
        except StateError as error:
            log.debug("the daemon is not told: %s", error)

    def _opened(self) -> Store:
        if self._manager is not None:
            return self._manager.store
        if self._store is None:  # kept open, as questions go on for a while
            self._store = Store(self._config.state_dir)
        return self._store
