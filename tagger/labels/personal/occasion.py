"""Photos of one occasion, which say hardly more than one of them does."""

from __future__ import annotations


def occasion_of(taken_at: str | None, latitude: float | None, longitude: float | None) -> str:
    """Return what the photos of one hour and place have in common; "" when that is not known.

    ``taken_at`` as in :class:`~tagger.records.PhotoFacts`; places within about a kilometre are one.
    """
    if not taken_at:
        return ""
    known = latitude is not None and longitude is not None
    return taken_at[:13] + (f" {latitude:.2f} {longitude:.2f}" if known else "")
