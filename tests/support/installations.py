"""Taggers to be examined."""

from __future__ import annotations

import os
import signal
import time
from contextlib import contextmanager

from tagger import __version__
from tagger.config.schema import Config
from tagger.doctor.report import Installation
from tagger.system.state_dir import state_lock, write_heartbeat

ROOT = os.geteuid() == 0
NOBODY = 65534


@contextmanager
def running(config: Config, **said: object):
    """Hold the lock as the daemon does, and say what one says; give the patient."""
    roots = [{"path": root.path, "state": "online", "mode": "events"} for root in config.watch]
    told = {"pid": os.getpid(), "version": __version__, "updated_at": time.time(), "roots": roots}
    with state_lock(config.state_dir):
        write_heartbeat(config.state_dir, told | said)
        yield Installation(config)


def never_ends(*given: object) -> None:
    """Stand for the work of a process that does nothing, and ends by no other way than SIGKILL."""
    while True:
        signal.pause()


def only(results):
    [result] = results
    assert bool(result.remedy) == (result.state != "ok"), result
    return result


def state_of(results) -> str:
    return only(results).state
