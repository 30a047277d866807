"""Which walls stand around decoding processes, and what is said where one is missing."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from multiprocessing import Pipe

import pytest

from tagger.decode import landlock, sandbox_check, seccomp
from tagger.decode.sandbox import CAPABILITIES, DIE, FILTER, LANDLOCK, NETWORK
from tagger.decode.sandbox_check import SandboxCheck, ask
from tagger.doctor import sandbox
from tagger.doctor.report import Installation
from tagger.doctor.sandbox import check_decoding, judge
from tests.support.installations import never_ends, only, running, state_of

ALL = SandboxCheck(missing=(), landlock=6, refusal=0, passed=True, reached=False)
FILTERED = platform.machine() in ("x86_64", "aarch64")


def test_one_process_tries_what_it_can_reach():
    found = ask(2048)
    assert found.passed
    assert FILTER not in found.missing or not FILTERED
    assert CAPABILITIES not in found.missing
    assert found.reached == (FILTER in found.missing and LANDLOCK in found.missing)
    assert (found.landlock > 0) != (found.refusal > 0)


def test_a_process_that_no_wall_holds_says_so(monkeypatch):
    """In a fork, which has what is replaced here."""
    monkeypatch.setattr(seccomp, "restrict", lambda _: False)
    monkeypatch.setattr(landlock, "restrict", lambda _: 0)
    ours, theirs = Pipe()
    parent, child = os.getpid(), os.fork()
    if child == 0:
        sandbox_check._report(theirs, 4096, parent)
    theirs.close()
    with ours, open("/dev/null", "rb") as file:
        with sandbox_check.socket.socket(fileno=os.dup(ours.fileno())) as photos:
            sandbox_check.socket.send_fds(photos, [b"\0"], [file.fileno()])
        found = json.loads(ours.recv_bytes())
    os.waitpid(child, 0)
    assert found["missing"][-2:] == [LANDLOCK, FILTER]
    assert found["reached"]


NO_NAMESPACES = """
for kind in user net; do echo 0 >/proc/sys/user/max_${kind}_namespaces || exit 77; done
exec "$@"
"""


def test_a_kernel_without_namespaces_is_found_out():
    """In a user namespace in which there can be no further ones."""
    if not shutil.which("unshare"):
        pytest.skip("Debian: util-linux")
    script = "import json, dataclasses; from tagger.decode.sandbox_check import ask\n"
    script += "print(json.dumps(dataclasses.asdict(ask(2048))))"
    done = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", NO_NAMESPACES, "sh", sys.executable, "-c", script],
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip("user namespaces are not allowed here")
    found = json.loads(done.stdout)
    assert NETWORK in found["missing"], done.stderr
    assert found["passed"]
    # In a network with nothing in it there is none to leave.
    done = subprocess.run(
        ["unshare", "-Urn", "sh", "-c", NO_NAMESPACES, "sh", sys.executable, "-c", script],
        capture_output=True,
        check=False,
        text=True,
    )
    if "unshare failed" not in done.stderr:
        assert NETWORK not in json.loads(done.stdout)["missing"]


def test_a_process_that_does_not_start_is_wrong(config, monkeypatch):
    monkeypatch.setattr(sandbox_check, "_report", never_ends)
    with pytest.raises(ChildProcessError, match="ended with code -9"):
        ask(2048, timeout=0.0)
    monkeypatch.setattr(sandbox, "ask", lambda memory: ask(memory, timeout=0.0))
    result = only(check_decoding(Installation(config)))
    assert result.state == "error"
    assert "does not start" in result.message


@pytest.mark.parametrize(
    ("found", "said", "remedy"),
    [
        ({"landlock": 0, "refusal": errno.ENOSYS, "missing": (LANDLOCK,)},
         "does not know Landlock: the filter of system calls alone", "Linux 5.13"),
        ({"landlock": 0, "refusal": errno.EOPNOTSUPP, "missing": (LANDLOCK,)},
         "turned off in the kernel", "lsm="),
        ({"landlock": 0, "refusal": errno.EPERM, "missing": (LANDLOCK,)},
         "forbids Landlock", "container's runtime"),
        ({"landlock": 6, "missing": (LANDLOCK,)}, "forbids Landlock", "service install"),
        ({"landlock": 0, "refusal": errno.ENOSYS, "missing": (LANDLOCK, FILTER), "reached": True},
         "reaches all that tagger does; system calls are not filtered", "x86-64 or aarch64"),
        ({"missing": (NETWORK,)}, "the filter alone bars it", "--network none"),
        ({"missing": (NETWORK, FILTER)}, "may use it", "--network none"),
        ({"missing": (CAPABILITIES,)}, "capabilities are kept", "another user than root"),
        ({"missing": (DIE,)}, "cannot die with the daemon", "prctl"),
    ],
)  # fmt: skip
def test_what_is_missing_has_a_meaning_and_a_remedy(found, said, remedy):
    sandbox_check = SandboxCheck(**asdict(ALL) | found)
    result = only([judge(sandbox_check, sandbox_check.missing)])
    assert result.state == "warning"
    assert said in result.message
    assert remedy in result.remedy
    assert "\n" not in result.message


def test_all_walls_are_one_line():
    result = judge(ALL, ())
    assert result.state == "ok"
    assert "Landlock 6 (files, TCP, sockets, signals)" in result.message
    assert "Landlock 2 (files)" in judge(replace(ALL, landlock=2), ()).message
    assert "Landlock 4 (files, TCP)" in judge(replace(ALL, landlock=4), ()).message


@pytest.mark.parametrize("broken", [{"passed": False}, {"reached": True}])
def test_a_wall_that_does_not_hold_is_wrong(broken):
    assert state_of([judge(SandboxCheck(**asdict(ALL) | broken), ())]) == "error"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("user/max_user_namespaces", "0"),
        ("kernel/unprivileged_userns_clone", "0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
        ("kernel/nothing", "0"),
    ],
)
def test_why_there_are_no_namespaces(tmp_path, name, value):
    setting = tmp_path / "sys" / name
    setting.parent.mkdir(parents=True)
    setting.write_text(f"{value}\n")
    said = judge(ALL, (NETWORK,), str(tmp_path)).message
    known = name != "kernel/nothing"
    assert (f"{name.replace('/', '.')} is {value}" in said) == known
    assert ("forbids namespaces" in said) != known


def test_the_running_daemons_own_processes_count(config):
    with running(config, unconfined=[LANDLOCK]) as patient:
        result = only(check_decoding(patient))
        assert result.state == "warning"
        assert "Landlock" in result.message
    with running(config, unconfined=[]) as patient:
        assert state_of(check_decoding(patient)) == "ok"
    with running(config, unconfined=[["no text"]]) as patient:
        assert patient.status.unconfined is None
