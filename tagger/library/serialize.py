"""What the command line and the page tell alike: the documented JSON, and what a word means.

Imported by every query command: nothing heavy at the top.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tagger.config.schema import Config
    from tagger.index.conditions import Query
    from tagger.index.reader import Reader
    from tagger.index.rows import PhotoRow
    from tagger.labels.vocabulary import Vocabulary
    from tagger.records import Failure, PhotoFacts, Tag


def moment(seconds: float | None) -> str | None:
    """Return seconds since the epoch as ISO 8601, UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


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
        "kinds": list(facts.kinds),
    }


def photo_json(
    reader: Reader, row: PhotoRow, tags: Iterable[Tag], known: Vocabulary, top_k: int
) -> dict[str, Any]:
    """Return all that is known of a photo as the documented JSON, with ``top_k`` raw classes."""
    from tagger.metadata.user_edits import overwritten_labels

    stored = reader.prediction(row.id)
    failure = None
    if row.status == "failed":
        failure = next((f for f in reader.failures() if f.path == row.path), None)
    journal = reader.journal(row.id)
    return {
        "path": row.path,
        "tags": tags_json(tags),
        **facts_json(row.facts),
        "top": top_json(stored.top, top_k, known) if stored else [],
        "model": stored.model_id if stored else None,
        "boxes": (
            boxes_json(stored.evidence, known.things) if stored and stored.detector_id else None
        ),
        "people": stored.people if stored else None,
        "status": row.status,
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
            for entry, when in journal
        ],
        "overwritten": sorted(
            {label for entry, _ in journal for label in overwritten_labels(entry)}
        ),
        "removed_by_you": sorted(reader.tombstones(row.id)),
        "untagged_by_you": row.keep_out,
    }


def top_json(blob: bytes, count: int, known: Vocabulary) -> list[dict[str, Any]]:
    """Return the ``count`` most probable raw classes from a stored prediction."""
    from tagger.index.rows import unpack_top

    names = {index: label for label, node in known.nodes.items() for index in node.classes}
    return [
        {
            "index": index,
            "label": names.get(index, f"class {index}"),
            "probability": round(probability, 6),
        }
        for index, probability in unpack_top(blob, count)
    ]


def boxes_json(evidence: bytes, things: Sequence[str]) -> list[dict[str, Any]] | None:
    """Return the boxes in stored evidence that the detector is sure of, as the documented JSON.

    ``things`` are the names of what it knows, as ``Vocabulary.things``. None when no detector has
    looked, or the evidence is of another version.
    """
    from tagger.labels.evidence import SURE_SCORE, Evidence

    try:
        boxes = Evidence.from_bytes(evidence).boxes
    except ValueError:
        return None
    if boxes is None:
        return None
    seen = zip(boxes.classes.tolist(), boxes.scores.tolist(), boxes.rects.tolist(), strict=True)
    return [
        {
            "label": things[index] if index < len(things) else f"class {index}",
            "score": round(score, 3),
            "box": [round(share, 4) for share in rect],
        }
        for index, score, rect in seen
        if score >= SURE_SCORE
    ]


def failure_json(failure: Failure) -> dict[str, Any]:
    """Return one row of the failures as the documented JSON."""
    return {
        "path": failure.path,
        "kind": failure.kind,
        "reason": failure.reason,
        "tries": failure.tries,
        "first_at": moment(failure.first_at),
        "last_at": moment(failure.last_at),
        "retry_at": moment(failure.retry_at),
    }


def known_failure_json(reader: Reader, failure: Failure) -> dict[str, Any]:
    """Return one row of the failures with the photo's id in the index, None if it has none."""
    row = reader.photo(failure.path)
    return {"id": row.id if row else None} | failure_json(failure)


def label_counts(reader: Reader, known: Vocabulary) -> dict[str, int]:
    """Return how many photos carry each label of the vocabulary, or anything below it."""
    return reader.tree_counts({label: known.path(label) for label in known.nodes})


def label_trees_json(
    known: Vocabulary,
    counts: Mapping[str, int],
    heads: Iterable[str] | None = None,
    *,
    unused: bool = False,
    classes: bool = False,
) -> list[dict[str, Any]]:
    """Return the trees of labels below ``heads`` (None: all), with the photos of each label.

    ``unused``: also the labels that are not in ``counts``. ``classes``: with the numbers of the
    classes that a label stands for.
    """
    trees = (
        _label_tree_json(head, known, counts, unused, classes)
        for head in (known.roots() if heads is None else heads)
    )
    return [tree for tree in trees if tree is not None]


def _label_tree_json(
    label: str, known: Vocabulary, counts: Mapping[str, int], unused: bool, classes: bool
) -> dict[str, Any] | None:
    if label not in counts and not unused:
        return None
    node = known.nodes[label]
    tree: dict[str, Any] = {
        "label": label,
        "names": known.names(label),
        "count": counts.get(label, 0),
        "children": label_trees_json(known, counts, node.children, unused=unused, classes=classes),
    }
    if classes and node.classes:
        tree["classes"] = list(node.classes)
    return tree


def located(query: Query, config: Config) -> Query:
    """Return ``query`` with its folders named as the index names them, whichever way they are."""
    from tagger.index.conditions import Below, rewritten

    def known(one: Query) -> Query:
        if not isinstance(one, Below):
            return one
        from tagger.system.known_paths import known_folders

        roots = [root.path for root in config.watch]
        every = (path for folder in one.folders for path in known_folders(folder, roots))
        return Below(tuple(dict.fromkeys(every)))

    return rewritten(query, known)
