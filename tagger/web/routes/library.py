"""The JSON of the library's changes, and of what its pages ask for while they are looked at."""

from __future__ import annotations

import re
from collections.abc import Callable

from flask import Blueprint, Response, jsonify, request

from tagger.index.rows import PhotoRow
from tagger.library import search, similar, suggest
from tagger.library.duplicates import group_json, page_of_groups
from tagger.library.explain import Explainer
from tagger.metadata.xmp.keywords import MAX_LENGTH
from tagger.web import library
from tagger.web.edits import Edits
from tagger.web.routes.api import found_photo, given_word, query_text, whole_number
from tagger.web.routes.events import STREAM_SECONDS, EventStream
from tagger.web.routes.openapi import GROUPS, MAX_GROUPS
from tagger.web.services import Services


def add_library_routes(routes: Blueprint, services: Services) -> None:
    """Add them to the routes that answer with JSON."""
    config, known = services.config, services.words
    edits, live = Edits(config, services.manager), EventStream(services)
    reasons = Explainer(config, services.vocabulary)

    def changed(photo_id: int, change: Callable[[PhotoRow], None]) -> Response:
        """Make a change; answer with the photo as it is then."""
        with services.reader() as reader:
            row = found_photo(reader, photo_id).row
        change(row)
        with services.reader() as reader:
            found = found_photo(reader, photo_id)
            return jsonify(library.page_photo_json(reader, found, known(), config.labels.top_k))

    @routes.post("/api/v1/photos/<photo:photo_id>/tags")
    def add_tag(photo_id: int) -> Response:
        word = _label()
        return changed(photo_id, lambda row: edits.add(row, word))

    @routes.delete("/api/v1/photos/<photo:photo_id>/tags")
    def remove_tag(photo_id: int) -> Response:
        label = _label()
        return changed(photo_id, lambda row: edits.remove(row, label))

    @routes.post("/api/v1/photos/<photo:photo_id>/untag")
    def untag(photo_id: int) -> Response:
        return changed(photo_id, lambda row: edits.remove(row, None))

    @routes.post("/api/v1/photos/<photo:photo_id>/restore")
    def restore(photo_id: int) -> Response:
        label = _label() if "label" in request.args else None
        return changed(photo_id, lambda row: edits.restore(row, label))

    @routes.post("/api/v1/photos/<photo:photo_id>/retry")
    def retry(photo_id: int) -> Response:
        return changed(photo_id, edits.retry)

    @routes.post("/api/v1/photos/<photo:photo_id>/keep")
    def keep(photo_id: int) -> Response:
        with services.reader() as reader:
            row = found_photo(reader, photo_id).row
        edits.keep(row)
        return jsonify({"id": photo_id, "kept": True})

    @routes.post("/api/v1/failures/retry")
    def retry_all() -> Response:
        with services.reader() as reader:
            paths = [failure.path for failure in reader.failures()]
        return jsonify({"count": edits.retry_all(paths)})

    @routes.get("/api/v1/photos/<photo:photo_id>/reasons")
    def why(photo_id: int) -> Response:
        with services.reader() as reader:
            return jsonify(reasons.of(reader, found_photo(reader, photo_id)))

    @routes.get("/api/v1/photos/<photo:photo_id>/similar")
    def similar_photos(photo_id: int) -> Response:
        limit = whole_number("limit", similar.USUAL, 1, similar.MOST)
        with services.reader() as reader:
            found_photo(reader, photo_id)
            scores = dict(similar.most_alike(reader, config.state_dir, photo_id, limit))
            found = {one.row.id: one for one in search.by_ids(reader, tuple(scores))}
            told = [
                library.gallery_photo_json(found[number]) | {"similarity": round(score, 4)}
                for number, score in scores.items()
                if number in found
            ]
            return jsonify(told)

    @routes.get("/api/v1/duplicates")
    def duplicate_groups() -> Response:
        after = whole_number("after", 0, 0, 10**9)
        limit = whole_number("limit", GROUPS, 1, MAX_GROUPS)
        with services.reader() as reader:
            found, count = page_of_groups(reader, after, limit)
        return jsonify({"groups": list(map(group_json, found)), "count": count})

    @routes.get("/api/v1/suggest")
    def suggestions() -> Response:
        limit = whole_number("limit", suggest.USUAL, 1, suggest.MOST)
        beginning, language = query_text(), config.labels.language
        with services.reader() as reader:
            return jsonify(suggest.suggestions(reader, known(), beginning, limit, language))

    @routes.get("/api/v1/events")
    def events() -> Response:
        text = query_text()
        with services.reader() as reader:
            query = search.parsed(reader, config, known(), text)
        after: int | None = whole_number("after", 0, 0, 10**18 - 1)
        again = request.headers.get("Last-Event-ID", "")
        if re.fullmatch("[0-9]{1,18}", again):
            after = int(again)
        elif "after" not in request.args:
            after = None
        listens = "text/event-stream" in request.headers.get("Accept", "")
        stream = live.stream(query, after, STREAM_SECONDS if listens else 0.0)
        response = Response(stream, mimetype="text/event-stream")
        response.headers["X-Accel-Buffering"] = "no"  # a proxy is to pass it on at once
        return response

    def _label() -> str:
        return given_word("label", 4 * MAX_LENGTH)
