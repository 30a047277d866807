"""The text of the units and drop-ins, with the paths of this installation.

Every line of the units is explained in the files themselves, beside this module.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import tagger
from tagger.config.schema import Config, is_model_path
from tagger.errors import ModelError, TaggerError
from tagger.system.paths import is_inside

STATE = "/var/lib/tagger"
"""Where the system's service keeps its index, unless the config says otherwise."""
HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - named, not used
"""What the system's unit does not show to the daemon, unless the drop-in does."""


class ServiceError(TaggerError):
    """The service cannot be installed or removed as asked."""


def program() -> tuple[str, ...]:
    """Return the words that call this tagger, all paths absolute."""
    script = os.path.join(os.path.dirname(sys.executable), "tagger")
    if os.access(script, os.X_OK):
        return (script,)
    return (sys.executable, "-P", "-m", "tagger")


def unit_text(words: Sequence[str], config_path: str, *, user: bool) -> str:
    """Return the unit, calling tagger by ``words``. Raise ServiceError for impossible paths."""
    name = "tagger-user.service" if user else "tagger.service"
    text = (Path(__file__).parent / name).read_text(encoding="utf-8")
    call = " ".join(
        _quoted(word).replace("$", "$$") for word in (*words, "--config", config_path, "run")
    )
    return re.sub(r"^ExecStart=.*", lambda _: f"ExecStart={call}", text, flags=re.MULTILINE)


def folders_dropin(config: Config, config_path: str, account: str) -> str:
    """Return the drop-in with the account, and what the sandbox lets the daemon see and write."""
    state = config.state_dir
    if any(_hidden(place) for place in (state, os.path.realpath(state))):
        raise ServiceError(
            f"the state directory {state} is in a folder that the service does not see",
            f"write `state_dir: {STATE}` into {config_path} (and move there what is in the old "
            "one, to keep it), or install with --user",
        )
    lines = [
        f"# Written by `tagger service install` from {config_path}.",
        "# Run it again when the folders in there have changed.",
        "[Service]",
        "# Whose rights it has, and whose the sidecars are.",
        f"User={account}",
        "# What it reads: itself, its config, and weights, programs and examples named in there.",
        *(f'BindReadOnlyPaths="-{_escaped(path)}"' for path in _own_paths(config, config_path)),
        "# The photos, and where rules put them; passed over (-) what is not there at the start.",
        *dict.fromkeys(_root_lines(config)),
    ]
    if is_inside(state, "/var/lib") and state not in ("/var/lib", STATE):
        name = _escaped(os.path.relpath(state, "/var/lib"))
        lines += ["# Where its index is.", "StateDirectory=", f'StateDirectory="{name}"']
    elif state != STATE:
        lines += ["# Where its index is.", f'ReadWritePaths="{_escaped(state)}"']
    return "\n".join(lines) + "\n"


def _own_paths(config: Config, config_path: str) -> list[str]:
    """Return what the daemon reads besides photos, as far as it would be hidden."""
    interpreter = os.path.realpath(sys.executable)
    wanted = [
        sys.prefix,
        sys.base_prefix,
        os.path.dirname(os.path.dirname(interpreter)),
        os.path.dirname(os.path.dirname(os.path.abspath(tagger.__file__))),
        config_path,
        *([config.model.weights] if config.model.weights else []),
        *_own_networks(config),
        *config.teach.values(),
        *(rule.run[0] for rule in config.rules if rule.run and os.path.isabs(rule.run[0])),
    ]
    # An editor replaces the config file, so that only its folder shows the new one.
    if os.path.basename(os.path.dirname(config_path)) == "tagger":
        wanted.append(os.path.dirname(config_path))
    paths = {place for path in wanted for place in (path, os.path.realpath(path)) if _hidden(place)}
    return sorted(path for path in paths if not any(is_inside(path, o) for o in paths if o != path))


def _root_lines(config: Config) -> Iterator[str]:
    places = [(root.path, root.read_only) for root in config.watch]
    for rule in config.rules:
        places += [(folder, False) for folder in (rule.copy_to, rule.move_to) if folder]
    for place, read_only in places:
        for path in (place, os.path.realpath(place)):
            if _hidden(path):
                key = "BindReadOnlyPaths" if read_only else "BindPaths"
            else:
                key = "ReadOnlyPaths" if read_only else "ReadWritePaths"
            yield f'{key}="-{_escaped(path)}"'


def _own_networks(config: Config) -> Iterator[str]:
    """Yield the files of networks that the config names by path, and those that these name."""
    from tagger.classify.custom_network import read_network

    if is_model_path(config.model.detector):
        yield config.model.detector
    for description in filter(is_model_path, (config.model.name, config.model.scenes)):
        yield description
        try:
            network = read_network(description)
        except ModelError:
            continue  # it is not there, or wrong: the daemon says so
        yield network.path
        if network.classes_file:
            yield network.classes_file


def network_dropin(user: bool) -> str:
    """Return the drop-in that lets the daemon use the network."""
    lines = [
        "# Written by `tagger service install`: the config has the page or metrics, or --network.",
        "[Service]",
        "# To download weights, and to serve the page and metrics.",
        "RestrictAddressFamilies=AF_INET AF_INET6",
    ]
    if not user:
        lines += [
            "PrivateNetwork=no",
            "IPAddressDeny=",
            "# Decoding processes leave the network again, by a namespace of their own.",
            "RestrictNamespaces=",
            "RestrictNamespaces=user net",
        ]
    return "\n".join(lines) + "\n"


def _escaped(path: str) -> str:
    """Return ``path`` for between double quotes in a unit."""
    if not path.isprintable():  # nor is a byte that is not UTF-8
        raise ServiceError(
            f"systemd cannot be told of the path {path!a}",
            "rename the folder without control characters and in UTF-8, or watch the one above it",
        )
    return path.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")


def _quoted(word: str) -> str:
    escaped = _escaped(word)
    return f'"{escaped}"' if set(word) & set(" '\"\\;") else escaped


def _hidden(path: str) -> bool:
    return any(is_inside(path, folder) for folder in HIDDEN)
