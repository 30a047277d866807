"""Whether the daemon goes on: requests, errors of threads, and what is asked before the start."""

from __future__ import annotations

import logging
import os
import signal
import threading

import pytest

from tagger.config.schema import Config, WatchRoot
from tagger.daemon.lifecycle import Lifecycle, logged_thread_errors
from tagger.daemon.resources import DaemonResources
from tagger.errors import ModelError, StateError
from tagger.index.store import Store


def test_requests_come_in_their_order_and_wake_the_main_thread():
    lifecycle = Lifecycle()
    lifecycle.request(signal.SIGHUP)
    lifecycle.request(signal.SIGTERM)
    assert lifecycle.wakeup.wait(0)
    assert list(lifecycle.requests()) == [signal.SIGHUP, signal.SIGTERM]
    assert list(lifecycle.requests()) == []
    assert not lifecycle.stopping.is_set(), "that is for the main thread to do"


def test_signals_become_requests_and_their_handlers_come_back():
    lifecycle, before = Lifecycle(), signal.getsignal(signal.SIGHUP)
    with lifecycle.signals():
        os.kill(os.getpid(), signal.SIGHUP)
        assert lifecycle.wakeup.wait(30)
        assert list(lifecycle.requests()) == [signal.SIGHUP]
    assert signal.getsignal(signal.SIGHUP) is before


def test_a_stop_is_no_error():
    lifecycle = Lifecycle()
    lifecycle.stop()
    assert lifecycle.stopping.is_set() and lifecycle.pausing.is_set() and lifecycle.told_to_stop
    lifecycle.raise_error()


@pytest.mark.parametrize("error", [ModelError("no weights"), ZeroDivisionError("whatever")])
def test_a_thread_that_fails_ends_the_daemon(error, caplog):
    lifecycle = Lifecycle()

    def fail(given: BaseException) -> None:
        raise given

    thread = lifecycle.thread("work", fail, error)
    assert thread.daemon, "the interpreter does not wait for it"
    thread.start()
    thread.join()
    assert lifecycle.stopping.is_set() and lifecycle.pausing.is_set()
    assert not lifecycle.told_to_stop and lifecycle.wakeup.wait(0)
    lifecycle.fail(RuntimeError("a later one"))
    with pytest.raises(type(error), match=str(error)):
        lifecycle.raise_error()
    # One that was foreseen is said where it is raised.
    levels = [record.levelno for record in caplog.records]
    assert levels == ([] if isinstance(error, ModelError) else [logging.CRITICAL])


def test_what_ends_a_thread_of_a_library_is_logged(caplog):
    before = threading.excepthook
    with logged_thread_errors():
        thread = threading.Thread(target=lambda: 1 // 0, name="odd")
        thread.start()
        thread.join()
    assert threading.excepthook is before
    [record] = caplog.records
    assert "the thread odd ended" in record.getMessage() and record.exc_info


def test_before_the_first_scan_nothing_is_online_and_commands_say_so(tmp_path):
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    config = Config(state_dir=str(tmp_path / "state"), watch=(WatchRoot(str(inbox)),))
    with Store(config.state_dir) as store:
        session = DaemonResources(config, store, Lifecycle())
        session.repairs.wait()
        photo = str(inbox / "a.jpg")
        assert session.root_of(photo) == str(inbox) and session.root_of("/elsewhere") == ""
        assert not session.is_online(photo)
        session.rescan()
        session.wake()
        assert session.lifecycle.wakeup.wait(0)
        with pytest.raises(StateError, match="is starting; try again"):
            session.commands.scan()
        assert session.paused_reason() is None
        session.commands.pause(True)
        assert session.paused_reason() == "paused until `tagger resume`"
