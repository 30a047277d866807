"""A deletion is believed, tag by tag, of a program that has shown to know the tag."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tagger.metadata.program_knowledge import LOST, WordTimes
from tagger.metadata.user_edits import overwritten_labels
from tagger.records import OVERWRITTEN, Keyword
from tests.support.metadata_tools import keywords_in
from tests.support.photo_programs import Darktable, DigiKam, Xmp, immich, packet_in, stamp
from tests.support.tagged_photo import TAGS, Case


def beach_of(case: Case) -> Keyword:
    return Keyword("beach", (case.beach,), 0.8)


def imported(case: Case) -> Darktable:
    """Return darktable with what is in the file now, which it does not read again."""
    case.is_older_by(2000)
    program = Darktable(stamp(time.time() - 1000))
    program.import_(case.file)
    return program


def restored(case: Case) -> None:
    """Do what `tagger restore` does with the journal of a file that holds some of our tags."""
    case.tagger.journal = tuple(
        replace(one, reason="", seen={name: v for name, v in one.seen.items() if name != LOST})
        for one in case.tagger.journal
    )


def overwritten(case: Case) -> tuple[str, ...]:
    return overwritten_labels(case.tagger.journal[0])


def test_a_tag_that_came_after_the_import_is_overwritten_not_deleted(case: Case) -> None:
    program, beach = imported(case), beach_of(case)
    case.write(beach)
    program.write(case.file, rating=4)
    left = case.file.read_bytes()
    for _ in range(3):
        made = case.settled(beach)
        assert (made.deleted, made.reason, case.yours(made)) == ((), OVERWRITTEN, set())
        assert overwritten(case) == ("beach",)
    assert case.file.read_bytes() == left


def test_what_it_knows_it_deletes_also_while_another_tag_is_overwritten(case: Case) -> None:
    program, beach = imported(case), beach_of(case)
    case.write(beach)
    program.write(case.file, rating=4)
    case.settled(beach)
    program.tags = ["|".join(case.words[:2])]
    program.write(case.file, rating=4)
    made = case.settled(beach)
    assert (made.deleted, made.reason) == (("Labrador retriever",), OVERWRITTEN)
    assert overwritten(case) == ("beach",)
    program.tags = []
    program.write(case.file, rating=4)
    made = case.settled(beach)
    assert (set(made.deleted), made.reason) == ({"animal", "dog"}, OVERWRITTEN)


def test_one_deleted_and_one_overwritten_in_the_same_edit(case: Case) -> None:
    program, beach = imported(case), beach_of(case)
    case.write(beach)
    program.tags = ["|".join(case.words[:2])]
    program.write(case.file)
    made = case.settled(beach)
    assert (made.deleted, made.reason) == (("Labrador retriever",), OVERWRITTEN)
    assert (overwritten(case), case.yours(made)) == (("beach",), set())


def test_put_back_it_is_overwritten_again_until_the_program_has_read_it(case: Case) -> None:
    program, beach = imported(case), beach_of(case)
    case.write(beach)
    for rating in (2, 3):
        program.write(case.file, rating)
        assert case.settled(beach).reason == OVERWRITTEN
        restored(case)
        made = case.settled(beach)
        assert (made.deleted, made.reason) == ((), "")
        assert case.beach in keywords_in(case.file)["Subject"]
        assert case.beach in keywords_in(case.file)["TagsList"]
    program.import_(case.file)
    program.tags.append("Rex")
    program.write(case.file, rating=4)
    assert case.settled(beach).deleted == ()
    program.tags.remove(case.beach)
    program.write(case.file, rating=4)
    assert case.settled(beach).deleted == ("beach",)


def test_a_program_that_reads_the_file_again_has_it_and_all_is_well(case: Case) -> None:
    program, beach = imported(case), beach_of(case)
    case.write(beach)
    program.write(case.file, rating=4)
    assert case.settled(beach).reason == OVERWRITTEN
    program.tags.append(case.beach)
    program.write(case.file, rating=4)
    made = case.settled(beach)
    assert (made.deleted, made.reason, case.yours(made)) == ((), "", set())


def test_a_tag_once_kept_is_deleted_by_the_same_program(case: Case) -> None:
    program, beach = DigiKam(), beach_of(case)
    program.import_(case.file)
    program.write(case.file, rating=1)
    case.settled()
    case.write(beach)
    program.import_(case.file)
    program.write(case.file, rating=2)
    case.settled(beach)
    program.tags.remove(case.beach)
    program.write(case.file, rating=2)
    made = case.settled(beach)
    assert (made.deleted, made.reason) == (("beach",), "")


def test_all_deleted_by_digikam_after_we_took_its_copies_away(case: Case) -> None:
    program, beach = DigiKam(), beach_of(case)
    program.import_(case.file)
    program.write(case.file, rating=1)
    case.settled()
    case.write(beach)
    program.tags = []
    program.write(case.file, rating=2)
    made = case.settled(beach)
    assert (set(made.deleted), overwritten(case)) == ({*TAGS}, ("beach",))


def test_of_two_new_ones_the_other_shows_that_it_is_known(case: Case) -> None:
    program, beach = DigiKam(), beach_of(case)
    sea = Keyword("sea", ("sea",), 0.7)
    case.write(beach, sea)
    program.import_(case.file)
    program.tags.remove(case.beach)
    program.write(case.file)
    assert case.settled(beach, sea).deleted == ("beach",)


def test_a_new_leaf_is_not_deleted_by_one_who_knows_its_parent(case: Case) -> None:
    program = imported(case)
    animal, dog, leaf = case.words
    pug = Keyword("pug", (animal, dog, "pug"), 0.9)
    case.write(pug)
    program.write(case.file, rating=2)
    made = case.settled(pug)
    assert (made.deleted, made.reason, overwritten(case)) == ((), OVERWRITTEN, ("pug",))
    assert leaf in keywords_in(case.file)["Subject"]


def test_an_import_between_two_of_our_writes_knows_the_first(case: Case) -> None:
    beach = beach_of(case)
    case.is_older_by(2000)
    case.write(beach)
    Darktable(stamp(time.time() - 1000)).write(case.file)
    made = case.settled(beach)
    assert (set(made.deleted), made.reason) == ({*TAGS}, OVERWRITTEN)
    assert overwritten(case) == ("beach",)


def test_an_import_that_changed_nothing_is_remembered(case: Case) -> None:
    program = imported(case)
    program.write(case.file, rating=1)
    assert case.settled().deleted == ()
    program.tags = []
    program.write(case.file, rating=1)
    assert set(case.settled().deleted) == {*TAGS}


def test_what_is_given_while_the_file_is_left_is_told_too(case: Case) -> None:
    program, beach = imported(case), beach_of(case)
    sea = Keyword("sea", ("sea",), 0.7)
    case.write(beach)
    program.write(case.file, rating=4)
    case.settled(beach)
    assert case.settled(beach, sea).reason == OVERWRITTEN
    assert {*overwritten(case)} == {"beach", "sea"}
    restored(case)
    assert case.settled(beach, sea).reason == ""
    assert {case.beach, "sea"} <= {*keywords_in(case.file)["Subject"]}
    program.write(case.file, rating=5)
    made = case.settled(beach, sea)
    assert (made.deleted, {*overwritten(case)}) == ((), {"beach", "sea"})


def test_immich_takes_away_what_it_does_not_know(case: Case) -> None:
    beach = beach_of(case)
    case.write(beach)
    immich(case.file, [case.path, "Rex"])
    made = case.settled(beach)
    assert (made.deleted, made.reason, case.yours(made)) == ((), OVERWRITTEN, {"Rex"})
    assert overwritten(case) == ("beach",)


def test_nothing_is_left_out_any_more_when_the_tag_is_not_given_any_more(case: Case) -> None:
    program, beach = imported(case), beach_of(case)
    case.write(beach)
    program.write(case.file, rating=4)
    case.settled(beach)
    made = case.settled()
    assert (made.deleted, made.reason, case.yours(made)) == ((), "", set())
    assert case.beach not in packet_in(case.file).decode()
    case.tagger.undo()
    said = "" if not case.file.exists() else packet_in(case.file).decode()
    assert not [word for word in case.words if word in said]


def test_two_programs_in_turn_one_knows_a_later_tag(case: Case) -> None:
    darktable, digikam, beach = imported(case), DigiKam(), beach_of(case)
    case.write(beach)
    for rating in range(1, 6):
        digikam.import_(case.file)
        digikam.write(case.file, rating)
        made = case.settled(beach)
        assert (made.deleted, case.yours(made)) == ((), set())
        darktable.write(case.file, rating)
        made = case.settled(beach)
        assert (made.deleted, made.reason, case.yours(made)) == ((), OVERWRITTEN, set())
        restored(case)
        case.settled(beach)
    digikam.import_(case.file)
    digikam.tags.remove(case.beach)
    digikam.write(case.file)
    assert case.settled(beach).deleted == ("beach",)


def test_a_journal_of_an_older_tagger_is_understood(case: Case) -> None:
    program = DigiKam()
    program.import_(case.file)
    program.write(case.file, rating=1)
    case.settled()
    [entry] = case.tagger.journal
    seen = {name: v for name, v in entry.seen.items() if name not in ("since", "iptc")}
    seen["knows"] = tuple(text.partition("\n")[0] for text in seen["knows"])
    case.tagger.journal = (replace(entry, seen=seen),)
    beach = beach_of(case)
    case.write(beach)
    program.tags = []
    program.write(case.file, rating=2)
    made = case.settled(beach)
    assert (set(made.deleted), overwritten(case)) == ({*TAGS}, ("beach",))


def test_a_rating_by_another_program_tells_nothing_of_a_new_tag(case: Case) -> None:
    beach = beach_of(case)
    case.write(beach)
    said = Xmp(case.file)
    said.say("xmp:Rating", "5")
    said.save()
    made = case.settled(beach)
    assert (made.deleted, made.reason) == ((), "")


@pytest.mark.parametrize("now", [1000.0, 1000.5, 400.0])
def test_times_only_grow_whatever_the_clock_says(now: float) -> None:
    times = WordTimes().with_words((), ["dog"], 1000.0)
    times = times.with_words({"dog"}, ["dog", "sea"], now)
    again = WordTimes.of({"since": times.as_texts()})
    assert again["dog"] == 1000.0 < again["sea"]
    assert again.moments == [again["dog"], again["sea"]]
    assert again.with_words({"dog", "sea"}, ["dog"], 2000.0).moments == [1000.0]
