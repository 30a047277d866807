"""Checks of the daemon: running, of this version, alive, serving its metrics and its page."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Iterator

from tagger import __version__
from tagger.config.addresses import listen_address, web_address
from tagger.doctor.report import Installation, Result, name_of
from tagger.system.humanize import duration
from tagger.system.state_dir import LOCK_NAME

STALE_SECONDS = 180.0
"""The heartbeat comes every minute."""
START_SECONDS = 120.0
ASK_SECONDS = 5.0
_NOBODY = "see the log of the daemon; as a service, run `tagger service install` again"


def check_daemon(patient: Installation) -> Iterator[Result]:
    """Yield whether the daemon runs, and how it fares."""
    said = patient.said
    if not patient.runs and not _may_ask(patient.config.state_dir):
        text = f"{name_of(os.geteuid())} may not look into {patient.config.state_dir}"
        owner = name_of(patient.user)
        yield Result("daemon", "warning", text, f"run this as {owner}, or with sudo")
        return
    if not patient.runs:
        text = "not running"
        if at := said.get("updated_at"):
            text += f"; last heartbeat {time.strftime('%Y-%m-%d %H:%M', time.localtime(at))}"
        yield Result("daemon", "warning", text, "start it with `tagger run`, or its service")
        return
    if patient.starting:
        yield _starting(patient)
        return
    version = said.get("version")
    if version != __version__:
        text = f"version {version} runs, and this is {__version__}"
        yield Result("daemon", "error", text, "restart it: systemctl restart tagger")
    else:
        yield Result("daemon", "ok", f"running, version {version}, process {said.get('pid')}")
    age = patient.now - float(said.get("updated_at") or 0.0)
    if age > STALE_SECONDS:
        text = f"no heartbeat for {duration(age)}: it hangs, or its disk is full"
        remedy = "make room in the state directory, see its log, then restart it"
        yield Result("heartbeat", "error", text, remedy)
    elif age < -STALE_SECONDS:
        text = f"its last heartbeat is {duration(-age)} in the future: the clock was set back"
        yield Result("heartbeat", "warning", text, "see clock; it is right again after a minute")
    else:
        yield Result("heartbeat", "ok", f"{max(age, 0.0):.0f} s ago")
    if said.get("problem"):
        remedy = "do that; the daemon goes on by itself then"
        yield Result("problem", "error", str(said["problem"]), remedy)
    if said.get("notice"):
        remedy = "see the log of the daemon; this goes when it is done"
        yield Result("notice", "warning", str(said["notice"]), remedy)
    if said.get("paused_reason"):
        yield Result("work", "ok", f"photos wait: {said['paused_reason']}")


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
    said = f"process {patient.process} starts, since {duration(max(age, 0.0))}"
    if age > START_SECONDS:
        return Result("daemon", "warning", said, "see its log; a damaged index takes long to mend")
    return Result("daemon", "ok", said)


def check_metrics(patient: Installation) -> Iterator[Result]:
    """Yield whether the daemon answers at ``metrics.listen``, if it is to."""
    listen = patient.config.metrics.listen
    if listen is None or not patient.runs or patient.starting:
        return
    host, port = listen_address(listen)
    try:
        status, text = _ask(host, port, "/healthz")
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
        said = f"something else answers at {listen} ({status})"
        yield Result("metrics", "error", said, "use another port for `metrics.listen`")


def check_page(patient: Installation) -> Iterator[Result]:
    """Yield whether the daemon's page answers at ``web.listen``, if there is to be one."""
    web = patient.config.web
    if not web.enabled or not patient.runs or patient.starting:
        return
    host, port = web_address(web.listen)
    try:
        _ask(host.strip("[]"), port, "/")
    except (OSError, http.client.HTTPException) as error:
        yield Result("page", "error", f"no answer at {web.listen}: {error}", _NOBODY)
        return
    # (When another program had the port, the daemon's notice says so.)
    yield Result("page", "ok", f"http://{web.listen}/")


def _ask(host: str, port: int, path: str) -> tuple[int, str]:
    """Ask a server by HTTP; return its status and the beginning of its answer.

    Raise OSError or HTTPException if there is no answer.
    """
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not listened to
    connection = http.client.HTTPConnection(host, port, timeout=ASK_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read(1000).decode("utf-8", "replace").strip()
        return answer.status, text
    finally:
        connection.close()
