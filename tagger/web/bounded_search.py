"""Questions to the index that a page asks: ended when they take too long, or nobody waits."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import has_request_context, request

from tagger.errors import SlowQueryError
from tagger.index.reader import Reader, open_reader

SECONDS = 10.0
"""For the questions of one request."""
LONG_SECONDS = 120.0
"""For those that read what is known of every photo, once, to remember it."""

_LONG = frozenset({"api.similar_photos"})


@contextmanager
def limited_reader(
    state_dir: str, *, clock: Callable[[], float] = time.monotonic
) -> Iterator[Reader]:
    """Open the index for the present request; raise as :func:`open_reader`.

    Raise SlowQueryError when the questions take longer than the route may, or the client has
    left meanwhile.
    """
    here = has_request_context()
    seconds = LONG_SECONDS if here and request.endpoint in _LONG else SECONDS
    # From waitress; a server of another kind cannot tell.
    has_left = request.environ.get("waitress.client_disconnected") if here else None
    ends_at, ended = clock() + seconds, False

    def ends() -> bool:
        nonlocal ended
        ended = clock() >= ends_at or (has_left is not None and bool(has_left()))
        return ended

    with open_reader(state_dir, stop=ends) as reader:
        try:
            yield reader
        except sqlite3.OperationalError as error:
            if not ended:
                raise
            raise SlowQueryError(
                f"the search was ended, as it took longer than {seconds:g} s",
                "ask with fewer words, or only for some folders or days",
            ) from error
