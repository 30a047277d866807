"""The JSON of taught labels: examples, questions and answers."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Response, jsonify, request

from tagger.library import search
from tagger.library.questions import Question
from tagger.library.teach import LabelState
from tagger.metadata.xmp.keywords import MAX_LENGTH
from tagger.web.errors import WebError
from tagger.web.language import with_said
from tagger.web.routes.api import given_word, no_photo, whole_number
from tagger.web.services import Services
from tagger.web.teaching import ANSWERS, MOST_PHOTOS, Teaching

_MOST_LEVELS = 10


def add_teaching_routes(routes: Blueprint, services: Services, teaching: Teaching) -> None:
    """Add them to the routes that answer with JSON."""

    @routes.get("/api/v1/taught")
    def taught() -> Response:
        with teaching.teacher() as teacher:
            return jsonify([state_json(one) for one in teacher.states()])

    @routes.delete("/api/v1/taught")
    def forget() -> Response:
        return jsonify({"count": teaching.forget(_word("label"))})

    @routes.post("/api/v1/taught/examples")
    def teach() -> Response:
        under = _word("under") if request.args.get("under", "").strip() else None
        shows = _choice("shows", ("yes", "no"), "yes") == "yes"
        extend = _choice("extend", ("yes", "no"), "no") == "yes"
        paths = _paths()
        state = teaching.teach(_word("label"), under, paths, shows=shows, extend=extend)
        return jsonify(state_json(state))

    @routes.get("/api/v1/taught/suggestions")
    def suggested() -> Response:
        with teaching.teacher() as teacher:
            return jsonify([one.as_json() for one in teacher.suggestions()])

    @routes.post("/api/v1/taught/suggestions")
    def accept() -> Response:
        return jsonify(state_json(teaching.teach_keyword(_word("keyword"))))

    @routes.get("/api/v1/taught/question")
    def question() -> Response:
        return jsonify(_question_json(teaching.question(_word("label"))))

    @routes.post("/api/v1/taught/answers")
    def answer() -> Response:
        said = ANSWERS[_choice("answer", tuple(ANSWERS))]
        photo_id = whole_number("photo", 0, 1, 10**18 - 1)
        if not photo_id:
            raise WebError("`photo` is missing", "send the id of the photo")
        return jsonify(_question_json(teaching.answer(_word("label"), photo_id, said)))

    def _paths() -> list[str]:
        text = request.args.get("photos", "")
        if not re.fullmatch(r"[1-9][0-9]{0,17}(,[1-9][0-9]{0,17})*", text):
            raise WebError("`photos` is no list of ids", "send ids with commas between")
        ids = [int(one) for one in text.split(",")]
        if len(ids) > MOST_PHOTOS:
            raise WebError(f"{len(ids)} photos are too many", f"send {MOST_PHOTOS} at most")
        with services.reader() as reader:
            found = search.by_ids(reader, tuple(ids))
        if len(found) < len(set(ids)):
            raise no_photo()
        return [one.row.path for one in found]


def state_json(state: LabelState) -> dict[str, Any]:
    """Return how a taught label fares."""
    return state.as_json() | with_said(state.missing)


def _question_json(question: Question | None) -> dict[str, Any]:
    if question is None:
        return {"question": None}
    return {
        "question": {
            "id": question.photo_id,
            "path": question.path,
            "likely": round(question.likely, 3),
            "doubtful": question.doubtful,
            "view": f"/photos/{question.photo_id}/view",
        }
    }


def _word(name: str) -> str:
    return given_word(name, _MOST_LEVELS * MAX_LENGTH)


def _choice(name: str, allowed: tuple[str, ...], default: str = "") -> str:
    said = request.args.get(name, default)
    if said not in allowed:
        raise WebError(f"`{name}` is not known", f"write {', '.join(allowed)}")
    return said
