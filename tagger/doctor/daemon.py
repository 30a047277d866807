"""Checks of the daemon: running, of this version, alive, serving its metrics and its page."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Iterator

from tagger import __version__
from tagger.config.addresses import Address
from tagger.doctor.report import Installation, Result, name_of
from tagger.library.daemon_status import STALE_SECONDS
from tagger.system.humanize import duration
from tagger.system.state_dir import LOCK_NAME

START_SECONDS = 120.0
ASK_SECONDS = 5.0
_NOBODY = "see the log of the daemon; as a service, run `tagger service install` again"


def check_daemon(patient: Installation) -> Iterator[Result]:
    """Yield whether the daemon runs, and how it fares."""
    status = patient.status
    if not patient.runs and not _may_ask(patient.config.state_dir):
        text = f"{name_of(os.geteuid())} may not look into {patient.config.state_dir}"
        owner = name_of(patient.user)
        yield Result("daemon", "warning", text, f"run this as {owner}, or with sudo")
        return
    if not patient.runs:
        text = "not running"
        if at := status.updated_at:
            text += f"; last heartbeat {time.strftime('%Y-%m-%d %H:%M', time.localtime(at))}"
        yield Result("daemon", "warning", text, "start it with `tagger run`, or its service")
        return
    if patient.seen.starting:
        yield _starting(patient)
        return
    if status.version != __version__:
        text = f"version {status.version} runs, and this is {__version__}"
        yield Result("daemon", "error", text, "restart it: systemctl restart tagger")
    else:
        text = f"running, version {status.version}, process {status.pid}"
        yield Result("daemon", "ok", text)
    yield _heartbeat(patient.now - (status.updated_at or 0.0))
    if not status.moving:
        text = "the work hangs: one batch of photos takes too long"
        yield Result("work", "error", text, "see the log of the daemon, then restart it")
    if status.problem:
        remedy = "do that; the daemon goes on by itself then"
        yield Result("problem", "error", status.problem, remedy)
    if status.notice:
        remedy = "see the log of the daemon; this goes when it is done"
        yield Result("notice", "warning", status.notice, remedy)
    if status.paused_reason:
        yield Result("work", "ok", status.paused_reason)


def _heartbeat(age: float) -> Result:
    """Judge when the daemon last said something, ``age`` seconds ago."""
    if age > STALE_SECONDS:
        text = f"no heartbeat for {duration(age)}: it hangs, or its disk is full"
        remedy = "make room in the state directory, see its log, then restart it"
        return Result("heartbeat", "error", text, remedy)
    if age < -STALE_SECONDS:
        text = f"its last heartbeat is {duration(-age)} in the future: the clock was set back"
        return Result("heartbeat", "warning", text, "see clock; it is right again after a minute")
    return Result("heartbeat", "ok", f"{max(age, 0.0):.0f} s ago")


def _may_ask(state_dir: str) -> bool:
    """Whether it can be seen if a daemon holds the lock."""
    try:
        os.close(os.open(os.path.join(state_dir, LOCK_NAME), os.O_RDONLY | os.O_CLOEXEC))
    except PermissionError:
        return False
    except OSError:
        return True  # there is none
    return True


def _starting(patient: Installation) -> Result:
    """Judge a daemon that has said nothing yet: the lock is written when it starts."""
    age = patient.now - os.stat(os.path.join(patient.config.state_dir, LOCK_NAME)).st_mtime
    text = f"process {patient.seen.process} starts, since {duration(max(age, 0.0))}"
    if age > START_SECONDS:
        return Result("daemon", "warning", text, "see its log; a damaged index takes long to mend")
    return Result("daemon", "ok", text)


def check_metrics(patient: Installation) -> Iterator[Result]:
    """Yield whether the daemon answers at ``metrics.listen``, if it is to."""
    listen, address = patient.config.metrics.listen, patient.config.metrics.address
    if address is None or not patient.runs or patient.seen.starting:
        return
    try:
        status, text = _ask(address, "/healthz")
    except (OSError, http.client.HTTPException) as error:
        yield Result(
            "metrics",
            "error",
            f"no answer at {listen}: {error}",
            _NOBODY,
        )
        return
    if status == 200:
        yield Result("metrics", "ok", f"http://{listen}/metrics")
    elif status == 503:
        yield Result("metrics", "error", text, "see the log of the daemon, then restart it")
    else:
        text = f"something else answers at {listen} ({status})"
        yield Result("metrics", "error", text, "use another port for `metrics.listen`")


def check_page(patient: Installation) -> Iterator[Result]:
    """Yield whether the daemon's page answers at ``web.listen``, if there is to be one."""
    web = patient.config.web
    if not web.enabled or not patient.runs or patient.seen.starting:
        return
    try:
        _ask(web.address, "/")
    except (OSError, http.client.HTTPException) as error:
        yield Result("page", "error", f"no answer at {web.listen}: {error}", _NOBODY)
        return
    # (When another program had the port, the daemon's notice says so.)
    yield Result("page", "ok", f"http://{web.listen}/")


def _ask(address: Address, path: str) -> tuple[int, str]:
    """Ask a server by HTTP; return its status and the beginning of its answer.

    Raise OSError or HTTPException if there is no answer.
    """
    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not listened to
    host = own.get(address.host, address.host)
    connection = http.client.HTTPConnection(host, address.port, timeout=ASK_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(1000).decode("utf-8", "replace").strip()
        return answer.status, text
    finally:
        connection.close()
