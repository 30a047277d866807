"""Checks of the daemon: running, of this version, alive, serving its metrics and its page."""

from __future__ import annotations

import http.client
import os
from collections.abc import Iterator

from tagger import __version__
from tagger.config.addresses import Address
from tagger.doctor.report import Installation, Result, name_of, run_as
from tagger.library.daemon_status import STALE_SECONDS
from tagger.system.humanize import duration, moment
from tagger.system.state_dir import LOCK_NAME
from tagger.text.error_texts import all_in_language, in_language
from tagger.text.messages import gettext, noop

START_SECONDS = 120.0
ASK_SECONDS = 5.0
_NOBODY = noop("see the log of the daemon; as a service, run `tagger service install` again")


def check_daemon(patient: Installation) -> Iterator[Result]:
    """Yield whether the daemon runs, and how it fares."""
    status = patient.status
    if not patient.runs and not _may_ask(patient.config.state_dir):
        user, folder = name_of(os.geteuid()), patient.config.state_dir
        text = gettext("%(user)s may not look into %(folder)s", user=user, folder=folder)
        yield Result("daemon", "warning", text, run_as(name_of(patient.user)))
        return
    if not patient.runs:
        text = gettext("not running")
        if at := status.updated_at:
            text += "; " + gettext("last heartbeat %(when)s", when=moment(at))
        remedy = in_language("start it with `tagger run`, or its service")
        yield Result("daemon", "warning", text, remedy)
        return
    if patient.seen.starting:
        yield _starting(patient)
        return
    if status.version != __version__:
        text = gettext(
            "version %(old)s runs, and this is %(new)s", old=status.version, new=__version__
        )
        remedy = gettext("restart it: %(command)s", command="systemctl restart tagger")
        yield Result("daemon", "error", text, remedy)
    else:
        text = gettext(
            "running, version %(version)s, process %(pid)s", version=status.version, pid=status.pid
        )
        yield Result("daemon", "ok", text)
    yield _heartbeat(patient.now - (status.updated_at or 0.0))
    if not status.moving:
        text = gettext("the work hangs: one batch of photos takes too long")
        yield Result("work", "error", text, gettext("see the log of the daemon, then restart it"))
    if status.problem:
        remedy = gettext("do that; the daemon goes on by itself then")
        yield Result("problem", "error", all_in_language(status.problem), remedy)
    if status.notice:
        remedy = gettext("see the log of the daemon; this goes when it is done")
        yield Result("notice", "warning", all_in_language(status.notice), remedy)
    if status.paused_reason:
        yield Result("work", "ok", all_in_language(status.paused_reason))


def _heartbeat(age: float) -> Result:
    """Judge when the daemon last said something, ``age`` seconds ago."""
    if age > STALE_SECONDS:
        text = gettext(
            "no heartbeat for %(time)s: it hangs, or its disk is full", time=duration(age)
        )
        remedy = gettext("make room in the state directory, see its log, then restart it")
        return Result("heartbeat", "error", text, remedy)
    if age < -STALE_SECONDS:
        text = gettext(
            "its last heartbeat is %(time)s in the future: the clock was set back",
            time=duration(-age),
        )
        remedy = gettext("see the clock below; it is right again after a minute")
        return Result("heartbeat", "warning", text, remedy)
    return Result("heartbeat", "ok", gettext("%(n)s s ago", n=f"{max(age, 0.0):.0f}"))


def _may_ask(state_dir: str) -> bool:
    """Whether it can be seen if a daemon holds the lock."""
    try:
        os.close(os.open(os.path.join(state_dir, LOCK_NAME), os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return not isinstance(error, PermissionError)  # else there is none
    return True


def _starting(patient: Installation) -> Result:
    """Judge a daemon that has said nothing yet: the lock is written when it starts."""
    age = patient.now - os.stat(os.path.join(patient.config.state_dir, LOCK_NAME)).st_mtime
    pid, since = patient.seen.process, duration(max(age, 0.0))
    text = gettext("process %(pid)s starts, since %(time)s", pid=pid, time=since)
    if age > START_SECONDS:
        remedy = gettext("see its log; a damaged index takes long to mend")
        return Result("daemon", "warning", text, remedy)
    return Result("daemon", "ok", text)


def check_metrics(patient: Installation) -> Iterator[Result]:
    """Yield whether the daemon answers at ``metrics.listen``, if it is to."""
    listen, address = patient.config.metrics.listen, patient.config.metrics.address
    if address is None or not patient.runs or patient.seen.starting:
        return
    try:
        status, text = _ask(address, "/healthz")
    except (OSError, http.client.HTTPException) as error:
        yield Result("metrics", "error", _silent(listen or "", error), gettext(_NOBODY))
        return
    if status == 200:
        yield Result("metrics", "ok", f"http://{listen}/metrics")
    elif status == 503:
        remedy = gettext("see the log of the daemon, then restart it")
        yield Result("metrics", "error", text, remedy)
    else:
        text = gettext(
            "something else answers at %(address)s (%(status)s)", address=listen, status=status
        )
        yield Result("metrics", "error", text, gettext("use another port for `metrics.listen`"))


def check_page(patient: Installation) -> Iterator[Result]:
    """Yield whether the daemon's page answers at ``web.listen``, if there is to be one."""
    web = patient.config.web
    if not web.enabled or not patient.runs or patient.seen.starting:
        return
    try:
        _ask(web.address, "/")
    except (OSError, http.client.HTTPException) as error:
        yield Result("page", "error", _silent(web.listen, error), gettext(_NOBODY))
        return
    # (When another program had the port, the daemon's notice says so.)
    yield Result("page", "ok", f"http://{web.listen}/")


def _silent(listen: str, error: Exception) -> str:
    why = (isinstance(error, OSError) and error.strerror) or str(error)
    return gettext("no answer at %(address)s: %(why)s", address=listen, why=in_language(why))


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
        return answer.status, answer.read(1000).decode("utf-8", "replace").strip()
    finally:
        connection.close()
