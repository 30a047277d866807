"""Text as it is printed: nothing in it commands a terminal, and JSON is plain ASCII."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

from tagger.text.unicode import well_formed

_CONTROLS = (
    "\\x00-\\x1f\\x7f-\\x9f"  # C0, DEL and C1, which command terminals
    "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"  # what turns the direction of writing
    "\\u2028\\u2029\\ufff9-\\ufffb\\U000e0000-\\U000e007f"  # ends of lines, annotations, tags
    "\\ud800-\\udfff"  # no characters: bytes that are not UTF-8, and halves of pairs
)
_CONTROL = f"[{_CONTROLS}]"
_CONTROL_WITHIN = f"(?![\\n\\t])[{_CONTROLS}]"
_SHORT = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def printable(text: str) -> str:
    """Return ``text`` as one line in which nothing commands a terminal.

    Control characters (C0, DEL, C1, those of bidirectional text, ends of lines) and bytes that
    are not UTF-8 are shown escaped, as ``\\x1b`` or ``\\u202e``.
    """
    return _made_visible(text, _CONTROL)


def escaped(text: str) -> str:
    """Return ``text``, of any number of lines, as :func:`printable`; newlines and tabs stay."""
    return _made_visible(text, _CONTROL_WITHIN)


def _made_visible(text: str, unsafe: str) -> str:
    if text.isprintable():  # no control, format or separator character, and no surrogate
        return text
    return _compiled(unsafe).sub(lambda found: _escape(found[0]), well_formed(text))


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Return the pattern, compiled when a text first needs it: each start would pay for it."""
    return re.compile(pattern)


def _escape(char: str) -> str:
    code = ord(char)
    if char in _SHORT:
        return _SHORT[char]
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )


def ascii_json(value: Any, **options: Any) -> str:
    """Return ``value`` as JSON of printable ASCII: any text comes through any terminal and pipe."""
    return json.dumps(value, **options).replace("\x7f", "\\u007f")
