"""Groups of photos that show the same picture, the best one first, and what is done with others.

Nothing is ever deleted: the others are linked to, or moved, with a way back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tagger.config.schema import Config
from tagger.errors import PhotoError, RuleError, TaggerError
from tagger.index.groups import Kind
from tagger.index.reader import Reader
from tagger.index.rows import PhotoRow
from tagger.index.rule_tasks import RuleTasks
from tagger.index.store import Store
from tagger.library.rules.transfer import Transfer
from tagger.pipeline.grouping import Grouping
from tagger.system.files import photo_stat
from tagger.system.paths import is_inside, is_raw_name

MOVER = "tagger duplicates"
"""As what the moves are written down, where those of rules are."""

_QUALITY = {"TIFF": 4, "PNG": 4, "BMP": 3, "HEIF": 3, "AVIF": 3, "JPEG": 2, "WEBP": 1, "GIF": 0}
"""The better format of two pictures with as many pixels; a RAW file's is above all."""


@dataclass(frozen=True, slots=True)
class Group:
    """Photos that belong together, the best first. ``number`` stays as long as they do.

    ``chosen``: the user said which is to be kept.
    """

    number: int
    photos: tuple[PhotoRow, ...]
    chosen: bool = False


def compare_new(config: Config) -> None:
    """Compare the photos that have not been compared with all others yet. Raise StateError."""
    with Store(config.state_dir) as store:
        grouping = Grouping(store, config.state_dir, stacks=config.labels.stacks)
        try:
            grouping.run()
        finally:
            grouping.close()


def groups(
    reader: Reader, kind: Kind = "picture", *, folders: Sequence[str] = (), least: int = 2
) -> list[Group]:
    """Return the groups of a kind with ``least`` photos or more, those with most first.

    With ``folders`` only what is below one of them counts.
    """
    found = []
    for number, ids in reader.groups.every(kind).items():
        if len(ids) < least:
            continue
        rows = _rows(reader, ids)
        if folders:
            rows = [row for row in rows if any(is_inside(row.path, one) for one in folders)]
        if len(rows) >= max(least, 2):
            found.append(_group(reader, number, rows))
    return sorted(found, key=lambda group: (-len(group.photos), group.number))


def page_of_groups(reader: Reader, after: int, limit: int) -> tuple[list[Group], int]:
    """Return some groups of copies, from one place on, and how many there are in all."""
    every = sorted(reader.groups.every("picture").items(), key=lambda one: (-len(one[1]), one[0]))
    some = every[after : after + limit]
    return [_group(reader, number, _rows(reader, ids)) for number, ids in some], len(every)


def _rows(reader: Reader, ids: Iterable[int]) -> list[PhotoRow]:
    return [row for photo_id in ids if (row := reader.photo_of(photo_id)) is not None]


def _group(reader: Reader, number: int, rows: Sequence[PhotoRow]) -> Group:
    """Return photos in the order in which they are kept: the one that the user chose first."""
    kept = reader.groups.kept(row.id for row in rows)
    return Group(
        number, tuple(sorted(rows, key=lambda row: (row.id not in kept, *_worth(row)))), bool(kept)
    )


def _worth(row: PhotoRow) -> tuple[object, ...]:
    """Return the key that sorts the best first: pixels, format, bytes, the oldest, its path."""
    pixels = (row.facts.width or 0) * (row.facts.height or 0)
    quality = 5 if is_raw_name(row.path) else _QUALITY.get(row.facts.format, 0)
    size = row.stat.size if row.stat else 0
    age = row.facts.taken_at or "~", row.stat.mtime_ns if row.stat else 0
    return -pixels, -quality, -size, age, row.path


def group_json(group: Group) -> dict[str, Any]:
    """Return the documented JSON of a group."""
    best = group.photos[0]
    return {
        "group": group.number,
        "chosen": group.chosen,
        "photos": [
            {
                "id": row.id,
                "path": row.path,
                "best": row is best,
                "same_bytes": bool(row.content_hash) and row.content_hash == best.content_hash,
                "format": row.facts.format,
                "width": row.facts.width,
                "height": row.facts.height,
                "bytes": row.stat.size if row.stat else None,
                "taken_at": row.facts.taken_at,
                "camera": row.facts.camera,
            }
            for row in group.photos
        ],
    }


def move_others(
    config: Config, store: Store, found: Sequence[Group], folder: str
) -> Iterator[tuple[str, str | TaggerError]]:
    """Move all but the first photo of each group, with their sidecars, to ``folder``.

    Yield each path with what came of it, or why it stays. Nothing is moved of a group whose first
    photo is not there as it is known; nothing is ever overwritten. Each move is written down
    before, so that :func:`move_back` and `tagger rules undo` know the way.
    """
    tasks = RuleTasks(store)
    transfer = Transfer(config, tasks)
    for group in found:
        best = group.photos[0]
        for row in group.photos[1:]:
            if is_inside(row.path, folder):
                continue
            try:
                _check_there(best)
                _check_there(row)
                task = tasks.add(row.id, MOVER, "move_to")
                try:
                    yield row.path, transfer.do(task, row.path, folder)
                except TaggerError as error:
                    # What could not be done is not tried again by itself.
                    left = tasks.task(task.id)
                    if left is not None and left.state in ("due", "failed"):
                        tasks.end(task, "failed", str(error))
                    raise
            except TaggerError as error:
                yield row.path, error


def _check_there(row: PhotoRow) -> None:
    """Raise RuleError when a photo is not there as it is known."""
    try:
        same = row.stat is not None and photo_stat(row.path).same_version(row.stat)
    except PhotoError as error:
        raise RuleError(f"{row.path} is not there now", "mount its disk, or scan") from error
    if not same:
        raise RuleError(f"{row.path} has changed since it was compared", "try again in a minute")


def move_back(
    config: Config, store: Store, folder: str | None = None
) -> Iterator[tuple[str, str | TaggerError]]:
    """Bring back what :func:`move_others` moved, to ``folder`` or (None) anywhere.

    Yield where each was moved to with what came of it.
    """
    tasks = RuleTasks(store)
    transfer = Transfer(config, tasks)
    for task in tasks.done_by(MOVER):
        if task.target is None or (folder is not None and not is_inside(task.target, folder)):
            continue
        try:
            yield task.target, transfer.undo(task)
        except TaggerError as error:
            yield task.target, error
