"""The program of a rule: its arguments, its limits, its end."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tagger.errors import RuleError
from tagger.library.rules.program import (
    InterruptedProgramError,
    arguments,
    run_program,
)


def shell(text: str) -> list[str]:
    return ["/bin/sh", "-c", text]


def test_each_word_stays_one_argument() -> None:
    path = "/p/$(reboot); rm -rf {labels} '.jpg"
    words = ["prog", "--file={path}", "{labels}", "{rule} {other}"]
    assert arguments(words, path, ["dog", "sea side"], "r") == [
        "prog",
        f"--file={path}",
        "dog,sea side",
        "r {other}",
    ]
    assert arguments(["prog", "-v"], path, [], "r") == ["prog", "-v", path]


def test_it_sees_little_of_the_environment_and_no_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("HOME", "/")
    out = tmp_path / "out"
    run_program(shell(f"pwd > {out}; cat >> {out}; env | cut -d= -f1 >> {out}"), 20)
    lines = out.read_text().split()
    assert lines[0] == "/"
    assert (
        {"PATH", "HOME"}
        <= set(lines[1:])
        <= {
            "PATH",
            "HOME",
            "LANG",
            "LC_ALL",
            "TZ",
            "USER",
            "LOGNAME",
            "TMPDIR",
            "PWD",
            "SHLVL",
            "_",
            "OLDPWD",
        }
    )


def test_a_failure_says_what_was_printed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    with pytest.raises(RuleError, match="ended with 3: not today") as caught:
        run_program(shell("echo not today; exit 3"), 20)
    assert caught.value.permanent
    assert "printed: not today" in caplog.text
    with pytest.raises(RuleError, match="ended by signal 9"):
        run_program(shell("kill -9 $$"), 20)
    with pytest.raises(RuleError, match=r"cannot run /no/such: No such file") as caught:
        run_program(["/no/such"], 20)
    assert not caught.value.permanent


def test_it_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    began = time.monotonic()
    with pytest.raises(RuleError, match="took more than 1 s"):
        run_program(shell(f"sleep 100 & echo $! > {pids}; sleep 100"), 1)
    assert time.monotonic() - began < 60
    gone(int(pids.read_text()))
    run_program(shell(f"sleep 100 & echo $! > {pids}"), 60)
    gone(int(pids.read_text()))


def gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return
        if state == "Z":  # of an init that reaps late
            return
        time.sleep(0.02)
    pytest.fail(f"{pid} goes on")


def test_a_stop_ends_it_soon() -> None:
    with pytest.raises(InterruptedProgramError):
        run_program(shell("sleep 100"), 100, lambda: True)


def test_much_output_is_read_and_dropped(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    run_program(shell("head -c 3000000 /dev/zero | tr '\\0' x; printf '\\033[31m'"), 60)
    [record] = [one for one in caplog.records if "printed" in one.message]
    assert len(record.message) < 5000
    assert os.path.exists("/bin/sh")
