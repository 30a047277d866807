"""The pages for people, and the pictures on them."""

from __future__ import annotations

import os
import time
from typing import Any

from flask import Blueprint, Response, make_response, render_template, request

from tagger.errors import QueryError
from tagger.library import search
from tagger.library.duplicates import Group, group_json, page_of_groups
from tagger.library.explain import Explainer
from tagger.library.network_trial import kept_trial
from tagger.library.serialize import known_failure_json, label_counts, label_trees_json
from tagger.metadata.xmp.keywords import MAX_LENGTH
from tagger.pipeline.write_options import write_options
from tagger.system.humanize import moment
from tagger.system.state_dir import daemon_runs
from tagger.text.messages import gettext, noop
from tagger.web import inbox, library
from tagger.web.photo_images import Size
from tagger.web.routes.api import found_photo, query_text, whole_number
from tagger.web.routes.openapi import GROUPS, MAX_PAGE
from tagger.web.routes.teach import state_json
from tagger.web.services import Services
from tagger.web.teaching import Teaching

SHOWN_WORDS = (
    *(noop("tagged"), noop("untagged"), noop("waiting"), noop("failed"), noop("missing")),
    noop("rule"),
)
"""Words of the index that pages show as they are: states of photos, and where a tag is from."""

MAX_FILES = 50
"""Pictures that the page takes at once."""


def pages(services: Services, teaching: Teaching) -> Blueprint:
    """Return the routes that answer with HTML and pictures."""
    routes = Blueprint("pages", __name__)
    config, known = services.config, services.words
    reasons = Explainer(config, services.vocabulary)

    @routes.get("/")
    def classify() -> str:
        return render_template(
            "classify.html",
            max_bytes=config.web.max_upload_mb * 1_000_000,
            max_files=MAX_FILES,
            folders=[one for one in inbox.folders(config, services.manager) if not one.reason],
        )

    @routes.get("/library")
    def library_page() -> str | tuple[str, int]:
        text = query_text()
        after = whole_number("after", 0, 0, 10**18 - 1)
        error, found, count, newest = None, search.Page((), False), 0, 0
        with services.reader() as reader:
            try:
                query = search.parsed(reader, config, known(), text)
                newest = reader.newest_id()
                found = search.search(reader, config, known(), text, after=after, limit=search.PAGE)
                count = reader.count(query)
            except QueryError as problem:
                error = problem
        shown = render_template(
            "library.html",
            q=text,
            photos=[library.gallery_photo_json(one) for one in found.photos],
            next=found.photos[-1].row.id if found.more else None,
            count=count,
            newest=newest,
            error=error,
        )
        return (shown, 400) if error else shown

    @routes.get("/photos/<photo:photo_id>")
    def photo(photo_id: int) -> str:
        with services.reader() as reader:
            found = found_photo(reader, photo_id)
            shown = library.page_photo_json(reader, found, known(), config.labels.top_k)
            why = reasons.of(reader, found)
        above = {label for tag in shown["tags"] for label in tag["path"][:-1]}
        for tag in shown["tags"]:
            tag["zh"] = known().name(tag["label"], "zh")
            tag["above"] = tag["label"] in above
        options = write_options(config, config.root_of(found.row.path), found.row.path)
        writes = options.target != "none" and not options.read_only
        return render_template(
            "photo.html",
            photo=shown,
            name=os.path.basename(shown["path"]),
            reasons=why,
            may_add=writes and shown["status"] in ("tagged", "untagged"),
            longest=MAX_LENGTH,
            daemon=services.manager is not None or daemon_runs(config.state_dir),
        )

    @routes.get("/photos/<photo:photo_id>/thumbnail", defaults={"size": "thumbnail"})
    @routes.get("/photos/<photo:photo_id>/view", defaults={"size": "view"})
    def picture(photo_id: int, size: Size) -> Response:
        with services.reader() as reader:
            row = found_photo(reader, photo_id).row
        shown = services.gallery.picture(row, size, request.if_none_match)
        response = make_response(shown.jpeg)
        response.mimetype = "image/jpeg"
        response.set_etag(shown.etag)
        response.headers["Cache-Control"] = "private, max-age=60"
        response.make_conditional(request)
        return response

    @routes.get("/labels")
    def labels() -> str:
        with services.reader() as reader:
            tree = label_trees_json(known(), label_counts(reader, known()))
            own = reader.user_labels()
        return render_template("labels.html", tree=tree, own=own)

    @routes.get("/taught")
    def taught() -> str:
        with teaching.teacher() as teacher:
            states = [state_json(one) for one in teacher.states()]
        return render_template("taught.html", labels=states)

    @routes.get("/failures")
    def failures() -> str:
        with services.reader() as reader:
            rows = reader.failures()
            shown = [
                known_failure_json(reader, row) | {"when": _again(row.retry_at)}
                for row in rows[:MAX_PAGE]
            ]
        return render_template("failures.html", failures=shown, count=len(rows))

    @routes.get("/duplicates")
    def duplicates() -> str:
        after = whole_number("after", 0, 0, 10**9)
        with services.reader() as reader:
            found, count = page_of_groups(reader, after, GROUPS)
            waiting = reader.groups.count_waiting() + reader.groups.count_unhashed()
        return render_template(
            "duplicates.html",
            groups=list(map(_compared, found)),
            count=count,
            waiting=waiting,
            next=after + GROUPS if count > after + GROUPS else None,
        )

    @routes.get("/networks")
    def networks() -> str:
        """Show the last comparison of two networks: the photos that get other tags."""
        trial = kept_trial(config.state_dir)
        differing = trial.differing if trial is not None else []
        with services.reader() as reader:
            photos = [(one, reader.photo(one.path)) for one in differing[:MAX_PAGE]]
        return render_template(
            "networks.html",
            trial=trial,
            differing=len(differing),
            photos=photos,
            when=moment(trial.at) if trial else "",
        )

    return routes


def _compared(group: Group) -> dict[str, Any]:
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


def _again(retry_at: float | None) -> str:
    """Return when a failed photo is tried again, in local time."""
    if retry_at is None:
        return gettext("when the file changes")
    if retry_at <= time.time():
        return gettext("now")
    return moment(retry_at)
