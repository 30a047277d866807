"""What has to be done to make tagger a service, and to take it away again.

Nothing is changed before :func:`apply`, so that the user can be shown a :class:`Plan` and
asked.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shlex
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tagger.config.schema import NO_MODEL, Config, is_model_path
from tagger.errors import ModelError
from tagger.service.units import (
    STATE,
    ServiceError,
    folders_dropin,
    network_dropin,
    program,
    unit_text,
)
from tagger.system.files import replace_atomically

UNIT = "tagger.service"
FOLDERS, NETWORK = "10-folders.conf", "20-network.conf"
ACCOUNT = "tagger"
"""The account of the system's service when the folders do not all belong to one person."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command to be run. ``remedy`` is for when it fails; ``needed``: that ends the rest."""

    words: tuple[str, ...]
    remedy: str = "see its message"
    needed: bool = True


@dataclass(frozen=True, slots=True)
class File:
    """A file to be written, or with ``text`` None to be deleted. ``now`` is its present text."""

    path: str
    text: str | None
    now: str | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: ``before``, then the files, then ``after``. ``notes`` for the user."""

    before: tuple[Command, ...]
    files: tuple[File, ...]
    after: tuple[Command, ...]
    notes: tuple[str, ...]


def plan_install(
    config: Config,
    config_path: str,
    *,
    user: bool = False,
    run_as: str | None = None,
    network: bool = False,
    root: str = "/",
    environ: Mapping[str, str] = os.environ,
) -> Plan:
    """Return what makes tagger with ``config``, read from ``config_path``, a service.

    ``user``: of this user, else of the system, under the account ``run_as`` (None: the owner
    of the folders). ``network``: it may use the network, as it also may if the config has it
    listen to somebody. ``root`` is where the system's files are. Raise ServiceError when it
    cannot work so.
    """
    if user and run_as:
        raise ServiceError(
            "a service of yours always runs under your account", "leave out --run-as, or --user"
        )
    unit = _unit_path(user, root, environ)
    text = unit_text(program(), config_path, user=user)
    packaged = not user and _packaged(root) == text
    wanted = {} if packaged else {unit: text}
    before: list[Command] = []
    notes: list[str] = []
    if not network and (asking := _serving(config)):
        network = True
        notes.append(f"it may use the network, as the config has {asking}")
    if not user:
        account = run_as or _owner(config) or ACCOUNT
        before += _account_commands(account)
        notes += _rights_notes(config, account)
        wanted[_dropin(unit, FOLDERS)] = folders_dropin(config, config_path, account)
    if network:
        wanted[_dropin(unit, NETWORK)] = network_dropin(user)
    else:
        notes += _weights_notes(config, config_path, user)
    files = [_file(path, text) for path, text in wanted.items()]
    if packaged and os.path.exists(unit):
        files.append(_file(unit, None))  # it would hide the package's, and its upgrades
    if not network and os.path.exists(old := _dropin(unit, NETWORK)):
        files.append(_file(old, None))
    after: list[Command] = []
    ctl = ("systemctl", "--user") if user else ("systemctl",)
    log = "see `journalctl --user -u tagger -n 20`" if user else "see `journalctl -u tagger -n 20`"
    if _booted(user, root, environ):
        after += [Command((*ctl, "daemon-reload")), Command((*ctl, "enable", UNIT))]
        after += [Command((*ctl, "restart", UNIT), log)]
        me = pwd.getpwuid(os.getuid()).pw_name if user else ""
        if me and not os.path.exists(os.path.join(root, "var/lib/systemd/linger", me)):
            after.append(_linger(me))
    else:
        later = f"{' '.join(ctl)} enable --now {UNIT}"
        notes.append(f"systemd does not run here, so nothing is started. Later: {later}")
    return Plan(tuple(before), tuple(files), tuple(after), tuple(notes))


def plan_uninstall(
    *, user: bool = False, root: str = "/", environ: Mapping[str, str] = os.environ
) -> Plan:
    """Return what takes the service away. Raise ServiceError when there is none."""
    unit = _unit_path(user, root, environ)
    installed = os.path.exists(unit)
    if not installed and not (not user and _packaged(root)):
        raise ServiceError(
            f"tagger is not installed as a service: there is no {unit}",
            "leave out --user, if it is the system's" if user else "add --user, if it is yours",
        )
    places = (*([unit] if installed else []), _dropin(unit, FOLDERS), _dropin(unit, NETWORK))
    paths = [path for path in places if os.path.exists(path)]
    ctl = ("systemctl", "--user") if user else ("systemctl",)
    running = _booted(user, root, environ)
    stop = Command((*ctl, "disable", "--now", UNIT))
    reload = Command((*ctl, "daemon-reload"))
    notes = []
    with contextlib.suppress(OSError):
        ours = {os.path.basename(path) for path in paths}
        if left := sorted(set(os.listdir(os.path.dirname(_dropin(unit, FOLDERS)))) - ours):
            notes.append(f"your own drop-ins stay in {unit}.d: {', '.join(left)}")
    return Plan(
        (stop,) if running else (),
        tuple(_file(path, None) for path in paths),
        (reload,) if running else (),
        tuple(notes),
    )


def apply(plan: Plan, *, run: Callable[[Sequence[str]], None] | None = None) -> list[str]:
    """Do what ``plan`` says; return what went wrong that was not needed.

    ``run`` runs a command. Raise ServiceError for what was needed.
    """
    run = run or run_command
    problems: list[str] = []

    def run_all(commands: Iterable[Command]) -> None:
        for command in commands:
            try:
                run(command.words)
            except ServiceError as error:
                if command.needed:
                    raise ServiceError(error.message, command.remedy) from error
                problems.append(f"{error.message}; {command.remedy}")

    run_all(plan.before)
    for file in plan.files:
        try:
            if file.text is None:
                os.unlink(file.path)
                if file.path.endswith(".conf"):
                    with contextlib.suppress(OSError):  # the user's own drop-ins are in there
                        os.rmdir(os.path.dirname(file.path))
            elif file.text != file.now:
                _write(file.path, file.text)
        except OSError as error:
            verb = "delete" if file.text is None else "write"
            raise ServiceError(
                f"cannot {verb} {file.path}: {error.strerror}",
                "use sudo for a service of the system, or --user for one of yours",
            ) from error
    run_all(plan.after)
    return problems


def run_command(words: Sequence[str]) -> None:
    """Run a command. Raise ServiceError with its last words when it fails."""
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            check=False,
            text=True,
            errors="replace",
            # Missing after `su`, and then the user's service manager is not found.
            env={"XDG_RUNTIME_DIR": f"/run/user/{os.getuid()}"} | os.environ,
        )
    except OSError as error:
        raise ServiceError(f"cannot run {words[0]}: {error.strerror}") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip() or f"code {done.returncode}"
        raise ServiceError(f"`{' '.join(words)}` failed: {' '.join(said.split())}")


def _write(path: str, text: str) -> None:
    """Write a file that is whole at every moment, readable for all."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    replace_atomically(path, text.encode(), mode=0o644, durable=False)
    os.chmod(path, 0o644)  # whatever the umask


# Where things are


def _unit_path(user: bool, root: str, environ: Mapping[str, str]) -> str:
    folder = "/etc/systemd/system"
    if user:
        config = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
        folder = os.path.join(config, "systemd", "user")
    return os.path.join(root, folder.lstrip("/"), UNIT)


def _packaged(root: str) -> str | None:
    """Return the system's unit as a package of the distribution has it; None without one."""
    return _file(os.path.join(root, "usr/lib/systemd/system", UNIT), None).now


def _dropin(unit: str, name: str) -> str:
    return os.path.join(f"{unit}.d", name)


def _file(path: str, text: str | None) -> File:
    now = None
    with contextlib.suppress(OSError):
        now = Path(path).read_text(encoding="utf-8", errors="replace")
    return File(path, text, now)


def _booted(user: bool, root: str, environ: Mapping[str, str]) -> bool:
    """Whether a service manager runs that can be told; see sd_booted(3)."""
    place = "/run/systemd/system"
    if user:
        runtime = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
        place = os.path.join(runtime, "systemd")
    return os.path.isdir(os.path.join(root, place.lstrip("/")))


# Accounts and rights


def _linger(name: str) -> Command:
    return Command(
        ("loginctl", "enable-linger", name),
        f"until `sudo loginctl enable-linger {name}`, it runs only while {name} is logged in",
        needed=False,
    )


def _owner(config: Config) -> str | None:
    """Return the name of the one person whom all folders belong to, if it is one, not root."""
    owners = set()
    for root in config.watch:
        with contextlib.suppress(OSError):
            owners.add(os.stat(root.path).st_uid)
    if len(owners) != 1 or owners == {0}:
        return None
    try:
        return pwd.getpwuid(owners.pop()).pw_name
    except KeyError:
        return None  # a number without an account, as from a NAS


def _account_commands(account: str) -> Iterator[Command]:
    try:
        pwd.getpwnam(account)
    except KeyError:
        if account != ACCOUNT:
            raise ServiceError(
                f"there is no account {account}", "name one that exists with --run-as"
            ) from None
        words = ("useradd", "--system", "--user-group", "--no-create-home", "--home-dir", STATE)
        yield Command((*words, "--shell", "/usr/sbin/nologin", ACCOUNT))


def _rights_notes(config: Config, account: str) -> Iterator[str]:
    """Say how the account gets its rights on folders that belong to others."""
    try:
        number = pwd.getpwnam(account).pw_uid
    except KeyError:
        number = -1
    for root in config.watch:
        try:
            owner = os.stat(root.path).st_uid
        except OSError as error:
            yield (
                f"{root.path}: {error.strerror}. Once it is there, install again (for its owner), "
                "or at least `systemctl restart tagger`."
            )
            continue
        if number not in (0, owner):
            rights = "rX" if root.read_only else "rwX"
            yield (
                f"{root.path} does not belong to {account}. Unless {account} has rights on it "
                f"already: setfacl -R -m u:{account}:{rights},d:u:{account}:{rights} "
                f"{shlex.quote(root.path)}"
            )


def _serving(config: Config) -> str:
    """Return the settings by which the daemon listens to others, for whom it needs a network."""
    asking = ["`web.enabled`"] if config.web.enabled else []
    if config.metrics.listen is not None:
        asking.append("`metrics.listen`")
    return " and ".join(asking)


def _weights_notes(config: Config, config_path: str, user: bool) -> Iterator[str]:
    """Say so when the service, which has no network, would wait for weights."""
    from tagger.classify.loader import network_file, weights_file
    from tagger.classify.torch_installed import torch_installed

    # The system's service has no cache of torch's.
    environ = {} if user else {"XDG_CACHE_HOME": "/nonexistent"}
    model = config.model
    try:
        if not is_model_path(model.name):
            weights_file(config, model.name, environ=environ)
    except ModelError as error:
        if network_file(config, model.name, environ=environ) is not None:
            pass
        elif not torch_installed():
            yield str(error)
        else:
            yield (
                f"there are no weights of {model.name} yet, and the service has no network: run "
                f"`tagger --config {shlex.quote(config_path)} model download`, or add --network"
            )
    command = f"`tagger --config {shlex.quote(config_path)} model download`"
    for name in (model.scenes, model.detector):
        if name == NO_MODEL or is_model_path(name):
            continue
        try:
            weights_file(config, name, environ=environ)
        except ModelError:
            if name == model.scenes and network_file(config, name, environ=environ):
                continue
            yield (
                f"{name} is not there yet, and the service has no network: photos are tagged "
                f"without it until {command} is run"
            )
