"""Who may see the page, when it has a password: a browser that was logged in, or a program.

A browser gets a cookie, which says until when it is good and is signed with a secret in the
state directory. A program sends the password with each request.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from flask import Blueprint, Response, make_response, redirect, render_template, request

from tagger.config import Config
from tagger.logs import printable
from tagger.parsing import parse_json
from tagger.web.passwords import Attempts, Password
from tagger.web.services import WebError

log = logging.getLogger(__name__)

COOKIE = "tagger_session"
FILE = "web-sessions.json"
PROVING = 4
"""Different passwords that wait for their proof, which takes some tenths of a second, at once."""
ENDED = 1000
"""Sessions ended before their time that are kept in mind."""
OPEN_TO_STRANGERS = frozenset({"login.page", "login.enter", "static"})
"""Routes that need no password: the login, and files that are the same everywhere."""

_COOKIE = re.compile(r"([0-9]{1,12})\.([\w-]{22})\.([0-9a-f]{64})", re.ASCII)
_LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]*")
"""A path on this page, in the characters that a URL has."""


class Sessions:
    """Makes cookies and knows them again, also after a restart.

    ``password`` is its hash: with another one no cookie is good any more. ``clock`` is seconds
    since the epoch. For any thread.
    """

    def __init__(
        self, state_dir: str, password: str, hours: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = os.path.join(state_dir, FILE)
        self._password, self._seconds, self._clock = password, hours * 3600, clock
        self._lock = threading.Lock()
        self._secret, self._ended = self._read()

    def new(self) -> tuple[str, int]:
        """Return a cookie, and for how many seconds it is good."""
        until, name = int(self._clock() + self._seconds), secrets.token_urlsafe(16)
        return f"{until}.{name}.{self._signature(until, name)}", int(self._seconds)

    def holds(self, cookie: str) -> bool:
        """Whether ``cookie`` is one of ours and good."""
        match = _COOKIE.fullmatch(cookie)
        if match is None:
            return False
        until, name = int(match[1]), match[2]
        proved = hmac.compare_digest(self._signature(until, name), match[3])
        return proved and self._clock() < until and name not in self._ended

    def end(self, cookie: str) -> None:
        """Let ``cookie`` be good no more."""
        match = _COOKIE.fullmatch(cookie)
        if match is None or not self.holds(cookie):
            return
        with self._lock:
            now = self._clock()
            self._ended = {name: until for name, until in self._ended.items() if until > now}
            self._ended[match[2]] = int(match[1])
            if len(self._ended) > ENDED:  # so that none of them comes back, all have to go
                self._secret, self._ended = secrets.token_bytes(32), {}
            self._write()

    def _signature(self, until: int, name: str) -> str:
        said = f"{until}.{name}.{self._password}".encode()
        return hmac.digest(self._secret, said, "sha256").hex()

    def _read(self) -> tuple[bytes, dict[str, int]]:
        try:
            with open(self._path, encoding="utf-8") as file:
                said = parse_json(file.read())
            secret = bytes.fromhex(said["secret"])
            ended = {str(name): int(until) for name, until in said["ended"].items()}
            if len(secret) == 32 and not os.stat(self._path).st_mode & 0o077:
                return secret, ended
        except FileNotFoundError:
            pass  # the first time
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s cannot be read: %s; everybody has to log in again", self._path, error)
        self._secret, self._ended = secrets.token_bytes(32), {}
        self._write()
        return self._secret, self._ended

    def _write(self) -> None:
        said = {"secret": self._secret.hex(), "ended": self._ended}
        new = f"{self._path}.{secrets.token_hex(4)}"
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o750, exist_ok=True)
            fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(fd, "w", encoding="utf-8") as file:
                json.dump(said, file)
            os.replace(new, self._path)
        except OSError as error:
            log.warning(
                "%s cannot be written: %s; after a restart everybody has to log in again",
                self._path,
                error,
            )


class Gate:
    """Lets in whoever knows the password of ``config``, which must have one.

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
        given = request.authorization
        password = None
        if given is not None and given.type == "bearer":
            password = given.token
        elif given is not None and given.type == "basic":
            password = given.password
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
    parts = urlsplit(text)
    local = not parts.scheme and not parts.netloc
    return text if local and parts.path not in ("/login", "/logout") else "/"
