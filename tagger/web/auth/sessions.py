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
from collections.abc import Callable

from itsdangerous import BadSignature, TimestampSigner

from tagger.system.files import replace_atomically
from tagger.text.parsing import parse_json

log = logging.getLogger(__name__)

COOKIE = "tagger_session"
FILE = "web-sessions.json"
PROVING = 4
"""Different passwords that wait for their proof, which takes some tenths of a second, at once."""
ENDED = 1000
"""Most sessions that are remembered as logged out before they expired."""
FILE_CHARACTERS = 200_000
"""More than the file of so many sessions has."""
_COOKIE = re.compile(r"([\w-]{22})\.[\w-]{1,8}\.[\w-]{64}", re.ASCII)
"""The name of a session, when it began, and the signature; itsdangerous reads looser forms too."""


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
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o750, exist_ok=True)
            data = json.dumps(said).encode()
            replace_atomically(self._path, data, mode=0o600, durable=False, unique=True)
        except OSError as error:
            log.warning(
                "%s cannot be written: %s; after a restart everybody has to log in again",
                self._path,
                error,
            )
