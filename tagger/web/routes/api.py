"""The JSON: ``/predict`` as a small web service has it, and ``/api/v1``."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Response, jsonify, request
from werkzeug.datastructures import FileStorage

from tagger.index.reader import Found, Reader
from tagger.library import search
from tagger.library.serialize import (
    facts_json,
    known_failure_json,
    label_counts,
    label_trees_json,
    tags_json,
)
from tagger.web import inbox as keeping
from tagger.web import library
from tagger.web.errors import WebError
from tagger.web.language import with_said
from tagger.web.routes.openapi import MAX_CLASSES, MAX_PAGE, MAX_QUERY, openapi
from tagger.web.services import Services
from tagger.web.upload_classifier import Guess


def api(services: Services) -> Blueprint:
    """Return the routes that answer with JSON."""
    routes = Blueprint("api", __name__)
    config, known = services.config, services.words

    @routes.post("/predict")
    def predict() -> Response:
        count, language = _count(), _language()
        guess = services.classifier.predict(_upload().stream, tags=False)
        return jsonify(
            [
                {"label": known().name(label, language), "probability": _percent(probability)}
                for label, probability in guess.classes[:count]
            ]
        )

    @routes.post("/api/v1/predict")
    def predict_v1() -> Response:
        count = _count()
        return jsonify(_guess_json(services.classifier.predict(_upload().stream), count))

    @routes.get("/api/v1/folders")
    def folders() -> Response:
        return jsonify([_folder_json(one) for one in keeping.folders(config, services.manager)])

    @routes.post("/api/v1/inbox")
    def inbox() -> Response:
        file = _upload()
        chosen = request.form.get("folder", "")
        path = keeping.keep(config, services.manager, chosen, file.filename, file.stream)
        return jsonify({"folder": chosen, "path": path})

    @routes.get("/api/v1/photos")
    def photos() -> Response:
        text = query_text()
        limit = whole_number("limit", search.PAGE, 1, MAX_PAGE)
        after = whole_number("after", 0, 0, 10**18 - 1)
        with services.reader() as reader:
            page = search.search(reader, config, known(), text, after=after, limit=limit)
        return jsonify(
            {
                "photos": [library.gallery_photo_json(found) for found in page.photos],
                "next": page.photos[-1].row.id if page.more else None,
            }
        )

    @routes.get("/api/v1/count")
    def count() -> Response:
        text = query_text()
        with services.reader() as reader:
            query = search.parsed(reader, config, known(), text)
            return jsonify({"count": reader.count(query)})

    @routes.get("/api/v1/photos/<photo:photo_id>")
    def photo(photo_id: int) -> Response:
        with services.reader() as reader:
            found = found_photo(reader, photo_id)
            return jsonify(library.page_photo_json(reader, found, known(), config.labels.top_k))

    @routes.get("/api/v1/labels")
    def labels() -> Response:
        with services.reader() as reader:
            own = [{"label": name, "count": count} for name, count in reader.user_labels()]
            trees = label_trees_json(known(), label_counts(reader, known()))
            return jsonify({"labels": trees, "own": own})

    @routes.get("/api/v1/failures")
    def failures() -> Response:
        with services.reader() as reader:
            rows = reader.failures()[: whole_number("limit", search.PAGE, 1, MAX_PAGE)]
            return jsonify([known_failure_json(reader, row) for row in rows])

    @routes.get("/api/v1/status")
    def status() -> Response:
        return jsonify(services.status())

    @routes.get("/api/v1/openapi.json")
    def description() -> Response:
        return jsonify(openapi(known().languages, config.web.top_k))

    def _count() -> int:
        return whole_number("k", config.web.top_k, 1, MAX_CLASSES)

    def _language() -> str:
        language = request.args.get("lang", "en")
        if language not in known().languages:
            raise WebError(
                "there are no names in that language",
                f"set `lang` to one of: {', '.join(known().languages)}",
            )
        return language

    def _guess_json(guess: Guess, count: int) -> dict[str, Any]:
        return {
            "predictions": [
                {
                    "label": label,
                    "names": {one: known().name(label, one) for one in known().languages},
                    "probability": _percent(probability),
                }
                for label, probability in guess.classes[:count]
            ],
            "tags": [
                tag | {"reason": reason, **with_said(reason)}
                for tag in tags_json(guess.tags)
                for reason in [guess.reasons.get(tag["label"])]
            ],
            "keywords": [list(keyword) for keyword in guess.keywords],
            **facts_json(guess.facts),
            "boxes": guess.boxes,
            "model": guess.model,
            "milliseconds": {name: round(ms, 1) for name, ms in guess.milliseconds.items()},
        }

    return routes


def _percent(probability: float) -> float:
    return round(100 * probability, 1)


def _folder_json(folder: keeping.Folder) -> dict[str, Any]:
    return {"id": folder.id, "name": folder.name, "path": folder.root.path, "reason": folder.reason}


def _upload() -> FileStorage:
    """Return the one uploaded file. Raise WebError for none, an empty one, or several."""
    files = [file for name in request.files for file in request.files.getlist(name)]
    named = request.files.getlist("file")
    if not named or not _is_given(named[0]):
        raise WebError(
            "no file was sent", "send one picture as the field `file` of a multipart form"
        )
    if len(files) > 1:
        raise WebError("several files were sent", "send one picture a request")
    return named[0]


def _is_given(file: FileStorage) -> bool:
    empty = not file.stream.read(1)
    file.stream.seek(0)
    return not empty


def query_text() -> str:
    """Return the query of the request. Raise WebError for one that is too long."""
    text = request.args.get("q", "")
    if len(text) > MAX_QUERY:
        raise WebError("the query is too long", "say it in fewer words")
    return text


def whole_number(name: str, default: int, least: int, most: int) -> int:
    """Return an argument of the request. Raise WebError unless it is in ``least…most``."""
    text = request.args.get(name, "")
    if not text:
        return default
    if not re.fullmatch("[0-9]{1,18}", text) or not least <= int(text) <= most:
        raise WebError(f"`{name}` is no number that is possible", f"write {least} to {most}")
    return int(text)


def given_word(name: str, most: int) -> str:
    """Return an argument of the request. Raise WebError when it is blank, or too long."""
    word = request.args.get(name, "")
    if not word.strip() or len(word) > most:
        raise WebError(f"`{name}` is missing, or too long", "send a label")
    return word


def found_photo(reader: Reader, photo_id: int) -> Found:
    """Return the photo with an id, in whatever state. Raise WebError when there is none."""
    found = search.find_one(reader, photo_id)
    if found is None:
        raise no_photo()
    return found


def no_photo() -> WebError:
    """Return the error for an id that no photo has."""
    return WebError("there is no such photo", "search for it again", status=404)
