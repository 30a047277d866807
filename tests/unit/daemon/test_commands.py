"""What others may ask of the daemon; `tests/end_to_end/test_control.py` asks a real one."""

from __future__ import annotations

import os

import pytest

from tagger.config.schema import Config, WatchRoot
from tagger.daemon.commands import DaemonCommands
from tagger.errors import StateError
from tagger.index.store import Store
from tagger.pipeline.outcome import Outcome, Skipped
from tagger.watch.watcher import Watcher


@pytest.fixture
def manage(tmp_path):
    config = Config(watch=(WatchRoot(str(tmp_path / "inbox")),))
    changes: list[bool] = []
    with Store(str(tmp_path)) as store:
        yield DaemonCommands(
            store,
            config=lambda: config,
            watcher=lambda: Watcher(config.watch, store, None, str(tmp_path)),  # type: ignore[arg-type]
            online=os.path.isdir,
            changed=lambda: changes.append(True),
        )


def test_a_pause_is_remembered(manage):
    assert not manage.paused
    manage.pause(True)
    again = DaemonCommands(
        manage.store,
        config=Config,
        watcher=lambda: None,  # type: ignore[arg-type, return-value]
        online=os.path.isdir,
        changed=lambda: None,
    )
    assert again.paused
    manage.pause(False)
    assert manage.store.meta("paused") == "0"


def test_only_watched_folders_are_looked_at(manage, tmp_path):
    inbox = str(tmp_path / "inbox")
    assert manage.scan([inbox]) == f"scanning {inbox}"
    assert manage.scan() == "scanning everything"
    with pytest.raises(StateError, match="no watched folder"):
        manage.scan([inbox, str(tmp_path / "other")])


def test_who_listens_hears_until_it_leaves_or_fails(manage, caplog):
    heard: list[Outcome] = []

    def fails(outcome: Outcome) -> None:
        heard.append(outcome)
        raise ValueError("whatever")

    first, second = Skipped("/a.jpg", "gone"), Skipped("/b.jpg", "gone")
    manage.listen(fails)
    leave = manage.listen(heard.append)
    manage.tell(first)
    assert heard == [first, first], "the others hear it all the same"
    assert "a listener failed" in caplog.text
    manage.tell(second)
    assert heard[2:] == [second]
    leave()
    leave()
    manage.tell(first)
    assert len(heard) == 3
