"""Two names for one photo's sidecar, and one `IMG_1.xmp` for several photos of that stem."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tagger.metadata.read import read_keywords, read_tags
from tagger.metadata.sidecar_path import Sidecars, sidecars_of
from tagger.records import Keyword
from tagger.system.open_beneath import Beneath
from tests.support import jpegs, packets
from tests.support.metadata_tools import ANIMAL, DOG, SIDECAR, TAGS, Tagger, keywords_in

SHOOT = packets.packet(
    packets.description(packets.array("dc:subject", "shoot")), wrapper=False
)  # as Camera Raw writes it
CAT = Keyword("cat", ("animal", "cat"), 0.9)
RAW = b"II*\0\x08\0\0\0\0\0" + bytes(90)


def for_ending(ending: str, *, as_element: bool = False) -> bytes:
    namespace = 'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
    name = "photoshop:SidecarForExtension"
    words = packets.array("dc:subject", "shoot")
    if as_element:
        body = f"<{name} {namespace}>{ending}</{name}>{words}"
        return packets.packet(packets.description(body))
    return packets.packet(packets.description(words, f'{namespace} {name}="{ending}"'))


def made(folder: Path, *files: str) -> list[Path]:
    for number, name in enumerate(files):
        (folder / name).write_bytes(RAW + bytes([number]))
    return [folder / name for name in files]


# One photo, two sidecars


def test_the_keywords_in_both_are_the_users(tmp_path: Path) -> None:
    (photo := tmp_path / "a.jpg").write_bytes(jpegs.plain())
    long, short = tmp_path / "a.jpg.xmp", tmp_path / "a.xmp"
    long.write_bytes(packets.with_keywords("both", "only long"))
    short.write_bytes(packets.with_keywords("Both", "only short"))
    before = long.read_bytes(), short.read_bytes()
    tagger = Tagger(photo, SIDECAR)
    for _ in range(2):
        made = tagger.write()
        assert set(made.user_keywords) == {("both",), ("only long",), ("only short",)}
        assert sorted(keywords_in(long)["Subject"]) == sorted(
            ["both", "only long", "only short", "dog", "animal", "beach"]
        )
        assert short.read_bytes() == before[1]
    # The index is lost: nothing is doubled, and only ours is ours.
    assert set(Tagger(photo, SIDECAR).write().user_keywords) == set(made.user_keywords)
    found = dict(read_tags(str(photo), str(tmp_path)))
    assert found["only short",] is None
    assert found["animal", "dog"] == pytest.approx(0.9)
    tagger.undo()
    assert (long.read_bytes(), short.read_bytes()) == before
    assert set(read_keywords(str(photo), str(tmp_path))) == set(made.user_keywords)


def test_another_program_makes_the_second(tmp_path: Path) -> None:
    """Ours stands beside the RAW file when Lightroom writes its own, of the other name."""
    (raw,) = made(tmp_path, "a.nef")
    tagger = Tagger(raw, SIDECAR)
    tagger.write()
    (short := tmp_path / "a.xmp").write_bytes(packets.LIGHTROOM)
    assert ("pets", "Dog") in tagger.write().user_keywords
    assert "holiday" in keywords_in(tmp_path / "a.nef.xmp")["Subject"]
    tagger.undo()
    assert short.read_bytes() == packets.LIGHTROOM
    assert sorted(os.listdir(tmp_path)) == ["a.nef", "a.xmp"]


def test_a_keyword_deleted_from_the_second_goes(tmp_path: Path) -> None:
    (raw,) = made(tmp_path, "a.nef")
    (long := tmp_path / "a.nef.xmp").write_bytes(packets.with_keywords("mine"))
    short = tmp_path / "a.xmp"
    short.write_bytes(packets.with_keywords("gone", "stays"))
    tagger = Tagger(raw, SIDECAR)
    tagger.write()
    short.write_bytes(packets.with_keywords("stays"))
    assert set(tagger.write().user_keywords) == {("mine",), ("stays",)}
    assert "gone" not in keywords_in(long)["Subject"]


# Several photos, one sidecar


@pytest.mark.parametrize(
    ("files", "said", "own", "reads"),
    [
        # the sidecar says: whose it is, and whose keywords are in it
        (["I.nef", "I.dng"], SHOOT, [], ["I.nef", "I.dng"]),
        (["I.CR2", "I.DNG"], SHOOT, [], ["I.CR2", "I.DNG"]),
        (["I.nef", "I.nrw", "I.dng"], SHOOT, [], ["I.nef", "I.nrw", "I.dng"]),
        (["I.nef", "I.dng"], for_ending("NEF"), ["I.nef"], ["I.nef"]),
        (["I.NEF", "I.dng"], for_ending("nef"), ["I.NEF"], ["I.NEF"]),
        (["I.nef", "I.dng"], for_ending("DNG", as_element=True), ["I.dng"], ["I.dng"]),
        (["I.nef", "I.dng", "I.jpg"], for_ending("DNG"), ["I.dng"], ["I.dng"]),
        (["I.nef", "I.dng"], for_ending("CR2"), [], ["I.nef", "I.dng"]),
        (["I.nef", "I.dng"], for_ending(""), [], ["I.nef", "I.dng"]),
        (["I.nef", "I.dng"], b"not XMP", [], ["I.nef", "I.dng"]),
        (["I.nef"], for_ending("CR2"), ["I.nef"], ["I.nef"]),
        (["I.nef", "I.jpg"], SHOOT, ["I.nef"], ["I.nef"]),
        (["I.nef", "I.JPG", "I.heic"], SHOOT, ["I.nef"], ["I.nef"]),
        (["I.nef", "I.dng", "I.jpg"], SHOOT, [], ["I.nef", "I.dng"]),
        (["I.nef", "I.jpg"], for_ending("JPG"), ["I.jpg"], ["I.jpg"]),
        (["I.jpg", "I.png"], SHOOT, [], ["I.jpg", "I.png"]),
        (["I.jpg", "I.tif"], for_ending("tif"), ["I.tif"], ["I.tif"]),
        (["I.jpg"], SHOOT, ["I.jpg"], ["I.jpg"]),
    ],
)
def test_a_shared_name_has_one_owner_or_none(
    files: list[str], said: bytes, own: list[str], reads: list[str], tmp_path: Path
) -> None:
    photos = made(tmp_path, *files)
    (short := tmp_path / "I.xmp").write_bytes(said)
    for photo in photos:
        long, found = f"{photo}.xmp", sidecars_of(str(photo), Beneath(str(tmp_path)))
        if photo.name in own:
            assert found == Sidecars(str(short))
        elif photo.name in reads:
            assert found == Sidecars(long, (str(short),))
        else:
            assert found == Sidecars(long)


def test_a_link_is_no_second_photo(tmp_path: Path) -> None:
    (raw,) = made(tmp_path, "I.nef")
    (tmp_path / "I.dng").symlink_to(raw)
    (tmp_path / "I.cr2").mkdir()
    os.link(raw, tmp_path / "I.NEF")  # as on a disk that takes no heed of case
    (tmp_path / "I.xmp").write_bytes(SHOOT)
    assert sidecars_of(str(raw), Beneath(str(tmp_path))) == Sidecars(str(tmp_path / "I.xmp"))


def test_two_spellings_of_one_name_are_both_read(tmp_path: Path) -> None:
    (raw,) = made(tmp_path, "I.nef")
    for number, name in enumerate(("I.xmp", "I.XMP", "I.nef.XMP")):
        (tmp_path / name).write_bytes(packets.with_keywords(f"in {number}"))
    found = sidecars_of(str(raw), Beneath(str(tmp_path)))
    assert found.file == f"{raw}.XMP"
    assert set(found.others) == {str(tmp_path / "I.xmp"), str(tmp_path / "I.XMP")}
    assert len(Tagger(raw, SIDECAR).write().user_keywords) == 3
    os.unlink(tmp_path / "I.XMP")
    os.link(tmp_path / "I.xmp", tmp_path / "I.XMP")  # as on a disk that takes no heed of case
    assert sidecars_of(str(raw), Beneath(str(tmp_path))).others == (str(tmp_path / "I.xmp"),)


@pytest.mark.parametrize("said", [SHOOT, for_ending("NEF")])
def test_two_raws_keep_their_tags_apart(said: bytes, tmp_path: Path) -> None:
    nef, dng = made(tmp_path, "I.nef", "I.dng")
    (short := tmp_path / "I.xmp").write_bytes(said)
    dog, cat = Tagger(nef, SIDECAR), Tagger(dng, SIDECAR)
    for _ in range(3):
        first, second = dog.write([DOG, ANIMAL]), cat.write([CAT, ANIMAL])
        assert first.deleted == second.deleted == ()
        assert first.user_keywords == (("shoot",),)
        assert second.user_keywords == ((("shoot",),) if said is SHOOT else ())
    assert "dog" not in (tmp_path / "I.dng.xmp").read_text()
    assert (short.read_bytes() == said) == (said is SHOOT)
    cat.undo()
    dog.undo()
    assert short.read_bytes() == said
    assert sorted(os.listdir(tmp_path)) == ["I.dng", "I.nef", "I.xmp"]


def test_a_second_raw_comes_later(tmp_path: Path) -> None:
    """Ours went into the only RAW file's sidecar; then it gets a DNG beside it."""
    (nef,) = made(tmp_path, "I.nef")
    (short := tmp_path / "I.xmp").write_bytes(SHOOT)
    dog = Tagger(nef, SIDECAR)
    dog.write([DOG, ANIMAL])
    assert "dog" in short.read_text()
    (dng,) = made(tmp_path, "I.dng")
    cat = Tagger(dng, SIDECAR)
    assert cat.write([CAT, ANIMAL]).user_keywords == (("shoot",),)
    assert dog.write([DOG, ANIMAL]).deleted == ()
    assert short.read_bytes() == SHOOT
    assert "dog" in (tmp_path / "I.nef.xmp").read_text()
    dng.unlink()
    (tmp_path / "I.dng.xmp").unlink()
    assert dog.write(TAGS).user_keywords == (("shoot",),)
    dog.undo()
    assert short.read_bytes() == SHOOT
    assert sorted(os.listdir(tmp_path)) == ["I.nef", "I.xmp"]


# Which of two is written to


ADOBES = packets.packet(
    packets.description(
        packets.array("dc:subject", "shoot"),
        'xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" crs:Exposure2012="+0.50"',
    )
)


@pytest.mark.parametrize(
    ("photo", "long", "short", "name", "written"),
    [
        # what the long one and the short one hold (ours: made by a first write)
        ("a.jpg", packets.DARKTABLE, packets.LIGHTROOM, "auto", "a.jpg.xmp"),
        ("a.jpg", packets.DARKTABLE, packets.LIGHTROOM, "long", "a.jpg.xmp"),
        ("a.jpg", packets.DARKTABLE, packets.LIGHTROOM, "short", "a.xmp"),
        ("a.jpg", b"", packets.LIGHTROOM, "auto", "a.xmp"),
        ("a.jpg", b"", packets.LIGHTROOM, "long", "a.jpg.xmp"),
        ("a.jpg", b"", b"", "auto", "a.jpg.xmp"),
        ("a.jpg", b"", b"", "short", "a.xmp"),
        ("a.nef", packets.DARKTABLE, ADOBES, "auto", "a.nef.xmp"),
        ("a.nef", b"ours", ADOBES, "auto", "a.xmp"),
        ("a.nef", b"ours", ADOBES, "long", "a.nef.xmp"),
        ("a.jpg", b"ours", ADOBES, "auto", "a.jpg.xmp"),
    ],
)
def test_both_are_read_and_one_is_written_to(
    photo: str, long: bytes, short: bytes, name: str, written: str, tmp_path: Path
) -> None:
    path = tmp_path / photo
    path.write_bytes(jpegs.plain() if photo.endswith("jpg") else RAW)
    tagger = Tagger(path, replace(SIDECAR, sidecar_name=name))
    if long == b"ours":
        tagger.write(options=SIDECAR)
    elif long:
        (tmp_path / f"{photo}.xmp").write_bytes(long)
    if short:
        (tmp_path / "a.xmp").write_bytes(short)
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    made = tagger.write()
    assert [Path(entry.file).name for entry in tagger.journal] == [written]
    assert "animal/dog" in keywords_in(tmp_path / written)["TagsList"]
    if short == ADOBES:
        assert ("shoot",) in made.user_keywords
    if short == packets.LIGHTROOM:
        assert ("pets", "Dog") in made.user_keywords
    if long == packets.DARKTABLE:
        assert ("nature", "sea") in made.user_keywords
    assert tagger.write().intents == ()
    tagger.undo()
    before.pop(tmp_path / f"{photo}.xmp", None) if long == b"ours" else None
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_short_name_that_two_photos_share_is_not_made(tmp_path: Path) -> None:
    one, two = tmp_path / "a.jpg", tmp_path / "a.png"
    for path in (one, two):
        path.write_bytes(jpegs.plain())
    Tagger(one, replace(SIDECAR, sidecar_name="short")).write()
    assert sorted(os.listdir(tmp_path)) == ["a.jpg", "a.jpg.xmp", "a.png"]
