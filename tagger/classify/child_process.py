"""Heavy work in a process of its own, whose memory goes back when it is done.

A module that can be run so ends in ``if __name__ == "__main__": answer(main)``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from tagger.errors import ModelError, StoppedError
from tagger.system.process import CONVERTER, give_memory_back, offer_to_end
from tagger.text.parsing import parse_json

POLL_SECONDS = 0.05


class ChildError(ModelError):
    """The process failed for another reason than a ModelError."""


def never() -> bool:
    """Never stop."""
    return False


def run_child(
    module: str, request: Mapping[str, Any], *, stop: Callable[[], bool] = never
) -> dict[str, Any]:
    """Run ``module`` on a JSON ``request`` and return its JSON answer.

    Raise the ModelError that it raised; ChildError, with the last line it wrote, when it
    failed otherwise; StoppedError as soon as ``stop`` is true.
    """
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as answered:
        process = subprocess.Popen(
            # -P: a file `torch.py` in the current folder is not to be imported.
            [sys.executable, "-P", "-m", module, json.dumps(request)],
            stdin=subprocess.DEVNULL,
            stdout=answered,
            stderr=said,
        )
        try:
            while True:
                try:
                    code = process.wait(POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    if stop():
                        raise StoppedError(f"{module} was stopped") from None
        finally:
            process.kill()
            process.wait()
        answered.seek(0)
        said.seek(0)
        try:
            answer = parse_json(answered.read())
        except ValueError:
            lines = said.read().decode(errors="replace").strip().splitlines() or [f"code {code}"]
            raise ChildError(f"{module} failed: {lines[-1].strip()}", "see the log") from None
    if "error" in answer:
        raise ModelError(*answer["error"])
    assert isinstance(answer, dict)
    return answer


def answer(main: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer the request on the command line with what ``main`` returns, as JSON."""
    offer_to_end(CONVERTER)
    give_memory_back()
    # Libraries print what they please: to standard error, so that the answer stays alone.
    out = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    try:
        result = main(json.loads(sys.argv[1]))
    except ModelError as error:
        result = {"error": [error.message, error.remedy]}
    with out:
        json.dump(result, out)
