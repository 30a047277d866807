"""The index, looked at without writing: neither a lock nor a WAL is made for it."""

from __future__ import annotations

import contextlib
import fnmatch
import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field

from tagger.doctor.report import Installation, Result
from tagger.errors import StateError
from tagger.index.connection import index_path
from tagger.index.migrations import MIGRATIONS
from tagger.index.sql_values import uri_of
from tagger.system.humanize import megabytes
from tagger.system.state_dir import daemon_runs
from tagger.text.error_texts import all_in_language, in_language
from tagger.text.messages import gettext, ngettext, number


@dataclass(slots=True)
class Findings:
    """What the index holds. ``there`` is False when there is none; ``newest`` is seconds.

    ``failures`` has the number of failed photos by the kind of the error; ``damage`` what is
    wrong with the file, "" when it is sound.
    """

    there: bool = False
    size: int = 0
    damage: str = ""
    steps: frozenset[str] = frozenset()
    counts: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    last_failure: str = ""
    newest: float | None = None


def examine_index(state_dir: str) -> Findings:
    """Read the whole index, a second or so for 100,000 photos. Raise StateError when unreadable."""
    path = index_path(state_dir)
    try:
        size = os.stat(path).st_size
    except FileNotFoundError:
        return Findings()
    except OSError as error:
        raise StateError(
            f"cannot read the index {path}: {error.strerror}",
            "run this as the daemon's user, or with sudo",
        ) from error
    found = Findings(there=True, size=size)
    # A file that nobody writes to can be read as it is; SQLite would make a WAL for it.
    still = not daemon_runs(state_dir) and not os.path.exists(path + "-wal")
    try:
        _read(path, found, immutable=still)
    except sqlite3.OperationalError as error:
        raise StateError(
            f"cannot read the index {path}: {error}", "run this as the daemon's user, or with sudo"
        ) from error
    except sqlite3.DatabaseError as error:
        found.damage = str(error)
    if found.damage and still and daemon_runs(state_dir):
        return examine_index(state_dir)  # it has been started, and writes
    return found


def _read(path: str, found: Findings, *, immutable: bool) -> None:
    uri = uri_of(path) + ("&immutable=1" if immutable else "")
    with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=10)) as db:
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'migrations'").fetchone():
            found.steps = frozenset(row[0] for row in db.execute("SELECT name FROM migrations"))
        checked = [str(row[0]) for row in db.execute("PRAGMA quick_check(3)")]
        if checked != ["ok"]:
            found.damage = " ".join(" ".join(checked).split())[:200]
            return
        if found.steps != {name for name, _ in MIGRATIONS}:
            return  # its tables may have another form
        found.counts = dict(db.execute("SELECT status, count(*) FROM photos GROUP BY status"))
        found.newest = db.execute("SELECT max(tagged_at) FROM photos").fetchone()[0]
        failed = (
            "FROM failures f JOIN photos p ON p.id = f.photo_id WHERE p.status = 'failed'"
            " {} ORDER BY {} DESC"
        )
        found.failures = dict(
            db.execute("SELECT f.kind, count(*) " + failed.format("GROUP BY f.kind", "count(*)"))
        )
        row = db.execute("SELECT p.path, f.reason " + failed.format("", "f.last_at")).fetchone()
        if row is not None:
            found.last_failure = f"{os.fsdecode(row[0])}: {row[1]}"


def check_index(patient: Installation, found: Findings) -> Iterator[Result]:
    """Yield how the index is."""
    state_dir = patient.config.state_dir
    known = {name for name, _ in MIGRATIONS}
    restart = gettext("restart the daemon, which keeps what can be read of it and builds it anew")
    if not found.there:
        yield Result("index", "ok", gettext("there is none yet; the daemon makes it"))
    elif found.steps - known:
        text = gettext("it was written by a newer tagger (%(step)s)", step=max(found.steps - known))
        yield Result("index", "error", text, in_language("use that version"))
    elif found.damage:
        text = gettext("it is damaged: %(what)s", what=in_language(found.damage))
        yield Result("index", "error", text, restart)
    elif known - found.steps and patient.runs:
        yield Result("index", "ok", gettext("it is being brought up to date by the daemon"))
    elif known - found.steps:
        text = gettext("it was written by an older tagger")
        remedy = gettext("start the daemon, which brings it up to date")
        yield Result("index", "warning", text, remedy)
    else:
        photos, size = number(sum(found.counts.values())), megabytes(found.size)
        yield Result("index", "ok", gettext("sound, %(n)s photos, %(size)s", n=photos, size=size))
    with contextlib.suppress(OSError):
        if old := sorted(fnmatch.filter(os.listdir(state_dir), "index.damaged-*.sqlite3")):
            text = gettext("damaged ones were set aside: %(files)s", files=", ".join(old))
            remedy = gettext(
                "when all photos are found again, delete them in %(folder)s", folder=state_dir
            )
            yield Result("old index", "warning", text, remedy)


def check_failures(patient: Installation, found: Findings) -> Iterator[Result]:
    """Yield how many photos could not be tagged, by kind."""
    if not found.there:
        return
    if not found.failures:
        yield Result("failures", "ok", gettext("none"))
        return
    kinds = ", ".join(f"{number(count)} {kind}" for kind, count in found.failures.items())
    photos = ngettext("%(n)s photo", "%(n)s photos", sum(found.failures.values()))
    path, colon, reason = found.last_failure.partition(": ")
    last = gettext("last %(what)s", what=f"{path}{colon}{all_in_language(reason)}")
    remedy = gettext("see `tagger failures`; `tagger retry` tries again")
    yield Result("failures", "warning", f"{photos} ({kinds}); {last}", remedy)
