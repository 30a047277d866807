"""What was found in the photos that were handled since a moment, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tagger.index.folding import name_path
from tagger.index.reader import Reader


@dataclass(slots=True)
class FoundLabels:
    """How many photos have been handled, and what was found in them.

    ``silent`` of the ``photos`` got no tag of ours, ``failed`` more could not be handled.
    ``general`` counts photos by the root of the tree that a label is in, ``labels`` by each of the
    most specific labels: `dog`, not the `animal` that it is, too.
    """

    photos: int = 0
    silent: int = 0
    failed: int = 0
    general: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)


def found_since(reader: Reader, moment: float) -> FoundLabels:
    """Count the photos that were tagged, or failed, at ``moment`` or later.

    ``moment`` is in seconds since the epoch.
    """
    found = FoundLabels()
    [row] = reader.read("SELECT count(*) AS n FROM failures WHERE last_at >= ?", (moment,))
    found.failed = row["n"]
    [row] = reader.read(
        "SELECT count(*) AS n FROM photos"
        " WHERE tagged_at >= ? AND status IN ('tagged', 'untagged')",
        (moment,),
    )
    found.photos = row["n"]
    paths: dict[int, list[tuple[str, ...]]] = {}
    for row in reader.read(
        "SELECT photo_id, names.path AS way, names.label AS label"
        " FROM photos CROSS JOIN tags ON photo_id = photos.id JOIN"
        " names ON names.id = name_id WHERE tagged_at >= ? AND source != 'user'"
        " AND status IN ('tagged', 'untagged')",
        (moment,),
    ):
        paths.setdefault(row["photo_id"], []).append(name_path(row["way"], row["label"]))
    for of_photo in paths.values():
        above = {word for path in of_photo for word in path[:-1]}
        found.general.update({path[0] for path in of_photo if path})
        found.labels.update({path[-1] for path in of_photo if path and path[-1] not in above})
    found.silent = found.photos - len(paths)
    return found
