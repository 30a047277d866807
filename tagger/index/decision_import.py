"""``decisions.jsonl``, which an older tagger kept instead of ``decisions.sqlite3``: read once.

A line of JSON for each change, numbered, with the CRC-32 of what is before it at its end; the
last line about a photo counts.
"""

from __future__ import annotations

import errno
import logging
import os
import stat
import zlib
from typing import Any

from tagger.index.decision_store import Decision
from tagger.text.parsing import parse_json

log = logging.getLogger(__name__)

LINES_NAME = "decisions.jsonl"
_CHECK = b', "check": "'


def read_lines(path: str) -> list[tuple[int, Decision]]:
    """Return the number and decision of each photo's last line, by number.

    What is damaged is passed over. Raise OSError when the file cannot be read.
    """
    # O_NONBLOCK: whatever else has that name is not waited for.
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    latest: dict[str, tuple[int, Decision]] = {}
    damaged = 0
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", path)
        for line in file:
            found = _parse(line)
            if found is None:
                damaged += bool(line.strip())
            elif found[0] >= latest.get(found[1].path, (0,))[0]:
                latest[found[1].path] = found
    if damaged:
        log.warning("%d lines of %s are damaged and passed over", damaged, path)
    return sorted(latest.values(), key=lambda one: one[0])


def _parse(line: bytes) -> tuple[int, Decision] | None:
    """Return a line's number and decision; None when it is damaged."""
    text, found, check = line.rstrip(b"\n").rpartition(_CHECK)
    if not found or check != b'%08x"}' % zlib.crc32(text):
        return None
    try:
        fields: dict[str, Any] = parse_json(text + b"}")
        decision = Decision(
            str(fields["path"]),
            str(fields["root"]),
            bytes.fromhex(fields["hash"]),
            bytes.fromhex(fields["source"]),
            tuple(map(str, fields["removed"])),
            bool(fields["kept_out"]),
        )
        os.fsencode(decision.path + decision.root)
        return int(fields["number"]), decision
    except (ValueError, KeyError, TypeError) as error:
        log.debug("a line of another tagger: %s", error)
        return None
