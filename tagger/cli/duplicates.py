"""``tagger duplicates`` and ``tagger similar``."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from tagger.cli.common import (
    ask_known,
    ask_path,
    config_or_default,
    json_option,
    leave_folder,
    only_one,
    print_json,
    print_paths,
    read_config,
)
from tagger.cli.speech import say, tell
from tagger.cli.terminal import is_terminal
from tagger.errors import ConfigError, StateError, TaggerError
from tagger.index.reader import open_reader
from tagger.index.store import Store
from tagger.system.state_dir import daemon_runs
from tagger.text.messages import gettext, ngettext
from tagger.text.printable import printable

if TYPE_CHECKING:
    from tagger.config.schema import Config
    from tagger.library.duplicates import Group


@click.command("duplicates")
@click.option("--in", "folder", metavar="FOLDER", help="Only photos below this folder.")
@click.option(
    "--min-size", "least", type=click.IntRange(2), default=2, help="Groups of so many photos."
)
@click.option("--bursts", is_flag=True, help="Series of shots instead of copies.")
@click.option("--null", is_flag=True, help="End each path with a NUL, each group with another.")
@json_option
@click.option("--link-to", metavar="DIR", help="Make a folder of links there for each group.")
@click.option("--move-to", metavar="DIR", help="Move all but the best of each group there.")
@click.option("--move-back", is_flag=True, help="Bring back what --move-to moved.")
def duplicates_command(
    folder: str | None,
    least: int,
    bursts: bool,
    null: bool,
    as_json: bool,
    link_to: str | None,
    move_to: str | None,
    move_back: bool,
) -> int:
    """Print the groups of photos that show the same picture, the best of each first.

    Copies are found that were resized, recompressed, sent, turned, lightly edited or cut, and files
    of one shot in several formats. The best has the most pixels, then the better format, then the
    most bytes, then it is the oldest.

    Nothing is ever deleted. --move-to moves the others with their sidecars, over nothing, to a
    folder that is there; --move-back, or `tagger rules undo PHOTO`, brings them back.
    """
    only_one(
        {"--null": null, "--json": as_json, "--link-to": link_to}
        | {"--move-to": move_to, "--move-back": move_back}
    )
    if bursts and move_to:
        raise click.UsageError(
            gettext("--bursts and --move-to exclude each other: shots are no copies")
        )
    config = read_config()[0] if move_to or move_back else config_or_default()
    if move_back:
        return _moved_back(config)
    below = [ask_known(config, folder)] if folder else []
    target = ask_path(move_to or link_to or "") if move_to or link_to else ""
    found = _found(config, below, least, bursts)
    if move_to:
        return _moved(config, found, target)
    if link_to:
        return _linked(found, target)
    if as_json:
        from tagger.library.duplicates import group_json

        print_json([group_json(group) for group in found])
    else:
        _print(found, null=null)
    return 0


def _found(config: Config, below: list[str], least: int, bursts: bool) -> list[Group]:
    from tagger.library.duplicates import compare_new, groups

    if not daemon_runs(config.state_dir):
        with open_reader(config.state_dir) as reader:
            waiting = reader.groups.count_waiting()
        if waiting:
            with contextlib.suppress(StateError):  # another's index: what is known has to do
                compare_new(config)
    with open_reader(config.state_dir) as reader:
        left = reader.groups.count_waiting() + reader.groups.count_unhashed()
        found = groups(reader, "series" if bursts else "picture", folders=below, least=least)
    if left:
        said = ngettext(
            "%(n)s photo is still to be compared", "%(n)s photos are still to be compared", left
        )
        click.echo(f"tagger: {said}", err=True)
    return found


def _print(found: Iterable[Group], *, null: bool) -> None:
    if null:
        for group in found:
            print_paths([*(row.path for row in group.photos), ""], null=True)
        return
    for number, group in enumerate(found):
        if number:
            click.echo()
        if not is_terminal(sys.stdout):
            print_paths(row.path for row in group.photos)
            continue
        for row in group.photos:
            size = f"{row.stat.size / 1e6:.1f} MB" if row.stat else ""
            facts = f"{row.facts.width} x {row.facts.height}  {row.facts.format}  {size}"
            click.echo(f"{printable(row.path)}  ({facts})")


def _linked(found: list[Group], folder: str) -> int:
    from tagger.cli.export import link_photos

    added = failed = 0
    for group in found:
        place = os.path.join(folder, f"{group.number:06d}")
        done = link_photos([(row.path, row.root) for row in group.photos], place)
        added, failed = added + done.added, failed + done.failed
    say(
        "%(links)s links in %(folders)s folders in %(place)s",
        links=added,
        folders=len(found),
        place=printable(folder),
    )
    return 2 if failed else 0


def _moved(config: Config, found: list[Group], folder: str) -> int:
    from tagger.library.duplicates import move_others

    if not os.path.isdir(folder):
        raise ConfigError(f"the folder {folder} is not there", "make it, or mount its disk")
    leave_folder()
    with Store(config.state_dir) as store:
        return _told(move_others(config, store, found, folder))


def _moved_back(config: Config) -> int:
    from tagger.library.duplicates import move_back

    leave_folder()
    with Store(config.state_dir) as store:
        return _told(move_back(config, store))


def _told(outcomes: Iterable[tuple[str, str | TaggerError]]) -> int:
    moved, failed = 0, False
    for path, what in outcomes:
        if isinstance(what, TaggerError):
            failed = True
            tell(what)
        else:
            moved += 1
            click.echo(printable(f"{path}: {what}"))
    if not moved and not failed:
        say("Nothing is to be moved.")
    return 2 if failed else 0


@click.command("similar")
@click.argument("photo")
@click.option("--limit", type=click.IntRange(1, 1000), default=12, help="At most so many.")
@click.option("--null", is_flag=True, help="End each path with a NUL, for xargs -0.")
@json_option
def similar_command(photo: str, limit: int, null: bool, as_json: bool) -> None:
    """Print the photos that look most like PHOTO, the most alike first.

    They have what the network sees in PHOTO; copies of it are found by `tagger duplicates`.
    """
    from tagger.library.search import photo_known
    from tagger.library.similar import make_file, most_alike

    config = config_or_default()
    path = ask_known(config, photo)
    make_file(config.state_dir)
    with open_reader(config.state_dir) as reader:
        row = photo_known(reader, path)
        found = []
        for number, score in most_alike(reader, config.state_dir, row.id, limit):
            if (other := reader.photo_of(number)) is not None:
                found.append((other.path, score))
    if as_json:
        print_json([{"path": one, "similarity": round(score, 4)} for one, score in found])
    elif null or not is_terminal(sys.stdout):
        print_paths((one for one, _ in found), null=null)
    else:
        for one, score in found:
            click.echo(f"{score:.2f}  {printable(one)}")
