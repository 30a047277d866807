"""Errors that the page answers with."""

from __future__ import annotations

from tagger.errors import TaggerError


class WebError(TaggerError):
    """A request that is refused: ``status`` is HTTP's, ``retry_after`` in seconds."""

    def __init__(
        self, message: str, remedy: str = "", *, status: int = 400, retry_after: int | None = None
    ) -> None:
        super().__init__(message, remedy)
        self.status = status
        self.retry_after = retry_after
