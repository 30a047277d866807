"""Photos that show the same picture, side by side."""

from __future__ import annotations

import os
from typing import Any

from flask import Blueprint, Response, jsonify, render_template

from tagger.library.duplicates import Group, group_json, page_of_groups
from tagger.web.routes.api import whole_number
from tagger.web.services import Services

PAGE, MOST = 20, 100
"""Groups in one page, and at most in one answer."""


def add_duplicate_pages(routes: Blueprint, services: Services) -> None:
    """Add the page to those that answer with HTML."""

    @routes.get("/duplicates")
    def duplicates() -> str:
        after = whole_number("after", 0, 0, 10**9)
        with services.reader() as reader:
            found, count = page_of_groups(reader, after, PAGE)
            waiting = reader.groups.count_waiting() + reader.groups.count_unhashed()
        return render_template(
            "duplicates.html",
            groups=list(map(_shown, found)),
            count=count,
            waiting=waiting,
            next=after + PAGE if count > after + PAGE else None,
        )


def add_duplicate_routes(routes: Blueprint, services: Services) -> None:
    """Add the route that answers with JSON."""

    @routes.get("/api/v1/duplicates")
    def duplicate_groups() -> Response:
        after = whole_number("after", 0, 0, 10**9)
        limit = whole_number("limit", PAGE, 1, MOST)
        with services.reader() as reader:
            found, count = page_of_groups(reader, after, limit)
        return jsonify({"groups": list(map(group_json, found)), "count": count})


def _shown(group: Group) -> dict[str, Any]:
    """Return a group with what differs between its photos, in words."""
    told = group_json(group)
    best = told["photos"][0]
    for photo in told["photos"]:
        photo["name"] = os.path.basename(photo["path"])
        photo["folder"] = os.path.dirname(photo["path"])
        photo["megabytes"] = f"{(photo['bytes'] or 0) / 1e6:.1f} MB"
        facts = ("width", "height", "format", "bytes", "taken_at", "camera")
        photo["differs"] = [one for one in facts if photo[one] != best[one]]
    return told
