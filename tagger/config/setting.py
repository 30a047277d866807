"""What makes a field of a config record: its comment for the example file, and its bounds."""

from __future__ import annotations

import dataclasses
from dataclasses import field
from typing import Any


def setting(
    help_text: str,
    default: Any = dataclasses.MISSING,
    *,
    factory: Any = dataclasses.MISSING,
    **limits: Any,
) -> Any:
    """Return a dataclass field with its comment for the example file, and its bounds."""
    if default is not dataclasses.MISSING:
        return field(default=default, metadata={"help": help_text, **limits})
    return field(default_factory=factory, metadata={"help": help_text, **limits})
