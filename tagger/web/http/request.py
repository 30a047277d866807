"""One request: parsed with bounds, or refused before its body is read."""

from __future__ import annotations

from waitress.parser import HTTPRequestParser, ParsingError, TransferEncodingNotImplemented
from waitress.receiver import ChunkedReceiver
from waitress.utilities import BadRequest

HEAD_BYTES = 32_768
SMALL_BODY = 16_384
"""Bytes of a body that are read without leave; they stay in memory."""
CONTROL_BYTES = 8_192
"""Of what stands between the chunks of a body, and behind them."""


class Refusal:
    """An answer to a request whose body is not read; ``status`` is as "401 UNAUTHORIZED"."""

    def __init__(self, status: str, headers: list[tuple[str, str]], body: bytes) -> None:
        self._status, self._body = status, body
        self._headers = [pair for pair in headers if pair[0].lower() != "content-length"]

    def to_response(self, ident: str | None = None) -> tuple[str, list[tuple[str, str]], bytes]:
        """Return what waitress asks an error for."""
        del ident
        return self._status, self._headers, self._body


class Parser(HTTPRequestParser):  # type: ignore[misc]
    """Parses one request; what it cannot be is a bad request, and nothing in it is endless."""

    completed: bool

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except TransferEncodingNotImplemented as error:
            raise ParsingError(str(error)) from error
        except ValueError as error:  # an address with half a bracket, a number of 5,000 digits
            raise ParsingError(f"Malformed head: {error}") from error

    def received(self, data: bytes) -> int:
        consumed = int(super().received(data))
        body = self.body_rcv
        if isinstance(body, ChunkedReceiver) and not self.completed:
            between = max(len(body.control_line), len(body.trailer))
            if between > CONTROL_BYTES:
                self.error = BadRequest("Chunks are malformed")
                self.completed = True
        return consumed

    def admitted(self) -> None:
        """Get ready for a large body, which may now be read. May raise OSError."""

    def failed(self, error: OSError) -> None:
        """Note that the body could not be stored."""
        self.error = Refusal("507 INSUFFICIENT STORAGE", [], f"{error.strerror}\n".encode())
        self.completed = True

    @property
    def is_large(self) -> bool:
        """Whether leave is to be asked before the body is read."""
        return bool(self.chunked or self.content_length > SMALL_BODY)
