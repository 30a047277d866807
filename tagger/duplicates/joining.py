"""Groups of photos that grow by links, the surest link first.

Kruskal's algorithm, with groups that must stay apart. To find out whether a link holds takes long:
it is asked only of links whose photos are not in one group yet. So ten copies of a picture take
nine comparisons, not forty-five, and the groups are those that all comparisons would give.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from tagger.duplicates.shots import Frame, different_frames

AT_ONCE = 256
"""Links that are asked for at a time."""

Frames = Iterable[tuple[Frame, bytes]]
"""What cameras tell of some photos, each with the digest of its bytes."""


class _Group:
    """Photos that are together: single ones, and all of the groups that the index has.

    What cameras tell of them is read when it is needed: ``unread`` are photos, and groups below 0.
    """

    __slots__ = ("above", "apart", "clear", "frames", "numbers", "photos", "unread")

    def __init__(self, photos: Iterable[int] = (), numbers: Iterable[int] = ()) -> None:
        self.photos, self.numbers = [*photos], [*numbers]
        self.unread = [*self.photos, *(-number for number in self.numbers)]
        self.above: _Group | None = None
        self.frames: dict[Frame, set[bytes]] = {}
        self.apart: set[_Group] = set()
        self.clear: set[_Group] = set()


class Joining:
    """Photos, and the groups that links make of them. For one thread.

    ``former`` gives the group of each photo that is there, None for none; ``photo_frames`` and
    ``group_frames`` what cameras tell of a photo, and of those of a group. Two photos that are
    surely two shots are never joined, nor are their groups: a copy without a date is like every
    frame of a burst, and would make one picture of them.
    """

    def __init__(
        self,
        former: Callable[[Iterable[int]], Mapping[int, int | None]],
        photo_frames: Callable[[int], Frames],
        group_frames: Callable[[int], Frames],
    ) -> None:
        self._former, self._photo_frames, self._group_frames = former, photo_frames, group_frames
        self._groups: dict[int, _Group] = {}
        """By id of a photo, and by number below 0."""
        self._gone: set[int] = set()

    def hold(self, photos: Iterable[int]) -> None:
        """Take photos as one group, whatever they were in before."""
        held = _Group(photos)
        self._groups.update(dict.fromkeys(held.photos, held))

    def expect(self, photos: Iterable[int]) -> None:
        """Find out, at one go, in which groups photos are."""
        new = {one for one in photos if one not in self._groups and one not in self._gone}
        if not new:
            return
        there = self._former(new)
        self._gone |= new - there.keys()
        for photo, number in there.items():
            if number is None:
                self._groups[photo] = _Group([photo])
            else:
                if -number not in self._groups:
                    self._groups[-number] = _Group(numbers=[number])
                self._groups[photo] = self._groups[-number]

    def is_settled(self, one: int, other: int) -> bool:
        """Whether two expected photos are together already, or one of them is not there."""
        if one in self._gone or other in self._gone:
            return True
        return self._group(one) is self._group(other)

    def join(self, one: int, other: int) -> None:
        """Join the groups of two expected photos, unless they must stay apart."""
        if not self._may_join(one, other):
            return
        first, second = self._group(one), self._group(other)
        if len(first.photos) < len(second.photos):
            first, second = second, first
        second.above = first
        first.photos += second.photos
        first.numbers += second.numbers
        first.unread += second.unread
        for frame, digests in second.frames.items():
            first.frames.setdefault(frame, set()).update(digests)
        for third in second.apart:
            third.apart.add(first)
        first.apart |= second.apart
        first.clear &= second.clear
        second.photos, second.numbers, second.unread = [], [], []
        second.frames, second.apart, second.clear = {}, set(), set()

    def settle(
        self,
        links: Sequence[tuple[int, int]],
        hold: Callable[[list[int]], Sequence[bool]] = lambda asked: [True] * len(asked),
    ) -> None:
        """Join what ``links`` connect, the surest first, as far as they ``hold``.

        That gets places in ``links``, at once those that will be wanted if all before them hold.
        """
        self.expect(photo for link in links for photo in link)
        left = [at for at, link in enumerate(links) if not self.is_settled(*link)]
        known: dict[int, bool] = {}
        doubted: set[int] = set()
        while left:
            done = 0
            for at in left:
                if self._may_join(*links[at]):
                    if at not in known:
                        break
                    if known[at]:
                        self.join(*links[at])
                done += 1
            left = [at for at in left[done:] if not self.is_settled(*links[at])]
            asked = self._wanted(links, left, known, doubted)
            for at, holds in zip(asked, hold(asked) if asked else (), strict=True):
                known[at] = holds
                if not holds:
                    doubted.update(links[at])

    def found(self) -> list[tuple[list[int], list[int]]]:
        """Return what belongs together: single photos, and numbers of former groups.

        A former group stands for all photos in it. Photos that are alone are left out.
        """
        every = {id(group): group for group in map(self._top, self._groups.values())}
        return [
            (group.photos, group.numbers)
            for group in every.values()
            if len(group.photos) + len(group.numbers) > 1
        ]

    def _wanted(
        self,
        links: Sequence[tuple[int, int]],
        left: Iterable[int],
        known: Mapping[int, bool],
        doubted: set[int],
    ) -> list[int]:
        """Return which links are to be asked for next, as if all of them held.

        Those of a photo of which one did not hold are all wanted: most do not, and each would take
        a round.
        """
        above: dict[_Group, _Group] = {}

        def top(photo: int) -> _Group:
            group = self._group(photo)
            while group in above:
                group = above[group]
            return group

        wanted: list[int] = []
        for at in left:
            one, other = links[at]
            first, second = top(one), top(other)
            if first is second or known.get(at) is False or not self._may_join(one, other):
                continue
            if at not in known:
                wanted.append(at)
                if len(wanted) == AT_ONCE:
                    break
                if one in doubted or other in doubted:
                    continue
            above[first] = second
        return wanted

    def _group(self, photo: int) -> _Group:
        group = self._groups[photo]
        if group.above is not None:
            group = self._groups[photo] = self._top(group)
        return group

    @staticmethod
    def _top(group: _Group) -> _Group:
        while group.above is not None:
            if group.above.above is not None:
                group.above = group.above.above
            group = group.above
        return group

    def _may_join(self, one: int, other: int) -> bool:
        """Whether two photos are in two groups that need not stay apart."""
        if self.is_settled(one, other):
            return False
        first, second = self._group(one), self._group(other)
        if first in second.apart:
            return False
        if first in second.clear and second in first.clear:
            return True
        if len(first.numbers) > len(second.numbers):
            first, second = second, first
        # Where a photo has no date, or no camera, its group is not read at all.
        if not self._frames(first) or not self._frames(second):
            return True
        if _stay_apart(first.frames, second.frames):
            first.apart.add(second)
            second.apart.add(first)
            return False
        first.clear.add(second)
        second.clear.add(first)
        return True

    def _frames(self, group: _Group) -> dict[Frame, set[bytes]]:
        unread, group.unread = group.unread, []
        for node in unread:
            for frame, digest in (
                self._photo_frames(node) if node > 0 else self._group_frames(-node)
            ):
                group.frames.setdefault(frame, set()).add(digest)
        return group.frames


def _stay_apart(one: Mapping[Frame, set[bytes]], other: Mapping[Frame, set[bytes]]) -> bool:
    """Whether a photo of one group and one of another are surely two shots, and not one file."""
    for first, digests in one.items():
        for second, others in other.items():
            same_file = len(digests) == 1 and digests == others and digests != {b""}
            if not same_file and different_frames(first, second):
                return True
    return False
