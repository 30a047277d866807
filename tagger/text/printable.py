"""Text as it is printed: nothing in it commands a terminal, and JSON is plain ASCII."""

from __future__ import annotations

import json
import re
from typing import Any

from tagger.text.unicode import well_formed

_CONTROLS = (
    "\\x00-\\x1f\\x7f-\\x9f"  # C0, DEL and C1, which command terminals
    "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"  # what turns the direction of writing
    "\\u2028\\u2029\\ufff9-\\ufffb\\U000e0000-\\U000e007f"  # ends of lines, annotations, tags
    "\\ud800-\\udfff"  # no characters: bytes that are not UTF-8, and halves of pairs
)


def printable(text: str) -> str:
    """Return ``text`` as one line in which nothing commands a terminal.

    Control characters (C0, DEL, C1, those of bidirectional text, ends of lines) and bytes that
    are not UTF-8 are shown escaped, as ``\\x1b`` or ``\\u202e``.
    """
    return _made_visible(text, f"[{_CONTROLS}]")


def escaped(text: str) -> str:
    """Return ``text``, of any number of lines, as :func:`printable`; newlines and tabs stay."""
    return _made_visible(text, f"(?![\\n\\t])[{_CONTROLS}]")


def _made_visible(text: str, unsafe: str) -> str:
    if text.isprintable():  # no control, format or separator character, and no surrogate
        return text
    # Compiled when a text first needs it, and kept by re: each start would pay for it.
    return re.sub(unsafe, _escape, well_formed(text))


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def ascii_json(value: Any, **options: Any) -> str:
    """Return ``value`` as JSON of printable ASCII: any text comes through any terminal and pipe."""
    return json.dumps(value, **options).replace("\x7f", "\\u007f")
