"""Checks of the index and the daemon: what makes it right, and what makes it wrong."""

from __future__ import annotations

import http.server
import os
import socket
import sqlite3
import threading
import time
from dataclasses import replace

import pytest

from tagger.config.schema import Config, MetricsConfig, WebConfig
from tagger.doctor.checks import checks
from tagger.doctor.daemon import check_daemon, check_metrics, check_page
from tagger.doctor.index import check_failures, check_index, examine_index
from tagger.doctor.report import Installation, Result
from tagger.errors import StateError
from tagger.index.store import Store
from tagger.library.daemon_status import DaemonStatus
from tagger.records import FileStat
from tagger.system.state_dir import write_heartbeat
from tests.support.installations import NOBODY, ROOT, only, running, state_of

# The index


def index_of(config: Config):
    return check_index(Installation(config), examine_index(config.state_dir))


def test_a_sound_index_is_looked_at_without_writing(config):
    assert "none yet" in only(index_of(config)).message
    Store(config.state_dir).close()

    def files():
        return {(e.name, e.stat().st_mtime_ns) for e in os.scandir(config.state_dir)}

    before = files()
    result = only(index_of(config))
    assert result.state == "ok" and "sound, 0 photos" in result.message
    assert files() == before
    with Store(config.state_dir):  # as the daemon has it open
        assert state_of(index_of(config)) == "ok"


def test_a_damaged_index(config):
    with Store(config.state_dir) as store:
        store.mark_waiting((f"/p/{number:05}.jpg", "/p") for number in range(2000))
        path = store.path
    with open(path, "r+b") as file:
        file.seek(8192)
        file.write(b"\xff" * (os.path.getsize(path) - 16384))
    result = only(index_of(config))
    assert result.state == "error" and "damaged" in result.message
    with open(path, "wb") as file:
        file.write(b"no database at all" * 1000)
    assert state_of(index_of(config)) == "error"


@pytest.mark.parametrize(
    ("sql", "state", "said"),
    [
        ("INSERT INTO migrations (name, applied_at) VALUES ('9999-new', 0)", "error", "newer"),
        (
            "DELETE FROM migrations WHERE name = (SELECT max(name) FROM migrations)",
            "warning",
            "older",
        ),
        ("DROP TABLE migrations", "warning", "older"),
    ],
)
def test_the_schema_of_another_version(config, sql, state, said):
    Store(config.state_dir).close()
    db = sqlite3.connect(os.path.join(config.state_dir, "index.sqlite3"))
    with db:
        db.execute(sql)
    db.close()
    result = only(index_of(config))
    assert result.state == state and said in result.message


def test_damaged_ones_that_were_kept_are_named(config):
    Store(config.state_dir).close()
    name = "index.damaged-20260101-000000.sqlite3"
    open(os.path.join(config.state_dir, name), "w").close()
    [result] = [one for one in index_of(config) if one.name == "old index"]
    assert result.state == "warning" and name in result.message


def test_an_index_that_may_not_be_read_is_said(config):
    os.mkdir(os.path.join(config.state_dir, "index.sqlite3"))
    with pytest.raises(StateError):
        examine_index(config.state_dir)
    [result] = [one for one in checks(Installation(config)) if one.name == "index"]
    assert result.state == "error" and result.remedy


def open_up(folder):
    """Let others look into ``folder``, whatever pytest keeps to its owner above it."""
    for one in (folder, *folder.parents):
        if one.stat().st_mode & 0o077 == 0:
            one.chmod(0o755)


@pytest.mark.skipif(not ROOT, reason="only root can be another user for a while")
def test_another_user_is_told_to_ask_as_the_daemons(config, tmp_path):
    open_up(tmp_path)
    Store(config.state_dir).close()
    os.chmod(config.state_dir, 0o700)
    with running(config):
        os.seteuid(NOBODY)
        try:
            found = {result.name: result for result in checks(Installation(config))}
        finally:
            os.seteuid(0)
    for name in ("daemon", "state directory", "index", f"folder {config.watch[0].path}"):
        assert found[name].state == "warning", found[name]
        assert "sudo" in found[name].remedy
    assert "may not look into" in found["daemon"].message


def test_failures(config):
    with Store(config.state_dir) as store:
        patient = Installation(config)
        found = examine_index(config.state_dir)
        assert only(check_failures(patient, found)).message == "none"
        for number, kind in enumerate(["DamagedImageError", "NotAnImageError", "NotAnImageError"]):
            store.fail(
                f"/p/{number}.jpg",
                "/p",
                FileStat(1, 2, 3, 4),
                None,
                kind=kind,
                reason="it is cut off",
                permanent=True,
            )
        result = only(check_failures(patient, examine_index(config.state_dir)))
    assert result.state == "warning"
    assert result.message.startswith("3 photos (2 NotAnImageError, 1 DamagedImageError); last /p/")


# The daemon


def test_a_daemon_that_does_not_run(config):
    assert only(check_daemon(Installation(config))).message == "not running"
    write_heartbeat(config.state_dir, {"updated_at": 86400.0, "pid": 1})
    assert "last heartbeat 19" in only(check_daemon(Installation(config))).message


def test_a_daemon_that_runs(config):
    with running(config) as patient:
        found = {result.name: result.state for result in check_daemon(patient)}
    assert found == {"daemon": "ok", "heartbeat": "ok"}


@pytest.mark.parametrize(
    ("said", "name", "state", "text"),
    [
        ({"version": "0.0.1"}, "daemon", "error", "version 0.0.1 runs"),
        ({"updated_at": time.time() - 600}, "heartbeat", "error", "no heartbeat for"),
        ({"updated_at": time.time() + 86400}, "heartbeat", "warning", "in the future"),
        ({"problem": "the disk is full; free some space"}, "problem", "error", "is full"),
        ({"notice": "the index is built anew"}, "notice", "warning", "built anew"),
        ({"paused_reason": "paused"}, "work", "ok", "paused"),
        ({"moving": False}, "work", "error", "hangs"),
    ],
)
def test_a_daemon_with_something_amiss(config, said, name, state, text):
    with running(config, **said) as patient:
        [result] = [one for one in check_daemon(patient) if one.name == name]
    assert result.state == state and text in result.message


def test_a_daemon_that_has_just_started_is_not_its_predecessor(config):
    with running(config, pid=1, version="0.0.1", problem="old") as patient:
        assert patient.status == DaemonStatus()
        result = only(check_daemon(patient))
        assert result.state == "ok" and f"process {os.getpid()} starts" in result.message
        patient.now += 600
        assert state_of(check_daemon(patient)) == "warning"


class Answer(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self):
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(b"the work hangs\n")

    def log_message(self, *args):
        pass


@pytest.mark.parametrize(
    ("status", "state", "said"),
    [(200, "ok", "/metrics"), (503, "error", "the work hangs"), (404, "error", "something else")],
)
def test_metrics(config, status, state, said):
    handler = type("Handler", (Answer,), {"status": status})
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        asked = replace(config, metrics=MetricsConfig(f"127.0.0.1:{server.server_port}"))
        with running(asked) as patient:
            result = only(check_metrics(patient))
        thread.join()
    assert result.state == state and said in result.message


def test_metrics_that_nobody_tells(config):
    with socket.socket() as closed:  # bound, and not listened to
        closed.bind(("127.0.0.1", 0))
        listen = f"127.0.0.1:{closed.getsockname()[1]}"
        asked = replace(config, metrics=MetricsConfig(listen))
        assert list(check_metrics(Installation(asked))) == []
        with running(asked) as patient:
            assert "no answer at" in only(check_metrics(patient)).message
    with running(config) as patient:
        assert list(check_metrics(patient)) == []


def test_the_page(config):
    handler = type("Handler", (Answer,), {"status": 303})  # to where the password is asked for
    with http.server.HTTPServer(("127.0.0.1", 0), handler) as server:
        listen = f"127.0.0.1:{server.server_port}"
        asked = replace(config, web=WebConfig(enabled=True, listen=listen))
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with running(asked) as patient:
            assert only(check_page(patient)) == Result("page", "ok", f"http://{listen}/")
        thread.join()
    with running(asked) as patient:
        result = only(check_page(patient))
        assert result.state == "error" and "no answer at" in result.message
        assert "service install" in result.remedy
    assert list(check_page(Installation(asked))) == []
    with running(config) as patient:
        assert list(check_page(patient)) == []
