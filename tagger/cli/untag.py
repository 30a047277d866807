"""``tagger untag``, ``tagger restore`` and ``tagger prune``."""

from __future__ import annotations

from typing import Any

import click

from tagger.cli.common import ask_known, json_option, print_json, read_config, when_done
from tagger.cli.speech import say, stored_text, tell
from tagger.errors import ConfigError, TaggerError
from tagger.index.store import Store
from tagger.system.state_dir import daemon_runs
from tagger.text.messages import gettext
from tagger.text.printable import printable


@click.command("untag")
@click.argument("photos", nargs=-1, metavar="[PHOTO...]")
@click.option("--all", "everything", is_flag=True, help="All photos in the index.")
@click.option("--label", "labels", multiple=True, help="Only this label and what is below it.")
@click.option("--dry-run", is_flag=True, help="Only say what would be taken away.")
@json_option
def untag_command(
    photos: tuple[str, ...], everything: bool, labels: tuple[str, ...], dry_run: bool, as_json: bool
) -> int:
    """Take away exactly what tagger added to each PHOTO, and never add it again.

    A file that nobody changed since becomes what it was, byte for byte. Your own keywords
    stay. `tagger restore` lets the tags come back.
    """
    from tagger.library.edit import TagEditor

    if everything == bool(photos):
        raise ConfigError("no photos are named", "name photos, or say --all")
    config, _ = read_config()
    told: list[dict[str, Any]] = []
    failed = False
    with Store(config.state_dir) as store:
        untagger = TagEditor(config, store)
        paths = untagger.known() if everything else [ask_known(config, photo) for photo in photos]
        for path, removal in untagger.remove_all(paths, labels, dry_run=dry_run):
            if isinstance(removal, TaggerError):
                failed = True
                tell(removal)
                continue
            one = {
                "path": path,
                "files": list(removal.files),
                "reason": removal.reason or None,
                "added": {
                    entry.file: {name: list(values) for name, values in entry.added.items()}
                    for entry in removal.entries
                },
            }
            told.append(one)
            if not as_json and (removal.files or removal.reason or not everything):
                _print(one, dry_run)
    if as_json:
        print_json(told)
    return 2 if failed else 0


def _print(one: dict[str, Any], dry_run: bool) -> None:
    changed = gettext("would be changed") if dry_run else gettext("changed")
    click.echo(printable(one["path"]))
    for file in one["files"]:
        click.echo(f"  {printable(file)} {changed}")
        for name, values in one["added"].get(file, {}).items():
            if not name.startswith("tagger:"):
                had = gettext("had from tagger, %(field)s", field=name)
                click.echo(f"    {had}: {printable(', '.join(values))}")
    if one["reason"]:
        click.echo(f"  {stored_text(one['reason'])}")
    elif not one["files"]:
        click.echo("  " + gettext("nothing of tagger's is in any file"))


@click.command("restore")
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...")
@click.option("--label", "labels", multiple=True, help="Only this label.")
def restore_command(photos: tuple[str, ...], labels: tuple[str, ...]) -> None:
    """Let tags come back that you, or `tagger untag`, took away from each PHOTO."""
    from tagger.library.edit import TagEditor

    config, _ = read_config()
    with Store(config.state_dir) as store:
        untagger = TagEditor(config, store)
        for path in [ask_known(config, photo) for photo in photos]:
            lifted = untagger.restore(path, labels)
            what = ", ".join(lifted) or gettext("no single labels were taken away")
            click.echo(f"{printable(path)}: {printable(what)}")
    say("What may come back is written %(when)s.", when=when_done(daemon_runs(config.state_dir)))


@click.command("prune")
@click.argument("folders", nargs=-1, metavar="[FOLDER...]")
def prune_command(folders: tuple[str, ...]) -> None:
    """Confirm that photos missing from each FOLDER (default: all) were deleted on purpose.

    When many photos are gone at once tagger waits for this, in case a disk is away. Nothing
    is deleted: the photos count as missing, and are known again if they come back.
    """
    from tagger.library.prune import mark_absent

    config, _ = read_config()
    watched = [root.path for root in config.watch]
    wanted = [ask_known(config, folder) for folder in folders] or watched
    for folder in wanted:
        if folder not in watched:
            raise ConfigError(f"{folder} is not watched", f"watched are: {', '.join(watched)}")
    with Store(config.state_dir) as store:
        for folder, count in mark_absent(config, store, wanted).items():
            missing = gettext("%(n)s photo(s) are missing", n=count)
            click.echo(f"{printable(folder)}: {missing}")
