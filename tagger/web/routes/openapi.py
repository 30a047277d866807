"""The description of the API for programs: OpenAPI 3.1, see https://spec.openapis.org."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tagger import __version__
from tagger.library import search, similar, suggest

MAX_PAGE = 200
"""Photos that can be asked for at once."""

GROUPS, MAX_GROUPS = 20, 100
"""Of duplicates in one page, and at most in one answer."""

MAX_CLASSES = 50

MAX_QUERY = 2_000
"""Characters of a query."""

_Schema = dict[str, Any]

_TEXT: _Schema = {"type": "string"}
_WHOLE: _Schema = {"type": "integer"}
_NUMBER: _Schema = {"type": "number"}
_YES_NO: _Schema = {"type": "boolean"}
_TEXTS: _Schema = {"type": "array", "items": _TEXT}
_ANYTHING: _Schema = {"type": "object"}


def _maybe(schema: _Schema) -> _Schema:
    return schema | {"type": [schema["type"], "null"]}


def _list(schema: _Schema) -> _Schema:
    return {"type": "array", "items": schema}


def _by_name(schema: _Schema) -> _Schema:
    return {"type": "object", "additionalProperties": schema}


def _record(**properties: _Schema) -> _Schema:
    """Return the schema of an object that has all of ``properties``."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _records(**properties: _Schema) -> _Schema:
    return _list(_record(**properties))


def _named(name: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_SECURITY: _Schema = {
    "cookie": {"type": "apiKey", "in": "cookie", "name": "tagger_session"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "The password itself."},
    "basic": {"type": "http", "scheme": "basic", "description": "With any name."},
}

_INFO = (
    "When the page has a password, send it with each request as `Authorization: Bearer`, or as"
    " Basic with any name. What changes something needs a proof that it comes from no other"
    " site's page: Origin or Sec-Fetch-Site, which a browser sends by itself, or a Bearer (any,"
    " while there is no password). The predict routes change nothing and need no proof. Too many"
    " wrong passwords are answered with 429 and Retry-After."
)

_FACTS = {
    "taken_at": _maybe(_TEXT),
    "camera": _maybe(_TEXT),
    "width": _maybe(_WHOLE),
    "height": _maybe(_WHOLE),
    "format": _maybe(_TEXT),
    "latitude": _maybe(_NUMBER),
    "longitude": _maybe(_NUMBER),
    "kinds": _TEXTS,
}
# `box`: left, top, width and height, relative to the photo as it is displayed. Null: no detector
# has looked at it.
_BOXES = _maybe(_records(label=_TEXT, score=_NUMBER, box=_list(_NUMBER)))
_TAG = {"label": _TEXT, "confidence": _NUMBER, "path": _TEXTS, "source": _TEXT}
_PHOTO = {
    "id": _WHOLE,
    "path": _TEXT,
    "status": {"enum": ["tagged", "untagged", "waiting", "failed", "missing"]},
    "tags": _list(_named("Tag")),
    **_FACTS,
    "thumbnail": _TEXT,
}

SCHEMAS: dict[str, _Schema] = {
    "Error": _record(error=_TEXT, remedy=_TEXT, status=_WHOLE),
    "Class": _record(label=_TEXT, probability=_NUMBER),
    "Tag": _record(**_TAG),
    "Guess": _record(
        predictions=_records(label=_TEXT, names=_by_name(_TEXT), probability=_NUMBER),
        tags=_records(**_TAG, reason=_maybe(_TEXT)),
        keywords=_list(_TEXTS),
        **_FACTS,
        boxes=_BOXES,
        model=_TEXT,
        milliseconds=_by_name(_NUMBER),
    ),
    # `reason`: why no picture can be kept there just now.
    "Folders": _records(id=_TEXT, name=_TEXT, path=_TEXT, reason=_maybe(_TEXT)),
    # `path` is relative to the folder.
    "Kept": _record(folder=_TEXT, path=_TEXT),
    "Photo": _record(**_PHOTO),
    "Photos": _record(photos=_list(_named("Photo")), next=_maybe(_WHOLE)),
    "Details": _record(
        **_PHOTO,
        view=_TEXT,
        top=_records(index=_WHOLE, label=_TEXT, probability=_NUMBER),
        model=_maybe(_TEXT),
        boxes=_BOXES,
        people=_maybe(_WHOLE),
        tagged_at=_maybe(_TEXT),
        note=_maybe(_TEXT),
        failure=_maybe(_TEXT),
        written=_records(
            file=_TEXT,
            target=_TEXT,
            added=_by_name(_TEXTS),
            written_at=_maybe(_TEXT),
            reason=_maybe(_TEXT),
        ),
        removed_by_you=_TEXTS,
        untagged_by_you=_YES_NO,
        overwritten=_TEXTS,
    ),
    "Count": _record(count=_WHOLE),
    "Reasons": _records(
        path=_TEXTS,
        probability=_NUMBER,
        threshold=_NUMBER,
        given=_YES_NO,
        reason=_TEXT,
        networks=_by_name(_NUMBER),
    ),
    "Similar": _records(**_PHOTO, similarity=_NUMBER),
    "Chosen": _record(id=_WHOLE, kept=_YES_NO),
    "Duplicates": _record(
        groups=_records(
            group=_WHOLE,
            chosen=_YES_NO,
            photos=_records(
                id=_WHOLE,
                path=_TEXT,
                best=_YES_NO,
                same_bytes=_YES_NO,
                format=_TEXT,
                width=_maybe(_WHOLE),
                height=_maybe(_WHOLE),
                bytes=_maybe(_WHOLE),
                taken_at=_maybe(_TEXT),
                camera=_maybe(_TEXT),
            ),
        ),
        count=_WHOLE,
    ),
    "Suggestions": _records(
        text=_TEXT,
        label=_TEXT,
        name=_TEXT,
        language=_TEXT,
        kind={"enum": ["label", "keyword", "field"]},
        used=_YES_NO,
    ),
    "Label": _record(
        label=_TEXT, names=_by_name(_TEXT), count=_WHOLE, children=_list(_named("Label"))
    ),
    "Labels": _record(labels=_list(_named("Label")), own=_records(label=_TEXT, count=_WHOLE)),
    "Failures": _records(
        id=_maybe(_WHOLE),
        path=_TEXT,
        kind=_TEXT,
        reason=_TEXT,
        tries=_WHOLE,
        first_at=_maybe(_TEXT),
        last_at=_maybe(_TEXT),
        retry_at=_maybe(_TEXT),
    ),
    # `not`: examples that do not show it. `missing`: what is needed before it is given.
    "Taught": _record(
        label=_TEXT,
        path=_TEXTS,
        synonyms=_TEXTS,
        examples=_WHOLE,
        answers=_WHOLE,
        photos=_WHOLE,
        missing=_maybe(_TEXT),
        **{"not": _WHOLE},
    ),
    "Keywords": _records(keyword=_TEXT, photos=_WHOLE, found=_NUMBER),
    # `doubtful`: it has the keyword, but looks unlike the others. Null: nothing is left to ask.
    "Question": _record(
        question=_maybe(
            _record(id=_WHOLE, path=_TEXT, likely=_NUMBER, doubtful=_YES_NO, view=_TEXT)
        )
    ),
    "Status": _record(
        counts=_by_name(_WHOLE),
        running=_YES_NO,
        model=_TEXT,
        engine=_TEXT,
        progress=_maybe(_ANYTHING),
        last=_maybe(_ANYTHING),
        problem=_maybe(_TEXT),
        notice=_maybe(_TEXT),
        paused_reason=_maybe(_TEXT),
    ),
}


def openapi(languages: Sequence[str], top_k: int) -> _Schema:
    """Return the document; ``top_k`` classes come without asking."""
    query = _argument("q", _TEXT | {"maxLength": MAX_QUERY}, "A query, as of `tagger query`.")
    count = _argument("k", _between(1, MAX_CLASSES, top_k), "So many classes.")
    language = _argument("lang", {"enum": list(languages), "default": "en"}, "Of the labels.")
    at_once = _argument("limit", _between(1, MAX_PAGE, search.PAGE), "So many at most.")
    after = _argument("after", _WHOLE | {"minimum": 0}, "`next` of the answer before.")
    number = _argument("photo_id", _WHOLE | {"minimum": 1}, "The photo's id.")
    number |= {"in": "path", "required": True}
    one = "/api/v1/photos/{photo_id}"
    classified = (400, 413, 415, 422, 503)
    changed = (400, 404, 409, 503)
    own = _argument("label", _TEXT, "A word to be the photo's.", needed="Oma")
    given = _argument("label", _TEXT, "One of its tags; what is below goes too.", needed="beagle")
    lost = _argument("label", _TEXT, "A tag that was removed; all without it.")
    begun = _argument("q", _TEXT | {"maxLength": MAX_QUERY}, "The beginning of a word.")
    few = _argument("limit", _between(1, similar.MOST, similar.USUAL), "So many at most.")
    place = _argument(
        "after", _WHOLE | {"minimum": 0, "default": 0}, "How many groups to pass over."
    )
    some = _argument("limit", _between(1, MAX_GROUPS, GROUPS), "So many groups at most.")
    words = _argument("limit", _between(1, suggest.MOST, suggest.USUAL), "So many at most.")
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tagger",
            "version": __version__,
            "license": {"name": "MIT"},
            "description": _INFO,
        },
        "paths": {
            "/predict": {"post": _upload(_list(_named("Class")), [count, language], classified)},
            "/api/v1/predict": {"post": _upload("Guess", [count], classified)},
            "/api/v1/folders": {"get": _answers("Folders", [], (503,))},
            "/api/v1/inbox": {
                "post": _upload("Kept", [], (400, 404, 409, 413, 415, 503, 507), folder=_TEXT)
            },
            "/api/v1/photos": {"get": _answers("Photos", [query, after, at_once])},
            one: {"get": _answers("Details", [number], (404, 503))},
            f"{one}/reasons": {"get": _answers("Reasons", [number], (404, 503))},
            f"{one}/similar": {"get": _answers("Similar", [number, few], (400, 404, 503))},
            f"{one}/keep": {"post": _answers("Chosen", [number], changed)},
            "/api/v1/duplicates": {"get": _answers("Duplicates", [place, some])},
            f"{one}/tags": {
                "post": _answers("Details", [number, own], changed),
                "delete": _answers("Details", [number, given], changed),
            },
            f"{one}/untag": {"post": _answers("Details", [number], changed)},
            f"{one}/restore": {"post": _answers("Details", [number, lost], changed)},
            f"{one}/retry": {"post": _answers("Details", [number], changed)},
            "/api/v1/failures/retry": {"post": _answers("Count", [], (503,))},
            **_teaching(),
            "/api/v1/suggest": {"get": _answers("Suggestions", [begun, words])},
            "/api/v1/events": {
                "get": _streams(["status: a Status", "photo: a Photo that is new"], [query, after])
            },
            "/api/v1/count": {"get": _answers("Count", [query])},
            "/api/v1/labels": {"get": _answers("Labels", [], (503,))},
            "/api/v1/failures": {"get": _answers("Failures", [at_once])},
            "/api/v1/status": {"get": _answers("Status", [], (503,))},
            "/api/v1/openapi.json": {"get": _answers(_ANYTHING, [], ())},
        },
        # A page without a password asks nobody who comes.
        "security": [{}, {"cookie": []}, {"bearer": []}, {"basic": []}],
        "components": {"schemas": SCHEMAS, "securitySchemes": _SECURITY},
    }


def _teaching() -> _Schema:
    """Return the routes of taught labels."""
    label = _argument("label", _TEXT, "A label, or its path with `>`.", needed="Mimi")
    under = _argument("under", _TEXT, "The label above a new one.")
    photos = _argument("photos", _TEXT, "Ids, with commas between.", needed="1,2,3")
    shows = _argument("shows", {"enum": ["yes", "no"], "default": "yes"}, "Whether they show it.")
    extend = _argument("extend", {"enum": ["yes", "no"], "default": "no"}, "Also one of the tree.")
    keyword = _argument("keyword", _TEXT, "A keyword of the user's.", needed="garden")
    photo = _argument("photo", _WHOLE | {"minimum": 1}, "The photo's id.", needed="1")
    answer = _argument("answer", {"enum": ["yes", "no", "skip"]}, "What it is.", needed="yes")
    refused = (400, 404, 409, 503)
    return {
        "/api/v1/taught": {
            "get": _answers(_list(_named("Taught")), [], (409, 503)),
            "delete": _answers("Count", [label], refused),
        },
        "/api/v1/taught/examples": {
            "post": _answers("Taught", [label, under, photos, shows, extend], refused)
        },
        "/api/v1/taught/suggestions": {
            "get": _answers("Keywords", [], (409, 503)),
            "post": _answers("Taught", [keyword], refused),
        },
        "/api/v1/taught/question": {"get": _answers("Question", [label], refused)},
        "/api/v1/taught/answers": {"post": _answers("Question", [label, photo, answer], refused)},
    }


def _between(least: int, most: int, default: int) -> _Schema:
    return _WHOLE | {"minimum": least, "maximum": most, "default": default}


def _argument(name: str, schema: _Schema, text: str, *, needed: str = "") -> _Schema:
    """Return an argument. ``needed``: it must be there, as in this example."""
    must = {"required": True, "example": needed} if needed else {}
    return {"name": name, "in": "query", "schema": schema, "description": text, **must}


def _answers(
    answer: str | _Schema, arguments: Sequence[_Schema], errors: Sequence[int] = (400, 503)
) -> _Schema:
    """Return a route; ``answer`` is the schema of what it says, or the name of one."""
    schema = _named(answer) if isinstance(answer, str) else answer
    responses = {"200": {"description": "The answer.", "content": _json(schema)}}
    # Every route refuses other sites, other names of this machine, and wrong passwords.
    for status in (*errors, 401, 403, 421, 429):
        responses[str(status)] = {
            "description": "What is wrong, and what to do.",
            "content": _json(_named("Error")),
        }
    return {"parameters": list(arguments), "responses": responses}


def _streams(events: Sequence[str], arguments: Sequence[_Schema]) -> _Schema:
    """Return a route that goes on answering, with events whose data is JSON."""
    route = _answers(_ANYTHING, arguments)
    text = f"Server-sent events ({'; '.join(events)}), for half a minute if they are accepted."
    route["responses"]["200"] = {
        "description": text,
        "content": {"text/event-stream": {"schema": _record(event=_TEXT, id=_TEXT, data=_TEXT)}},
    }
    return route


def _upload(
    answer: str | _Schema, arguments: Sequence[_Schema], errors: Sequence[int], **fields: _Schema
) -> _Schema:
    file: _Schema = {"type": "string", "contentMediaType": "application/octet-stream"}
    body = {"multipart/form-data": {"schema": _record(file=file, **fields)}}
    route = _answers(answer, arguments, errors)
    return {"requestBody": {"required": True, "content": body}, **route}


def _json(schema: _Schema) -> _Schema:
    return {"application/json": {"schema": schema}}
