"""The language of a page: the first that its reader's browser asks for and tagger speaks."""

from __future__ import annotations

from flask import Flask, Response, has_request_context, request

from tagger.text.error_texts import all_in_language, in_language
from tagger.text.messages import (
    ENGLISH,
    best_of,
    language,
    number,
    speak,
    translated,
    translated_plural,
)

FOR_PAGE = "X-Tagger-Page"
"""A header that the page's own scripts send: they show what is said, in the reader's language.

To others JSON is the same in every language. Where no header can be sent, it is ``page=yes``.
"""


def for_page() -> bool:
    """Whether a script of the page asks, which shows what it is told."""
    return has_request_context() and (
        FOR_PAGE in request.headers or request.args.get("page") == "yes"
    )


def with_said(text: str | None) -> dict[str, str]:
    """Return, for the page's scripts, what a field of JSON says in the reader's language."""
    return {"said": in_language(text or "")} if for_page() else {}


def speak_to_reader(app: Flask, otherwise: str) -> None:
    """Have the pages of ``app`` speak their reader's language.

    A browser that asks for none that is spoken gets ``otherwise``, the language of the tags, if
    that is one, else English. What programs read is not touched.
    """
    app.jinja_env.add_extension("jinja2.ext.i18n")
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        translated, translated_plural, newstyle=True
    )
    app.jinja_env.filters["number"] = number
    app.jinja_env.filters["in_language"] = in_language
    app.jinja_env.filters["all_in_language"] = all_in_language
    app.context_processor(lambda: {"language": language()})
    last = best_of([otherwise]) or ENGLISH

    @app.before_request
    def choose() -> None:
        try:
            wanted = [tag for tag, _ in request.accept_languages]
        except (ValueError, LookupError, TypeError):
            wanted = []  # malformed; a page in another language is no harm
        speak(best_of(wanted) or last)

    @app.after_request
    def mark(response: Response) -> Response:
        if response.mimetype == "text/html":
            response.headers["Content-Language"] = language()
            response.vary.add("Accept-Language")
        return response

    @app.teardown_request
    def leave(error: BaseException | None) -> None:
        del error
        speak(ENGLISH)  # the thread goes on to others
