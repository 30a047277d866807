"""The library as the page shows it: searched, a page at a time, and told as JSON."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from tagger.config import Config
from tagger.errors import StateError
from tagger.index.conditions import STATES, And, Query, Sql, State, Taken
from tagger.index.query import parse
from tagger.index.records import Failure, unpack_top
from tagger.index.search import Found, Reader, open_reader
from tagger.index.words import fold
from tagger.labels.vocabulary import Vocabulary
from tagger.photo import PhotoFacts, Tag
from tagger.state import daemon_runs, read_heartbeat
from tagger.web.services import WebError

MAX_QUERY = 2_000
"""Characters of a query."""

PAGE = 60
"""Photos in one page."""

_EVERY_STATE = State(STATES)


class ById(NamedTuple):
    """The photo with one id."""

    photo_id: int

    def sql(self) -> Sql:
        return "p.id = ?", (self.photo_id,)


class After(NamedTuple):
    """The photos that come after another one, newest first and then by path."""

    photo_id: int

    def sql(self) -> Sql:
        # A photo never yet opened has no moment, and so comes last.
        moment = "coalesce((SELECT sort_at FROM photos WHERE id = ?), '')"
        own = "coalesce(p.sort_at, '')"
        path = "(SELECT path FROM photos WHERE id = ?)"
        return (
            f"({own} < {moment} OR ({own} = {moment} AND p.path > {path}))",
            (self.photo_id,) * 3,
        )


class Page(NamedTuple):
    """Some photos, and whether there are more after the last of them."""

    photos: tuple[Found, ...]
    more: bool


def search(
    reader: Reader, config: Config, known: Vocabulary, text: str, *, after: int = 0, limit: int
) -> Page:
    """Return at most ``limit`` photos that ``text`` finds, those after the photo ``after`` (id).

    Raise QueryError for what is no query, WebError for one that is too long.
    """
    parts: list[Query] = [parsed(reader, config, known, text)]
    if after:
        parts.append(After(after))
        last = find_one(reader, after)
        # The walk through the newest begins there; but what waits may have no moment yet.
        if last is not None and last.row.facts.taken_at and "is:" not in text.lower():
            parts.append(Taken(None, last.row.facts.taken_at))
    found = list(reader.find(And(tuple(parts)), limit=limit + 1))
    return Page(tuple(found[:limit]), len(found) > limit)


def parsed(reader: Reader, config: Config, known: Vocabulary, text: str) -> Query:
    """Return the query ``text``; raise as :func:`search`."""
    if len(text) > MAX_QUERY:
        raise WebError("the query is too long", "say it in fewer words")
    return parse(text, _known_names(reader, config, known))


def find_one(reader: Reader, photo_id: int) -> Found | None:
    """Return the photo with an id, in whatever state, and its tags."""
    return next(reader.find(And((ById(photo_id), _EVERY_STATE))), None)


def _known_names(
    reader: Reader, config: Config, known: Vocabulary
) -> Callable[[str], Collection[str]]:
    """Return a function that gives the labels a phrase names, also the user's keywords."""

    def meant(phrase: str) -> set[str]:
        heads = set(known.resolve(phrase))
        for old, new in config.labels.rename.items():
            if fold(new) == fold(phrase):
                heads |= set(known.resolve(old))
        found = {label for head in heads for label in known.below(head)}
        return found or ({phrase} if reader.has_word(phrase) else set())

    return meant


def photo_json(found: Found) -> dict[str, Any]:
    """Return what a gallery shows of a photo."""
    row = found.row
    return {
        "id": row.id,
        "path": row.path,
        "status": row.status,
        "tags": tags_json(found.tags),
        **facts_json(row.facts),
        "thumbnail": f"/photos/{row.id}/thumbnail",
    }


def photo_details(reader: Reader, found: Found, known: Vocabulary, top_k: int) -> dict[str, Any]:
    """Return all that is known of a photo, as ``tagger show --json`` and with its id."""
    row = found.row
    top = reader.top(row.id)
    failure = None
    if row.status == "failed":
        failure = next((f for f in reader.failures() if f.path == row.path), None)
    classes = unpack_top(top[1], top_k) if top else []
    names = {index: label for label, node in known.nodes.items() for index in node.classes}
    return photo_json(found) | {
        "view": f"/photos/{row.id}/view",
        "top": [
            {
                "index": index,
                "label": names.get(index, f"class {index}"),
                "probability": round(probability, 6),
            }
            for index, probability in classes
        ],
        "model": top[0] if top else None,
        "tagged_at": moment(row.tagged_at),
        "note": row.note or None,
        "failure": failure.reason if failure else None,
        "written": [
            {
                "file": entry.file,
                "target": entry.target,
                "added": {name: list(values) for name, values in entry.added.items()},
                "written_at": moment(when),
                "reason": entry.reason or None,
            }
            for entry, when in reader.journal(row.id)
        ],
        "removed_by_you": reader.tombstones(row.id),
        "kept_out": row.keep_out,
    }


def tags_json(tags: Iterable[Tag]) -> list[dict[str, Any]]:
    """Return tags as the documented JSON."""
    return [
        {
            "label": tag.label,
            "confidence": round(tag.confidence, 4),
            "path": list(tag.path),
            "source": tag.source,
        }
        for tag in tags
    ]


def facts_json(facts: PhotoFacts) -> dict[str, Any]:
    """Return what a photo says of itself as the documented JSON."""
    return {
        "taken_at": facts.taken_at,
        "camera": facts.camera,
        "width": facts.width,
        "height": facts.height,
        "format": facts.format or None,
        "latitude": facts.latitude,
        "longitude": facts.longitude,
    }


def label_tree(reader: Reader, known: Vocabulary) -> list[dict[str, Any]]:
    """Return the labels that photos carry, nested, with the number of photos of each."""
    counts = reader.tree_counts({label: known.path(label) for label in known.nodes})

    def branch(label: str) -> dict[str, Any]:
        node = known.nodes[label]
        return {
            "label": label,
            "names": dict(node.names),
            "count": counts[label],
            "children": [branch(child) for child in node.children if child in counts],
        }

    return [branch(label) for label in known.roots() if label in counts]


def failure_json(reader: Reader, failure: Failure) -> dict[str, Any]:
    """Return one row of the failures, with the photo's id."""
    row = reader.photo(failure.path)
    return {
        "id": row.id if row else None,
        "path": failure.path,
        "kind": failure.kind,
        "reason": failure.reason,
        "tries": failure.tries,
        "first_at": moment(failure.first_at),
        "last_at": moment(failure.last_at),
        "retry_at": moment(failure.retry_at),
    }


def status_json(config: Config) -> dict[str, Any]:
    """Return what the daemon does and how many photos there are, as ``tagger status``."""
    runs = daemon_runs(config.state_dir)
    said: Mapping[str, Any] = read_heartbeat(config.state_dir)
    try:
        with open_reader(config.state_dir) as reader:
            counts = reader.counts()
    except StateError:
        if runs:
            raise
        counts = dict.fromkeys(STATES, 0)
    return {
        "counts": counts,
        "running": runs,
        "model": said.get("model") or config.model.name,
        "engine": said.get("engine") or config.model.engine,
        "progress": said.get("progress") if runs else None,
        "last": said.get("last"),
        "problem": said.get("problem") if runs else None,
        "resting": said.get("resting") if runs else None,
    }


def moment(seconds: float | None) -> str | None:
    """Return seconds since the epoch as ISO 8601, UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
