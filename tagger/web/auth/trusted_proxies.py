"""What a reverse proxy says of those it speaks for: believed from the configured ones only."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from tagger.web.addresses import ip_address

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_SAID = ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST")
_OTHERS = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_PORT", "HTTP_X_FORWARDED_PREFIX", "HTTP_X_REAL_IP")
_HOST = re.compile(r"[\w.:\[\]-]{1,255}", re.ASCII)


class TrustedProxies:
    """A WSGI application that tells ``app`` the address, scheme and host of the one who asks.

    ``proxies`` are addresses and networks. Of each header the last value counts, as that is
    the nearest proxy's; in X-Forwarded-For those of trusted proxies are passed over.
    """

    def __init__(self, app: WSGIApplication, proxies: Sequence[str]) -> None:
        self._app = app
        self._networks = [ipaddress.ip_network(proxy) for proxy in proxies]

    def __call__(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        ways, schemes, hosts = (
            [part.strip() for part in str(environ.pop(name, "")).split(",")] for name in _SAID
        )
        for name in _OTHERS:
            environ.pop(name, None)
        if self._trusts(str(environ.get("REMOTE_ADDR", ""))):
            for address in reversed(ways):
                if ip_address(address) is None:
                    break
                environ["REMOTE_ADDR"] = address
                if not self._trusts(address):
                    break
            if schemes[-1].lower() in ("http", "https"):
                environ["wsgi.url_scheme"] = schemes[-1].lower()
            if _HOST.fullmatch(hosts[-1]):
                environ["HTTP_HOST"] = hosts[-1]
        return self._app(environ, start)

    def _trusts(self, address: str) -> bool:
        parsed = ip_address(address)
        return parsed is not None and any(parsed in network for network in self._networks)
