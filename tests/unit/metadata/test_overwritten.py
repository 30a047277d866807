"""What other programs make of a file we wrote to: only a deletion is the user's wish."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tagger.errors import RefusedError
from tagger.metadata.user_edits import WAITS
from tagger.records import OVERWRITTEN
from tests.support import jpegs
from tests.support.metadata_tools import EMBED, JSON, SIDECAR, Tagger, exiftool

X = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
    ' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""'
    ' xmlns:dc="http://purl.org/dc/elements/1.1/" {}</rdf:Description></rdf:RDF></x:xmpmeta>'
)
LIGHTROOM = X.format(
    'xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" crs:Exposure2012="+0.50">'
)
DARKTABLE = X.format(
    'xmlns:darktable="http://darktable.sf.net/" darktable:xmp_version="5">'
    "<darktable:history><rdf:Seq/></darktable:history>"
)
EXPORT = X.format(
    "><dc:subject><rdf:Bag><rdf:li>dog</rdf:li><rdf:li>Rex</rdf:li></rdf:Bag></dc:subject>"
)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.plain())
    return path


@pytest.mark.parametrize("text", [LIGHTROOM, DARKTABLE, EXPORT], ids=["lr", "darktable", "export"])
def test_a_sidecar_made_anew_is_no_deletion_and_is_not_fought_over(text: str, photo: Path) -> None:
    tagger, sidecar = Tagger(photo, SIDECAR), Path(f"{photo}.xmp")
    tagger.write()
    for _ in range(3):
        sidecar.write_text(text)
        made = tagger.write(patient=True)
        assert made.deleted == ()
        assert made.reason == OVERWRITTEN
        assert not made.waits
        assert sidecar.read_text() == text
        assert {path[-1] for path in made.user_keywords} == (
            {"dog", "Rex"} if text == EXPORT else set()
        )
    tagger.undo()  # nothing of it is ours
    assert sidecar.read_text() == text
    tagger.write()  # as after `tagger restore`
    assert "animal|dog" in sidecar.read_text()


def test_ours_come_back_with_the_file(photo: Path) -> None:
    tagger, sidecar = Tagger(photo, SIDECAR), Path(f"{photo}.xmp")
    tagger.write()
    ours = sidecar.read_bytes()
    sidecar.write_text(LIGHTROOM)
    assert tagger.write().reason == OVERWRITTEN
    sidecar.write_bytes(ours)
    assert (tagger.write().reason, tagger.journal[0].reason) == ("", "")
    tagger.undo()
    assert not sidecar.exists()


def test_without_our_provenance_a_deletion_still_is_one(photo: Path) -> None:
    tagger = Tagger(photo, replace(SIDECAR, provenance=False))
    tagger.write()
    exiftool("-q", "-overwrite_original", "-XMP:Subject-=dog", f"{photo}.xmp")
    assert tagger.write().deleted == ("dog",)


@pytest.mark.parametrize("options", [SIDECAR, JSON], ids=["xmp", "json"])
def test_an_emptied_one_is_waited_for_and_then_written_again(options: object, photo: Path) -> None:
    tagger = Tagger(photo, options)  # type: ignore[arg-type]
    tagger.write()
    sidecar = Path(tagger.journal[0].file)
    ours = sidecar.read_bytes()
    sidecar.write_bytes(b"")
    made = tagger.write(patient=True)
    assert (made.deleted, made.reason, made.waits) == ((), WAITS, True)
    assert sidecar.read_bytes() == b""
    made = tagger.write()  # a minute later
    assert (made.deleted, sidecar.read_bytes()) == ((), ours)
    tagger.undo()
    assert not sidecar.exists()


@pytest.mark.parametrize("length", [1, 100, 200, 600])
def test_a_cut_off_one_is_neither_a_deletion_nor_written_to(length: int, photo: Path) -> None:
    tagger, sidecar = Tagger(photo, SIDECAR), Path(f"{photo}.xmp")
    tagger.write()
    whole = sidecar.read_bytes()
    sidecar.write_bytes(whole[:length])
    with pytest.raises(RefusedError, match="malformed"):
        tagger.write(patient=True)
    sidecar.write_bytes(whole)
    assert tagger.write().deleted == ()


def test_a_photo_stripped_of_all_metadata_lost_nothing_to_the_user(photo: Path) -> None:
    tagger = Tagger(photo, EMBED)
    tagger.write()
    exiftool("-q", "-overwrite_original", "-all=", "-Comment=optimised", photo)
    stripped = photo.read_bytes()
    made = tagger.write()
    assert (made.deleted, made.reason) == ((), OVERWRITTEN)
    assert photo.read_bytes() == stripped


def test_json_made_anew_by_a_script_is_no_deletion(photo: Path) -> None:
    tagger, sidecar = Tagger(photo, JSON), Path(f"{photo}.tags.json")
    tagger.write()
    sidecar.write_text(json.dumps({"version": 1, "labels": [{"label": "Rex"}]}))
    made = tagger.write()
    assert (made.deleted, made.reason) == ((), OVERWRITTEN)
    assert [path[-1] for path in made.user_keywords] == ["Rex"]
    assert json.loads(sidecar.read_text())["labels"] == [{"label": "Rex"}]
    tagger.undo()
    assert json.loads(sidecar.read_text())["labels"] == [{"label": "Rex"}]


def test_a_file_put_back_again_and_again_is_not_fought_over(photo: Path) -> None:
    sidecar = Path(f"{photo}.xmp")
    sidecar.write_text(LIGHTROOM)
    tagger = Tagger(photo, SIDECAR)
    tagger.write()
    sidecar.write_text(LIGHTROOM)
    assert tagger.write().intents != ()  # once: a backup was put back
    sidecar.write_text(LIGHTROOM)
    made = tagger.write()
    assert (made.deleted, made.reason, made.intents) == ((), OVERWRITTEN, ())
