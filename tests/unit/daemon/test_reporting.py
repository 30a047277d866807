"""Who is given the record of each tick: a file, systemd and metrics, each for itself."""

from __future__ import annotations

import logging
import os
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from tagger.daemon import reporting
from tagger.daemon.metrics import Metrics
from tagger.daemon.reporting import HeartbeatWriter, MemoryGauge, StatusReporter, SystemdReporter
from tagger.library.daemon_status import DaemonStatus, ProgressSnapshot, read_status
from tagger.system.sd_notify import Notifier
from tagger.system.state_dir import STATUS_NAME

IDLE = DaemonStatus(pid=7, model="resnet18-abc", progress=ProgressSnapshot(5, 0))
COUNTS = {"tagged": 1200, "untagged": 34, "failed": 2}


class Told(Notifier):
    """Keeps what systemd would be told."""

    def __init__(self) -> None:
        super().__init__({})
        self.lines: list[str] = []
        self.pings = 0

    def status(self, text: str) -> None:
        self.lines.append(text)

    def alive(self) -> None:
        self.pings += 1


# The status file


def test_it_is_written_when_something_is_new(tmp_path):
    writer, path = HeartbeatWriter(str(tmp_path)), tmp_path / STATUS_NAME
    writer.write(IDLE, always=False)
    assert read_status(str(tmp_path)) == IDLE
    path.unlink()
    writer.write(replace(IDLE, updated_at=9.0, memory_mb=99.0), always=False)
    assert not path.exists(), "nothing but the time and the memory is new"
    writer.write(replace(IDLE, updated_at=9.0), always=True)
    assert read_status(str(tmp_path)).updated_at == 9.0
    writer.write(replace(IDLE, queue=1), always=False)
    assert read_status(str(tmp_path)).queue == 1


def test_a_disk_that_does_not_take_it_is_logged_once_and_tried_again(tmp_path, caplog):
    folder = tmp_path / "state"
    writer = HeartbeatWriter(str(folder))
    for _ in range(3):
        writer.write(IDLE, always=False)
    [record] = caplog.records
    assert record.levelno == logging.WARNING and str(folder) in record.getMessage()
    folder.mkdir()
    writer.write(IDLE, always=False)
    assert read_status(str(folder)) == IDLE, "although it is not new"
    folder.joinpath(STATUS_NAME).unlink()
    folder.rmdir()
    writer.write(IDLE, always=True)
    assert len(caplog.records) == 2, "it had worked meanwhile"


# systemd


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (IDLE, "idle, 1,234 photos, 2 failures"),
        (replace(IDLE, progress=ProgressSnapshot(5, 7)), "5 photos done, 7 to go"),
        (replace(IDLE, paused_reason="paused until\n6"), "paused until\\n6"),
        (DaemonStatus(problem="no weights; fetch them"), "waiting: no weights; fetch them"),
        (replace(IDLE, problem="a disk is full"), "idle, 1,234 photos, 2 failures"),
    ],
)
def test_systemd_is_told_in_a_line_what_it_does(status, line):
    told = Told()
    SystemdReporter(told).report(status, lambda: COUNTS)
    assert (told.lines, told.pings) == ([line], 1)


def test_the_watchdog_is_not_fed_when_the_work_hangs():
    told = Told()
    SystemdReporter(told).report(replace(IDLE, moving=False), lambda: COUNTS)
    assert told.pings == 0


def test_photos_are_not_counted_at_every_tick():
    told, asked = Told(), []
    reporter = SystemdReporter(told)
    for _ in range(10):
        reporter.report(IDLE, lambda: asked.append(1) or COUNTS)
    assert len(asked) == 1


# All of them


def test_trouble_with_one_is_no_others(tmp_path, caplog, monkeypatch):
    told, metrics = Told(), Metrics()

    def show(progress: ProgressSnapshot) -> None:
        raise ZeroDivisionError("a terminal that is odd")

    def counts() -> dict[str, int]:
        raise sqlite3.OperationalError("database is locked")

    reporter = StatusReporter(str(tmp_path), told, metrics, show)
    hanging = replace(IDLE, moving=False)
    reporter.report(hanging, counts, always=False)
    assert read_status(str(tmp_path)) == hanging
    assert metrics.problem() is not None, "it has the record"
    [record] = caplog.records  # once a minute
    assert record.getMessage() == "error in the main thread" and record.exc_info
    monkeypatch.setattr(reporting, "IDLE_SECONDS", 0.0)
    monkeypatch.setattr(reporting, "COUNT_SECONDS", 0.0)
    reporter._quiet_until = 0.0
    caplog.clear()
    reporter.report(IDLE, counts, always=False)
    assert [one.getMessage() for one in caplog.records] == [
        "error in the main thread",
        "the index cannot be read: database is locked",
    ]


def test_memory_is_measured_every_ten_seconds(monkeypatch):
    measured, now = [], [0.0]
    monkeypatch.setattr(reporting, "memory_mb", lambda: measured.append(1) or 100.0)
    gauge = MemoryGauge(lambda: now[0])
    for now[0] in (0.0, 5.0, 9.9, 10.0, 19.0):
        assert gauge.megabytes() == 100.0
    assert len(measured) == 2


def test_what_it_holds_is_given_back(tmp_path: Path):
    def opened() -> int:
        """How often /dev/null is open: what else this process has open may come and go."""
        links = [Path("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd")]
        return sum(link.is_symlink() and os.readlink(link) == os.devnull for link in links)

    before = opened()
    writer = HeartbeatWriter(str(tmp_path))
    writer.write(IDLE, always=True)
    assert opened() == before + 1, "one descriptor is in reserve"
    del writer
    assert opened() == before
