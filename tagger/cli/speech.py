"""The language of the command line: that of the locale, for our messages, click's, and help."""

from __future__ import annotations

import copy
import inspect
import sys
import unicodedata
from collections.abc import Mapping
from contextlib import AbstractContextManager

import click

from tagger.errors import TaggerError
from tagger.text.messages import (
    CATALOGUES,
    DOMAIN,
    ENGLISH,
    LANGUAGES,
    gettext,
    of_environment,
    speaking,
    translated,
)
from tagger.text.printable import printable

_FILLER = "\ue000"
"""Follows a character of two columns while help is laid out, so that it counts as two."""


def speaking_here(environ: Mapping[str, str]) -> AbstractContextManager[None]:
    """Speak the locale's language, English where standard output cannot write its letters."""
    chosen = of_environment(environ)
    try:
        LANGUAGES[chosen].encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        chosen = ENGLISH
    if chosen != ENGLISH:
        from gettext import bindtextdomain

        bindtextdomain(DOMAIN, CATALOGUES)  # click's own messages are in our catalogues, too
    return speaking(chosen)


class Context(click.Context):
    """That of a command whose help is shown in the language that is spoken."""

    def get_help(self) -> str:
        return _translated(self.command).get_help(self).replace(_FILLER, "")


def speak_help(command: click.Command) -> click.Command:
    """Have ``command``, and those below it, show their help in the language that is spoken."""
    command.context_class = Context
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            speak_help(inner)
    return command


def help_text(text: str) -> str:
    """Return a text of a help page in the language that is spoken, to be laid out."""
    return "".join(
        char + _FILLER if unicodedata.east_asian_width(char) in "WF" else char
        for char in translated(text)
    )


def anew(command: click.Command) -> click.Command:
    """Return a copy of ``command`` that says of ``--help`` what is said in the present language.

    click keeps the option that it made first, in whatever language was spoken then.
    """
    made = copy.copy(command)
    made._help_option = None
    return made


def _translated(command: click.Command) -> click.Command:
    made = anew(command)
    if made.help:
        made.help = help_text(inspect.cleandoc(made.help))
    made.params = [_translated_option(one) for one in command.params]
    if isinstance(made, click.Group):
        made.commands = {name: _translated(one) for name, one in made.commands.items()}
    return made


def _translated_option(parameter: click.Parameter) -> click.Parameter:
    if not isinstance(parameter, click.Option) or not parameter.help:
        return parameter
    made = copy.copy(parameter)
    made.help = help_text(parameter.help)
    return made


def in_words(error: TaggerError) -> str:
    """Return what an error says, in the language that is spoken."""
    from tagger.text.error_texts import error_text

    return error_text(error.message, error.remedy)


def say(message: str, **values: object) -> None:
    """Print a message in the language that is spoken, with its values."""
    click.echo(gettext(message, **values))


def tell(error: TaggerError) -> None:
    """Print what an error says to standard error; the command goes on."""
    print(f"tagger: {printable(in_words(error))}", file=sys.stderr)


def note(text: str, *, err: bool = False) -> None:
    """Print a remark."""
    click.echo(printable(gettext("Note: %(text)s", text=text)), err=err)


def stored_text(text: str) -> str:
    """Return what was stored in English (a reason, a notice), as it is printed: translated."""
    from tagger.text.error_texts import all_in_language

    return printable(all_in_language(text))


def agreed(question: str, *, default: bool = False) -> bool:
    """Ask a question that is answered by yes or no; Enter means ``default``. Raise click.Abort."""
    yes, no = gettext("y"), gettext("n")
    shown = f"{yes.upper()}/{no}" if default else f"{yes}/{no.upper()}"
    while True:
        said = click.prompt(f"{question} [{shown}]", default="", show_default=False)
        word = str(said).strip().casefold()
        if not word:
            return default
        if word in {yes, gettext("yes"), "y", "yes"}:
            return True
        if word in {no, gettext("no"), "n", "no"}:
            return False
        say("Answer with %(yes)s or %(no)s.", yes=yes, no=no)
