"""Lets a request in, or sends it to the login."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from flask import Blueprint, Response, make_response, redirect, render_template, request

from tagger.config.schema import Config
from tagger.text.printable import printable
from tagger.web.auth.passwords import OLD_HASH, Attempts, Password
from tagger.web.auth.sessions import COOKIE, PROVING, Sessions
from tagger.web.errors import WebError

log = logging.getLogger(__name__)

OPEN_TO_STRANGERS = frozenset({"login.page", "login.enter", "static"})
"""Routes that need no password: the login, and files that are the same everywhere."""
_LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]*")
"""A path on this page, in the characters that a URL has."""


class Gate:
    """Checks the password of ``config``, which must have one.

    ``now`` is seconds since the epoch, ``clock`` monotonic seconds.
    """

    def __init__(
        self,
        config: Config,
        *,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        web = config.web
        assert web.password is not None
        if web.password.startswith(OLD_HASH):
            log.warning(
                "web.password has an old form, which the next version will not read: run"
                " `tagger web password --write`"
            )
        self._password = Password(web.password)
        self._attempts = Attempts(clock)
        self._few = threading.Lock()
        self._waiting: Counter[bytes] = Counter()
        self._wrong = b"?"  # the mark of the latest
        self._one = threading.Lock()  # at a time: it takes memory, and the cores
        self._sessions = Sessions(config.state_dir, web.password, web.session_hours, now)

    def check(self) -> None:
        """Raise WebError unless the request may be answered."""
        if request.endpoint in OPEN_TO_STRANGERS or self.is_in():
            return
        password = None
        if (given := request.authorization) is not None:
            password = {"bearer": given.token, "basic": given.password}.get(given.type)
        if password is None:
            raise WebError(
                "a password is asked for",
                "log in at /login, or send `Authorization: Bearer` with the password",
                status=401,
            )
        self.try_password(password)

    def is_in(self) -> bool:
        """Whether the request comes from a browser that is logged in."""
        return self._sessions.holds(request.cookies.get(COOKIE, ""))

    def try_password(self, password: str) -> None:
        """Raise WebError unless ``password`` is the right one, or when too many were wrong."""
        if self._password.is_known(password):
            return
        address, mark = request.remote_addr or "", self._password.mark(password)
        with self._proving(mark):
            if self._password.is_known(password):  # a program that sends several at once
                return
            self._attempts.begin(address)
            if mark == self._wrong or not self._password.proves(password):
                self._wrong = mark
                log.warning("a wrong password for the page came from %s", printable(address))
                raise WebError("that is not the password", "try again", status=401)
            self._attempts.succeeded(address)

    @contextmanager
    def _proving(self, mark: bytes) -> Iterator[None]:
        """Wait for one's turn; raise WebError where many other passwords do.

        The same password, which ``mark`` stands for, is proved once, so that any number may wait.
        """
        with self._few:
            if mark not in self._waiting and len(self._waiting) >= PROVING:
                raise WebError(
                    "many passwords are being proved", "try again", status=503, retry_after=2
                )
            self._waiting[mark] += 1
        try:
            with self._one:
                yield
        finally:
            with self._few:
                self._waiting[mark] -= 1
                if not self._waiting[mark]:
                    del self._waiting[mark]

    def routes(self) -> Blueprint:
        """Return the routes by which a browser is logged in, and out."""
        routes = Blueprint("login", __name__)

        @routes.get("/login")
        def page() -> str:
            return render_template("login.html", wanted=wanted_path(request.args.get("next")))

        @routes.post("/login")
        def enter() -> Response:
            wanted = wanted_path(request.form.get("next"))
            try:
                self.try_password(request.form.get("password", ""))
            except WebError as error:
                response = make_response(
                    render_template("login.html", wanted=wanted, error=error), error.status
                )
                if error.retry_after is not None:
                    response.headers["Retry-After"] = str(error.retry_after)
                return response
            cookie, seconds = self._sessions.new()
            response = make_response(redirect(wanted, 303))
            response.set_cookie(
                COOKIE,
                cookie,
                max_age=seconds,
                secure=request.is_secure,
                httponly=True,
                samesite="Strict",
            )
            return response

        @routes.post("/logout")
        def leave() -> Response:
            self._sessions.end(request.cookies.get(COOKIE, ""))
            response = make_response(redirect("/login", 303))
            response.delete_cookie(
                COOKIE, secure=request.is_secure, httponly=True, samesite="Strict"
            )
            return response

        return routes


def wanted_path(text: str | None) -> str:
    """Return ``text`` when it is a path on this page that a browser may be sent to, else ``/``."""
    if not text or not _LOCAL.fullmatch(text) or len(text) > 4000:
        return "/"
    return text if urlsplit(text).path not in ("/login", "/logout") else "/"
