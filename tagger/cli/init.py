"""``tagger init``: a config file for folders, and for the photo programs that look at them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from tagger.cli.common import ask_path
from tagger.cli.terminal import is_terminal
from tagger.config.example import example_config
from tagger.config.loader import config_places
from tagger.config.photo_programs import (
    PROGRAMS,
    PhotoProgram,
    fitting_sidecar_name,
    fitting_target,
    program,
)
from tagger.errors import ConfigError
from tagger.paths import is_inside

_NAMES = [one.name for one in PROGRAMS]
_TARGETS = ["sidecar-xmp", "sidecar-json", "embed", "none"]


@click.command("init")
@click.argument("folders", nargs=-1, required=True, metavar="FOLDER...")
@click.option(
    "--program",
    "programs",
    multiple=True,
    type=click.Choice(_NAMES),
    help="A photo program that shall show the tags; may be given several times. By it the other"
    " two are chosen.",
)
@click.option("--target", type=click.Choice(_TARGETS), help="Where tags go: `write.target`.")
@click.option(
    "--sidecar-name",
    type=click.Choice(["auto", "long", "short"]),
    help="How new sidecars are called: `write.sidecar_name`.",
)
@click.option("--language", metavar="CODE", help="Language of the tags: `labels.language`.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Replace a config file that exists.")
@click.pass_context
def init_command(
    ctx: click.Context,
    folders: tuple[str, ...],
    programs: tuple[str, ...],
    target: str | None,
    sidecar_name: str | None,
    language: str | None,
    yes: bool,
    force: bool,
) -> None:
    """Write a config file, with every key explained, that watches the given folders.

    On a terminal it asks which photo programs you use, and in which language tags shall be; what
    an option says is not asked.

    It goes to the file named by --config, else to ~/.config/tagger/config.yaml. For a file in
    /etc, of a service of the system, the state directory is /var/lib/tagger.
    """
    from tagger.service.units import STATE

    place = os.path.abspath(ctx.find_root().obj or config_places(os.environ)[0])
    wanted = _wanted(folders)
    if os.path.exists(place) and not force:
        raise ConfigError(
            f"there is a config file at {place} already", "edit it, or replace it with --force"
        )
    system = is_inside(place, "/etc")
    state_dir = STATE if system else None
    languages = _languages(state_dir)
    if language is not None and language not in languages:
        raise ConfigError(
            f"there are no tags in the language {language!r}", f"take {' or '.join(languages)}"
        )
    asks = not yes and is_terminal(sys.stdin) and is_terminal(sys.stdout)
    used = [program(name) for name in programs]
    if asks and not (programs or target):
        used = _ask_programs()
    if asks and language is None:
        language = _ask_language(languages)
    chosen = {
        "write.target": target or fitting_target(used),
        "write.sidecar_name": sidecar_name or fitting_sidecar_name(used),
        "labels.language": language or "en",
    }
    _write(place, example_config(wanted, state_dir=state_dir, chosen=chosen))
    click.echo(f"Wrote {place}.")
    if used or asks:
        _tell(used, chosen)
    then = "service install" if system else "run"
    click.echo(f"Start tagging with: tagger --config {place} {then}")


def _wanted(folders: Sequence[str]) -> list[str]:
    """Return the folders as absolute paths. Raise ConfigError where there is none."""
    wanted = [ask_path(os.path.expanduser(folder)) for folder in folders]
    for folder in wanted:
        if not os.path.isdir(folder):
            raise ConfigError(f"there is no folder {folder}", "name folders that exist")
    return wanted


def _write(place: str, text: str) -> None:
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise ConfigError(
            f"cannot write {place}: {error.strerror}", "name another file with --config"
        ) from error


def _languages(state_dir: str | None) -> tuple[str, ...]:
    """Return the languages that tags may be in, those of the user's own among them."""
    from tagger.config.schema import default_state_dir
    from tagger.labels.vocabulary import own_vocabulary

    known = own_vocabulary(state_dir or default_state_dir(os.environ)).languages
    return tuple(sorted({"en", *known}))


def _ask_programs() -> list[PhotoProgram]:
    """Ask until every word is a program's name; nothing means none."""
    click.echo("Which photo programs shall show the tags? They decide where tags are written.")
    for one in PROGRAMS:
        click.echo(f"  {one.name:<14} {one.title}")
    said = click.prompt(
        "Names, with commas between them, or nothing",
        default="",
        show_default=False,
        value_proc=_programs,
    )
    return list(said)


def _programs(said: str) -> list[PhotoProgram]:
    """Return the programs of a list of names. Raise UsageError, after which click asks again."""
    from difflib import get_close_matches

    found = []
    for word in said.replace(",", " ").lower().split():
        if word not in _NAMES:
            near = get_close_matches(word, _NAMES, 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_NAMES)}"
            raise click.UsageError(f"{word} is not known; {hint}")
        found.append(program(word))
    return found


def _ask_language(languages: Sequence[str]) -> str:
    """Ask for one of ``languages``; that of the locale is offered."""
    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    here = locale.partition("_")[0].partition(".")[0]
    said = click.prompt(
        "Language of the tags",
        type=click.Choice(list(languages)),
        default=here if here in languages else "en",
    )
    return str(said)


def _tell(used: Sequence[PhotoProgram], chosen: dict[str, Any]) -> None:
    """Say what was chosen, and what is to be set in the programs."""
    for key, value in chosen.items():
        click.echo(f"  {key}: {value}")
    for one in used:
        if one.advice:
            click.echo(f"For {one.title}: {one.advice}.")
