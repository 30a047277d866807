"""Sends what is known of a photo to an address: one POST with JSON."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tagger import __version__
from tagger.config.rule import Rule
from tagger.errors import RuleError
from tagger.library.serialize import facts_json, moment, tags_json

if TYPE_CHECKING:
    from tagger.index.rows import PhotoRow
    from tagger.records import Tag

VERSION = 1
"""Of what is sent."""
STEP_SECONDS = 0.1
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def no_network(interfaces: Callable[[], list[tuple[int, str]]] = socket.if_nameindex) -> str:
    """Return why this process can reach nobody; "" when it can, as far as it knows.

    A service without network may open no socket for it, or has no interface but its own.
    """
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    except OSError as error:
        return f"the service may not use the network ({error.strerror})"
    try:
        names = [name for _, name in interfaces()]
    except OSError:
        return ""  # nobody tells
    return "the service has no network of its own" if names in ([], ["lo"]) else ""


def unreachable(rule: Rule, problem: str) -> str:
    """Return why the webhook of a rule is off, given what :func:`no_network` says; "" if not."""
    address = rule.address
    if not problem or address is None:
        return ""
    only_own = "no network of its own" in problem
    return "" if only_own and address.hostname in _LOOPBACK else problem


def shown(rule: Rule) -> str:
    """Return the address without what may be secret in it."""
    address = rule.address
    if address is None:
        return ""
    port = f":{address.port}" if address.port else ""
    return f"{address.scheme}://{address.hostname}{port}"


def photo_body(rule: str, path: str, row: PhotoRow, tags: Sequence[Tag]) -> dict[str, Any]:
    """Return the documented JSON that says which ``rule`` the photo at ``path`` has met."""
    return {
        "version": VERSION,
        "rule": rule,
        "path": path,
        "labels": list(dict.fromkeys(tag.label for tag in tags)),
        "tags": tags_json(tags),
        **facts_json(row.facts),
        "tagged_at": moment(row.tagged_at),
    }


def send(rule: Rule, body: Mapping[str, Any], stop: Callable[[], bool] = lambda: False) -> None:
    """POST ``body``. Raise RuleError when nobody takes it; ``stop`` gives up at once.

    Redirects are not followed; an answer other than 2xx is a failure. It takes no longer than the
    rule allows, however slowly the other side answers.
    """
    ended = threading.Event()
    errors: list[Exception] = []

    def post() -> None:
        try:
            _post(rule, json.dumps(body).encode("ascii"))
        except Exception as error:  # noqa: BLE001 - raised below
            errors.append(error)
        finally:
            ended.set()

    threading.Thread(target=post, name="webhook", daemon=True).start()
    waited = 0.0
    while not ended.wait(STEP_SECONDS):
        waited += STEP_SECONDS
        if stop() or waited >= rule.timeout_seconds:
            raise RuleError(
                f"{shown(rule)} did not answer within {waited:.0f} s", "see whether it runs"
            )
    if errors:
        from http.client import HTTPException

        error = errors[0]
        if not isinstance(error, OSError | HTTPException | ValueError):
            raise error
        why = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise RuleError(f"cannot reach {shown(rule)}: {why}", "see whether it runs") from error


def _post(rule: Rule, body: bytes) -> None:
    import base64
    import http.client
    import ssl
    from urllib.parse import unquote

    address = rule.address
    assert address is not None
    assert address.hostname is not None
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"tagger/{__version__}",
        "Connection": "close",
    }
    if address.username is not None:
        user = f"{unquote(address.username)}:{unquote(address.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()
    host, port, seconds = address.hostname, address.port, rule.timeout_seconds
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    if address.scheme == "https":
        context = ssl.create_default_context()
        connection = http.client.HTTPSConnection(host, port, timeout=seconds, context=context)
    try:
        place = (address.path or "/") + (f"?{address.query}" if address.query else "")
        connection.request("POST", place, body, headers)
        with contextlib.closing(connection.getresponse()) as answer:
            status, reason = answer.status, answer.reason
        if not 200 <= status < 300:
            raise RuleError(
                f"{shown(rule)} answered {status} {reason}",
                "see what it says of that; redirects are not followed",
            )
    finally:
        connection.close()
