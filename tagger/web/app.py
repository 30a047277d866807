"""Puts the routes together: one application for one set of services."""

from __future__ import annotations

import io
import logging
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import quote

from flask import Flask, Request, Response, jsonify, make_response, render_template, request
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser, default_stream_factory
from werkzeug.routing import IntegerConverter

from tagger.errors import (
    ModelError,
    PhotoError,
    PhotoVanishedError,
    QueryError,
    StateError,
    TaggerError,
)
from tagger.text.error_texts import in_language
from tagger.text.printable import printable
from tagger.web.auth.gate import Gate, wanted_path
from tagger.web.auth.request_checks import ASKED, protect
from tagger.web.auth.trusted_proxies import TrustedProxies
from tagger.web.body import FormParser
from tagger.web.errors import WebError
from tagger.web.http.request import Refusal
from tagger.web.language import for_page, speak_to_reader
from tagger.web.routes.api import api
from tagger.web.routes.library import add_library_routes
from tagger.web.routes.pages import pages
from tagger.web.routes.teach import add_teaching_routes
from tagger.web.services import Services
from tagger.web.teaching import Teaching
from tagger.web.uploads import too_large

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

log = logging.getLogger(__name__)

RETRY_SECONDS = 10
"""When to ask again for what is not there yet: the model, or the index."""

FORM_BYTES = 256_000
"""What a form may hold besides its file.

Werkzeug reads 64 KiB at a time and holds each of them, of a file too, against it.
"""


class _PhotoId(IntegerConverter):
    """An id that SQLite can hold."""

    regex = "[1-9][0-9]{0,17}"


class _Request(Request):
    """Closes the files of a form also when parsing it fails."""

    form_data_parser_class = FormParser

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._files = ExitStack()

    def make_form_data_parser(self) -> FormDataParser:
        parser = super().make_form_data_parser()
        assert isinstance(parser, FormParser)
        parser.body, parser.stream_factory = self.environ["wsgi.input"], self._new_file
        return parser

    def close(self) -> None:
        super().close()
        self._files.close()

    def _new_file(self, *of: Any, **more: Any) -> IO[bytes]:
        return self._files.enter_context(default_stream_factory(*of, **more))


def create_app(services: Services) -> Flask:
    """Return the application. It answers to the names in ``services.hosts`` only."""
    app = Flask(__name__)
    app.request_class = _Request
    app.url_map.merge_slashes = False  # nothing is ever redirected
    limit = services.config.web.max_upload_mb * 1_000_000
    app.config.update(
        MAX_CONTENT_LENGTH=limit + FORM_BYTES,
        MAX_FORM_MEMORY_SIZE=FORM_BYTES,
        MAX_FORM_PARTS=8,
    )
    app.url_map.converters["photo"] = _PhotoId
    app.jinja_env.filters["printable"] = printable
    speak_to_reader(app, services.config.labels.language)
    gate = services.gate
    if gate is None and services.config.web.password is not None:
        gate = Gate(services.config)
    protect(app, services.hosts, gate)
    if gate is not None:
        app.register_blueprint(gate.routes())
    app.context_processor(lambda: {"logged_in": gate is not None and gate.is_in()})
    # Setting the method is how Flask is given a middleware.
    app.wsgi_app = TrustedProxies(  # type: ignore[assignment, method-assign]
        app.wsgi_app, services.config.web.trusted_proxies
    )
    answers = api(services)
    add_library_routes(answers, services)
    teaching = Teaching(services.config, services.manager)
    add_teaching_routes(answers, services, teaching)
    app.register_blueprint(answers)
    app.register_blueprint(pages(services, teaching))

    @app.errorhandler(TaggerError)
    def known(error: TaggerError) -> Response:
        status = _status(error)
        if status >= 500:
            log.warning("%s %s: %s", request.method, request.path, error)
        retry = error.retry_after if isinstance(error, WebError) else None
        if status == 503 and retry is None:
            retry = RETRY_SECONDS
        return _answer(status, error.message, error.remedy, retry)

    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Response:
        if isinstance(error, RequestEntityTooLarge):
            large = too_large(limit)
            return _answer(413, large.message, large.remedy)
        answer = _answer(error.code or 500, error.name.lower(), "see the page's menu")
        for name, value in error.get_headers():
            if name not in ("Content-Type", "Content-Length"):
                answer.headers[name] = value  # as Allow
        return answer

    @app.errorhandler(Exception)
    def unknown(error: Exception) -> Response:
        log.error("%s %s failed", request.method, request.path, exc_info=error)
        return _answer(500, "the page has failed at this", "see tagger's log, and report it")

    return app


def asking(app: Flask, environ: WSGIEnvironment) -> Refusal | None:
    """Return the answer to a request whose body is not to be read; None when it may be.

    All that is looked at before a body is: the name of the page, the origin, the password, and
    whether there is anything that takes a file.
    """
    leave: list[bool] = []
    environ |= {"wsgi.input": io.BytesIO(), ASKED: leave}
    answer = Response.from_app(app, environ, buffered=True)
    return None if leave else Refusal(answer.status, list(answer.headers), answer.get_data())


def _status(error: TaggerError) -> int:
    if isinstance(error, WebError):
        return error.status
    for kind, status in ((QueryError, 400), (PhotoVanishedError, 404), (PhotoError, 422)):
        if isinstance(error, kind):
            return status
    return 503 if isinstance(error, StateError | ModelError) else 500


def _here() -> str:
    """Return the path of the request with its query, as a URL has them."""
    query = quote(request.query_string, safe="!$%&'()*+,/:;=?@~")
    return quote(request.path) + (f"?{query}" if query else "")


def _answer(status: int, message: str, remedy: str, retry_after: int | None = None) -> Response:
    """Return an error: a page for somebody who looks at pages, else JSON."""
    looks = request.method == "GET" and not request.path.startswith(("/api/", "/predict"))
    if looks and status not in (403, 421) and request.accept_mimetypes.accept_html:
        if status == 401:
            body = render_template("login.html", wanted=wanted_path(_here()))
        else:
            body = render_template(
                "error.html",
                message=in_language(message),
                remedy=in_language(remedy),
                status=status,
            )
        response = make_response(body)
    else:
        told: dict[str, Any] = {"error": printable(message), "remedy": remedy, "status": status}
        if for_page():
            said = {"error": in_language(message), "remedy": in_language(remedy)}
            told["said"] = {name: printable(text) for name, text in said.items()}
        response = jsonify(told)
    response.status_code = status
    if status == 401:  # not "Basic", for which a browser would ask in a window of its own
        response.headers["WWW-Authenticate"] = 'Bearer realm="tagger"'
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response
