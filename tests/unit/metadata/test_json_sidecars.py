"""JSON sidecars: one schema, other people's labels and files left alone."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import xxhash

from tagger.errors import RefusedError
from tests.support import jpegs
from tests.support.metadata_tools import BEACH, DOG, JSON, TAGS, Tagger


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.plain())
    return path


@pytest.fixture
def sidecar(photo: Path) -> Path:
    return photo.with_name("a.jpg.tags.json")


def put(sidecar: Path, **content: Any) -> bytes:
    data = json.dumps({"version": 1, **content}).encode()
    sidecar.write_bytes(data)
    return data


def test_the_schema(photo: Path, sidecar: Path) -> None:
    digest = xxhash.xxh3_128_digest(photo.read_bytes())
    tagger = Tagger(photo, JSON)
    tagger.write(digest=digest)
    assert json.loads(sidecar.read_bytes()) == {
        "version": 1,
        "software": "tagger 0.1",
        "model": "resnet18/test",
        "file": "a.jpg",
        "hash": "xxh3-128:" + digest.hex(),
        "labels": [
            {"label": "dog", "confidence": 0.9, "path": ["animal", "dog"]},
            {"label": "animal", "confidence": 0.95, "path": ["animal"]},
            {"label": "beach", "confidence": 0.8, "path": ["beach"]},
        ],
    }
    assert tagger.write(digest=digest).intents == ()
    tagger.undo()
    assert not sidecar.exists()


def test_labels_and_keys_of_others_stay(photo: Path, sidecar: Path) -> None:
    data = put(sidecar, note="mine", labels=[{"label": "Anna"}, {"label": "dog"}, 7, "odd"])
    tagger = Tagger(photo, JSON)
    made = tagger.write()
    assert made.user_keywords == (("Anna",), ("dog",))
    found = json.loads(sidecar.read_bytes())
    assert found["note"] == "mine"
    assert found["labels"][:4] == [{"label": "Anna"}, {"label": "dog"}, 7, "odd"]
    assert [one["label"] for one in found["labels"][4:]] == ["animal", "beach"]
    tagger.undo()
    assert sidecar.read_bytes() == data


def test_labels_added_to_ours_stay(photo: Path, sidecar: Path) -> None:
    tagger = Tagger(photo, JSON)
    tagger.write()
    found = json.loads(sidecar.read_bytes())
    found["labels"].insert(0, {"label": "Eva", "path": ["people", "Eva"]})
    found["reviewed"] = True
    sidecar.write_text(json.dumps(found))
    assert tagger.write().user_keywords == (("people",), ("people", "Eva"))
    tagger.undo()
    left = json.loads(sidecar.read_bytes())
    assert (left["reviewed"], left["labels"]) == (True, found["labels"][:1])


def test_a_deleted_label_is_not_written_again(photo: Path, sidecar: Path) -> None:
    tagger = Tagger(photo, JSON)
    tagger.write()
    found = json.loads(sidecar.read_bytes())
    del found["labels"][0]
    sidecar.write_text(json.dumps(found))
    assert tagger.write().deleted == ("dog",)
    assert b"dog" not in sidecar.read_bytes()


def test_another_picture_and_an_old_sidecar_are_no_deletion(photo: Path, sidecar: Path) -> None:
    data = put(sidecar, labels=[{"label": "Anna"}])
    tagger = Tagger(photo, JSON)
    tagger.write()
    sidecar.write_bytes(data)
    assert tagger.write().deleted == ()
    sidecar.write_bytes(data + b" ")
    assert tagger.write(same_picture=False).deleted == ()
    assert b"dog" in sidecar.read_bytes()


@pytest.mark.parametrize(
    "data", [b"", b"[]", b"{}", b"{", b'{"version": 2}', b'{"version": 1, "labels": {}}', b"\xff",
             b"[" * 100_000]
)  # fmt: skip
def test_foreign_files_are_named_and_left_alone(data: bytes, photo: Path, sidecar: Path) -> None:
    sidecar.write_bytes(data)
    with pytest.raises(RefusedError, match=re.escape(str(sidecar))):
        Tagger(photo, JSON).write()
    assert sidecar.read_bytes() == data


def test_odd_content_is_no_error(photo: Path, sidecar: Path) -> None:
    data = put(
        sidecar,
        software=7,
        file=[],
        labels=[{"label": "\ud800x", "path": ["", 3]}, {"label": "", "path": []}, None],
    )
    tagger = Tagger(photo, JSON)
    assert tagger.write().user_keywords == (("x",),)
    tagger.undo()
    assert sidecar.read_bytes() == data


def test_after_a_lost_index_only_what_looks_like_ours_goes(photo: Path, sidecar: Path) -> None:
    Tagger(photo, JSON).write(TAGS)
    found = json.loads(sidecar.read_bytes())
    found["labels"].append({"label": "Anna"})
    sidecar.write_text(json.dumps(found))
    forgetful = Tagger(photo, JSON)
    forgetful.write([BEACH])
    assert [one["label"] for one in json.loads(sidecar.read_bytes())["labels"]] == [
        "Anna", "beach"
    ]  # fmt: skip
    forgetful.write([DOG])
    forgetful.undo()
    assert json.loads(sidecar.read_bytes())["labels"] == [{"label": "Anna"}]


def test_any_file_name_comes_through(tmp_path: Path) -> None:
    path = tmp_path / "a\udce9.jpg"  # a name that is no UTF-8
    path.write_bytes(jpegs.plain())
    Tagger(path, JSON).write()
    written = path.with_name(path.name + ".tags.json").read_bytes()
    assert json.loads(written)["file"] == path.name
