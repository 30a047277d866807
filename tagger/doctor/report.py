"""What a check says, and what the checks may ask about."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tagger.config.schema import Config
from tagger.errors import TaggerError
from tagger.library.daemon_status import DaemonStatus
from tagger.library.status import SeenDaemon, see_daemon
from tagger.system.mounts import Mounts, read_mountinfo
from tagger.text.error_texts import in_language
from tagger.text.messages import gettext

State = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Result:
    """What one check found; ``remedy`` is empty only when all is well.

    ``name`` is English, the others are in the language that is spoken.
    """

    name: str
    state: State
    message: str
    remedy: str = ""


@dataclass(slots=True)
class Installation:
    """The tagger that is examined.

    ``proc`` is where the kernel's figures are, ``now`` seconds since the epoch. ``seen`` is its
    daemon, ``user`` the number of the user that this runs as, or would.
    """

    config: Config
    proc: str = "/proc"
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    now: float = field(default_factory=time.time)
    mounts: Mounts = field(default_factory=lambda: Mounts(read_mountinfo()))
    seen: SeenDaemon = field(init=False)
    user: int = field(init=False)

    def __post_init__(self) -> None:
        self.seen = see_daemon(self.config.state_dir)
        self.user = os.geteuid()
        places = [f"/proc/{self.seen.process}"] if self.seen.process else []
        for place in (*places, self.config.state_dir):
            with contextlib.suppress(OSError):
                self.user = os.stat(place).st_uid
                break

    @property
    def runs(self) -> bool:
        """Whether its daemon runs."""
        return self.seen.running

    @property
    def status(self) -> DaemonStatus:
        """What its daemon said last; nothing when one has just started."""
        return DaemonStatus() if self.seen.starting else self.seen.status

    def as_seen(self, path: str) -> str:
        """Return where the daemon finds ``path``: a service has its own view of the folders.

        Without a daemon, or for who may not look there, it is the path itself.
        """
        place = f"{self.proc}/{self.seen.process}/root"
        try:
            os.scandir(place).close()
        except OSError:
            return path
        return place + os.path.realpath(path)

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


def failed(name: str, state: State, error: TaggerError, remedy: str = "") -> Result:
    """Return what an error says of a check; ``remedy`` where it says none itself."""
    return Result(name, state, in_language(error.message), in_language(error.remedy) or remedy)


def name_of(user: int) -> str:
    """Return the name of a user, the number of one without an account."""
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def run_as(user: str) -> str:
    """Say that only a user, or root, may see more."""
    return gettext("run this as %(user)s, or with sudo", user=user)
