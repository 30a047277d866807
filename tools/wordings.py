"""What the source says in English, for whoever may read it: errors, notices, reasons, findings.

It is translated where it is shown, by its wording, see ``tagger/text/error_texts.py``. A wording
names its values as messages do: ``%(path)s``.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tools import generate_error_docs
from tools.generate_error_docs import NOT_SHOWN, PROJECT, SOURCE

SAID = (
    *("classify/catalog.py", "classify/int8_agreement.py", "cluster/coordinator.py"),
    *("cluster/greeting.py", "cluster/members.py", "cluster/offer.py"),
    *("config/loader.py", "config/renamed.py", "config/schedule.py"),
    *("daemon/resources.py", "daemon/worker.py", "decode/opening.py"),
    *("index/connection.py", "index/query_fields.py", "index/query_parser.py"),
    *("labels/chooser.py", "labels/config_check.py", "labels/label_tree.py"),
    *("labels/yaml_reader.py", "library/daemon_status.py", "library/edit.py"),
    *("library/explain.py", "library/rules", "library/status.py", "library/teach.py"),
    *("metadata", "pipeline", "service/plan.py", "system/state_dir.py", "watch"),
    *("web/edits.py", "web/embedded.py", "web/inbox.py", "web/photo_images.py"),
    "web/upload_classifier.py",
)
"""Files and rooms whose texts may be stored, and shown later: each of their texts is a wording."""
SYSTEM = (
    *("No such file or directory", "Permission denied", "Operation not permitted"),
    *("No space left on device", "Disk quota exceeded", "Read-only file system"),
    *("Input/output error", "Is a directory", "Not a directory", "File exists"),
    *("Device or resource busy", "Stale file handle", "File name too long"),
    *("Too many open files", "Transport endpoint is not connected", "Host is down"),
    *("Connection refused", "Connection reset by peer", "Connection timed out", "timed out"),
    *("No route to host", "Network is unreachable", "Address already in use"),
    *("Cannot assign requested address", "Name or service not known"),
    *("Temporary failure in name resolution", "Too many levels of symbolic links"),
    *("database is locked", "database disk image is malformed", "disk I/O error"),
    *("database or disk is full", "unable to open database file", "file is not a database"),
    *("attempt to write a readonly database", "Cannot allocate memory", "Broken pipe"),
)
"""What Linux (errno(3), in English without setlocale(3)) and SQLite say of an error."""
_WORD = re.compile(r"[A-Za-z]{3}")


@cache
def wordings() -> dict[str, str]:
    """Return all wordings that may be translated, with a file that each is in."""
    found = dict(of_errors())
    for path in _files():
        for text in _texts_in(path):
            _add(found, text, str(path.relative_to(PROJECT)))
    for text in SYSTEM:
        found.setdefault(as_message(text), "tools/wordings.py")
    return found


@cache
def of_errors() -> dict[str, str]:
    """Return the wordings of every error that the source makes for somebody to read."""
    found: dict[str, str] = {}
    for one in generate_error_docs.made():
        if one.kind not in NOT_SHOWN:
            for text in " / ".join((one.message or "", *(one.remedies or ()))).split(" / "):
                _add(found, text, one.file)
    for path in sorted((SOURCE / "index").glob("query_*.py")):
        for text in generate_error_docs.texts_of_calls(path, "error_at"):
            _add(found, text, str(path.relative_to(PROJECT)))
    return found


def _add(found: dict[str, str], text: str, file: str) -> None:
    message = as_message(text.removeprefix("; "))
    if _WORD.search(re.sub(r"%\(\w+\)s", "", message)):
        found.setdefault(message, file)


def _files() -> Iterator[Path]:
    for name in SAID:
        place = SOURCE / name
        yield from sorted(place.rglob("*.py")) if place.is_dir() else (place,)


def _texts_in(path: Path) -> Iterator[str]:
    """Yield each text in a file, but for what is inside another one, and documentation."""
    yield from _texts(ast.parse(path.read_text(encoding="utf-8")))


def _texts(node: ast.AST) -> Iterator[str]:
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant):
            continue  # documentation
        said = generate_error_docs.text_of(inner) if isinstance(inner, ast.expr) else None
        if said is not None:
            yield said
        if not isinstance(inner, ast.JoinedStr):
            yield from _texts(inner)


def as_message(text: str) -> str:
    """Return a wording of docs/errors.md, ``<name>`` for values, as catalogues have it."""
    numbers, known = itertools.count(1), list[str]()

    def named(match: re.Match[str]) -> str:
        name = match[1] if match[1] != "…" else f"value{next(numbers)}"
        known.append(name)
        count = known.count(name)
        return f"%({name}{count if count > 1 else ''})s"

    return re.sub(r"<(\w+|…)>", named, text.replace("%", "%%"))
