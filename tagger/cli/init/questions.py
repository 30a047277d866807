"""What ``tagger init`` asks, and what it takes when nobody is asked."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Sequence

import click

from tagger.cli.common import ask_path
from tagger.cli.init.folders import Place, photo_folders, pictures_folder
from tagger.cli.speech import agreed, say
from tagger.config.photo_programs import PROGRAMS, PhotoProgram, program
from tagger.errors import ConfigError
from tagger.system.humanize import megabytes
from tagger.text.messages import gettext, ngettext, of_environment
from tagger.text.printable import printable
from tagger.text.spelling import nearest

_NAMES = [one.name for one in PROGRAMS]
_COMMANDS = {name: name for name in "digikam darktable gthumb shotwell photoprism".split()} | {
    "gnome": "localsearch"
}
"""By which program of this machine a photo program is known to be in use."""
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
"""Of passwords made here: no sign looks like another."""


def folders(*, asks: bool) -> list[str]:
    """Return the folders to watch, of those found here or named. Raise ConfigError for none."""
    say("Looking for photos on this machine ...")
    found = photo_folders(os.environ)
    for number, place in enumerate(found, 1):
        click.echo(f"  {number}  {printable(place.path)}  ({_sizes(place)})")
    if not asks:
        if not found:
            raise ConfigError("no folder with photos was found", "name one: `tagger init FOLDER`")
        return [found[0].path]
    if not found:
        say("None was found; name one that photos will come to.")
    said = click.prompt(
        gettext("Folders to watch: numbers or paths, with commas between them"),
        default="1" if found else pictures_folder(os.environ),
        value_proc=lambda text: _chosen_folders(text, found),
    )
    return list(said)


def _sizes(place: Place) -> str:
    photos = ngettext("%(n)s photo", "%(n)s photos", place.photos)
    size = f"{photos}, {megabytes(place.size)}"
    return size if place.whole else gettext("at least %(size)s", size=size)


def _chosen_folders(text: str, found: Sequence[Place]) -> list[str]:
    """Return the folders of an answer. Raise UsageError, after which click asks again."""
    chosen: list[str] = []
    for word in filter(None, map(str.strip, text.split(","))):
        if word.isdecimal() and 1 <= int(word) <= len(found):
            chosen.append(found[int(word) - 1].path)
            continue
        path = ask_path(os.path.expanduser(word))
        if not os.path.isdir(path):
            raise click.UsageError(gettext("there is no folder %(path)s", path=path))
        chosen.append(path)
    if not chosen:
        raise click.UsageError(gettext("name at least one folder"))
    return list(dict.fromkeys(chosen))


def programs() -> list[PhotoProgram]:
    """Ask until every word is a program's name; nothing means none."""
    say("Which photo programs shall show the tags? They decide where tags are written.")
    here = [name for name, command in _COMMANDS.items() if shutil.which(command)]
    for one in PROGRAMS:
        mark = f"  ({gettext('on this machine')})" if one.name in here else ""
        click.echo(f"  {one.name:<14} {one.title}{mark}")
    said = click.prompt(
        gettext("Names, with commas between them, or nothing"),
        default="",
        show_default=False,
        value_proc=_programs,
    )
    return list(said)


def _programs(said: str) -> list[PhotoProgram]:
    """Return the programs of a list of names. Raise UsageError, after which click asks again."""
    found = []
    for word in said.replace(",", " ").lower().split():
        if word not in _NAMES:
            hint = gettext("known are %(names)s", names=", ".join(_NAMES))
            if near := nearest(word, _NAMES):
                hint = gettext("did you mean %(word)s?", word=near)
            unknown = gettext("%(word)s is not known", word=word)
            raise click.UsageError(f"{unknown}; {hint}")
        found.append(program(word))
    return found


def tag_language(languages: Sequence[str]) -> str:
    """Ask for one of ``languages``; that of the locale is offered."""
    locale = next(filter(None, map(os.environ.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "")
    here = locale.partition("_")[0].partition(".")[0]
    said = click.prompt(
        gettext("Language of the tags"),
        type=click.Choice(list(languages)),
        default=here if here in languages else of_environment(os.environ),
    )
    return str(said)


def page() -> str:
    """Ask where the page is to be seen: "none", "local" or "network"."""
    say("The web page shows the library, and looks at pictures dropped on it.")
    click.echo(f"  local    {gettext('on this machine only')}")
    click.echo(f"  network  {gettext('for phones and others in your network, with a password')}")
    click.echo(f"  none     {gettext('no page')}")
    kinds = click.Choice(["local", "network", "none"])
    return str(click.prompt(gettext("Page"), type=kinds, default="local"))


def page_password(*, asks: bool) -> str:
    """Return a password for the page; Enter, or nobody to ask, has one made and printed."""
    asked = gettext("Password of the page, or nothing to have one made")
    if asks and (said := click.prompt(asked, default="", show_default=False, hide_input=True)):
        return str(said)
    made = "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))
    say("The page's password: %(password)s", password=made)
    return made


def service() -> bool:
    """Ask whether tagger shall run from now on."""
    return agreed(gettext("Run as a service, from the start of the machine on?"), default=True)
