"""Failures of a photo, as rows of the index."""

from __future__ import annotations

import logging
import time

from tagger.errors import PhotoError, PhotoVanishedError, TaggerError
from tagger.index.connection import concerns_index
from tagger.index.store import Store
from tagger.pipeline.context import Context
from tagger.pipeline.outcome import Failed, Outcome, Skipped
from tagger.records import Candidate, Failure
from tagger.system.files import no_descriptors

log = logging.getLogger(__name__)

MOST_REASON = 2000
"""Characters of a reason that are kept."""


def refused(context: Context, candidate: Candidate, error: TaggerError) -> Outcome:
    """Let a photo wait whose disk refuses; :func:`record_failure` of another."""
    if no_descriptors(error):
        return _without_descriptors(context, candidate, error)
    if context.health.park(candidate, error):
        return Skipped(candidate.path, str(error))
    return record_failure(context.store, candidate, error)


def vanished(context: Context, candidate: Candidate, error: PhotoVanishedError) -> Skipped:
    """Let a photo that is gone again before it was handled wait no longer.

    Else it counts as waiting until the next look at its folder; a rule that a kill interrupted
    moves a photo on just when it has been found.
    """
    row = context.store.photo(candidate.path)
    if row is not None and row.status == "waiting":
        context.store.mark_missing([candidate.path])
    return Skipped(candidate.path, str(error))


def _without_descriptors(context: Context, candidate: Candidate, error: Exception) -> Skipped:
    """Let a photo wait, or be found again by the next look: this counts as no try of it."""
    if not context.health.park(candidate, error):
        log.warning("cannot tag %s now: no file descriptor is left", candidate.path)
    return Skipped(candidate.path, str(error))


def unforeseen(context: Context, candidate: Candidate, error: Exception) -> Outcome:
    """Let an error that nobody foresaw be the photo's own failure.

    Without file descriptors it waits. Raise the error when it is the index that cannot be used.
    """
    if concerns_index(error):
        raise error
    if no_descriptors(error):
        return _without_descriptors(context, candidate, error)
    log.error("unexpected error with %s", candidate.path, exc_info=error)
    return record_failure(context.store, candidate, error)


def record_failure(store: Store, candidate: Candidate, error: Exception) -> Failed:
    """Remember and log that a photo could not be handled.

    What even this cannot remember is met again at the next look. Raise what says that the
    index cannot be used.
    """
    kind, reason = type(error).__name__, (str(error) or type(error).__name__)[:MOST_REASON]
    try:
        failure = store.fail(
            candidate.path,
            candidate.root,
            candidate.stat,
            candidate.sidecar,
            kind=kind,
            reason=reason,
            permanent=isinstance(error, PhotoError) and error.permanent,
        )
    except Exception as problem:
        if concerns_index(problem):
            raise
        log.exception("the failure of %s cannot be remembered", candidate.path)
        now = time.time()
        failure = Failure(candidate.path, kind, reason, 1, now, now, now)
    log.warning(
        "cannot tag %s: %s%s",
        candidate.path,
        failure.reason,
        "" if failure.retry_at else " (not tried again until the file changes)",
        extra={"event": "failure", "path": candidate.path, "kind": failure.kind},
    )
    return Failed(candidate.path, error, failure)
