"""Why a file is not written to, as one sentence."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tagger.errors import RefusedError


@contextlib.contextmanager
def naming(file: str) -> Iterator[None]:
    """Let a refusal name the file that it is about."""
    try:
        yield
    except RefusedError as error:
        if error.remedy:
            raise  # it is named already
        message = f"{file} is not written to: {error.message}"
        raise RefusedError(message, "repair it, or take it away") from error
