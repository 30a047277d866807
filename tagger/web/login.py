"""Checks the password: a browser logs in and gets a session cookie, a program sends it each time.

itsdangerous signs the cookie and the time of the login, with a secret in the state directory.
"""

from __future__ import annotations

import hashlib
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
from itsdangerous import BadSignature, TimestampSigner

from tagger.config.schema import Config
from tagger.system.logs import printable
from tagger.text.parsing import parse_json
from tagger.web.passwords import OLD_HASH, Attempts, Password
from tagger.web.services import WebError

log = logging.getLogger(__name__)

COOKIE = "tagger_session"
FILE = "web-sessions.json"
PROVING = 4
"""Different passwords that wait for their proof, which takes some tenths of a second, at once."""
ENDED = 1000
"""Most sessions that are remembered as logged out before they expired."""
FILE_CHARACTERS = 200_000
"""More than the file of so many sessions has."""
OPEN_TO_STRANGERS = frozenset({"login.page", "login.enter", "static"})
"""Routes that need no password: the login, and files that are the same everywhere."""

_COOKIE = re.compile(r"([\w-]{22})\.[\w-]{1,8}\.[\w-]{64}", re.ASCII)
"""The name of a session, when it began, and the signature; itsdangerous reads looser forms too."""
_LOCAL = re.compile(r"/(?![/\\])[!-\[\]-~]*")
"""A path on this page, in the characters that a URL has."""


class _Signer(TimestampSigner):
    """Signs with the time of ``clock``, seconds since the epoch."""

    def __init__(self, secret: bytes, salt: str, clock: Callable[[], float]) -> None:
        # 48 bytes are 64 characters exactly: none of them has bits that do not count.
        super().__init__(secret, salt, key_derivation="hmac", digest_method=hashlib.sha384)
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(self._clock())


class Sessions:
    """Makes session cookies and checks them, also after a restart.

    ``password`` is its hash: with another one, or with other ``hours``, all sessions end.
    ``clock`` is seconds since the epoch. For any thread.
    """

    def __init__(
        self, state_dir: str, password: str, hours: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._path = os.path.join(state_dir, FILE)
        self._seconds, self._clock = int(hours * 3600), clock
        # A session that was ended must not come back when sessions last longer.
        self._salt = f"tagger session of {self._seconds} s for {password}"
        self._lock = threading.Lock()
        self._secret, self._ended = self._read()

    def new(self) -> tuple[str, int]:
        """Return a cookie, and for how many seconds it is valid."""
        return self._signer().sign(secrets.token_urlsafe(16)).decode(), self._seconds

    def holds(self, cookie: str) -> bool:
        """Whether ``cookie`` is valid: signed here, not expired and not logged out."""
        return self._opened(cookie) is not None

    def end(self, cookie: str) -> None:
        """Log out the session of ``cookie``."""
        opened = self._opened(cookie)
        if opened is None:
            return
        with self._lock:
            now = self._clock()
            self._ended = {name: until for name, until in self._ended.items() if until > now}
            name, until = opened
            self._ended[name] = until
            if len(self._ended) > ENDED:  # a new secret logs out everybody
                self._secret, self._ended = secrets.token_bytes(32), {}
            self._write()

    def _opened(self, cookie: str) -> tuple[str, int] | None:
        """Return the name of a valid session and when it expires; None for another cookie."""
        if not _COOKIE.fullmatch(cookie):
            return None
        try:
            name, began = self._signer().unsign(cookie, return_timestamp=True)
        except BadSignature:
            return None
        # Not by max_age, which takes a clock that was set back for an expired session.
        until = int(began.timestamp()) + self._seconds
        if self._clock() >= until or name.decode() in self._ended:
            return None
        return name.decode(), until

    def _signer(self) -> _Signer:
        return _Signer(self._secret, self._salt, self._clock)

    def _read(self) -> tuple[bytes, dict[str, int]]:
        try:
            with open(self._path, encoding="utf-8") as file:
                said = parse_json(file.read(FILE_CHARACTERS))
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
