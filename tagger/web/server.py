"""Listens for browsers, until told to stop; for those of other machines only with a password."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from waitress.receiver import FixedStreamReceiver
from waitress.utilities import Error

from tagger.config.schema import Config, WebConfig
from tagger.errors import ConfigError, ModelError, StateError, StoppedError
from tagger.labels.vocabulary import own_vocabulary
from tagger.library.status import page_status_json
from tagger.pipeline.networks import Networks, open_networks
from tagger.web.app import FORM_BYTES, asking, create_app
from tagger.web.auth.request_checks import HEADERS, allowed_hosts, check_local
from tagger.web.auth.sessions import PROVING
from tagger.web.body import spooled
from tagger.web.bounded_search import limited_reader
from tagger.web.http.request import Parser, Refusal
from tagger.web.http.server import Limits, Serving
from tagger.web.photo_images import PhotoImages
from tagger.web.services import Services
from tagger.web.upload_classifier import PENDING, UploadClassifier
from tagger.web.uploads import Spool

if TYPE_CHECKING:
    from tagger.web.services import TagCommands

log = logging.getLogger(__name__)

THREADS = PENDING + PROVING + 8
"""So that pages are answered while as many pictures and passwords as may be are in work."""

CONNECTIONS = 100
"""At once; of more, those are dropped whose time is up first."""

WAKE_SECONDS = 30.0

REST_LOOK_SECONDS = 10.0
"""How often it is looked whether the model may rest."""


def _refused(code: int, reason: str) -> Refusal:
    """Return, as JSON, what is said of a request that never reaches the application."""
    remedy = {413: "send a smaller picture", 507: "free some space on the disk"}.get(
        code, "send a proper request"
    )
    said = {"error": reason.lower(), "remedy": remedy, "status": code}
    headers = [("Content-Type", "application/json"), *HEADERS.items()]
    return Refusal(f"{code} {reason}", headers, json.dumps(said).encode())


class _Parser(Parser):
    """Writes a large form to the spool; what is small stays in memory."""

    error: Any
    spool: Spool

    def received(self, data: bytes) -> int:
        consumed = int(super().received(data))
        if isinstance(self.error, Error):
            self.error = _refused(self.error.code, self.error.reason)
        return consumed

    def failed(self, error: OSError) -> None:
        super().failed(error)
        self.error = _refused(507, "Insufficient Storage")

    def admitted(self) -> None:
        size = self.content_length
        if size > self.adj.inbuf_overflow and not self.chunked:
            body = spooled(self.headers.get("CONTENT_TYPE", ""), self.spool)
            if body is not None:
                self.body_rcv = FixedStreamReceiver(size, body)


class WebServer:
    """The page of ``config``. Bound when made; ``run`` answers until ``stop``.

    ``load`` gives the networks when the first picture comes, or raises ModelError; without it
    they are loaded as the config says. With ``manager`` the page is inside that daemon, whose
    networks are shared: ``load`` is asked for them with every picture. Raise ConfigError when
    ``web.listen`` is malformed or can be reached from other machines, StateError when the port
    cannot be had.
    """

    def __init__(
        self,
        config: Config,
        *,
        load: Callable[[], Networks] | None = None,
        manager: TagCommands | None = None,
    ) -> None:
        self._socket = _bound(config.web)
        self._stopping = threading.Event()
        self._spool = Spool()
        vocabulary = own_vocabulary(config.state_dir)
        self._classifier = UploadClassifier(
            config,
            vocabulary,
            load or (lambda: _networks(config, self._stopping.is_set)),
            self._spool,
            shared=manager is not None,
        )
        self._gallery = PhotoImages(config, self._spool)
        services = Services(
            config=config,
            vocabulary=vocabulary,
            classifier=self._classifier,
            gallery=self._gallery,
            reader=lambda: limited_reader(config.state_dir),
            status=lambda: page_status_json(config, manager.status if manager else None),
            hosts=allowed_hosts(config.web.listen, config.web.hosts),
            manager=manager,
            closing=self._stopping,
        )
        app = create_app(services)
        # A body somewhat too large is read, so that the browser hears why it is refused.
        body = 2 * config.web.max_upload_mb * 1_000_000 + FORM_BYTES
        self._server = Serving(
            self._socket,
            app,
            Limits(THREADS, CONNECTIONS, max_body=body),
            asks=lambda environ: asking(app, environ),
            parser=type("_SpoolingParser", (_Parser,), {"spool": self._spool}),
        )

    @property
    def url(self) -> str:
        """Where the page is."""
        host, port = self._socket.getsockname()[:2]
        return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def __enter__(self) -> WebServer:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def run(self) -> None:
        """Answer requests in this thread, until :meth:`stop` is called."""
        log.info("the page is at %s", self.url)
        look_at = 0.0
        while not self._stopping.is_set():
            self._server.turn(WAKE_SECONDS)
            if (now := time.monotonic()) >= look_at:
                self._classifier.rest()
                look_at = now + REST_LOOK_SECONDS

    def stop(self) -> None:
        """Have :meth:`run` return. For any thread, and for signal handlers."""
        self._stopping.set()
        self._server.wake()

    def close(self) -> None:
        """Give up the port, the decoding processes and the files, once ``run`` has returned."""
        self._stopping.set()  # a conversion of the model ends
        # First the processes: requests that wait for them end, and their threads with them.
        self._classifier.close()
        self._gallery.close()
        self._server.close()
        self._spool.close()


def _bound(web: WebConfig) -> socket.socket:
    """Return a socket where ``web`` says; raise as :class:`WebServer`."""
    listen, (host, port) = web.listen, web.address
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(
            f"`web.listen: {listen}` is no address of this machine", "write 127.0.0.1:5000"
        ) from error
    if web.password is None:
        check_local((str(address[0]) for *_, address in found), listen)
    family, kind, protocol, _, address = found[0]
    try:
        opened = socket.socket(family, kind, protocol)
    except OSError as error:
        raise StateError(
            f"cannot listen on {listen}: {error.strerror}",
            "run `tagger service install --network`, if this is a service: it has no network",
        ) from error
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind(address)
    except OSError as error:
        opened.close()
        raise StateError(
            f"cannot listen on {listen}: {error.strerror}",
            "end the program that does, or set another port in `web.listen`",
        ) from error
    return opened


def _networks(config: Config, stop: Callable[[], bool]) -> Networks:
    """Return the networks. torch is imported in this process only if the config names it.

    Raise ModelError; StateError when the state directory cannot be had.
    """
    model = config.model
    if model.engine == "auto":
        config = dataclasses.replace(config, model=dataclasses.replace(model, engine="onnx"))
    try:
        os.makedirs(config.state_dir, mode=0o750, exist_ok=True)
        return open_networks(config, stop=stop)
    except StoppedError as error:
        raise ModelError("the page is being closed", "try again when it is back") from error
    except OSError as error:
        raise StateError(
            f"cannot use the state directory {config.state_dir}: {error.strerror}",
            "correct `state_dir` in the config, or the rights of the folder",
        ) from error
