"""Other programs' habits are not the user's wishes: what real ones write over our tags."""

from __future__ import annotations

import time

import pytest

from tagger.records import OVERWRITTEN
from tests.support.metadata_tools import keywords_in
from tests.support.photo_programs import (
    Darktable,
    DigiKam,
    Xmp,
    gthumb,
    immich,
    packet_in,
    stamp,
    windows,
)
from tests.support.tagged_photo import TAGS, Case


def test_digikam_adds_a_tag_to_those_that_it_knows(case: Case) -> None:
    program = DigiKam()
    program.import_(case.file)
    program.tags.append("Rex")
    program.write(case.file)
    made = case.settled()
    assert (made.deleted, made.reason, case.yours(made)) == ((), "", {"Rex"})
    said = keywords_in(case.file)
    assert sorted(said["TagsList"]) == sorted(["Rex", case.path])
    assert sorted(said["HierarchicalSubject"]) == sorted(["Rex", case.path.replace("/", "|")])


def test_digikam_rates_and_writes_only_leaves_flat(case: Case) -> None:
    program = DigiKam()
    program.import_(case.file)
    for rating in range(1, 6):
        program.write(case.file, rating)
        made = case.settled()
        assert (made.deleted, made.reason, case.yours(made)) == ((), "", set())
        assert keywords_in(case.file)["Subject"] == [case.leaf]  # it is not fought over


def test_digikam_does_not_know_tags_that_came_after_its_import(case: Case) -> None:
    DigiKam(["Rex"]).write(case.file)
    left = case.file.read_bytes()
    made = case.settled()
    assert (made.deleted, made.reason, case.yours(made)) == ((), OVERWRITTEN, {"Rex"})
    assert case.file.read_bytes() == left


def test_digikam_s_own_keyword_of_the_same_name_is_no_sign_of_knowing(case: Case) -> None:
    DigiKam([case.words[1]]).write(case.file)
    made = case.settled()
    assert (made.deleted, made.reason) == ((), OVERWRITTEN)
    assert case.yours(made) == {case.words[1]}


def test_a_leaf_moved_to_its_parent_takes_the_leaf_away(case: Case) -> None:
    DigiKam(["/".join(case.words[:2])]).write(case.file)
    made = case.settled()
    assert (made.deleted, case.yours(made)) == (("Labrador retriever",), set())
    assert keywords_in(case.file)["TagsList"] == ["/".join(case.words[:2])]
    assert keywords_in(case.file)["HierarchicalSubject"] == ["|".join(case.words[:2])]


def test_all_deleted_by_one_who_kept_them_before(case: Case) -> None:
    program = DigiKam()
    program.import_(case.file)
    program.write(case.file, rating=3)
    case.settled()
    program.tags = []
    program.write(case.file)
    assert set(case.write().deleted) == set(TAGS)


def test_one_of_two_deleted(case: Case) -> None:
    beach = case.with_beach()
    DigiKam([case.path]).write(case.file)
    assert case.settled(beach).deleted == ("beach",)
    assert not [values for values in keywords_in(case.file).values() if case.beach in values]


def test_darktable_rates_what_it_imported_before(case: Case) -> None:
    program = Darktable(stamp(time.time() - 1000))
    case.tagger.undo()
    program.write(case.file)
    case.tagger.journal = ()
    case.write()
    program.write(case.file, rating=5)
    left = case.file.read_bytes()
    for _ in range(3):
        made = case.settled()
        assert (made.deleted, made.reason, case.yours(made)) == ((), OVERWRITTEN, set())
    assert case.file.read_bytes() == left
    case.tagger.undo()
    assert case.leaf not in packet_in(case.file).decode()  # also not where darktable left it
    assert keywords_in(case.file)["Subject"] == ["darktable", "format", "jpg"]


def test_darktable_rates_a_photo_without_a_sidecar_until_then(case: Case) -> None:
    """It writes one after the first edit only, from an import before ours."""
    Darktable(stamp(time.time() - 1000)).write(case.file, rating=4)
    made = case.settled()
    assert (made.deleted, made.reason) == ((), OVERWRITTEN)


def test_darktable_deletes_what_it_imported_with_our_tags(case: Case) -> None:
    Darktable(stamp(time.time() + 1000)).write(case.file)
    made = case.settled()
    assert set(made.deleted) == set(TAGS)
    assert case.yours(made) == set()


def test_darktable_deletes_one_of_ours(case: Case) -> None:
    program = Darktable(stamp(time.time() + 1000))
    program.import_(case.file)
    program.tags = ["|".join(case.words[:2])]
    program.write(case.file)
    made = case.settled()
    assert (made.deleted, case.yours(made)) == (("Labrador retriever",), set())
    said = keywords_in(case.file)
    assert said["TagsList"] == ["/".join(case.words[:2])]
    assert "|".join(case.words[:2]) in said["HierarchicalSubject"]


def test_darktable_is_told_from_digikam_which_knew(case: Case) -> None:
    digikam = DigiKam()
    digikam.import_(case.file)
    digikam.write(case.file, rating=2)
    case.settled()
    Darktable(stamp(time.time() - 1000)).write(case.file, rating=3)
    made = case.settled()
    assert (made.deleted, made.reason) == ((), OVERWRITTEN)


def test_immich_deletes_all_or_some(case: Case) -> None:
    immich(case.file, [])
    left = case.file.read_bytes()
    made = case.settled()
    assert (made.deleted, made.reason, case.yours(made)) == ((), OVERWRITTEN, set())
    assert case.file.read_bytes() == left


def test_immich_deletes_one_of_two(case: Case) -> None:
    beach = case.with_beach()
    immich(case.file, [case.path])
    assert case.settled(beach).deleted == ("beach",)


def test_immich_adds(case: Case) -> None:
    immich(case.file, [case.path, "Rex"])
    made = case.settled()
    assert (made.deleted, made.reason, case.yours(made)) == ((), "", {"Rex"})
    assert "Rex" in keywords_in(case.file)["Subject"]


def test_gthumb_adds_and_copies_into_iptc(case: Case) -> None:
    gthumb(case.file, add=["Rex"])
    made = case.settled()
    assert (made.deleted, made.reason, case.yours(made)) == ((), "", {"Rex"})
    said = keywords_in(case.file)
    assert sorted(said["TagsList"]) == sorted(["Rex", case.path])
    assert sorted(said["HierarchicalSubject"]) == sorted(["Rex", case.path.replace("/", "|")])


def test_windows_adds_and_deletes(case: Case) -> None:
    windows(case.file, add=["Rex"], remove=[case.words[1]])
    made = case.settled()
    assert (made.deleted, case.yours(made)) == (("dog",), {"Rex"})
    said = keywords_in(case.file)
    assert case.words[1] not in said["Subject"]
    assert "/".join((case.words[0], case.leaf)) in said["TagsList"]


def test_rating_alone_is_no_edit_of_keywords(case: Case) -> None:
    said = Xmp(case.file)
    said.say("xmp:Rating", "5")
    said.save()
    made = case.settled()
    assert (made.deleted, made.reason) == ((), "")


def test_an_overwritten_file_is_written_again_when_that_is_asked_for(case: Case) -> None:
    Darktable(stamp(time.time() - 1000)).write(case.file)
    assert case.write().reason == OVERWRITTEN
    case.tagger.journal = ()  # as after `tagger restore`
    made = case.settled()
    assert (made.deleted, made.reason) == ((), "")
    assert case.path in keywords_in(case.file)["TagsList"]
    assert case.leaf in keywords_in(case.file)["Subject"]


@pytest.mark.parametrize("knows", [True, False])
def test_ten_edits_in_turn_neither_grow_nor_loop(knows: bool, case: Case) -> None:
    digikam, darktable = DigiKam(["Rex"]), Darktable(stamp(time.time() + 1000), ["Rex"])
    sizes = set()
    for turn in range(10):
        program = (digikam, darktable)[turn % 2]
        if knows:
            program.import_(case.file)
        program.write(case.file, rating=1 + turn % 2)
        made = case.settled()
        assert made.deleted == () or not knows
        assert case.yours(made) == {"Rex"} or (knows and case.yours(made) == set())
        for values in keywords_in(case.file).values():
            assert len(values) == len(set(values))
        if turn > 3:
            sizes.add((turn % 2, len(case.file.read_bytes())))
    assert len(sizes) == 2
