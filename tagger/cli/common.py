"""What the commands share: the config, the photos that are named, printing paths and JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from tagger.cli.terminal import is_terminal, raw
from tagger.config.loader import config_places, find_config, load_config
from tagger.config.schema import Config
from tagger.errors import ConfigError, PhotoVanishedError
from tagger.system.known_paths import known_path
from tagger.system.paths import is_photo_name
from tagger.text.messages import gettext
from tagger.text.printable import ascii_json, printable

if TYPE_CHECKING:
    from tagger.labels.vocabulary import Vocabulary


def only_one(options: Mapping[str, object]) -> str | None:
    """Return which of ``options``, by name, has a value, if any. Raise UsageError for two."""
    given = [name for name, value in options.items() if value]
    if len(given) > 1:
        one, other, *_ = given
        raise click.UsageError(
            gettext(
                "%(one)s and %(other)s exclude each other; give one of them", one=one, other=other
            )
        )
    return given[0] if given else None


def when_done(runs: bool) -> str:
    """Return when what is asked for is done: by a daemon that ``runs``, or later."""
    return gettext("within a minute") if runs else gettext("with the next `tagger run`")


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def named_config() -> str | None:
    """Return the file that ``--config`` of the command that runs names."""
    named: str | None = click.get_current_context().find_root().obj
    return named


def read_config() -> tuple[Config, str]:
    """Return the config and its path, or raise ConfigError."""
    path = find_config(named_config(), os.environ)
    return load_config(path), path


def config_or_default() -> Config:
    """Return the config; the defaults when no file was named and there is none."""
    named = named_config() or os.environ.get("TAGGER_CONFIG")
    if named or any(map(os.path.isfile, config_places(os.environ))):
        return read_config()[0]
    return Config()


def vocabulary(config: Config) -> Vocabulary:
    """Return the vocabulary, with the user's own translations and the labels that he taught."""
    from tagger.library.taught_words import known_words

    return known_words(config.state_dir)


def print_json(value: Any) -> None:
    """Print ``value`` as JSON: ASCII only, so that a path of any bytes comes through."""
    print(ascii_json(value, indent=2))


def print_paths(paths: Iterable[str], *, null: bool = False) -> None:
    """Print paths byte for byte, ended by newlines or by NULs; for a person, made visible."""
    if is_terminal(sys.stdout) and not null:
        for path in paths:
            print(printable(path))
        return
    end = b"\0" if null else b"\n"
    sys.stdout.flush()
    out = raw(sys.stdout).buffer
    for path in paths:
        out.write(os.fsencode(path) + end)
    out.flush()


def ask_path(path: str) -> str:
    """Return a path given on the command line as an absolute one, links kept.

    Raise ConfigError when it is relative to a folder that is gone.
    """
    try:
        return os.path.abspath(path)
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path} cannot be found: the folder that you are in is gone",
            "change to another one (`cd`)",
        ) from error


def ask_known(config: Config, path: str) -> str:
    """Return what :func:`ask_path` does, as the index calls that photo or folder."""
    return known_path(ask_path(path), [root.path for root in config.watch])


def photos_in(places: Sequence[str]) -> list[str]:
    """Return the photos among ``places``, and in the folders there. Raise PhotoVanishedError."""
    found: set[str] = set()
    for place in map(ask_path, places):
        if os.path.isdir(place):
            for folder, _, names in os.walk(place):
                found.update(os.path.join(folder, name) for name in names if is_photo_name(name))
        elif os.path.exists(place):
            found.add(place)
        else:
            raise PhotoVanishedError(f"there is no photo {place}", "correct the path")
    return sorted(found)


def indexed_photos(state_dir: str) -> list[str]:
    """Return the photos in the index that have been looked at. Raise StateError without one."""
    from tagger.index.reader import open_reader

    with open_reader(state_dir) as reader:
        return [path for status in ("tagged", "untagged") for path in reader.paths(status)]


_PLACES = ("TAGGER_MODEL_DIR", "TORCH_HOME", "XDG_CACHE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR")
_LISTS = ("PYTHONPATH",)
"""Variables that may name places, or lists of them, relative to the current folder."""


def leave_folder() -> None:
    """Go to the root folder, as daemons do; relative paths mean nothing from now on.

    The processes that open photos begin in the folder of this one. That may be one where its
    user has no right to be (`sudo -u tagger tagger run` in the home of root), or may go away.
    """
    for name in (*_PLACES, *_LISTS):
        if given := os.environ.get(name):
            places = given.split(os.pathsep) if name in _LISTS else [given]
            absolute = (os.path.abspath(os.path.expanduser(one)) for one in places)
            os.environ[name] = os.pathsep.join(absolute)
    os.chdir(os.sep)
