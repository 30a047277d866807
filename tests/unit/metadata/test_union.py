"""The user's own keywords: in all three properties beside ours, and never changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tagger.metadata.read import read_keywords, read_tags
from tagger.records import Keyword
from tests.support import jpegs, packets, pngs_webps
from tests.support.metadata_tools import DOG, EMBED, JSON, SIDECAR, TAGS, Tagger, keywords_in


def photo(folder: Path, data: bytes, name: str = "a.jpg") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def jpeg(*segments: bytes) -> bytes:
    return jpegs.put(jpegs.plain(), *segments)


CASES: dict[str, tuple[bytes, set[str], set[str], set[tuple[str, ...]]]] = {
    # the file, and the user's keywords as plain words, as hierarchies, and as we return them
    "subject": (
        jpeg(jpegs.xmp(packets.with_keywords("sea", "Dog"))),
        {"sea", "Dog"},
        {"sea", "Dog"},
        {("sea",), ("Dog",)},
    ),
    "hierarchies": (
        jpeg(jpegs.xmp(packets.LIGHTROOM)),
        {"holiday", "Dog", "beach"},
        {"holiday", "places|beach", "pets|Dog"},
        {("holiday",), ("places",), ("places", "beach"), ("pets",), ("pets", "Dog")},
    ),
    "tags-list": (
        jpeg(jpegs.xmp(packets.DIGIKAM)),
        {"Anna"},
        {"people|Anna"},
        {("people",), ("people", "Anna")},
    ),
    "iptc": (
        jpeg(jpegs.photoshop(jpegs.iim("Zoë", "sea"))),
        {"Zoë", "sea"},
        {"Zoë", "sea"},
        {("Zoë",), ("sea",)},
    ),
    "iptc-latin": (
        jpeg(jpegs.photoshop(jpegs.iim("Übung", encoding="latin-1"))),
        {"Übung"},
        {"Übung"},
        {("Übung",)},
    ),
    "iptc-and-hierarchy": (
        jpeg(jpegs.xmp(packets.DIGIKAM), jpegs.photoshop(jpegs.iim("people", "Anna"))),
        {"Anna", "people"},
        {"people|Anna"},
        {("people",), ("people", "Anna")},
    ),
    "signs": (
        jpeg(jpegs.xmp(packets.with_keywords("R&amp;B", "a &lt; b", "日本", "“q”"))),
        {"R&B", "a < b", "日本", "“q”"},
        {"R&B", "a < b", "日本", "“q”"},
        {("R&B",), ("a < b",), ("日本",), ("“q”",)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_all_three_hold_the_users_and_ours(name: str, tmp_path: Path) -> None:
    data, words, deep, paths = CASES[name]
    path = photo(tmp_path, data)
    tagger = Tagger(path)
    made = tagger.write()
    said = keywords_in(path)
    lower = {word.lower() for word in words}
    assert set(said["Subject"]) == words | {w for w in ("dog", "animal", "beach") if w not in lower}
    known = {value.lower() for value in deep}
    expected = deep | {v for v in ("animal|dog", "beach") if v not in known}
    assert set(said["HierarchicalSubject"]) == expected
    assert {value.replace("/", "|") for value in said["TagsList"]} == expected
    assert all(len(values) == len(set(values)) for values in said.values())
    assert set(made.user_keywords) == paths
    tagger.undo()
    assert path.read_bytes() == data


@pytest.mark.parametrize("options", [EMBED, SIDECAR, JSON])
def test_the_users_keywords_are_returned_whatever_the_target(
    options: object, tmp_path: Path
) -> None:
    path = photo(tmp_path, jpegs.MAKERS["profile-iptc"]())
    tagger = Tagger(path, options)  # type: ignore[arg-type]
    for _ in range(2):
        assert set(tagger.write().user_keywords) == {("beach",), ("Zoë",)}
    without_index = Tagger(path, options)  # type: ignore[arg-type]
    for _ in range(2):
        assert set(without_index.write().user_keywords) == {("beach",), ("Zoë",)}


def test_keywords_in_the_photo_go_into_its_sidecar(tmp_path: Path) -> None:
    path = photo(tmp_path, jpeg(jpegs.photoshop(jpegs.iim("Zoë"))))
    Tagger(path, SIDECAR).write()
    said = keywords_in(tmp_path / "a.jpg.xmp")
    assert all("Zoë" in values for values in said.values())


@pytest.mark.parametrize("name", ["attribute", "duplicated"])
def test_odd_packets_are_read_although_not_edited(name: str, tmp_path: Path) -> None:
    path = photo(tmp_path, jpeg(jpegs.xmp(packets.REFUSED[name][0])))
    assert Tagger(path).write(()).user_keywords == {
        "attribute": (("dog",),), "duplicated": (("a",), ("b",))
    }[name]  # fmt: skip


def test_a_keyword_that_the_user_has_is_not_ours_to_take_away(tmp_path: Path) -> None:
    path = photo(tmp_path, jpeg(jpegs.xmp(packets.with_keywords("dog", "animal"))))
    tagger = Tagger(path)
    tagger.write()
    (entry,) = tagger.journal
    assert entry.added["dc:subject"] == ("beach",)
    # The index is lost: what is ours is known from the provenance in the photo.
    again = Tagger(path)
    again.write()
    again.undo()
    subjects = keywords_in(path)["Subject"]
    assert subjects == ["dog", "animal"]


def test_other_spellings_are_not_doubled(tmp_path: Path) -> None:
    composed, apart = "caf\u00e9", "cafe\u0301"
    path = photo(tmp_path, jpeg(jpegs.xmp(packets.with_keywords(apart, " two  words ", "DOG"))))
    names = [Keyword(name, (name,), 0.9) for name in (composed, "Two words", "dog")]
    Tagger(path).write(names)
    assert len(keywords_in(path)["Subject"]) == 3


def test_when_the_user_has_it_all_nothing_is_written(tmp_path: Path) -> None:
    body = (
        packets.array("dc:subject", "Dog")
        + packets.array("lr:hierarchicalSubject", "Animal|Dog")
        + packets.array("digiKam:TagsList", "Animal/Dog", kind="Seq")
    )
    path = photo(tmp_path, jpeg(jpegs.xmp(packets.packet(packets.description(body)))))
    tagger = Tagger(path)
    assert tagger.write([DOG]).intents == ()
    assert tagger.journal == ()


def test_keywords_are_read_where_nothing_is_written(shared: Path, tmp_path: Path) -> None:
    path = photo(tmp_path, pngs_webps.early(pngs_webps.itxt(packets.LIGHTROOM)), "a.png")
    (tmp_path / "a.png.xmp").write_bytes(packets.DIGIKAM)
    assert ("people", "Anna") in read_keywords(str(path), str(tmp_path))
    assert ("pets", "Dog") in read_keywords(str(path), str(tmp_path))
    assert read_keywords(str(tmp_path / "none.jpg"), str(tmp_path)) == ()


def test_the_array_types_are_those_that_others_expect(tmp_path: Path) -> None:
    path = photo(tmp_path, jpegs.plain())
    Tagger(path).write(TAGS)
    written = path.read_bytes()
    for name, kind in {
        "dc:subject": b"Bag", "lr:hierarchicalSubject": b"Bag", "digiKam:TagsList": b"Seq"
    }.items():  # fmt: skip
        start = written.index(b"<" + name.encode() + b">")
        assert written[start:].split(b"<rdf:", 2)[1].startswith(kind)


@pytest.mark.parametrize("word", ["AC/DC", "a|b", "both|of/them", "/"])
def test_a_keyword_with_a_mark_in_it_becomes_no_hierarchy(word: str, tmp_path: Path) -> None:
    """Also not when the index is lost and the file is read again."""
    path = photo(tmp_path, jpeg(jpegs.xmp(packets.with_keywords(word, "sea"))))
    for _ in range(2):
        made = Tagger(path).write()
        assert set(made.user_keywords) == {(word,), ("sea",)}
        said = keywords_in(path)
        assert set(said["Subject"]) == {word, "sea", "dog", "animal", "beach"}
        assert (word in said["HierarchicalSubject"]) == ("|" not in word)
        assert (word in said["TagsList"]) == ("/" not in word)
    assert set(read_tags(str(path), str(path.parent))) >= {((word,), None), (("sea",), None)}
    tagger = Tagger(path)
    tagger.write()
    tagger.undo()
    assert set(keywords_in(path)["Subject"]) == {word, "sea"}


def test_a_level_with_a_mark_in_it_is_no_two_levels(tmp_path: Path) -> None:
    body = packets.array("lr:hierarchicalSubject", "Music|AC/DC")
    data = jpeg(jpegs.xmp(packets.packet(packets.description(body))))
    path = photo(tmp_path, data)
    tagger = Tagger(path)
    assert set(tagger.write().user_keywords) == {("Music",), ("Music", "AC/DC")}
    said = keywords_in(path)
    assert "AC/DC" in said["Subject"]
    assert set(said["TagsList"]) == {"animal/dog", "beach"}
    tagger.undo()
    assert path.read_bytes() == data


@pytest.mark.parametrize("word", ["Fernseher/Monitor", "电视|显示器"])
def test_labels_of_ours_with_a_mark_become_no_hierarchy(word: str, tmp_path: Path) -> None:
    path = photo(tmp_path, jpegs.plain())
    device = Keyword("device", ("device",), 0.9, leaf=False)
    keywords = [Keyword("television", ("device", word), 0.9), device]
    tagger = Tagger(path)
    tagger.write(keywords)
    said = keywords_in(path)
    assert word in said["Subject"]
    assert (f"device|{word}" in said["HierarchicalSubject"]) == ("|" not in word)
    assert (f"device/{word}" in said["TagsList"]) == ("/" not in word)
    # The index is lost: all that is ours is known, and goes.
    again = Tagger(path)
    assert again.write(keywords).user_keywords == ()
    again.undo()
    assert keywords_in(path)["Subject"] == []
