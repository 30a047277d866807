"""Other programs edit a file after us: our values can still be told from theirs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tagger.records import Keyword
from tests.support import jpegs, pngs_webps
from tests.support.metadata_tools import (
    ANIMAL,
    BEACH,
    DOG,
    EMBED,
    SIDECAR,
    TAGS,
    Tagger,
    exiftool,
    keywords_in,
    pixels,
)

Edit = Callable[[Path], object]


def by_exiftool(*arguments: str) -> Edit:
    return lambda path: exiftool("-q", "-overwrite_original", *arguments, path)


def in_packet(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change a JPEG's packet by hand, if there is one."""
    data = path.read_bytes()
    at = data.find(jpegs.XMP)
    if at < 0:
        return
    end = at - 2 + int.from_bytes(data[at - 2 : at])
    packet = change(data[at + len(jpegs.XMP) : end])
    path.write_bytes(data[: at - 4] + jpegs.xmp(packet) + data[end:])


def other_prefixes(packet: bytes) -> bytes:
    return re.sub(rb"\bdc(?=:)|(?<=xmlns:)dc\b", b"purl", packet)


def attributes_turned(packet: bytes) -> bytes:
    """Write the declarations in another order, and our text properties as attributes."""
    packet = packet.replace(b"\n", b"\r\n")
    found = re.search(rb"<tagger:model>([^<]*)</tagger:model>\s*", packet)
    if found is None:
        return packet
    packet = packet.replace(found[0], b"")
    return packet.replace(b"xmlns:tagger=", b'tagger:model="' + found[1] + b'" xmlns:tagger=')


EDITS: dict[str, Edit] = {
    "rating": by_exiftool("-XMP:Rating=5"),
    "title-and-exif": by_exiftool("-XMP:Title=Sea", "-EXIF:Artist=Me"),
    "own-keyword": by_exiftool("-XMP:Subject+=mine"),
    "own-everywhere": by_exiftool(
        "-XMP:Subject+=mine", "-HierarchicalSubject+=my|mine", "-TagsList+=my/mine"
    ),
    "rewritten": by_exiftool("-XMP:Label=Red", "-api", "compact=NoPadding,Shorthand"),
    "other-order": lambda path: in_packet(path, attributes_turned),
    "other-prefix": lambda path: in_packet(path, other_prefixes),
    "comment": lambda path: path.write_bytes(
        jpegs.put(path.read_bytes(), jpegs.segment(0xFE, b"a comment"))
    ),
}
BASES = {
    "plain": jpegs.plain,
    "rated": jpegs.MAKERS["xmp"],
    "lightroom": jpegs.MAKERS["lightroom"],
    "digikam": jpegs.MAKERS["digikam"],
    "arithmetic": jpegs.MAKERS["arithmetic"],
}


def told(path: Path) -> dict[str, Any]:
    """Return all metadata, lists without their order."""
    (said,) = json.loads(exiftool("-j", "-G1", "-a", "-struct", path))
    drop = ("System:", "SourceFile", "ExifTool:", "XMP-x:", "XMP-rdf:About")
    return {
        key: sorted(map(str, value)) if isinstance(value, list) else str(value)
        for key, value in said.items()
        if not key.startswith(drop)
    }


@pytest.mark.parametrize("base", BASES)
@pytest.mark.parametrize("edit", EDITS)
def test_undo_leaves_what_the_edit_alone_would_have_left(
    edit: str, base: str, tmp_path: Path
) -> None:
    path, alone = tmp_path / "a.jpg", tmp_path / "alone" / "a.jpg"
    alone.parent.mkdir()
    for one in (path, alone):
        one.write_bytes(BASES[base]())
    tagger = Tagger(path)
    tagger.write()
    for one in (path, alone):
        EDITS[edit](one)
    again = tagger.write()
    assert again.deleted == ()
    assert "animal/dog" in keywords_in(path)["TagsList"]
    stays = path.read_bytes()
    assert tagger.write().intents == ()
    assert path.read_bytes() == stays
    made = tagger.undo()
    assert made.deleted == ()
    assert told(path) == told(alone)
    assert pixels(path.read_bytes()) == pixels(alone.read_bytes())


def deleting(*words: str) -> Edit:
    """Delete keywords as digiKam does, from all three properties."""
    every = [f"-XMP:Subject-={word}" for word in words]
    every += [f"-HierarchicalSubject-={path}" for path in ("animal|dog", "beach")]
    every += [f"-TagsList-={path}" for path in ("animal/dog", "beach")]
    return by_exiftool(*every)


@pytest.mark.parametrize("kind", ["embed", "sidecar"])
def test_a_deleted_tag_is_reported_and_not_written_again(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.plain())
    tagger = Tagger(path, EMBED if kind == "embed" else SIDECAR)
    tagger.write()
    file = path if kind == "embed" else tmp_path / "a.jpg.xmp"
    by_exiftool("-XMP:Subject-=dog")(file)
    made = tagger.write()
    assert made.deleted == ("dog",)
    said = keywords_in(file)
    assert sorted(said["Subject"]) == ["animal", "beach"]
    assert sorted(said["HierarchicalSubject"]) == ["animal", "beach"]
    assert sorted(said["TagsList"]) == ["animal", "beach"]
    assert tagger.write(tombstones={"dog"}).deleted == ()
    assert sorted(keywords_in(file)["Subject"]) == ["animal", "beach"]
    tagger.undo()
    assert not keywords_in(path)["Subject"]


def test_a_deleted_parent_is_cut_out_of_the_paths(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.plain())
    tagger = Tagger(path)
    tagger.write([DOG, ANIMAL])
    by_exiftool("-XMP:Subject-=animal")(path)
    assert tagger.write([DOG, ANIMAL]).deleted == ("animal",)
    said = keywords_in(path)
    assert said == {"Subject": ["dog"], "HierarchicalSubject": ["dog"], "TagsList": ["dog"]}


def test_deleting_by_name_in_another_language(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.plain())
    tagger = Tagger(path)
    tagger.write([Keyword("dog", ("动物", "狗"), 0.9), Keyword("animal", ("动物",), 0.9, False)])
    by_exiftool("-XMP:Subject-=狗")(path)
    assert tagger.write([DOG, ANIMAL]).deleted == ("dog",)
    assert keywords_in(path)["Subject"] == ["animal"]


def test_another_picture_is_no_deletion(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.plain())
    tagger = Tagger(path)
    tagger.write()
    path.write_bytes(jpegs.plain(1))
    assert tagger.write(same_picture=False).deleted == ()
    assert "dog" in keywords_in(path)["Subject"]
    tagger.undo()
    assert path.read_bytes() == jpegs.plain(1)


@pytest.mark.parametrize("name", ["baseline", "lightroom", "arithmetic"])
def test_bringing_the_original_back_is_no_deletion(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    original = jpegs.MAKERS[name]()
    path.write_bytes(original)
    tagger = Tagger(path)
    tagger.write()
    path.write_bytes(original)
    assert tagger.write().deleted == ()
    assert "animal/dog" in keywords_in(path)["TagsList"]
    tagger.undo()
    assert path.read_bytes() == original


def test_the_case_of_a_keyword_changed_by_the_user_is_his(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.plain())
    tagger = Tagger(path)
    tagger.write([BEACH])
    by_exiftool("-XMP:Subject=Beach")(path)
    assert tagger.write([BEACH]).deleted == ()
    tagger.undo()
    assert keywords_in(path)["Subject"] == ["Beach"]


def test_another_tag_and_another_model_replace_ours(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.MAKERS["lightroom"]())
    tagger = Tagger(path)
    tagger.write([DOG, ANIMAL])
    tagger.write([BEACH])
    assert keywords_in(path)["Subject"] == ["holiday", "Dog", "beach"]
    tagger.write([replace(BEACH, confidence=0.2)])
    tagger.undo()
    assert path.read_bytes() == jpegs.MAKERS["lightroom"]()


def test_a_lost_index_does_not_keep_our_tags_from_being_taken_away(tmp_path: Path) -> None:
    for name, data in {
        "a.jpg": jpegs.MAKERS["xmp"](),
        "b.png": pngs_webps.png(),
        "c.webp": pngs_webps.webp(),
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        before = told(path)
        Tagger(path).write([DOG, ANIMAL])
        forgetful = Tagger(path)
        forgetful.write([BEACH])
        forgetful.undo()
        assert {k: v for k, v in told(path).items() if k.startswith("XMP")} == {
            k: v for k, v in before.items() if k.startswith("XMP")
        }


def test_a_lost_index_harms_no_keyword_of_the_users(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.MAKERS["lightroom"]())
    before = keywords_in(path)
    Tagger(path).write()
    forgetful = Tagger(path)
    forgetful.write()
    forgetful.undo()
    after = keywords_in(path)
    assert all(set(values) <= set(after[name]) for name, values in before.items())
    assert not {"dog", "animal"} & set(after["Subject"])


def test_the_first_write_is_undone_however_often_it_was_changed(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.MAKERS["padded"]())
    tagger = Tagger(path)
    for keywords in (TAGS, [BEACH], [DOG], TAGS, [ANIMAL]):
        tagger.write(keywords)
    tagger.undo()
    assert path.read_bytes() == jpegs.MAKERS["padded"]()
