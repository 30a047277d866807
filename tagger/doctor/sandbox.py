"""The processes in which photos are opened: what keeps in one that a photo has taken over."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterator

from tagger.decode.sandbox import CAPABILITIES, FILTER, LANDLOCK, NETWORK
from tagger.decode.sandbox_check import SandboxCheck, ask
from tagger.doctor.report import Installation, Result
from tagger.text.messages import gettext, noop

_SCOPE = ((6, noop("files, TCP, sockets, signals")), (4, noop("files, TCP")), (1, noop("files")))
"""What Landlock bars from which version on, see landlock(7)."""
_REFUSALS = {
    errno.ENOSYS: (
        noop("the kernel or the container does not know Landlock"),
        noop(
            "use Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK;"
            " a container needs a recent runtime"
        ),
    ),
    errno.EOPNOTSUPP: (
        noop("Landlock is turned off in the kernel"),
        noop("add landlock to `lsm=` on the kernel's command line"),
    ),
}
_FORBIDDEN = (
    noop("the service or container forbids Landlock"),
    noop("run `tagger service install` again, or update the container's runtime"),
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
        text = gettext("a decoding process does not start: %(error)s", error=error)
        remedy = gettext("raise `decode.memory_mb`, or see what the log of `tagger run` says")
        yield Result("decoding", "error", text, remedy)
        return
    told = patient.status.unconfined if patient.runs else None
    yield judge(walls, walls.missing if told is None else told, patient.proc)


def judge(walls: SandboxCheck, missing: Collection[str], proc: str = "/proc") -> Result:
    """Return what follows from what one process found, and from what is ``missing``."""
    name = "decoding"
    if not walls.passed:
        text = gettext("no open file can be passed to a decoding process, so that no photo is read")
        remedy = gettext(
            "let the container, AppArmor or SELinux allow that (sendmsg with SCM_RIGHTS)"
        )
        return Result(name, "error", text, remedy)
    if walls.reached and not {LANDLOCK, FILTER} <= set(walls.missing):
        text = gettext("a decoding process can open files, although the kernel says it cannot")
        remedy = gettext("report it, with the kernel's version (`uname -a`)")
        return Result(name, "error", text, remedy)
    lacks = [_lack(what, walls, missing, proc) for what in missing]
    if not lacks:
        bars = noop("in the daemon")
        scope = next((what for since, what in _SCOPE if walls.landlock >= since), bars)
        text = gettext(
            "a photo that takes over the process that opens it reaches nothing else: filtered"
            " system calls, Landlock %(version)s (%(scope)s), no network, no capabilities, photos"
            " passed open",
            version=walls.landlock or "",
            scope=gettext(scope),
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
        means = gettext("the filter of system calls alone keeps files out of reach")
        if not filtered:
            means = gettext(
                "a photo that takes over the process that opens it reaches all that tagger does"
            )
        return f"{gettext(why)}: {means}", gettext(remedy)
    if what == FILTER:
        text = gettext(
            "system calls are not filtered: a photo that takes over the process that opens it may"
            " start programs and change modes and dates"
        )
        remedy = gettext("use a kernel with CONFIG_SECCOMP_FILTER, on x86-64 or aarch64 (64 bit)")
        return text, remedy
    if what == NETWORK:
        means = gettext("the filter alone bars it")
        if not filtered:
            means = gettext("a photo that takes over the process that opens it may use it")
        left = gettext("the network cannot be left, %(why)s", why=_why_not(proc))
        remedy = gettext(
            "use the system's service, or a container with `--network none`; both have none"
        )
        return f"{left}: {means}", remedy
    if what == CAPABILITIES:
        return gettext("capabilities are kept"), gettext("run tagger as another user than root")
    lack = gettext("it cannot %(what)s", what=what)
    return lack, gettext("let the service or container allow prctl(2)")


def _why_not(proc: str) -> str:
    for name, off in _SWITCHES:
        try:
            with open(f"{proc}/sys/{name}", encoding="ascii") as file:
                found = int(file.read())
        except (OSError, ValueError):
            continue
        if found == off:
            return gettext("as %(name)s is %(value)s", name=name.replace("/", "."), value=off)
    return gettext("as the service or container forbids namespaces")
