"""Asking a running daemon for something: a socket in the state directory.

One JSON object a line each way: ``{"command": "pause"}`` is answered by ``{"result": "…"}`` or
``{"error": "…", "remedy": "…"}``. Only the daemon's own user, and root, are listened to; see
unix(7) for the credentials of the other end.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tagger.errors import StateError, TaggerError
from tagger.text.parsing import parse_json

log = logging.getLogger(__name__)

SOCKET_NAME = "control"
MAX_LINE = 1 << 16
ANSWER_SECONDS = 10.0
"""How long either end waits for the other."""

Action = Callable[[Mapping[str, Any]], str]
"""Does what a request asks for and returns what to say; raises TaggerError."""


class ControlServer:
    """Listens in ``state_dir`` and does the ``actions`` that are asked for, by their names."""

    def __init__(self, state_dir: str, actions: Mapping[str, Action]) -> None:
        self._state_dir, self._actions = state_dir, actions
        self._closing = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._thread = threading.Thread(target=self._listen, name="control")

    def __enter__(self) -> ControlServer:
        """Begin. A state directory without room for a socket is no reason not to work."""
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self._state_dir, SOCKET_NAME))
            with _short(self._state_dir) as name:
                self._socket.bind(name)
            os.chmod(os.path.join(self._state_dir, SOCKET_NAME), 0o600)
            self._socket.listen(8)
        except OSError as error:
            log.warning("tagger pause, resume and scan do not work: %s", error)
            self._socket.close()
        else:
            self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._thread.ident is None:
            return
        self._closing = True
        self._socket.shutdown(socket.SHUT_RDWR)  # this wakes the thread that accepts
        self._thread.join()
        self._socket.close()
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self._state_dir, SOCKET_NAME))

    def _listen(self) -> None:
        while not self._closing:
            try:
                end, _ = self._socket.accept()
            except OSError as error:
                if not self._closing:
                    log.warning("tagger pause, resume and scan do not work: %s", error)
                return
            with end:
                try:
                    self._answer(end)
                except OSError as error:
                    log.debug("the client has left: %s", error)

    def _answer(self, end: socket.socket) -> None:
        end.settimeout(ANSWER_SECONDS)
        _, uid, _ = struct.unpack("3i", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid not in (0, os.getuid()):
            return
        answer: dict[str, str]
        try:
            request = parse_json(_line(end))
            action = self._actions[request["command"]]
        except (ValueError, KeyError, TypeError):
            answer = {"error": "the request is not understood", "remedy": "use the same version"}
        else:
            try:
                answer = {"result": action(request)}
            except TaggerError as error:
                answer = {"error": error.message, "remedy": error.remedy}
            except Exception as error:
                log.exception("a command failed")
                answer = {"error": f"it failed: {type(error).__name__}", "remedy": "see the log"}
        end.sendall(json.dumps(answer).encode() + b"\n")


def send_command(state_dir: str, command: str, **details: Any) -> str:
    """Ask the daemon of ``state_dir`` to do something; return what it says.

    Raise StateError when none runs, it does not listen to this user, or cannot do it.
    """
    path = os.path.join(state_dir, SOCKET_NAME)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as end:
            end.settimeout(ANSWER_SECONDS)
            with _short(state_dir) as name:
                end.connect(name)
            end.sendall(json.dumps({"command": command, **details}).encode() + b"\n")
            answer = parse_json(_line(end) or b"{}")
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise StateError(
            f"no daemon runs on {state_dir}", "start it with `tagger run`, or its service"
        ) from error
    except (OSError, ValueError) as error:
        raise StateError(
            f"the daemon at {path} does not answer: {error}",
            "ask as its user, or see its log",
        ) from error
    if not isinstance(answer, dict):
        answer = {}
    if "result" not in answer:
        raise StateError(
            answer.get("error", f"the daemon at {path} listens to its own user only"),
            answer.get("remedy", "ask as its user"),
        )
    return str(answer["result"])


@contextmanager
def _short(folder: str) -> Iterator[str]:
    """Give a name of the socket that fits the 108 bytes of an address, however deep it lies."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{SOCKET_NAME}"
    finally:
        os.close(fd)


def _line(end: socket.socket) -> bytes:
    with end.makefile("rb") as file:
        return file.readline(MAX_LINE)
