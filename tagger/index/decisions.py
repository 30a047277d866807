"""What the user decided, kept a second time: a log beside the index that outlives it.

Tags come back from the files when an index is lost; that one was taken away, or that a photo is
to have none, is nowhere else. ``decisions.jsonl`` has a line for each change, with the whole of
what is decided about that photo; the last line of a photo counts. Lines are numbered, and
are on the disk before the transaction that they belong to: the index knows up to which number it
goes, and what is newer is done again at the start (after a kill, or with a backup put back).
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import sqlite3
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tagger.parsing import parse_json

log = logging.getLogger(__name__)

About = Callable[[int], None]
LOG_NAME = "decisions.jsonl"
READ_UP_TO, LATE = "decisions", "decisions_late"
"""In ``meta``: the number of the last line that the index has; whether a line is lacking."""
COMPACT_BYTES = 1 << 20
"""From this size on the log is made anew whenever it has doubled."""
_TAIL = 1 << 16
_CHECK = b', "check": "'

_DECIDED = (
    "SELECT id, path, root, content_hash, source_hash, keep_out FROM photos WHERE"
    " (keep_out OR EXISTS (SELECT 1 FROM tombstones WHERE photo_id = id))"
)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided about the photo ``path``, found in the folder ``root``.

    ``removed`` are labels never to be written to it again, ``kept_out`` says that it gets no
    tags at all. The digests, of its bytes as they were left and before anything was
    written to it, tell it when it has another path.
    """

    path: str
    root: str
    content_hash: bytes = b""
    source_hash: bytes = b""
    removed: tuple[str, ...] = ()
    kept_out: bool = False

    def __bool__(self) -> bool:
        return self.kept_out or bool(self.removed)


class DecisionLog:
    """The log in a state directory. Several processes may write to it; it holds no file open."""

    def __init__(self, state_dir: str) -> None:
        self.path = os.path.join(state_dir, LOG_NAME)

    def read(self) -> tuple[dict[str, tuple[int, Decision]], int]:
        """Return the number and decision of each photo's last line, and the last number.

        What is damaged is passed over. Raise OSError when the log cannot be read.
        """
        try:
            with self._locked(os.O_RDONLY) as fd:
                return self._read(fd)
        except FileNotFoundError:
            return {}, 0

    def append(self, decisions: Sequence[Decision], after: int = 0) -> tuple[int, int]:
        """Add a line for each, durably; return the number of the last line before and now.

        They are numbered from ``after`` on at least. Raise OSError; nothing is added then.
        """
        with self._locked(os.O_RDWR | os.O_CREAT | os.O_APPEND) as fd:
            size = os.fstat(fd).st_size
            before = _last_number(fd, size)
            first = max(before, after) + 1
            text = b"".join(_line(number, one) for number, one in enumerate(decisions, first))
            if size and os.pread(fd, 1, size - 1) != b"\n":
                text = b"\n" + text  # the line before was cut off by a power cut
            try:
                _write(fd, text)
                os.fsync(fd)
            except OSError:
                os.ftruncate(fd, size)
                raise
            if not size:
                _sync_folder(os.path.dirname(self.path))
            grown = (size + len(text)) // COMPACT_BYTES
            if grown.bit_length() > (size // COMPACT_BYTES).bit_length():
                try:
                    self._compact(fd)
                except OSError as error:  # it is as good as it was
                    log.debug("%s cannot be made anew: %s", self.path, error)
            return before, first + len(decisions) - 1

    def tidy(self) -> None:
        """Make the log anew if most of its lines count no more. Raise OSError."""
        try:
            with self._locked(os.O_RDONLY) as fd:
                lines = os.pread(fd, COMPACT_BYTES, 0).count(b"\n")
                latest, _ = self._read(fd)
                if lines > 100 + 2 * sum(bool(one) for _, one in latest.values()):
                    self._compact(fd)
        except FileNotFoundError:
            return

    @contextmanager
    def _locked(self, flags: int) -> Iterator[int]:
        """Open the log and keep other processes out of it; remove what a killed one left."""
        while True:
            # O_NONBLOCK: whatever else has that name is not waited for.
            flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            fd = os.open(self.path, flags, 0o640)
            try:
                if not stat.S_ISREG(os.fstat(fd).st_mode):
                    raise OSError(errno.EINVAL, "it is no regular file", self.path)
                fcntl.flock(fd, fcntl.LOCK_EX)
                here, now = os.fstat(fd), os.stat(self.path)
                if (here.st_ino, here.st_dev) != (now.st_ino, now.st_dev):
                    continue  # made anew meanwhile
                if os.path.lexists(self._new):
                    os.unlink(self._new)
                yield fd
                return
            finally:
                os.close(fd)

    @property
    def _new(self) -> str:
        return self.path + ".new"

    def _read(self, fd: int) -> tuple[dict[str, tuple[int, Decision]], int]:
        latest: dict[str, tuple[int, Decision]] = {}
        last = damaged = 0
        with open(os.dup(fd), "rb") as file:
            file.seek(0)
            for line in file:
                found = _parse(line)
                if found is None:
                    damaged += bool(line.strip())
                    continue
                number, decision = found
                last = max(last, number)
                if number >= latest.get(decision.path, (0,))[0]:
                    latest[decision.path] = found
        if damaged:
            log.warning("%d lines of %s are damaged and passed over", damaged, self.path)
        return latest, last

    def _compact(self, fd: int) -> None:
        latest, last = self._read(fd)
        kept = [found for found in latest.values() if found[1] or found[0] == last]
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        new = os.open(self._new, flags, 0o640)
        try:
            fcntl.flock(new, fcntl.LOCK_EX)
            _write(new, b"".join(_line(*found) for found in sorted(kept, key=lambda one: one[0])))
            os.fsync(new)
            os.rename(self._new, self.path)
        except OSError:
            os.unlink(self._new)
            raise
        finally:
            os.close(new)
        _sync_folder(os.path.dirname(self.path))


@contextmanager
def deciding(db: sqlite3.Connection, state_dir: str) -> Iterator[About]:
    """Log, at the end of the block, what it changed about photos; to be used in a transaction.

    Yield a function that is to be called with each photo's id before that is changed.
    """
    before: dict[int, Decision | None] = {}

    def about(photo_id: int) -> None:
        before[photo_id] = _decision(db, photo_id)

    yield about
    after = {photo_id: _decision(db, photo_id) for photo_id in before}
    changed = {one.path: one for at, one in after.items() if one and one != before[at]}
    there = {one.path for one in after.values() if one}
    lifted = [
        Decision(one.path, one.root) for one in before.values() if one and one.path not in there
    ]
    write_down(db, state_dir, [*lifted, *changed.values()])


def _decision(db: sqlite3.Connection, photo_id: int) -> Decision | None:
    row = db.execute(f"{_DECIDED} AND id = ?", (photo_id,)).fetchone()
    return _of_row(db, row) if row is not None else None


def _of_row(db: sqlite3.Connection, row: sqlite3.Row) -> Decision:
    return Decision(
        os.fsdecode(row["path"]),
        os.fsdecode(row["root"]),
        row["content_hash"] or b"",
        row["source_hash"] or b"",
        _removed(db, row["id"]),
        bool(row["keep_out"]),
    )


def write_down(db: sqlite3.Connection, state_dir: str, decisions: Sequence[Decision]) -> None:
    """Log what is decided from now on, before the transaction of ``db`` is committed.

    A log that cannot be written holds nothing up: it is made up for at the next start.
    """
    if not decisions:
        return
    known = _number_in(db)
    try:
        before, last = DecisionLog(state_dir).append(decisions, known or 0)
    except OSError as error:
        log.warning("%s cannot be written (%s): tried again later", LOG_NAME, error.strerror)
        _put_meta(db, LATE, "1")
        return
    if known is not None and known >= before:
        _put_meta(db, READ_UP_TO, str(last))


def recall(db: sqlite3.Connection, state_dir: str, now: float, *, lost: bool = False) -> int:
    """Bring index and log together, in a transaction of ``db``; return what the index got.

    Decisions that the index does not know (all, if it was ``lost``) are put into it, and what
    the log lacks is added. ``now`` is in seconds since the epoch.
    """
    decisions = DecisionLog(state_dir)
    known = None if lost else _number_in(db)
    count = 0
    try:
        latest, last = decisions.read()
        for number, decision in sorted(latest.values(), key=lambda one: one[0]):
            if number > (known or 0):
                count += _put(db, decision, now)
        if known is None or db.execute("SELECT 1 FROM meta WHERE key = ?", (LATE,)).fetchone():
            lacking = _lacking(db, {path: found[1] for path, found in latest.items()})
            if lacking:
                _, last = decisions.append(lacking, known or 0)
            db.execute("DELETE FROM meta WHERE key = ?", (LATE,))
        decisions.tidy()
    except OSError as error:
        log.warning("%s cannot be used: %s", decisions.path, error.strerror)
        return count
    if (last := max(last, known or 0)) != known:
        _put_meta(db, READ_UP_TO, str(last))
    return count


def _lacking(db: sqlite3.Connection, logged: Mapping[str, Decision]) -> list[Decision]:
    """Return what the log is to say and does not."""
    here = {one.path: one for one in (_of_row(db, row) for row in db.execute(_DECIDED).fetchall())}
    lifted = [
        Decision(one.path, one.root) for path, one in logged.items() if one and path not in here
    ]
    return [*(one for path, one in here.items() if logged.get(path) != one), *lifted]


def _put(db: sqlite3.Connection, decision: Decision, now: float) -> bool:
    """Make a decision hold in the index; return whether it did not yet.

    A photo that the index does not know is missing until it is seen.
    """
    path = os.fsencode(decision.path)
    row = db.execute("SELECT id, keep_out FROM photos WHERE path = ?", (path,)).fetchone()
    if row is None:
        if not decision:
            return False
        photo_id = db.execute(
            "INSERT INTO photos (path, root, status, seen_at, missing_at, content_hash,"
            " source_hash) VALUES (?, ?, 'missing', ?, ?, ?, ?)",
            (
                path,
                os.fsencode(decision.root),
                now,
                now,
                decision.content_hash or None,
                decision.source_hash or None,
            ),
        ).lastrowid
    else:
        photo_id = row["id"]
        same = bool(row["keep_out"]) == decision.kept_out
        if same and _removed(db, row["id"]) == decision.removed:
            return False
    db.execute("DELETE FROM tombstones WHERE photo_id = ?", (photo_id,))
    db.executemany(
        "INSERT OR IGNORE INTO tombstones VALUES (?, ?, ?)",
        [(photo_id, label, now) for label in decision.removed],
    )
    # Its files are looked at again: they may not be as decided.
    db.execute(
        "UPDATE photos SET keep_out = ?, labels_hash = NULL, keywords_hash = NULL WHERE id = ?",
        (int(decision.kept_out), photo_id),
    )
    return True


def _removed(db: sqlite3.Connection, photo_id: int) -> tuple[str, ...]:
    rows = db.execute("SELECT label FROM tombstones WHERE photo_id = ? ORDER BY label", (photo_id,))
    return tuple(row["label"] for row in rows)


def _number_in(db: sqlite3.Connection) -> int | None:
    row = db.execute("SELECT value FROM meta WHERE key = ?", (READ_UP_TO,)).fetchone()
    return int(row["value"]) if row is not None and row["value"].isdecimal() else None


def _put_meta(db: sqlite3.Connection, key: str, value: str) -> None:
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def _line(number: int, decision: Decision) -> bytes:
    # ASCII only: names that are not UTF-8 come through as surrogate escapes.
    said = {
        "number": number,
        "path": decision.path,
        "root": decision.root,
        "hash": decision.content_hash.hex(),
        "source": decision.source_hash.hex(),
        "removed": list(decision.removed),
        "kept_out": decision.kept_out,
    }
    text = json.dumps(said).encode("ascii")[:-1]
    return text + _CHECK + b'%08x"}\n' % zlib.crc32(text)


def _parse(line: bytes) -> tuple[int, Decision] | None:
    """Return a line's number and decision; None when it is damaged."""
    text, found, check = line.rstrip(b"\n").rpartition(_CHECK)
    if not found or check != b'%08x"}' % zlib.crc32(text):
        return None
    try:
        said: dict[str, Any] = parse_json(text + b"}")
        return int(said["number"]), Decision(
            str(said["path"]),
            str(said["root"]),
            bytes.fromhex(said["hash"]),
            bytes.fromhex(said["source"]),
            tuple(map(str, said["removed"])),
            bool(said["kept_out"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        log.debug("a line of another tagger: %s", error)
        return None


def _last_number(fd: int, size: int) -> int:
    """Return the number of the last sound line."""
    length = _TAIL
    while True:
        begin = max(0, size - length)
        for line in reversed(os.pread(fd, size - begin, begin).split(b"\n")):
            if (found := _parse(line)) is not None:
                return found[0]
        if not begin:
            return 0
        length *= 4


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _sync_folder(folder: str) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
