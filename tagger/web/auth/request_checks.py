"""What holds for every route: whom the page answers, and what a browser may do with it.

A page that listens on this machine only can still be reached by any site that its user
visits: by a name that the site's owner points at 127.0.0.1, and by forms and pictures that
send requests here. So the Host header must name us, and a request that a browser says
comes from elsewhere is refused.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from tagger.config.addresses import parse_address
from tagger.errors import ConfigError
from tagger.web.errors import WebError
from tagger.web.http.request import SMALL_BODY

if TYPE_CHECKING:
    from tagger.web.auth.gate import Gate

OPEN_TO_PROGRAMS = frozenset({"api.predict", "api.predict_v1"})
"""Routes that change nothing, to which a program may post; it sends no proof of its origin."""

TAKES_FILES = OPEN_TO_PROGRAMS | {"api.inbox"}
"""Routes to which large bodies may be sent."""

ASKED = "tagger.asked"
"""In the environment of a request of which only the head has come; see tagger.web.http."""

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # Not "no-referrer": the Origin of a form would be "null" where there is no Sec-Fetch-Site,
    # which browsers leave out when the page comes by plain HTTP from another machine.
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

_READ = {
    "Accept": "accept_mimetypes",
    "Authorization": "authorization",
    "Content-Length": "content_length",
    "Content-Type": "mimetype_params",
    "Cookie": "cookies",
    "If-Modified-Since": "if_modified_since",
    "If-None-Match": "if_none_match",
    "If-Range": "if_range",
    "If-Unmodified-Since": "if_unmodified_since",
    "Range": "range",
}
"""Headers, and the attributes of a request by which Werkzeug and the routes read them."""

_SAFE = ("GET", "HEAD", "OPTIONS")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:/@\[\]]+)(?::[0-9]{1,5})?")
_OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")
_ANY_ADDRESS = "<address>"
"""Stands for every IP address: no name, and so none that its owner could point at us."""


def protect(app: Flask, hosts: frozenset[str], gate: Gate | None) -> None:
    """Check every request to ``app``, also for what does not exist, and mark every answer.

    ``gate`` asks for the password, if there is one.
    """

    @app.before_request
    def check() -> Response | None:
        check_headers()
        check_host(request.environ.get("HTTP_HOST", ""), hosts)
        check_origin()
        if gate is not None:
            gate.check()
        return check_body()

    @app.after_request
    def mark(response: Response) -> Response:
        response.headers.update(HEADERS)
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        return response


def check_headers() -> None:
    """Raise WebError for a header that Werkzeug cannot read, with whatever that raises."""
    for name, attribute in _READ.items():
        if name in request.headers:
            try:
                getattr(request, attribute)
            except HTTPException:
                raise
            except (ValueError, LookupError, OverflowError, TypeError) as error:
                raise WebError(
                    f"the {name} of the request is malformed", "send a proper one, or none"
                ) from error


def check_body() -> Response | None:
    """Bound the body of the request, or say that a large one may be read if that is asked.

    Raise WebError for a large one to a route that takes no file, HTTPException for no route.
    """
    takes_file = request.endpoint in TAKES_FILES
    if not takes_file:
        request.max_content_length = SMALL_BODY
    leave = request.environ.get(ASKED)
    if leave is None:
        return None
    if request.routing_exception is not None:
        raise request.routing_exception
    if not takes_file:
        raise WebError(
            "the request is too large, or does not say how large it is",
            f"send at most {SMALL_BODY // 1024} kB, with a Content-Length",
            status=413,
        )
    leave.append(True)
    return Response()


def check_host(host: str, hosts: frozenset[str]) -> None:
    """Raise WebError unless the Host header ``host`` is one of ``hosts``, with any port."""
    match = _HOST.fullmatch(host.lower())
    if match is None or (match[1] not in hosts and not _is_any(match[1], hosts)):
        raise WebError(
            "this page does not go by that name",
            "call it by the address it listens on, or add the name to `web.hosts`",
            status=421,
        )


def _is_any(name: str, hosts: frozenset[str]) -> bool:
    if _ANY_ADDRESS not in hosts:
        return False
    try:
        return not ipaddress.ip_address(name.strip("[]")).is_unspecified
    except ValueError:
        return False


def check_origin() -> None:
    """Raise WebError for a request that another site's page makes, or may make.

    What changes something needs a proof of its origin: Sec-Fetch-Site or Origin, which a
    browser sends with a form and with `fetch` alike, or the password as a Bearer, which no
    page of another site can send.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if request.method in _SAFE:
        # A link from elsewhere may be followed, but nothing be taken in or measured.
        link = (
            request.headers.get("Sec-Fetch-Mode") == "navigate"
            and request.headers.get("Sec-Fetch-Dest") == "document"
            and request.method == "GET"
        )
        proved = site in (None, "same-origin", "none") or link
    elif site is not None:
        proved = site in ("same-origin", "none")
    elif (origin := request.headers.get("Origin")) is not None:
        proved = _is_own(origin)
    else:
        bearer = request.headers.get("Authorization", "").lower().startswith("bearer ")
        proved = bearer or request.endpoint in OPEN_TO_PROGRAMS
    if not proved:
        raise WebError(
            "the request comes from another site, or does not say where from",
            "use the page itself",
            status=403,
        )


def _is_own(origin: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError as error:
        raise WebError("the Origin of the request is malformed", "use the page itself") from error
    return parts.scheme == request.scheme and parts.netloc.lower() == request.host.lower()


def check_local(addresses: Iterable[str], listen: str) -> None:
    """Raise ConfigError unless all of the IP ``addresses`` are this machine's own only."""
    for address in addresses:
        if not ipaddress.ip_address(address.partition("%")[0]).is_loopback:
            raise ConfigError(
                f"`web.listen: {listen}` can be reached from other machines, and the page has no"
                " password",
                "set one with `tagger web password`, or listen on 127.0.0.1 and reach it from"
                " elsewhere through `ssh -L 5000:127.0.0.1:5000`",
            )


def allowed_hosts(listen: str, more: Iterable[str] = ()) -> frozenset[str]:
    """Return the names in lower case that a Host header may have."""
    host, _ = parse_address("web.listen", listen)
    shown = f"[{host}]" if ":" in host else host
    if host in ("0.0.0.0", "::"):  # noqa: S104 - every address of this machine
        shown = _ANY_ADDRESS
    return frozenset(name.lower() for name in (*_OWN_NAMES, shown, *more))
