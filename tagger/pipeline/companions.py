"""The photos that share their tags with one: its copies, and the other files of its shot."""

from __future__ import annotations

from collections.abc import Iterable

from tagger.index.groups import Groups, Kind
from tagger.index.store import Store
from tagger.labels.chooser import Chooser
from tagger.labels.evidence import Evidence
from tagger.records import Tag

SHARED: tuple[Kind, ...] = ("picture", "stack")
"""The groups whose photos share their tags; those of a series show something else."""
MOST = 16
"""Photos of one group that are asked for their tags."""


class Companions:
    """Knows who shares tags with whom; nobody does without ``enabled`` (``labels.stacks``)."""

    def __init__(self, store: Store, enabled: bool) -> None:
        self._store, self.enabled = store, enabled
        self._groups = Groups(store)

    def of(self, photo_id: int) -> list[int]:
        """Return the other photos that share their tags with one, by id."""
        if not self.enabled:
            return []
        found: set[int] = set()
        for kind, group in self._groups.of([photo_id]).get(photo_id, {}).items():
            if kind in SHARED:
                found |= self._groups.members(kind, group)
        return sorted(found - {photo_id})[:MOST]

    def tombstones(self, photo_id: int) -> frozenset[str]:
        """Return the labels that the user took away from one of the others."""
        return frozenset[str]().union(*map(self._store.tombstones, self.of(photo_id)))

    def added(self, photo_id: int, tags: tuple[Tag, ...], chooser: Chooser) -> tuple[Tag, ...]:
        """Return the tags of a photo with those that the evidence of the others gives.

        It is chosen from their evidence, not taken from their tags: else two would keep a tag
        alive that neither has by itself.
        """
        known = {tag.label for tag in tags}
        more: list[Tag] = []
        for other in self.of(photo_id):
            stored = self._store.prediction(other)
            if stored is None:
                continue
            try:
                chosen = chooser.choose(Evidence.from_bytes(stored.evidence))
            except ValueError:
                continue  # of another network, or damaged; it is looked at again by itself
            more += [tag for tag in chosen if tag.label not in known]
            known.update(tag.label for tag in more)
        return (*tags, *more)

    def make_due(self, photo_ids: Iterable[int]) -> None:
        """Have the tags of the others be chosen and written anew."""
        others = {other for photo_id in photo_ids for other in self.of(photo_id)}
        self._store.forget_keywords([shot[1] for shot in self._groups.shots(others).values()])
