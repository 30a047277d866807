"""Checks rules against this machine: folders, programs, the network, words, one another."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from tagger.config.rule import Rule
from tagger.config.schema import Config
from tagger.errors import QueryError, StateError
from tagger.index.conditions import And
from tagger.index.reader import Reader, open_reader
from tagger.labels.vocabulary import Vocabulary
from tagger.library.rules import webhook
from tagger.library.rules.matching import rule_query, unknown_words
from tagger.library.rules.program import PATH
from tagger.library.taught_words import known_words
from tagger.system.paths import is_inside

May = Callable[[str], bool | None]
"""Whether the daemon's user may write to a folder; None: that cannot be told."""
See = Callable[[str], str]
"""Where something is as the daemon sees it: a service does not see all, nor may it write to all."""
State = Literal["ok", "warning", "error"]
_Told = tuple[State, str, str]
"""Of a finding all but the rule."""
OPEN = "run `tagger service install` again, which opens it to the service"


@dataclass(frozen=True, slots=True)
class Finding:
    """What is found of one rule; ``remedy`` is empty when all is well."""

    rule: str
    state: State
    message: str
    remedy: str = ""


def may_write(folder: str) -> bool:
    """Whether we may write to a folder."""
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=True)


def check_rules(
    config: Config,
    *,
    may: May = may_write,
    see: See = os.path.abspath,
    no_network: str | None = None,
) -> Iterator[Finding]:
    """Yield what is found of each rule, at least one for each.

    ``may`` asks for the user that the daemon runs as, ``see`` says where that daemon finds a path.
    ``no_network`` is why the daemon has none, None: as this process has.
    """
    if not config.rules:
        return
    known = known_words(config.state_dir)
    problem = webhook.no_network() if no_network is None else no_network
    try:
        with open_reader(config.state_dir) as reader:
            yield from _all(config, known, reader, may, see, problem)
    except (StateError, sqlite3.Error):  # there is none yet
        yield from _all(config, known, None, may, see, problem)


def _all(
    config: Config, known: Vocabulary, reader: Reader | None, may: May, see: See, problem: str
) -> Iterator[Finding]:
    for rule in config.rules:
        found = [
            *_words(config, known, reader, rule),
            *_folders(config, rule, may, see),
            *_program(rule, see),
            *_address(rule, problem),
        ]
        for told in found or [("ok", ", ".join(rule.actions), "")]:
            yield Finding(rule.key, *told)
    yield from _both_move(config, known, reader)


def _words(config: Config, known: Vocabulary, reader: Reader | None, rule: Rule) -> Iterator[_Told]:
    try:
        for words in unknown_words(reader, known, config, rule):
            message = f"`{words}` is no label, and no photo has it as a keyword"
            yield "warning", message, "see `tagger labels --all` for the names"
    except QueryError as error:
        yield "error", error.message, error.remedy


def _folders(config: Config, rule: Rule, may: May, see: See) -> Iterator[_Told]:
    for key in ("copy_to", "move_to"):
        folder = getattr(rule, key)
        if not folder:
            continue
        if not os.path.isdir(folder):
            yield "error", f"{key}: {folder} is not there", "make it, or mount its disk"
            continue
        allowed, refused = may(folder), f"{key}: the daemon may not write to {folder}"
        if _is_shut(folder, see):
            yield "error", refused, OPEN
        elif allowed is None:
            message = f"{key}: whether the daemon may write to {folder} is not known"
            yield "warning", message, "run this as its user, or with sudo"
        elif not allowed:
            yield "error", refused, "give its user the right to"
        if is_inside(folder, config.state_dir) or is_inside(config.state_dir, folder):
            message = f"{key}: {folder} and the state directory are one inside the other"
            yield "error", message, "name another folder"
        root = config.root_of(folder)
        if root is not None and root.read_only:
            message = f"{key}: {folder} is in {root.path}, which is `read_only`"
            yield "error", message, "name another folder"
        elif root is not None and key == "copy_to":
            yield (
                "warning",
                f"copy_to: {folder} is in the watched folder {root.path}: photos are found twice",
                "name a folder that is not watched, or use move_to",
            )
        covered = [root.path for root in config.watch if is_inside(root.path, folder)]
        if key == "move_to" and covered:
            message = f"move_to: {', '.join(covered)} is inside {folder}: photos there stay"
            yield "warning", message, "name a folder that holds no watched one"


def _is_shut(folder: str, see: See) -> bool:
    """Whether a folder that is there is hidden from the daemon, or read-only for it alone."""
    try:
        inside = os.statvfs(see(folder)).f_flag
    except OSError:
        return True
    return bool(inside & ~os.statvfs(folder).f_flag & os.ST_RDONLY)


def _program(rule: Rule, see: See) -> Iterator[_Told]:
    if not rule.run:
        return
    name = rule.run[0]
    found = shutil.which(name, path=os.environ.get("PATH", PATH))
    if found is not None:
        if not os.access(see(found), os.F_OK):
            yield "error", f"run: the daemon does not see {name}", OPEN
    elif os.path.exists(name):
        yield "error", f"run: {name} may not be run", f"make it executable: `chmod +x {name}`"
    else:
        yield "error", f"run: {name} is not there", "name a program by its path"


def _address(rule: Rule, problem: str) -> Iterator[_Told]:
    if why := webhook.unreachable(rule, problem):
        yield "warning", f"webhook: it is off: {why}", "see docs/rules.md for what allows it"


def _both_move(config: Config, known: Vocabulary, reader: Reader | None) -> Iterator[Finding]:
    """Yield pairs of rules that would move the same photo: the first one does."""
    moving = [rule for rule in config.rules if rule.move_to]
    for first, second in combinations(moving, 2):
        count = 0
        if reader is not None:
            try:
                queries = (rule_query(reader, config, known, rule) for rule in (first, second))
                count = reader.count(And(tuple(queries)))
            except QueryError:
                continue
        same = first.query.split() == second.query.split()
        if count or same:
            which = f"{count:,} photos of the library meet" if count else "the same photos meet"
            yield Finding(
                second.key,
                "warning",
                f"move_to: {which} the rule {first.key!r} as well, which moves them first",
                f"write `not ({first.query})` into one of them",
            )
