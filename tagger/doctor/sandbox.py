"""The processes in which photos are opened: what keeps in one that a photo has taken over."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator

from tagger.decode.sandbox import CAPABILITIES, FILTER, LANDLOCK, NETWORK
from tagger.decode.sandbox_check import SandboxCheck, ask
from tagger.doctor.report import Installation, Result

_SCOPE = ((6, "files, TCP, sockets, signals"), (4, "files, TCP"), (1, "files"))
"""What Landlock bars from which version on, see landlock(7)."""
_OVER = "a photo that takes over the process that opens it"

_REFUSALS = {
    errno.ENOSYS: (
        "the kernel or the container does not know Landlock",
        "use Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK; a container needs a recent runtime",
    ),
    errno.EOPNOTSUPP: (
        "Landlock is turned off in the kernel",
        "add landlock to `lsm=` on the kernel's command line",
    ),
}
_FORBIDDEN = (
    "the service or container forbids Landlock",
    "run `tagger service install` again, or update the container's runtime",
)
_SWITCHES = (
    ("kernel/unprivileged_userns_clone", 0),
    ("user/max_user_namespaces", 0),
    ("user/max_net_namespaces", 0),
    ("kernel/apparmor_restrict_unprivileged_userns", 1),
)
"""Settings of the kernel, and the value with which there are no namespaces for everybody."""


def check_decoding(patient: Installation) -> Iterator[Result]:
    """Yield which walls hold; a process behind them is started and asked.

    What a running daemon's own processes told counts more: its service may forbid what a shell
    may do.
    """
    try:
        walls = ask(patient.config.decode.memory_mb)
    except ChildProcessError as error:
        remedy = "raise `decode.memory_mb`, or see what the log of `tagger run` says"
        yield Result("decoding", "error", f"a decoding process does not start: {error}", remedy)
        return
    told = patient.status.unconfined if patient.runs else None
    yield judge(walls, walls.missing if told is None else told, patient.proc)


def judge(walls: SandboxCheck, missing: Collection[str], proc: str = "/proc") -> Result:
    """Return what follows from what one process found, and from what is ``missing``."""
    name = "decoding"
    if not walls.passed:
        text = "no open file can be passed to a decoding process, so that no photo is read"
        remedy = "let the container, AppArmor or SELinux allow that (sendmsg with SCM_RIGHTS)"
        return Result(name, "error", text, remedy)
    if walls.reached and not {LANDLOCK, FILTER} <= set(walls.missing):
        text = "a decoding process can open files, although the kernel says it cannot"
        return Result(name, "error", text, "report it, with the kernel's version (`uname -a`)")
    lacks = [_lack(what, walls, missing, proc) for what in missing]
    if not lacks:
        scope = next((what for since, what in _SCOPE if walls.landlock >= since), "in the daemon")
        text = (
            f"{_OVER} reaches nothing else: filtered system calls,"
            f" Landlock {walls.landlock or ''} ({scope}), no network, no capabilities,"
            " photos passed open"
        )
        return Result(name, "ok", text)
    return Result(
        name, "warning", "; ".join(text for text, _ in lacks), "; ".join(do for _, do in lacks)
    )


def _lack(what: str, walls: SandboxCheck, missing: Collection[str], proc: str) -> tuple[str, str]:
    """Return what the lack of one wall means, and what to do."""
    filtered = FILTER not in missing
    if what == LANDLOCK:
        why, remedy = _FORBIDDEN
        if not walls.landlock:
            why, remedy = _REFUSALS.get(walls.refusal, _FORBIDDEN)
        alone = "the filter of system calls alone keeps files out of reach"
        return f"{why}: {alone if filtered else f'{_OVER} reaches all that tagger does'}", remedy
    if what == FILTER:
        means = f"{_OVER} may start programs and change modes and dates"
        remedy = "use a kernel with CONFIG_SECCOMP_FILTER, on x86-64 or aarch64 (64 bit)"
        return f"system calls are not filtered: {means}", remedy
    if what == NETWORK:
        means = "the filter alone bars it" if filtered else f"{_OVER} may use it"
        remedy = "use the system's service, or a container with `--network none`; both have none"
        return f"the network cannot be left, {_why_not(proc)}: {means}", remedy
    if what == CAPABILITIES:
        return "capabilities are kept", "run tagger as another user than root"
    return f"it cannot {what}", "let the service or container allow prctl(2)"


def _why_not(proc: str) -> str:
    """Return why there are no namespaces."""
    for name, off in _SWITCHES:
        try:
            with open(f"{proc}/sys/{name}", encoding="ascii") as file:
                found = int(file.read())
        except (OSError, ValueError):
            continue
        if found == off:
            return f"as {name.replace('/', '.')} is {off}"
    return "as the service or container forbids namespaces"
