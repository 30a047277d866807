"""What other programs make of our tags and the user's: copies, and keywords of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tagger.metadata.read import read_keywords, read_tags
from tests.support import jpegs
from tests.support.metadata_tools import SIDECAR, Tagger, exiftool, keywords_in
from tests.support.photo_programs import (
    DigiKam,
    Xmp,
    gthumb,
    lightroom,
    packet_in,
    put_iptc,
    windows,
)
from tests.support.tagged_photo import WORDS, Case

# Copies of ours


def test_untag_takes_copies_away_and_names_those_in_iptc(language: str, tmp_path: Path) -> None:
    case = Case(tmp_path, language, "embed")
    case.write()
    gthumb(case.file, add=["Rex"])
    case.write()
    program = DigiKam()
    program.import_(case.file)
    program.write(case.file)
    put_iptc(case.file, [*case.words, "Rex"])
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


# Copies that tell of keywords lost in one property


@pytest.mark.parametrize("written", [0, 1, 2])
def test_what_stands_in_a_copy_of_the_same_edit_is_not_deleted(
    written: int, language: str, tmp_path: Path
) -> None:
    case = Case(tmp_path, language, "embed")
    case.write()
    gthumb(case.file, add=["Rex"], written=written)
    made = case.settled()
    assert (made.deleted, made.reason, case.yours(made)) == ((), "", {"Rex"})
    said = keywords_in(case.file)
    assert {*case.words, "Rex"} == {*said["Subject"]}
    assert sorted(said["TagsList"]) == sorted(["Rex", case.path])
    gthumb(case.file, remove=[case.leaf])
    made = case.settled()
    assert (made.deleted, case.yours(made)) == (("Labrador retriever",), {"Rex"})
    assert case.leaf not in packet_in(case.file).decode()


@pytest.mark.parametrize(
    "copy", ["IPTC", "Iptc4xmpCore:Keywords", "MicrosoftPhoto:LastKeywordIPTC"]
)
def test_one_copy_is_enough(copy: str, language: str, tmp_path: Path) -> None:
    case = Case(tmp_path, language, "embed")
    case.write()
    said = Xmp(case.file)
    said.put("dc:subject", [case.words[1]])
    if copy != "IPTC":
        said.put(copy, case.words)
    said.save()
    if copy == "IPTC":
        put_iptc(case.file, case.words)
    assert case.settled().deleted == ()
    assert {*case.words} <= {*keywords_in(case.file)["Subject"]}


@pytest.mark.parametrize("looked", [True, False])
def test_copies_from_before_do_not_keep_a_deletion_from_being_believed(
    looked: bool, language: str, tmp_path: Path
) -> None:
    """Windows never touches IPTC; what is there is from an earlier edit, or from before us."""
    animal, dog, leaf = WORDS[language]
    data = jpegs.plain() if looked else jpegs.put(jpegs.plain(), jpegs.photoshop(jpegs.iim("sea")))
    case = Case(tmp_path, language, "embed", data)
    case.write()
    if looked:
        gthumb(case.file)
        case.settled()
    windows(case.file, remove=[dog])
    made = case.settled()
    assert (made.deleted, case.yours(made)) == (("dog",), set() if looked else {"sea"})
    assert dog not in packet_in(case.file).decode(), "its copy in IPTC does not bring it back"
    exiftool("-q", "-overwrite_original", f"-XMP-dc:Subject-={leaf}", case.file)
    made = case.settled()
    assert made.deleted == ("Labrador retriever",)
    assert {*made.copies} == ({dog, leaf} if looked else set())
    assert keywords_in(case.file)["Subject"] == ([animal] if looked else ["sea", animal])


def test_iptc_of_the_users_own_says_nothing_of_ours(language: str, tmp_path: Path) -> None:
    _, dog, leaf = WORDS[language]
    data = jpegs.put(jpegs.plain(), jpegs.photoshop(jpegs.iim(dog)))
    case = Case(tmp_path, language, "embed", data)
    case.write()
    windows(case.file, remove=[leaf])
    made = case.settled()
    assert (made.deleted, case.yours(made)) == (("Labrador retriever",), {dog})


def test_a_script_takes_a_word_out_of_xmp_and_iptc(language: str, tmp_path: Path) -> None:
    case = Case(tmp_path, language, "embed")
    case.write()
    gthumb(case.file)
    case.settled()
    word = case.words[1]
    arguments = [f"-{name}-={word}" for name in ("XMP-dc:Subject", "IPTC:Keywords")]
    exiftool("-q", "-overwrite_original", "-codedcharacterset=utf8", *arguments, case.file)
    assert case.settled().deleted == ("dog",)


def test_lightroom_adds_and_deletes(case: Case) -> None:
    lightroom(case.file, add=["Rex"], remove=[case.leaf])
    made = case.settled()
    assert (made.deleted, case.yours(made)) == (("Labrador retriever",), {"Rex"})
    lightroom(case.file, remove=[case.words[1], "Rex"])
    made = case.settled()
    assert (made.deleted, case.yours(made)) == (("dog",), set())


@pytest.mark.parametrize("target", ["sidecar", "embed"])
def test_a_copy_in_iptc_stays_one_when_the_tag_is_not_given_any_more(
    target: str, language: str, tmp_path: Path
) -> None:
    case = Case(tmp_path, language, target)
    beach = case.with_beach()
    put_iptc(case.photo, [case.beach, "Rex"])
    assert case.yours(case.settled(beach)) == {"Rex"}
    for _ in range(2):
        assert case.yours(case.settled()) == {"Rex"}
        assert case.beach not in packet_in(case.file).decode()
    put_iptc(case.photo, ["Rex"])
    assert case.yours(case.settled()) == {"Rex"}
    put_iptc(case.photo, [case.beach, "Rex"])
    assert case.yours(case.settled()) == {"Rex", case.beach}, "now it is the user's"


def test_iptc_alone_is_no_edit_of_ours(language: str, tmp_path: Path) -> None:
    case = Case(tmp_path, language, "embed")
    case.write()
    put_iptc(case.file, ["Rex"])
    made = case.settled()
    assert (made.deleted, made.reason, case.yours(made)) == ((), "", {"Rex"})


def test_digikam_writes_iptc_and_deletes(language: str, tmp_path: Path) -> None:
    case = Case(tmp_path, language, "embed")
    case.write()
    program = DigiKam()
    program.import_(case.file)
    program.tags.append("Rex")
    program.write(case.file)
    assert case.settled().deleted == ()
    program.tags = ["Rex", "/".join(case.words[:2])]
    program.write(case.file)
    assert case.settled().deleted == ("Labrador retriever",)


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
    said = Xmp(case.file)
    said.say("xmp:Rating", "3")
    said.save()
    case.settled()
    assert "Zoë" not in packet_in(case.file).decode(), "a rating brings nothing back"
    program.tags.append("Zoë")
    program.write(case.file)
    case.settled()
    assert "Zoë" in keywords_in(case.file)["TagsList"]


def test_iptc_added_to_the_photo_while_ours_are_in_the_sidecar(tmp_path: Path) -> None:
    case = Case(tmp_path, "en", "sidecar")
    case.write()
    put_iptc(case.photo, [*case.words, "Rex"])
    assert case.yours(case.settled()) == {"Rex"}


def test_a_keyword_below_one_of_ours_is_of_one_who_saw_that(case: Case) -> None:
    DigiKam(["/".join((*case.words[:2], "Rex"))]).write(case.file)
    made = case.settled()
    assert made.deleted == ("Labrador retriever",)
    assert case.yours(made) == {"/".join((*case.words[:2], "Rex"))}  # what is above it is ours
    assert keywords_in(case.file)["TagsList"] == ["/".join((*case.words[:2], "Rex"))]
