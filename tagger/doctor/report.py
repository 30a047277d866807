"""What a check says, and what the checks may ask about."""

from __future__ import annotations

import os
import pwd
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tagger.config.schema import Config
from tagger.system.mounts import Mounts, read_mountinfo
from tagger.system.state_dir import daemon_process, daemon_runs, read_heartbeat

State = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found; ``remedy`` is empty only when all is well."""

    name: str
    state: State
    message: str
    remedy: str = ""


@dataclass(slots=True)
class Installation:
    """The tagger that is examined.

    ``runs``: whether its daemon does, and ``said`` what that last said of itself; ``starting``:
    the one that runs has said nothing yet, ``process`` is its number. ``user`` is
    the number of the user that the daemon runs as, or would. ``proc`` is where the kernel's
    figures are, ``now`` seconds since the epoch.
    """

    config: Config
    proc: str = "/proc"
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    now: float = field(default_factory=time.time)
    runs: bool = False
    starting: bool = False
    process: int | None = None
    said: Mapping[str, Any] = field(default_factory=dict)
    user: int = 0
    mounts: Mounts = field(default_factory=lambda: Mounts(read_mountinfo()))

    def __post_init__(self) -> None:
        self.runs = daemon_runs(self.config.state_dir)
        self.said = read_heartbeat(self.config.state_dir)
        if self.runs:
            self.process = daemon_process(self.config.state_dir)
            self.starting = self.said.get("pid") != self.process
        if self.starting:
            self.said = {}  # of one that ran before
        self.user = self._user()

    def _user(self) -> int:
        places = [f"/proc/{self.process}"] if self.runs else []
        for place in (*places, self.config.state_dir):
            try:
                return os.stat(place).st_uid
            except OSError:
                continue
        return os.geteuid()

    def may(self, path: str, *, write: bool) -> bool | None:
        """Whether the daemon's user may use the folder ``path``; None if it cannot be told."""
        if self.user == os.geteuid():
            wanted = os.R_OK | os.X_OK | (os.W_OK if write else 0)
            return os.access(path, wanted, effective_ids=True)
        if os.geteuid() != 0:
            return None
        try:
            account = pwd.getpwuid(self.user)
        except KeyError:
            return None
        test = ["test", "-r", path, "-a", "-x", path] + (["-a", "-w", path] if write else [])
        done = subprocess.run(
            test,
            check=False,
            capture_output=True,
            user=self.user,
            group=account.pw_gid,
            extra_groups=os.getgrouplist(account.pw_name, account.pw_gid),
        )
        return done.returncode == 0


def name_of(user: int) -> str:
    """Return the name of a user, the number of one without an account."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"
