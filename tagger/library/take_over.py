"""Makes this installation the one that writes the tags in a folder that several taggers watch."""

from __future__ import annotations

from tagger.config.schema import Config
from tagger.errors import ConfigError, StateError
from tagger.watch.root_identity import read_marker, write_marker
from tagger.watch.root_owner import is_same, read_writer, writers_of


def take_over(config: Config, folder: str) -> None:
    """Make this installation the writer of a folder. Raise ConfigError, StateError."""
    root = config.root_of(folder)
    if root is None:
        watched = ", ".join(one.path for one in config.watch)
        raise ConfigError(f"{folder} is not watched", f"watched are: {watched}")
    if root.read_only:
        raise ConfigError(
            f"{root.path} is `read_only` in the config", "take that away, and try again"
        )
    if folder != root.path and read_writer(folder) is None:
        raise ConfigError(f"no tagger watches {folder} itself", f"take over {root.path}")
    if folder == root.path and read_marker(folder) is None:
        write_marker(folder)
    writers = writers_of(config.state_dir)
    writers.claim(folder, take_over=True)
    now = read_writer(folder)
    if now is None or not is_same(now, writers.own()):
        raise StateError(
            f"the marker of {folder} cannot be written",
            "see whether its disk is mounted for writing, and the rights of the folder",
        )
