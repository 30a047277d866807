"""The HTTP server of the metrics."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING
from wsgiref.types import WSGIApplication

from tagger.config.addresses import Address

if TYPE_CHECKING:
    from tagger.web.http.server import ServingThread

THREADS, CONNECTIONS, MAX_BODY = 2, 20, 1024
"""That answer; of clients at once; bytes."""


def serve(address: Address, answer: WSGIApplication) -> ServingThread:
    """Answer at ``address``; raise OSError if it cannot be had.

    The library's own server would wake up twice a second, and let in any number of clients.
    """
    from tagger.web.http.server import Limits, Serving, ServingThread

    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError:
        listening.close()
        raise
    serving = Serving(listening, answer, Limits(THREADS, CONNECTIONS, MAX_BODY))
    return ServingThread(serving, "metrics")
