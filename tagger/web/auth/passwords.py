"""Hashes the password of the page, checks it, and limits how fast it can be guessed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import math
import re
import secrets
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from werkzeug.security import check_password_hash, generate_password_hash

from tagger.errors import ConfigError
from tagger.web.addresses import network_of
from tagger.web.errors import WebError

LEAST, MOST = 8, 256
"""Characters of a password."""

OLD_HASH = "scrypt$"
"""How a hash begins that an early build of 0.1.0 made; 0.2.0 will not read it."""

_COST, _BLOCKS, _RUNS = 14, 8, 5
"""log2 N, r and p: 16 MB, and some tenths of a second on a small computer."""
_SALT_LENGTH = 22
"""Letters and digits: 130 bits."""

BURST, EVERY = 5, 30.0
"""Wrong passwords that an address may send at once, and seconds until it may send another."""
ALL_BURST, ALL_EVERY = 30, 10.0
"""The same of all addresses together, but for those that have sent the right one."""
REMEMBERED = 1024
"""Addresses that are kept in mind."""


def make_hash(password: str, *, cost: int = _COST) -> str:
    """Return what the config holds for ``password``; ``cost`` is log2 of scrypt's N.

    Raise ConfigError for a password that is too short or too long, or not valid text.
    """
    if not LEAST <= len(password) <= MOST:
        raise ConfigError(
            f"the password has {len(password)} characters",
            f"take one of {LEAST} to {MOST}, several words for example",
        )
    text = _normalised(password)
    if text is None:
        raise ConfigError(
            "the password has bytes that are not UTF-8", "set a UTF-8 locale, and type it again"
        )
    method = f"scrypt:{1 << cost}:{_BLOCKS}:{_RUNS}"
    return generate_password_hash(text, method, _SALT_LENGTH)


class Password:
    """The password with the hash ``made``, which the config has checked. For any thread."""

    def __init__(self, made: str) -> None:
        self._made = made
        # A program sends the password with every request: once proved it is known again at once.
        self._key = secrets.token_bytes(32)
        self._proved = b""

    def is_known(self, password: str) -> bool:
        """Whether ``password`` is the right one and was proved before; takes no time."""
        return hmac.compare_digest(self.mark(password), self._proved)

    def mark(self, password: str) -> bytes:
        """Return what stands for ``password`` in this process; b"?" for what can be none."""
        text = _normalised(password)
        return b"?" if text is None else hmac.digest(self._key, text.encode(), "sha256")

    def proves(self, password: str) -> bool:
        """Whether ``password`` is the right one. Takes some tenths of a second, and 16 MB."""
        text = _normalised(password)
        check = _check_old_hash if self._made.startswith(OLD_HASH) else check_password_hash
        if text is None or not check(self._made, text):
            return False
        self._proved = self.mark(password)
        return True


class Attempts:
    """Counts wrong passwords, by address and in all. ``clock`` is monotonic seconds.

    An IPv6 address stands for its network of 64 bits, which one person has whole.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._all = _Bucket(ALL_BURST, ALL_EVERY)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._proved: OrderedDict[str, None] = OrderedDict()

    def begin(self, address: str) -> None:
        """Note that ``address`` sends a password. Raise WebError when that is one too many."""
        who, now = network_of(address), self._clock()
        with self._lock:
            own = self._buckets.setdefault(who, _Bucket(BURST, EVERY))
            _keep(self._buckets, who)
            wait = own.wait(now)
            if who not in self._proved:
                wait = max(wait, self._all.wait(now))
            if wait:
                raise WebError(
                    "too many wrong passwords were sent",
                    f"try again in {wait} s",
                    status=429,
                    retry_after=wait,
                )
            own.take(now)
            self._all.take(now)

    def succeeded(self, address: str) -> None:
        """Note that it was the right one, so that it does not count."""
        who = network_of(address)
        with self._lock:
            self._buckets.pop(who, None)
            self._all.give_back()
            self._proved[who] = None
            _keep(self._proved, who)


class _Bucket:
    """Holds ``size`` tokens at most, and gets one every ``seconds``."""

    def __init__(self, size: int, seconds: float) -> None:
        self._size, self._seconds = size, seconds
        self._tokens, self._at = float(size), -math.inf

    def wait(self, now: float) -> int:
        """Return the seconds until there is a token: 0 when there is one."""
        if self._at > -math.inf:
            gained = max(0.0, now - self._at) / self._seconds
            self._tokens = min(self._size, self._tokens + gained)
        self._at = now
        return 0 if self._tokens >= 1 else math.ceil((1 - self._tokens) * self._seconds)

    def take(self, now: float) -> None:
        self.wait(now)
        self._tokens = max(0.0, self._tokens - 1)

    def give_back(self) -> None:
        self._tokens = min(self._size, self._tokens + 1)


def _keep(kept: OrderedDict[str, Any], latest: str) -> None:
    kept.move_to_end(latest)
    while len(kept) > REMEMBERED:
        kept.popitem(last=False)


def _normalised(password: str) -> str | None:
    """Return the same text however a keyboard composes its letters.

    None for more than MOST characters, as marks of any number take quadratic time, and for lone
    surrogates, of which there is no UTF-8.
    """
    if len(password) > MOST or re.search("[\ud800-\udfff]", password):
        return None
    return unicodedata.normalize("NFKC", password)


def _check_old_hash(made: str, password: str) -> bool:
    """Return as check_password_hash for ``scrypt$LOG2N$R$P$SALT$HASH``, both in base64url."""
    _, cost, blocks, runs, salt, digest = made.split("$")
    wanted = base64.urlsafe_b64decode(digest + "=")
    found = hashlib.scrypt(
        password.encode(),
        salt=base64.urlsafe_b64decode(salt + "=="),
        n=1 << int(cost),
        r=int(blocks),
        p=int(runs),
        maxmem=256 * int(blocks) << int(cost),  # twice what it needs
        dklen=len(wanted),
    )
    return hmac.compare_digest(found, wanted)
