"""Groups that grow by links: what is asked for, and what stays apart."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable, Mapping

import pytest

from tagger.duplicates.joining import AT_ONCE, Joining
from tagger.duplicates.shots import Frame

Link = tuple[int, int]


def taken(at: str) -> Frame:
    return Frame(at, "Pixel", "img", "", -1, (3000, 4000))


class Shelf:
    """Photos, some of them in groups already, of which cameras tell the dates given by id."""

    def __init__(
        self, groups: Mapping[int, int] | None = None, dates: Mapping[int, str] | None = None
    ) -> None:
        self.groups, self.dates = groups or {}, dates or {}
        self.asked: list[Link] = []
        self.rounds = 0
        self.read: list[int] = []
        self.joining = Joining(self._former, self._photo, self._group)

    def _former(self, photos: Iterable[int]) -> dict[int, int | None]:
        return {one: self.groups.get(one) for one in photos if one < 1_000}

    def _photo(self, photo: int) -> list[tuple[Frame, bytes]]:
        self.read.append(photo)
        return [(taken(self.dates[photo]), b"%d" % photo)] if photo in self.dates else []

    def _group(self, number: int) -> list[tuple[Frame, bytes]]:
        members = [one for one, its in self.groups.items() if its == number]
        return [one for member in members for one in self._photo(member)]

    def settled(
        self, links: list[Link], holds: Callable[[Link], bool] = lambda link: True
    ) -> list[tuple[list[int], list[int]]]:
        def hold(asked: list[int]) -> list[bool]:
            self.rounds += 1
            self.asked += [links[at] for at in asked]
            return [holds(links[at]) for at in asked]

        self.joining.settle(links, hold)
        found = self.joining.found()
        return sorted((sorted(photos), sorted(numbers)) for photos, numbers in found)


def test_links_make_groups():
    assert Shelf().settled([(1, 2), (2, 3), (4, 5)]) == [([1, 2, 3], []), ([4, 5], [])]
    assert Shelf().settled([]) == []
    assert Shelf({1: 1, 9: 1}).settled([(1, 2)]) == [([2], [1])]
    assert Shelf({1: 1, 9: 1, 3: 3, 4: 3}).settled([(9, 4)]) == [([], [1, 3])]


def test_what_is_not_there_is_not_asked_for():
    shelf = Shelf()
    assert shelf.settled([(1, 5_000), (1, 2)]) == [([1, 2], [])]
    assert shelf.asked == [(1, 2)]


def test_what_is_held_is_one_group_whatever_it_was_in():
    shelf = Shelf({1: 1, 2: 1, 3: 1})
    shelf.joining.hold({2, 3})
    assert shelf.settled([(3, 4)]) == [([2, 3, 4], [])]


def test_of_ten_copies_nine_pairs_are_compared():
    shelf = Shelf()
    copies = range(1, 11)
    assert shelf.settled([*itertools.combinations(copies, 2)]) == [([*copies], [])]
    assert len(shelf.asked) == 9


def test_one_more_copy_of_a_large_group_is_compared_once():
    shelf = Shelf(dict.fromkeys(range(1, 901), 1))
    assert shelf.settled([(one, 950) for one in range(1, 901)]) == [([950], [1])]
    assert shelf.asked == [(1, 950)]


def test_links_that_do_not_hold_are_asked_for_in_few_rounds():
    shelf = Shelf(dict.fromkeys(range(1, 65), 1))
    assert shelf.settled([(one, 100) for one in range(1, 65)], lambda link: False) == []
    assert len(shelf.asked) == 64 and shelf.rounds <= 2
    many = Shelf()
    links = [(one, one + 400) for one in range(1, 400)]
    assert many.settled(links, lambda link: False) == []
    assert sorted(many.asked) == links and many.rounds == -(-len(links) // AT_ONCE)


@pytest.mark.parametrize("seed", range(30))
def test_the_groups_are_those_that_all_comparisons_would_give(seed):
    """Kruskal, one link after the other, each of them asked for."""
    dice = random.Random(seed)
    photos = range(1, 25)
    groups = {one: min(one, 20) for one in photos if one in (3, 4, 5, 20, 21, 22)} | {4: 3, 5: 3}
    dates = {one: dice.choice("abc") for one in photos if dice.random() < 0.4}
    dates |= {one: "a" for one in (3, 4, 5) if one in dates}
    dates |= {one: "b" for one in (20, 21, 22) if one in dates}
    links = [pair for pair in itertools.combinations(photos, 2) if dice.random() < 0.4]
    dice.shuffle(links)
    sure = {link for link in links if dice.random() < 0.5}

    wanted = [{3, 4, 5}, {20, 21, 22}]
    wanted += [{one} for one in photos if one not in groups]
    for one, other in links:
        first = next(group for group in wanted if one in group)
        second = next(group for group in wanted if other in group)
        moments = {dates[photo] for photo in first | second if photo in dates}
        if first is not second and len(moments) <= 1 and (one, other) in sure:
            wanted.remove(second)
            first |= second

    shelf = Shelf(groups, dates)
    members = {3: {3, 4, 5}, 20: {20, 21, 22}}
    found = [
        {*photos}.union(*(members[number] for number in numbers))
        for photos, numbers in shelf.settled(links, sure.__contains__)
    ]
    alone = {3: {3, 4, 5}, 20: {20, 21, 22}}
    found += [group for group in alone.values() if not any(group <= one for one in found)]
    assert sorted(map(sorted, found)) == sorted(sorted(one) for one in wanted if len(one) > 1)


def test_a_copy_joins_the_frame_that_it_is_most_like_and_no_other():
    shelf = Shelf(dates={1: "a", 2: "b", 3: "c"})
    assert shelf.settled([(2, 9), (1, 9), (3, 9)]) == [([2, 9], [])]


def test_what_a_group_stays_apart_from_also_the_group_stays_that_it_joins():
    shelf = Shelf(dates={1: "a", 9: "b"})
    assert shelf.settled([(1, 9), (1, 2), (2, 9), (9, 3), (3, 2)]) == [([1, 2], []), ([3, 9], [])]


def test_frames_of_a_burst_are_not_compared_at_all():
    shelf = Shelf(dates={1: "a", 2: "b", 3: "c"})
    assert shelf.settled([(1, 2), (1, 3), (2, 3)]) == []
    assert shelf.asked == []


def test_files_with_the_same_bytes_are_one_whatever_is_told_of_them():
    shelf = Shelf(dates={1: "a", 2: "b"})
    joining = Joining(dict.fromkeys, lambda one: [(taken(shelf.dates[one]), b"same")], shelf._group)
    joining.settle([(1, 2)])
    assert joining.found() == [([1, 2], [])]


def test_what_cameras_tell_of_a_large_group_is_read_when_it_matters_only():
    groups = dict.fromkeys(range(1, 901), 1)
    shelf = Shelf(groups, dict.fromkeys(groups, "a"))
    assert shelf.settled([(7, 950), (8, 951)]) == [([950, 951], [1])]
    assert set(shelf.read) == {950, 951}
    shelf = Shelf(groups, dict.fromkeys(groups, "a") | {950: "b"})
    assert shelf.settled([(7, 950), (8, 950)]) == []
    assert len(shelf.read) == 901
