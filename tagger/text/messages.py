"""Messages in the reader's language: catalogues in gettext's format, English in the source.

``catalogues/<language>/LC_MESSAGES/messages.mo`` is made of the ``.po`` beside it by ``make
generate``. It is read when its first message is asked for, so that a command that prints paths
never reads one. What programs read (JSON, logs, names of fields) is in no catalogue.

A message names its values as ``%(name)s``; a sign of percent is written twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gettext import GNUTranslations

CATALOGUES = os.path.join(os.path.dirname(__file__), "catalogues")
DOMAIN = "messages"
"""The name of a catalogue's file; it is also where click looks for its own messages."""
ENGLISH = "en"
LANGUAGES = {
    "en": "English",
    "zh": "中文",
    "de": "Deutsch",
    "fr": "Français",
    "es": "Español",
    "ja": "日本語",
}
"""The languages that tagger speaks, each by its own name."""

_SEPARATORS = {"de": (".", ","), "es": (".", ","), "fr": ("\u202f", ",")}
"""What stands between thousands, and before decimals (CLDR); elsewhere as in English."""

_spoken: ContextVar[str] = ContextVar("tagger.language", default=ENGLISH)


def language() -> str:
    """Return the language that is spoken now, in this thread: a key of ``LANGUAGES``."""
    return _spoken.get()


def speak(language: str) -> None:
    """Speak ``language``, in this thread, from now on."""
    _spoken.set(language)


@contextmanager
def speaking(language: str) -> Iterator[None]:
    """Speak ``language`` for a while."""
    token = _spoken.set(language)
    try:
        yield
    finally:
        _spoken.reset(token)


def best_of(wanted: Iterable[str]) -> str | None:
    """Return the first of ``wanted``, tags like ``de-AT`` or ``zh_CN``, that is spoken."""
    for tag in wanted:
        code = tag.replace("_", "-").partition("-")[0].lower()
        if code in LANGUAGES:
            return code
    return None


def of_environment(environ: Mapping[str, str]) -> str:
    """Return the language of a locale's variables, in the order that gettext(3) gives them."""
    names = ("LC_ALL", "LC_MESSAGES", "LANG")
    locale = next((environ[name] for name in names if environ.get(name)), "C")
    plain = locale.partition("@")[0].partition(".")[0]
    if plain in ("C", "POSIX"):
        return ENGLISH  # for these LANGUAGE says nothing
    return best_of((*environ.get("LANGUAGE", "").split(":"), plain)) or ENGLISH


def gettext(message: str, **values: object) -> str:
    """Return ``message`` in the language that is spoken, with its values."""
    return translated(message) % values


def ngettext(one: str, many: str, n: int, **values: object) -> str:
    """Return ``one`` or ``many``, as ``n`` of a thing are called; ``%(n)s`` is the number."""
    return translated_plural(one, many, n) % ({"n": number(n)} | values)


def translated(message: str) -> str:
    """Return ``message`` in the language that is spoken, its values still to be put in."""
    catalogue = _catalogue(_spoken.get())
    return catalogue.gettext(message) if catalogue else message


def translated_plural(one: str, many: str, n: int) -> str:
    """Return what :func:`ngettext` does, the values still to be put in."""
    if catalogue := _catalogue(_spoken.get()):
        return catalogue.ngettext(one, many, n)
    return one if n == 1 else many


def noop(message: str) -> str:
    """Return ``message`` as it is: it is translated where it is shown."""
    return message


def number(value: float, digits: int = 0) -> str:
    """Return a number as the language writes it, with so many decimals."""
    thousands, point = _SEPARATORS.get(_spoken.get(), (",", "."))
    if _spoken.get() == "es" and abs(value) < 10_000:
        thousands = ""  # Spanish groups from five digits on
    text = f"{value:,.{digits}f}"
    return text.translate({ord(","): thousands, ord("."): point})


def entries(language: str, context: str) -> Iterator[tuple[str, str]]:
    """Yield the messages of a context (``msgctxt``) with their translations."""
    catalogue = _catalogue(language)
    known = vars(catalogue)["_catalog"] if catalogue else {}  # gettext gives no list of them
    for key, text in known.items():
        if isinstance(key, str) and key.startswith(f"{context}\x04"):
            yield key.partition("\x04")[2], text


@cache
def _catalogue(language: str) -> GNUTranslations | None:
    if language == ENGLISH:
        return None
    from gettext import GNUTranslations

    with open(os.path.join(CATALOGUES, language, "LC_MESSAGES", f"{DOMAIN}.mo"), "rb") as file:
        return GNUTranslations(file)
