"""All the checks, one after the other; none of them ends the others."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping

from tagger.config.loader import config_places, find_config, load_config, old_keys
from tagger.config.schema import Config
from tagger.doctor.daemon import check_daemon, check_metrics, check_page
from tagger.doctor.folders import check_events, check_folders
from tagger.doctor.index import Findings, check_failures, check_index, examine_index
from tagger.doctor.machine import (
    check_clock,
    check_disks,
    check_exiftool,
    check_inotify,
    check_state_dir,
)
from tagger.doctor.model import check_detector, check_model, check_scenes
from tagger.doctor.programs import check_programs
from tagger.doctor.report import Installation, Result, State, failed
from tagger.doctor.rules import check_rules
from tagger.doctor.sandbox import check_decoding
from tagger.doctor.taught import check_taught
from tagger.errors import ConfigError, TaggerError
from tagger.pipeline.preflight import config_problems, config_warnings
from tagger.text.error_texts import all_in_language, in_language
from tagger.text.messages import gettext

Check = Callable[[Installation], Iterable[Result]]


def examine(named: str | None, environ: Mapping[str, str] = os.environ) -> Iterator[Result]:
    """Yield what each check finds. ``named`` is the config file that the user named, if any."""
    try:
        path = find_config(named, environ)
    except ConfigError as error:
        yield failed("config", "error", error)
        if not (named or environ.get("TAGGER_CONFIG")):
            yield from checks(Installation(Config(), environ=environ), folders=False)
        return
    try:
        config = load_config(path)
        problems = config_problems(config)
    except TaggerError as error:
        # Checks of another state directory, or of none, would not help.
        remedy = gettext("correct these lines; config.example.yaml has every key")
        yield failed("config", "error", error, remedy)
        return
    if problems:
        text = f"{path}: {'; '.join(map(all_in_language, problems))}"
        yield Result("config", "error", text, gettext("correct these, then `tagger config check`"))
    else:
        yield _found(path, () if named else config_places(environ))
        for said in old_keys(path):
            what, _, until = all_in_language(said).partition("; ")
            remedy = f"{gettext('write the new name')}; {until}"
            yield Result("config", "warning", f"{path}, {what.strip()}", remedy)
        for warning in config_warnings(config):
            text, _, remedy = all_in_language(warning).rpartition("; ")
            yield Result("config", "warning", text.strip(), remedy)
    yield from checks(Installation(config, environ=environ))


def checks(patient: Installation, *, folders: bool = True) -> Iterator[Result]:
    """Yield what is found of a tagger whose config is known."""
    yield from _guarded("daemon", check_daemon, patient)
    if folders:
        yield from _guarded("folders", check_folders, patient)
        yield from _guarded("events", check_events, patient)
        yield from _guarded("inotify", check_inotify, patient)
        yield from _guarded("programs", check_programs, patient)
    yield from _guarded("weights", check_model, patient)
    yield from _guarded("scenes", check_scenes, patient)
    yield from _guarded("detector", check_detector, patient)
    yield from _guarded("decoding", check_decoding, patient)
    yield from _guarded("state directory", check_state_dir, patient)
    yield from _guarded("disks", check_disks, patient)
    found = Findings()

    def index(patient: Installation) -> Iterator[Result]:
        nonlocal found
        found = examine_index(patient.config.state_dir)
        yield from check_index(patient, found)
        yield from check_failures(patient, found)

    yield from _guarded("index", index, patient)
    if patient.config.rules:
        yield from _guarded("rules", check_rules, patient)
    if patient.config.teach:
        yield from _guarded("teach", check_taught, patient)
    yield from _guarded("clock", lambda one: check_clock(one, found.newest), patient)
    yield from _guarded("exiftool", check_exiftool, patient)
    yield from _guarded("metrics", check_metrics, patient)
    yield from _guarded("page", check_page, patient)


def _guarded(name: str, check: Check, patient: Installation) -> Iterator[Result]:
    """Yield what a check finds; what keeps it from looking is its last result."""
    try:
        yield from check(patient)
    except TaggerError as error:
        # What only another user may see is not wrong for that.
        hidden = isinstance(error.__cause__, PermissionError) and patient.user != os.geteuid()
        state: State = "warning" if hidden else "error"
        yield failed(name, state, error, gettext("see the log of the daemon"))
    except (OSError, sqlite3.Error) as error:
        text = gettext("the check failed: %(error)s", error=in_language(str(error)))
        yield Result(name, "error", text, gettext("run this with sudo"))


def _found(path: str, places: Iterable[str]) -> Result:
    """Say which file it is, and which others at ``places`` it hides."""
    hidden = [place for place in places if os.path.isfile(place) and os.path.abspath(place) != path]
    if not hidden:
        return Result("config", "ok", path)
    text = gettext("%(path)s is used, and not %(others)s", path=path, others=", ".join(hidden))
    remedy = gettext("delete the one, or name the other with --config")
    return Result("config", "warning", text, remedy)
