"""The description of the API for programs: OpenAPI 3.1, see https://spec.openapis.org."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tagger import __version__

_Schema = dict[str, Any]

_TEXT: _Schema = {"type": "string"}
_WHOLE: _Schema = {"type": "integer"}
_NUMBER: _Schema = {"type": "number"}
_YES_NO: _Schema = {"type": "boolean"}
_TEXTS: _Schema = {"type": "array", "items": _TEXT}
_NAMES: _Schema = {"type": "object", "additionalProperties": _TEXT}
_ANYTHING: _Schema = {"type": "object"}


def _maybe(schema: _Schema) -> _Schema:
    return schema | {"type": [schema["type"], "null"]}


def _list(schema: _Schema) -> _Schema:
    return {"type": "array", "items": schema}


def _record(**properties: _Schema) -> _Schema:
    """Return the schema of an object that has all of ``properties``."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def _named(name: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{name}"}


_FACTS = {
    "taken_at": _maybe(_TEXT),
    "camera": _maybe(_TEXT),
    "width": _maybe(_WHOLE),
    "height": _maybe(_WHOLE),
    "format": _maybe(_TEXT),
    "latitude": _maybe(_NUMBER),
    "longitude": _maybe(_NUMBER),
}
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
        predictions=_list(_record(label=_TEXT, names=_NAMES, probability=_NUMBER)),
        tags=_list(_record(**_TAG, reason=_maybe(_TEXT))),
        keywords=_list(_TEXTS),
        **_FACTS,
        model=_TEXT,
        milliseconds={"type": "object", "additionalProperties": _NUMBER},
    ),
    "Photo": _record(**_PHOTO),
    "Photos": _record(photos=_list(_named("Photo")), next=_maybe(_WHOLE)),
    "Details": _record(
        **_PHOTO,
        view=_TEXT,
        top=_list(_record(index=_WHOLE, label=_TEXT, probability=_NUMBER)),
        model=_maybe(_TEXT),
        tagged_at=_maybe(_TEXT),
        note=_maybe(_TEXT),
        failure=_maybe(_TEXT),
        written=_list(
            _record(
                file=_TEXT,
                target=_TEXT,
                added={"type": "object", "additionalProperties": _TEXTS},
                written_at=_maybe(_TEXT),
                reason=_maybe(_TEXT),
            )
        ),
        removed_by_you=_TEXTS,
        kept_out=_YES_NO,
    ),
    "Count": _record(count=_WHOLE),
    "Label": _record(label=_TEXT, names=_NAMES, count=_WHOLE, children=_list(_named("Label"))),
    "Labels": _record(labels=_list(_named("Label")), own=_list(_record(label=_TEXT, count=_WHOLE))),
    "Failures": _list(
        _record(
            id=_maybe(_WHOLE),
            path=_TEXT,
            kind=_TEXT,
            reason=_TEXT,
            tries=_WHOLE,
            first_at=_maybe(_TEXT),
            last_at=_maybe(_TEXT),
            retry_at=_maybe(_TEXT),
        )
    ),
    "Status": _record(
        counts={"type": "object", "additionalProperties": _WHOLE},
        running=_YES_NO,
        model=_TEXT,
        engine=_TEXT,
        progress=_maybe(_ANYTHING),
        last=_maybe(_ANYTHING),
        problem=_maybe(_TEXT),
        resting=_maybe(_TEXT),
    ),
}


def openapi(languages: Sequence[str], *, top_k: int, most: int, page: int, limit: int) -> _Schema:
    """Return the document.

    ``most`` classes can be asked for, ``top_k`` come without asking; ``limit`` photos at once,
    ``page`` without asking.
    """
    query = _argument("q", _TEXT | {"maxLength": 2000}, "A query, as of `tagger query`.")
    count = _argument("k", _between(1, most, top_k), "So many classes.")
    language = _argument("lang", {"enum": list(languages), "default": "en"}, "Of the labels.")
    at_once = _argument("limit", _between(1, limit, page), "So many at most.")
    after = _argument("after", _WHOLE | {"minimum": 0}, "`next` of the answer before.")
    number = _argument("photo_id", _WHOLE | {"minimum": 1}, "The photo's id.", path=True)
    classified = (400, 413, 415, 422, 503)
    return {
        "openapi": "3.1.0",
        "info": {"title": "tagger", "version": __version__, "license": {"name": "MIT"}},
        "paths": {
            "/predict": {
                "post": _upload(_list(_named("Class")), [count, language], classified),
            },
            "/api/v1/predict": {"post": _upload(_named("Guess"), [count], classified)},
            "/api/v1/photos": {"get": _answers(_named("Photos"), [query, after, at_once])},
            "/api/v1/photos/{photo_id}": {
                "get": _answers(_named("Details"), [number], (404, 503)),
            },
            "/api/v1/count": {"get": _answers(_named("Count"), [query])},
            "/api/v1/labels": {"get": _answers(_named("Labels"), [], (503,))},
            "/api/v1/failures": {"get": _answers(_named("Failures"), [at_once])},
            "/api/v1/status": {"get": _answers(_named("Status"), [], (503,))},
            "/api/v1/openapi.json": {"get": _answers(_ANYTHING, [], ())},
        },
        "components": {"schemas": SCHEMAS},
    }


def _between(least: int, most: int, default: int) -> _Schema:
    return _WHOLE | {"minimum": least, "maximum": most, "default": default}


def _argument(name: str, schema: _Schema, text: str, *, path: bool = False) -> _Schema:
    where = {"in": "path", "required": True} if path else {"in": "query"}
    return {"name": name, "schema": schema, "description": text, **where}


def _answers(
    schema: _Schema, arguments: Sequence[_Schema], errors: Sequence[int] = (400, 503)
) -> _Schema:
    responses = {"200": {"description": "The answer.", "content": _json(schema)}}
    # Every route refuses other sites, and other names of this machine.
    for status in (*errors, 403, 421):
        responses[str(status)] = {
            "description": "What is wrong, and what to do.",
            "content": _json(_named("Error")),
        }
    return {"parameters": list(arguments), "responses": responses}


def _upload(schema: _Schema, arguments: Sequence[_Schema], errors: Sequence[int]) -> _Schema:
    file: _Schema = {"type": "string", "contentMediaType": "application/octet-stream"}
    body = {"multipart/form-data": {"schema": _record(file=file)}}
    answer = _answers(schema, arguments, errors)
    return {"requestBody": {"required": True, "content": body}, **answer}


def _json(schema: _Schema) -> _Schema:
    return {"application/json": {"schema": schema}}
