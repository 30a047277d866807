"""What the commands print on: made so that no text makes printing fail, or commands a terminal.

On a terminal, control characters are shown escaped, whatever command or library prints them; our
own colours and bars are written to :func:`raw`. In pipes and files every byte stays as it is.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import os
import sys
from collections.abc import Iterable
from typing import Any, TextIO, cast

from tagger.text.printable import escaped, printable

_EXACT = "tagger-exact"


class Terminal:
    """A terminal to which text is written; control characters but newlines and tabs are escaped.

    It has no ``buffer``, so that nothing goes past it unseen. rich writes to the stream below.
    """

    def __init__(self, stream: TextIO) -> None:
        self.rich_proxied_file = stream

    def write(self, text: str) -> int:
        """Write ``text``; return its length."""
        self.rich_proxied_file.write(escaped(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write all of ``lines``."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self.rich_proxied_file, name)


def raw(stream: TextIO) -> TextIO:
    """Return the stream below ``stream``, to which every byte goes as it is."""
    return stream.rich_proxied_file if isinstance(stream, Terminal) else stream


def is_terminal(stream: TextIO) -> bool:
    """Whether what is written there is shown to a person."""
    return isinstance(stream, Terminal) or stream.isatty()


def shown(text: str) -> str:
    """Return ``text``, of one line, as it is printed: escaped for a person, else as it is."""
    return printable(text) if is_terminal(sys.stdout) else text


def set_up_output() -> None:
    """Have standard output and error take any text, on terminals escaped, and never fail at it.

    One that was closed becomes /dev/null: a file opened later would take its number, and get what
    libraries write to it.
    """
    _fill_closed()
    codecs.register_error(_EXACT, _as_it_is)
    sys.stdout = _made_safe(sys.stdout)
    sys.stderr = _made_safe(sys.stderr)


def in_utf8() -> None:
    """Begin this process anew if its locale would have file names read as anything but UTF-8.

    The same file would have one name for a service and another one here, and some names none.
    What is printed stays in the locale's encoding.
    """
    if sys.getfilesystemencoding().lower() in ("utf-8", "utf8") or sys.flags.utf8_mode:
        return
    os.environ.setdefault("PYTHONIOENCODING", sys.stdout.encoding)
    os.environ["PYTHONUTF8"] = "1"  # for the processes that this one starts
    with contextlib.suppress(OSError):  # else it has to do as it is
        os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])  # noqa: S606


def let_go() -> None:
    """Write out what is still to be written; what cannot be is given up, without a word."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # a closed pipe, a full disk
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


def _fill_closed() -> None:
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            taken = os.open(os.devnull, os.O_RDWR)
            if taken != fd:
                os.dup2(taken, fd)
                os.close(taken)
            os.set_inheritable(fd, True)
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115


def _made_safe(stream: TextIO) -> TextIO:
    if isinstance(stream, Terminal):
        return cast("TextIO", stream)
    on_terminal = stream.isatty()
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace" if on_terminal else _EXACT)
    return cast("TextIO", Terminal(stream)) if on_terminal else stream


def _as_it_is(error: UnicodeError) -> tuple[str | bytes, int]:
    """Give back the bytes of a name that is not UTF-8, and describe other characters."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    char = error.object[error.start]
    if "\udc80" <= char <= "\udcff":
        return bytes([ord(char) - 0xDC00]), error.start + 1
    return codecs.backslashreplace_errors(
        UnicodeEncodeError(error.encoding, error.object, error.start, error.start + 1, error.reason)
    )
