"""One connection: its phases, and the times by which each of them has to be over."""

from __future__ import annotations

import logging
import math
import select
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from waitress.channel import HTTPChannel
from waitress.task import WSGITask
from waitress.utilities import InternalServerError

from tagger.web.addresses import network_of
from tagger.web.http.request import Parser, Refusal

if TYPE_CHECKING:
    from wsgiref.types import WSGIEnvironment

log = logging.getLogger(__name__)

HEAD_SECONDS = 15.0
"""From the beginning of a connection, or of a later request in it, to the end of its head."""
IDLE_SECONDS = 60.0
"""Between two requests."""
PATIENCE_SECONDS = 30.0
"""For a body or an answer, and a second more for each so many bytes of it:"""
BYTES_A_SECOND = 10_000
LONGEST_SECONDS = 3600.0
DRAIN_SECONDS, DRAIN_BYTES = 5.0, 200_000_000
"""What is still read of a body that was refused, so that its sender hears the refusal."""

RECEIVE_BYTES = 262_144


Asks = Callable[["WSGIEnvironment"], Refusal | None]
"""Asked, in a thread of its own, whether the body of a request may be read; it cannot be yet."""


@dataclass(slots=True)
class _Sending:
    """An answer on its way: since when, and how many bytes of it have gone."""

    since: float = math.inf
    sent: int = 0


@dataclass(slots=True)
class _Drain:
    """What is still read of a refused body: until when, and how many bytes so far."""

    until: float
    read: int = 0


class Connection(HTTPChannel):  # type: ignore[misc]
    """One connection. Only what waitress does in :meth:`service` is done in other threads."""

    request: Parser | None
    close_when_flushed: bool

    def __init__(self, server: Any, sock: Any, addr: Any, adj: Any, map: Any = None) -> None:
        self._clock: Callable[[], float] = server.clock
        self.network = network_of(str(addr[0]))
        self._ahead = b""  # of later requests; not parsed yet
        self._asked = False
        self._verdict: tuple[Refusal | None] | None = None
        self._lingers = False
        self._drain: _Drain | None = None
        self._since: float = self._clock()  # the present phase
        self._resting = self._worked = False
        self._sending = _Sending()
        super().__init__(server, sock, addr, adj, map=map)

    @property
    def works(self) -> bool:
        """Whether a request is being answered."""
        return bool(self.requests) or self._asked

    def ends_at(self) -> float:
        """Return when the present phase has to be over; to be asked after each turn."""
        now = self._clock()
        if self._drain is not None:
            return self._drain.until
        if self.total_outbufs_len:
            if self._sending.since == math.inf:
                self._sending = _Sending(now)
            return _until(self._sending.since, self._sending.sent)
        self._sending.since = math.inf
        if self.works:
            self._worked = True
            return math.inf
        if self._worked:
            self._worked, self._resting, self._since = False, True, now
        if self.request is not None and self.request.headers_finished:
            return _until(self._since, self.request.body_bytes_received)
        return self._since + (IDLE_SECONDS if self._resting else HEAD_SECONDS)

    def check_client_disconnected(self) -> bool:
        """Whether the client has left, or will at least send no more. For any thread."""
        sock = self.socket
        if not self.connected or sock is None:
            return True
        poll = select.poll()
        try:
            poll.register(sock.fileno(), select.POLLRDHUP)
        except ValueError:  # closed meanwhile
            return True
        return bool(poll.poll(0))

    def readable(self) -> bool:
        if self._drain is not None:
            return True
        return bool(super().readable()) and not self._ahead and not self._asked

    def writable(self) -> bool:
        if self._drain is not None:
            return bool(self.will_close)
        return bool(super().writable()) or self._verdict is not None or self._has_next()

    def handle_read(self) -> None:
        if self._drain is None:
            super().handle_read()
            return
        try:
            self._drain.read += len(self.recv(RECEIVE_BYTES))
        except OSError:
            self.will_close = True
        if self._drain.read > DRAIN_BYTES or self.will_close:
            self.handle_close()

    def handle_write(self) -> None:
        if self._verdict is not None:
            self._decide()
        elif self._lingers and self.close_when_flushed and not self.will_close:
            self.close_when_flushed = False  # the client is to read the answer first
            super().handle_write()
            self.close_when_flushed = True
            if not self.total_outbufs_len and self.connected:
                self._start_drain()
        else:
            super().handle_write()
        if self._has_next():
            data, self._ahead = self._ahead, b""
            self.received(data)

    def handle_expt(self) -> None:
        # Urgent data, which HTTP does not have; unread it would be told again and again.
        self.handle_close()

    def handle_close(self) -> None:
        super().handle_close()
        self._forget()

    def close(self) -> None:
        super().close()
        self._forget()

    def _forget(self) -> None:
        request, self._ahead = self.request, b""
        if request is not None and not self._asked:
            self.request = None
            request.close()

    def send(self, data: bytes, do_close: bool = True) -> int:
        sent = int(super().send(data, do_close=do_close) or 0)
        self._sending.sent += sent
        return sent

    def received(self, data: bytes) -> bool:
        """Take what has come, up to the end of one request."""
        with self.requests_lock:
            while data and not (self.will_close or self.close_when_flushed):
                if self.works:
                    self._ahead = data
                    break
                if self._resting:
                    self._resting, self._since = False, self._clock()
                if self.request is None:
                    self.request = self.parser_class(self.adj)
                request = self.request
                assert request is not None
                was_in_head = not request.headers_finished
                try:
                    data = data[request.received(data) :]
                except OSError as error:
                    log.warning("a body cannot be stored: %s", error.strerror)
                    request.failed(error)
                    data = b""
                if request.completed:
                    self.request = None
                    if not request.empty:
                        self._answer(request)
                elif request.headers_finished and was_in_head:
                    self._since = self._clock()
                    if request.is_large and self.server.asks is not None:
                        self._asked = True
                        self.server.add_task(_Asking(self, request))
                    elif request.expect_continue:
                        self.send_continue()
        return True

    def decided(self, refusal: Refusal | None) -> None:
        """Note whether the body may be read. For any thread."""
        self._verdict = (refusal,)
        self.server.pull_trigger()

    def _has_next(self) -> bool:
        """Whether there are bytes of a next request, and its turn has come."""
        waits = self.works or self.total_outbufs_len or self.will_close or self.close_when_flushed
        return bool(self._ahead) and self.connected and not waits

    def _answer(self, request: Parser) -> None:
        self.sent_continue = False
        self._lingers = request.error is not None
        self.requests.append(request)
        self.server.add_task(self)

    def _decide(self) -> None:
        """Read the body, or answer at once."""
        assert self._verdict is not None
        (refusal,), self._verdict = self._verdict, None
        self._asked, self._since = False, self._clock()
        request = self.request
        assert request is not None
        if refusal is None:
            try:
                request.admitted()
            except OSError as error:
                log.warning("a body cannot be stored: %s", error.strerror)
                request.failed(error)
            else:
                if request.expect_continue:
                    self.send_continue()
                return
        else:
            request.error, request.completed = refusal, True
        self.request, self._ahead = None, b""
        with self.requests_lock:
            self._answer(request)

    def _start_drain(self) -> None:
        """Tell that nothing more comes, and wait for the client to see it."""
        self.close_when_flushed = False
        self._drain = _Drain(self._clock() + DRAIN_SECONDS)
        self._ahead = b""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.handle_close()


class _Asking:
    """Asks the application whether a body may be read, as a task of waitress."""

    def __init__(self, connection: Connection, request: Parser) -> None:
        self._connection, self._request = connection, request

    def service(self) -> None:
        refusal: Refusal | None
        try:
            environ = dict(WSGITask(self._connection, self._request).get_environment())
            refusal = self._connection.server.asks(environ)
        except Exception:  # whatever it is, the connection must not wait for ever
            log.exception("whether a body may be read is not known")
            error = InternalServerError("")
            refusal = Refusal(*error.to_response())
        self._connection.decided(refusal)

    def cancel(self) -> None:
        self._connection.cancel()


def _until(since: float, count: int) -> float:
    return since + min(PATIENCE_SECONDS + count / BYTES_A_SECOND, LONGEST_SECONDS)
