"""The thread of rules: what it waits for, in which order, and what fails."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tagger.config.rule import Rule
from tagger.config.schema import Config, WatchRoot
from tagger.index.rows import SavedPhoto, StoredPrediction
from tagger.index.rule_tasks import RuleTasks, TaskFile
from tagger.index.store import Store
from tagger.library.rules import webhook
from tagger.library.rules.worker import GIVE_UP_SECONDS, UNSEEN_SECONDS, RuleWorker
from tagger.pipeline.context import Context
from tagger.records import Candidate, PhotoFacts, Tag
from tagger.system.files import photo_stat
from tests.conftest import wait_until
from tests.support.webhook_listener import Listener


class Work:
    """A worker that does one round when it is told to, in a library with one new photo."""

    def __init__(self, folder: Path, *rules: Rule) -> None:
        self.now = 1_700_000_000.0
        self.folder = folder
        self.config = Config(
            state_dir=str(folder / "state"), watch=(WatchRoot(str(folder)),), rules=rules
        )
        self.store = Store(self.config.state_dir, clock=lambda: self.now)
        self.tasks = RuleTasks(self.store)
        self.found: list[Candidate] = []
        self.awaited: set[str] = set()
        self.held: str | None = None
        self.context = Context(self.config, self.store)
        self.worker = RuleWorker(
            self.context,
            self.found.append,
            awaited=lambda: self.awaited,
            held=lambda: self.held,
        )

    def add(self, name: str, *labels: str, **changes: Any) -> None:
        path = self.folder / name
        path.write_bytes(name.encode())
        tags = tuple(Tag(label, 0.9, (label,)) for label in labels)
        digest = name.encode().ljust(16)
        prediction = StoredPrediction("m", b"", b"", b"", b"", None, changes.pop("seen", None), 0)
        photo = SavedPhoto(
            str(path),
            str(self.folder),
            photo_stat(str(path)),
            None,
            digest,
            digest,
            PhotoFacts(format="JPEG"),
            tags,
            prediction=prediction,
            is_new=True,
            keywords_hash="written",
        )
        self.store.save([replace(photo, **changes)])

    def round(self) -> None:
        self.worker._work()

    def states(self) -> dict[str, str]:
        rows = self.store.read("SELECT rule, action, state FROM rule_tasks ORDER BY id")
        return {f"{row['rule']} {row['action']}": row["state"] for row in rows}


Make = Callable[..., Work]


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Make]:
    made: list[Work] = []

    def make(*rules: Rule) -> Work:
        made.append(Work(tmp_path, *rules))
        return made[-1]

    yield make
    for one in made:
        one.store.close()


def program(folder: Path, text: str) -> str:
    path = folder / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_tags_come_first_then_copies_the_move_and_programs(work: Make, tmp_path: Path) -> None:
    told, copies, moved = tmp_path / "told", tmp_path / ".copies", tmp_path / ".moved"
    copies.mkdir()
    moved.mkdir()
    tell = program(tmp_path, f'echo "$@" >> {told}')
    one = work(
        Rule("dog", run=(tell, "{rule}", "{path}", "{labels}"), name="run"),
        Rule("dog", move_to=str(moved), name="first"),
        Rule("dog", move_to=str(copies), name="second"),
        Rule("dog", copy_to=str(copies), tag="good dog", name="copy"),
    )
    one.add("a.jpg", "dog")
    one.add("b.jpg", "cat")
    one.round()
    assert [candidate.path for candidate in one.found] == [str(tmp_path / "a.jpg")]
    assert one.states()["copy tag"] == "done"
    assert one.states()["copy copy_to"] == "due", "its tag is to be written first"
    one.add("a.jpg", "dog", "good dog", is_new=False)
    one.now += 1
    one.round()
    assert set(one.states().values()) == {"done"}
    assert next(iter(one.states())) == "copy tag"
    assert os.listdir(copies) == os.listdir(moved) == ["a.jpg"]
    assert told.read_text() == f"run {moved}/a.jpg dog,good dog\n"
    assert (tmp_path / "b.jpg").exists()
    assert one.worker.status().done == 5
    [second] = [t for t in one.tasks.tasks_of(str(moved / "a.jpg")) if t.rule == "second"]
    assert second.reason == f"another rule has moved it to {moved}/a.jpg"


def test_a_photo_waits_for_the_networks_that_may_yet_see_it(work: Make) -> None:
    one = work(Rule("not dog", tag="x"))
    one.awaited = {"detector"}
    one.add("a.jpg", "cat")
    one.add("b.jpg", "cat", seen="yolox")
    one.round()
    assert [Path(candidate.path).name for candidate in one.found] == ["b.jpg"]
    one.awaited = set()  # it could not be loaded
    one.round()
    assert [Path(candidate.path).name for candidate in one.found] == ["b.jpg", "a.jpg"]
    one.awaited = {"detector"}
    one.add("c.jpg", "cat")
    one.round()
    assert len(one.found) == 2
    one.now += UNSEEN_SECONDS + 1
    one.round()
    assert len(one.found) == 3


def test_one_that_fails_stops_no_other(work: Make, tmp_path: Path) -> None:
    one = work(
        Rule("dog", move_to=str(tmp_path / "nowhere"), name="a"),
        Rule("dog", run=(program(tmp_path, "exit 4"),), name="b"),
        Rule("dog", run=("/no/such",), name="c"),
        Rule("dog", tag="x", name="d"),
    )
    one.add("a.jpg", "dog")
    one.round()
    one.add("a.jpg", "dog", "x", is_new=False)
    one.now += 1
    one.round()
    assert one.states() == {"d tag": "done", "a move_to": "due", "b run": "failed", "c run": "due"}
    status = one.worker.status()
    assert (status.done, status.failed, status.waiting) == (1, 3, 2)
    assert status.last_failure is not None
    assert "cannot run /no/such" in status.last_failure
    (tmp_path / "nowhere").mkdir()
    one.now += 61
    one.round()
    assert one.states()["a move_to"] == "done"
    one.now += GIVE_UP_SECONDS
    one.round()
    assert one.states()["c run"] == "failed", "not for ever"


def test_while_photos_wait_so_do_rules(work: Make, tmp_path: Path) -> None:
    one = work(Rule("dog", copy_to=str(tmp_path)))
    one.held = "paused"
    one.add("a.jpg", "dog")
    thread = threading.Thread(target=one.worker.run)
    thread.start()
    one.worker.wake()
    one.context.stop.set()
    one.worker.wake()
    thread.join(30)
    assert not thread.is_alive()
    assert one.states() == {}


def test_what_the_user_took_away_is_not_given_again(work: Make) -> None:
    one = work(Rule("dog", tag="x"))
    one.add("a.jpg", "dog", deleted=("x",))
    one.round()
    assert one.found == []
    assert one.states() == {"dog tag": "done"}


def test_without_network_webhooks_wait_and_it_is_said(
    work: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "no_network", lambda: "the service may not use the network (X)")
    one = work(Rule("dog", webhook="https://example.org/secret"))
    one.add("a.jpg", "dog")
    one.round()
    assert one.states() == {"dog webhook": "due"}
    status = one.worker.status()
    assert (status.waiting, status.failed) == (1, 0)
    assert status.notice is not None
    assert status.notice.startswith(
        "webhooks are off: https://example.org: the service may not use the network (X)"
    )
    one.now += GIVE_UP_SECONDS + 1
    one.round()
    assert one.states() == {"dog webhook": "failed"}


def test_what_waited_for_the_network_is_sent_when_the_daemon_starts_with_one(
    work: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener()
    monkeypatch.setattr(webhook, "no_network", lambda: "the service may not use the network (X)")
    one = work(Rule("dog", webhook=listener.url))
    one.add("a.jpg", "dog")
    one.round()
    assert one.states() == {"dog webhook": "due"}
    monkeypatch.setattr(webhook, "no_network", lambda: "")
    again = RuleWorker(one.context, one.found.append)
    thread = threading.Thread(target=again.run)
    thread.start()
    try:
        wait_until(lambda: one.states() == {"dog webhook": "done"})
        assert [body["path"] for body in listener.bodies] == [str(one.folder / "a.jpg")]
    finally:
        one.context.stop.set()
        again.wake()
        thread.join()
        listener.close()


def test_a_rule_that_is_gone_does_nothing(work: Make) -> None:
    one = work(Rule("dog", tag="x", run=("true",)))
    one.add("a.jpg", "dog")
    one.worker._decide()
    other = RuleWorker(replace(one.context, config=replace(one.config, rules=())), one.found.append)
    other._work()
    assert set(one.states().values()) == {"failed"}
    assert one.found == []


def test_a_read_only_folder_stays_as_it_is(work: Make, tmp_path: Path) -> None:
    moved = tmp_path / ".moved"
    moved.mkdir()
    one = work(Rule("dog", move_to="/nowhere"))
    one.config = replace(
        one.config,
        watch=(WatchRoot(str(tmp_path), read_only=True),),
        rules=(Rule("dog", move_to=str(moved)),),
    )
    one.worker = RuleWorker(replace(one.context, config=one.config), one.found.append)
    one.add("a.jpg", "dog")
    one.round()
    assert (tmp_path / "a.jpg").exists()
    assert one.states() == {"dog move_to": "failed"}
    assert "nothing is to be written into" in (one.worker.status().last_failure or "")


def test_a_program_waits_for_a_move_that_was_interrupted(work: Make, tmp_path: Path) -> None:
    moved, told = tmp_path / ".moved", tmp_path / "told"
    moved.mkdir()
    one = work(
        Rule("dog", move_to=str(moved), run=(program(tmp_path, f'echo "$1" > {told}'), "{path}"))
    )
    one.add("a.jpg", "dog")
    one.worker._decide()
    move = one.tasks.next_task()
    assert move is not None
    file = TaskFile(move.path, str(moved / "a.jpg"), "move")
    one.tasks.begin(move, file.target, [file], None)
    program_task = one.tasks.next_task()
    assert program_task is not None
    one.worker._attempt(program_task, one.worker._do)
    assert not told.exists()
    assert one.tasks.next_task() is None
    one.now += 10
    one.round()
    assert told.read_text() == f"{moved}/a.jpg\n"


def test_a_single_run_does_not_wait_for_ever(work: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tagger.library.rules.worker.TROUBLE_SECONDS", 0.0)
    one = work(Rule("dog", tag="x"))
    one.add("a.jpg", "dog")
    assert not one.worker.settled()

    def failing() -> float:
        if one.worker.settled():
            one.context.stop.set()
        one.worker.wake()
        raise ValueError("unforeseen")

    monkeypatch.setattr(one.worker, "_work", failing)
    one.worker.run()
    assert one.worker.settled()
