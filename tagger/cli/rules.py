"""``tagger rules``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from tagger.cli.common import (
    ask_known,
    ask_path,
    json_option,
    leave_folder,
    print_json,
    read_config,
    vocabulary,
    when_done,
)
from tagger.cli.speech import say, tell
from tagger.config.schema import Config
from tagger.errors import ConfigError, PhotoError, RuleError, StateError, TaggerError
from tagger.index.reader import Reader, open_reader
from tagger.index.store import Store
from tagger.pipeline.preflight import check_config
from tagger.system.state_dir import daemon_runs
from tagger.text.error_texts import all_in_language
from tagger.text.messages import gettext, ngettext, number
from tagger.text.printable import printable

if TYPE_CHECKING:
    from tagger.config.rule import Rule
    from tagger.index.rows import SavedPhoto

_CHUNK = 500


@click.group("rules")
def rules_command() -> None:
    """Try the rules of the config, see what they did, and undo it."""


@rules_command.command("test")
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...")
@json_option
def test(photos: tuple[str, ...], as_json: bool) -> int:
    """Say what the rules would do with each PHOTO. Nothing is done, nothing remembered.

    One that is not in the library is classified now.
    """
    config = _config()
    paths = [ask_known(config, ask_path(photo)) for photo in photos]
    leave_folder()
    with _library(config) as reader:
        told, failed = _tested(config, reader, paths)
    if as_json:
        print_json(told)
        return 2 if failed else 0
    for one in told:
        click.echo(printable(one["path"]))
        tags = printable(", ".join(one["labels"])) or gettext("none")
        click.echo("  " + gettext("tags: %(tags)s", tags=tags))
        for rule in one["rules"]:
            click.echo("  " + printable(gettext("rule %(rule)s", rule=rule["rule"])))
            for action, what in rule["actions"].items():
                click.echo(printable(f"    {action}: {all_in_language(what)}"))
        if not one["rules"]:
            click.echo("  " + gettext("meets no rule"))
    return 2 if failed else 0


def _tested(
    config: Config, reader: Reader | None, paths: list[str]
) -> tuple[list[dict[str, Any]], bool]:
    from tagger.library.rules.matching import rules_met
    from tagger.library.rules.preview import photos_met, would_do, would_save

    known = vocabulary(config)
    found: dict[str, tuple[list[str], list[Rule]]] = {}
    rows = {path: reader.photo(path) for path in paths} if reader is not None else {}
    there = {
        path: row for path, row in rows.items() if row and row.status in ("tagged", "untagged")
    }
    if reader is not None:
        met = rules_met(reader, config, known, [row.id for row in there.values()])
        for path, row in there.items():
            found[path] = ([tag.label for tag in reader.tags(row.id)], met[row.id])
    others = list(dict.fromkeys(path for path in paths if path not in there))
    saved: list[SavedPhoto] = []
    for one in would_save(config, others):
        if isinstance(one, PhotoError):
            tell(one)
        else:
            saved.append(one)
    for photo, rules in zip(saved, photos_met(reader, config, known, saved), strict=True):
        found[photo.path] = ([tag.label for tag in photo.tags], rules)
    told = []
    for path in paths:
        if path not in found:
            continue
        labels, rules = list(dict.fromkeys(found[path][0])), found[path][1]
        would = would_do(rules, path, labels)
        told.append(
            {
                "path": path,
                "in_library": path in there,
                "labels": labels,
                "rules": [{"rule": one.rule, "actions": dict(one.actions)} for one in would],
            }
        )
    return told, len(saved) < len(others)


@rules_command.command("list")
@json_option
def list_rules(as_json: bool) -> None:
    """Show the rules, how often each was followed, and what failed last."""
    from tagger.index.rule_tasks import failed_tasks, task_counts

    config = _config()
    with _library(config) as reader:
        counts = task_counts(reader) if reader is not None else {}
        failures = failed_tasks(reader) if reader is not None else []
    rules: list[dict[str, Any]] = [
        {
            "rule": rule.key,
            "query": rule.query,
            "actions": list(rule.actions),
            "counts": counts.get(rule.key, {}),
        }
        for rule in config.rules
    ]
    failed = [
        {
            "rule": task.rule,
            "action": task.action,
            "path": task.path,
            "reason": task.reason,
            "tries": task.tries,
            "again": task.due_at is not None,
        }
        for task in failures
    ]
    if as_json:
        print_json({"rules": rules, "failures": failed})
        return
    for rule in rules:
        counted = (f"{number(n)} {gettext(state)}" for state, n in rule["counts"].items())
        times = ", ".join(counted) or gettext("never")
        click.echo(printable(f"{rule['rule']}: {', '.join(rule['actions'])} ({times})"))
    for one in failed:
        again = f", {gettext('tried again')}" if one["again"] else ""
        what = f"{one['rule']}, {one['action']}: {all_in_language(str(one['reason']))}"
        click.echo(printable(gettext("failed: %(what)s", what=what) + again))
    if not rules:
        say("The config has no rules; see `tagger help rules`.")


@rules_command.command("apply")
@click.option("--in", "folder", metavar="FOLDER", help="Only photos below this folder.")
@click.option("--rule", "names", multiple=True, help="Only this rule.")
@click.option("--yes", is_flag=True, help="Do it; without this it is only said.")
def apply(folder: str | None, names: tuple[str, ...], yes: bool) -> None:
    """Follow the rules for photos that are in the library already.

    Rules are for new photos. This says how many others meet them and, with --yes, has the
    daemon, or the next `tagger run`, do it. What was done for a photo is not done again.
    """
    from tagger.index.conditions import And, Below
    from tagger.index.rule_photos import RulePhotos
    from tagger.library.rules.matching import rule_query
    from tagger.library.rules.worker import in_order

    config = _config()
    unknown = set(names) - {rule.key for rule in config.rules}
    if unknown:
        raise ConfigError(
            f"the config has no rule {sorted(unknown)[0]!r}", "see `tagger rules list`"
        )
    below = Below((ask_path(folder),)) if folder else And()
    wanted = [rule for rule in config.rules if not names or rule.key in names]
    met: dict[int, list[Rule]] = {}
    with open_reader(config.state_dir) as reader:
        for rule in wanted:
            query = rule_query(reader, config, vocabulary(config), rule)
            ids = [found.row.id for found in reader.find(And((query, below)))]
            for photo_id in ids:
                met.setdefault(photo_id, []).append(rule)
            photos = ngettext("%(n)s photo", "%(n)s photos", len(ids))
            click.echo(printable(f"{rule.key}: {photos}"))
    if not yes:
        say("Nothing is done; --yes has it done.")
        return
    made, chosen = 0, list(met)
    with Store(config.state_dir) as store:
        tasks = RulePhotos(store)
        for start in range(0, len(chosen), _CHUNK):
            part = chosen[start : start + _CHUNK]
            made += tasks.decide(part, {one: in_order(met[one]) for one in part})
    when = gettext("now") if daemon_runs(config.state_dir) else when_done(runs=False)
    said = ngettext(
        "%(n)s action is done %(when)s", "%(n)s actions are done %(when)s", made, when=when
    )
    click.echo(said + "; " + gettext("see `tagger rules list`."))


@rules_command.command("undo")
@click.argument("photos", nargs=-1, required=True, metavar="PHOTO...")
def undo(photos: tuple[str, ...]) -> int:
    """Undo what rules did with each PHOTO, named as it is called now or was before.

    A moved photo comes back with its sidecars, a copy that nobody changed is deleted, a tag is
    taken away for good. What a program or a webhook did stays.
    """
    from tagger.library.rules.undo import undo_rules

    config = _config()
    failed = False
    with Store(config.state_dir) as store:
        for path in [ask_known(config, ask_path(photo)) for photo in photos]:
            done = 0
            for what in undo_rules(config, store, path):
                done += 1
                if isinstance(what, TaggerError):
                    failed = True
                    tell(what)
                else:
                    click.echo(printable(f"{path}: {what}"))
            if not done:
                failed = True
                error = RuleError(
                    f"no rule has tagged, copied or moved {path}", "see `tagger rules list`"
                )
                tell(error)
    return 2 if failed else 0


@rules_command.command("retry")
def retry() -> None:
    """Try again what failed."""
    from tagger.index.rule_tasks import RuleTasks

    config = _config()
    with Store(config.state_dir) as store:
        count = RuleTasks(store).retry()
    when = when_done(daemon_runs(config.state_dir)) if count else ""
    said = ngettext(
        "%(n)s actions are tried again %(when)s",
        "%(n)s actions are tried again %(when)s",
        count,
        when=when,
    )
    click.echo(said.strip() + ".")


def _config() -> Config:
    config, path = read_config()
    check_config(config, path)
    return config


@contextmanager
def _library(config: Config) -> Iterator[Reader | None]:
    """Open the index for reading, if there is one."""
    with ExitStack() as opened:
        reader = None
        with suppress(StateError):
            reader = opened.enter_context(open_reader(config.state_dir))
        yield reader
