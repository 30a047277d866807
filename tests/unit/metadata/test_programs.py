"""Other programs' habits are not the user's wishes: what real ones write over our tags."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tagger.metadata.prepared_write import PreparedWrite
from tagger.metadata.read import read_keywords, read_tags
from tagger.metadata.user_edits import OVERWRITTEN
from tagger.records import Keyword
from tests.support import jpegs
from tests.support.metadata_tools import EMBED, SIDECAR, Tagger, keywords_in
from tests.support.photo_programs import (
    Darktable,
    DigiKam,
    Xmp,
    add_iptc,
    gthumb,
    immich,
    packet_in,
    stamp,
    windows,
)

WORDS = {
    "en": ("animal", "dog", "Labrador retriever"),
    "zh": ("动物", "狗", "拉布拉多寻回犬"),
}
TAGS = ("animal", "dog", "Labrador retriever")
BEACH = {"en": "beach", "zh": "海滩"}


class Case:
    """A photo with our tags, and the file that has them."""

    def __init__(self, folder: Path, language: str, target: str, data: bytes = b"") -> None:
        self.photo = folder / "a.jpg"
        self.photo.write_bytes(data or jpegs.plain())
        old = time.time() - 5000
        os.utime(self.photo, (old, old))
        self.words = WORDS[language]
        self.beach = BEACH[language]
        animal, dog, labrador = self.words
        self.keywords = [
            Keyword("Labrador retriever", self.words, 0.97),
            Keyword("dog", (animal, dog), 0.99, leaf=False),
            Keyword("animal", (animal,), 1.0, leaf=False),
        ]
        self.tagger = Tagger(self.photo, EMBED if target == "embed" else SIDECAR)
        self.file = self.photo if target == "embed" else folder / "a.jpg.xmp"
        self.path = "/".join(self.words)
        self.leaf = labrador
        self.banned: set[str] = set()

    def write(self, *more: Keyword) -> PreparedWrite:
        made = self.tagger.write([*self.keywords, *more], tombstones=self.banned)
        self.banned |= {*made.deleted}
        return made

    def settled(self, *more: Keyword) -> PreparedWrite:
        """Write, and prove that the next look writes nothing."""
        made = self.write(*more)
        left = self.file.read_bytes()
        again = self.write(*more)
        assert (again.intents, again.deleted) == ((), ())
        assert self.file.read_bytes() == left
        return made

    def yours(self, made: PreparedWrite) -> set[str]:
        return {"/".join(path) for path in made.user_keywords}


@pytest.fixture(params=["en", "zh"])
def language(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["sidecar", "embed"])
def case(request: pytest.FixtureRequest, language: str, tmp_path: Path) -> Case:
    one = Case(tmp_path, language, str(request.param))
    one.write()
    return one


# Who knew our tags


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
    beach = Keyword("beach", (case.beach,), 0.8)
    case.write(beach)
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
    beach = Keyword("beach", (case.beach,), 0.8)
    case.write(beach)
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


# Copies of ours


def test_untag_takes_copies_away_and_names_those_in_iptc(language: str, tmp_path: Path) -> None:
    case = Case(tmp_path, language, "embed")
    case.write()
    gthumb(case.file, add=["Rex"])
    case.write()
    program = DigiKam()
    program.import_(case.file)
    program.write(case.file)
    case.write()
    made = case.tagger.undo()
    assert set(made.copies) == set(case.words)
    said = packet_in(case.file).decode()
    assert not [word for word in case.words if word in said]
    assert said.count("Rex") >= 4


def test_the_users_own_of_the_same_name_is_no_copy(language: str, tmp_path: Path) -> None:
    _, dog, _ = WORDS[language]
    data = jpegs.put(jpegs.plain(), jpegs.photoshop(jpegs.iim(dog)))
    case = Case(tmp_path, language, "sidecar", data)
    for _ in range(2):
        assert case.yours(case.write()) == {dog}
    made = case.tagger.undo()
    assert (made.copies, case.yours(made)) == ((), {dog})


def test_no_beginning_of_a_longer_one_of_the_users(case: Case) -> None:
    animal, dog, leaf = case.words
    said = Xmp(case.file)
    own = [f"{animal}/{dog}/{leaf}/Rex"]
    said.put("digiKam:TagsList", [case.path, *own], "Seq")
    said.save()
    made = case.settled()
    assert f"{animal}/{dog}/{leaf}/Rex" in case.yours(made)
    assert keywords_in(case.file)["TagsList"] == own
    assert keywords_in(case.file)["HierarchicalSubject"] == [own[0].replace("/", "|")]


# What programs keep for themselves


@pytest.mark.parametrize(
    "tag",
    [
        "darktable|format|jpg",
        "darktable|exported",
        "_Digikam_Internal_Tags_|Pick Label None",
        "Lightroom|Exported",
        "Picasa|Album|1",
    ],
)
def test_internal_keywords_are_nobodys(tag: str, case: Case) -> None:
    said = Xmp(case.file)
    steps = tag.split("|")
    said.put("lr:hierarchicalSubject", [tag, case.path.replace("/", "|"), "people|Eva"])
    said.put("dc:subject", [*steps, *case.words, "Eva"])
    said.save()
    made = case.settled()
    assert (made.deleted, case.yours(made)) == ((), {"people", "people/Eva"})
    found = keywords_in(case.file)
    assert tag in found["HierarchicalSubject"]
    assert not [value for value in found["TagsList"] if value.startswith(steps[0])]
    case.tagger.undo()
    every = read_keywords(str(case.photo), str(case.photo.parent))
    assert {path[0] for path in every} == {"people"}
    assert {path[0] for path, _ in read_tags(str(case.photo), str(case.photo.parent))} == {"people"}


def test_a_word_of_the_users_is_no_internal_one(tmp_path: Path) -> None:
    photo = tmp_path / "a.jpg"
    photo.write_bytes(jpegs.put(jpegs.plain(), jpegs.photoshop(jpegs.iim("Picasa", "Lightroom"))))
    assert set(Tagger(photo, SIDECAR).write().user_keywords) == {("Picasa",), ("Lightroom",)}


# The user's own, embedded


def test_an_embedded_keyword_taken_out_of_the_sidecar_does_not_come_back(
    language: str, tmp_path: Path
) -> None:
    data = jpegs.put(jpegs.plain(), jpegs.photoshop(jpegs.iim("Zoë", "sea")))
    case = Case(tmp_path, language, "sidecar", data)
    case.write()
    program = DigiKam()
    program.import_(case.file)
    assert {"Zoë", "sea", case.path} <= {*program.tags}
    program.tags.remove("Zoë")
    program.write(case.file)
    for _ in range(3):
        made = case.settled()
        assert made.deleted == ()
        assert "Zoë" not in packet_in(case.file).decode()
        assert "sea" in keywords_in(case.file)["Subject"]
        case.keywords[0] = replace(case.keywords[0], confidence=case.keywords[0].confidence - 0.1)
    program.tags.append("Zoë")
    program.write(case.file)
    case.settled()
    assert "Zoë" in keywords_in(case.file)["TagsList"]


def test_iptc_added_to_the_photo_while_ours_are_in_the_sidecar(tmp_path: Path) -> None:
    case = Case(tmp_path, "en", "sidecar")
    case.write()
    add_iptc(case.photo, [*case.words, "Rex"])
    assert case.yours(case.settled()) == {"Rex"}


def test_a_keyword_below_one_of_ours_is_of_one_who_saw_that(case: Case) -> None:
    DigiKam(["/".join((*case.words[:2], "Rex"))]).write(case.file)
    made = case.settled()
    assert made.deleted == ("Labrador retriever",)
    assert case.yours(made) == {"/".join((*case.words[:2], "Rex"))}  # what is above it is ours
    assert keywords_in(case.file)["TagsList"] == ["/".join((*case.words[:2], "Rex"))]
