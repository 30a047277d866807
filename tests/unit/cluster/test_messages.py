"""What the daemon and its workers say, as bytes; and what is no such thing."""

from __future__ import annotations

import contextlib
import dataclasses
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.cluster.messages import PhotoRequest, join, pack_request, split, unpack_request
from tagger.cluster.offer import difference, mapped
from tagger.errors import DamagedImageError, DecoderCrashedError
from tagger.index.rows import StoredPrediction, pack_top
from tagger.labels.evidence import Evidence
from tagger.pipeline.recognition import Seen
from tagger.pipeline.seen_bytes import pack_answer, unpack_answer
from tagger.records import PhotoFacts

ROW = np.full(1000, 0.0005, np.float32)
ROW[7] = 0.5005
SEEN = Seen(
    PhotoFacts("JPEG", 4000, 3000, 6, "2024-05-01T10:00:00", "Pixel", 1.5, -2.5, ("burst",)),
    StoredPrediction(
        model_id="resnet18-f37072fd",
        top=pack_top([(7, 0.5005)]),
        evidence=Evidence.of(ROW).to_bytes(),
        features=b"\0" * 1024,
        crop_hash=b"h" * 16,
        scenes_id="scenes-1",
        detector_id=None,
        people=2,
        picture_hash=b"",
        thumbnail=None,
    ),
    12.5,
)


def test_what_was_seen_comes_through_in_two_kilobytes():
    data = pack_answer(SEEN)
    assert unpack_answer(data) == SEEN and unpack_answer(data).classify_ms == 12.5
    assert len(data) < 2500


@pytest.mark.parametrize("kind", [DamagedImageError, DecoderCrashedError])
def test_errors_of_photos_come_through(kind):
    with pytest.raises(kind, match=r"/p/a\.jpg is broken; copy it again"):
        unpack_answer(pack_answer(kind("/p/a.jpg is broken", "copy it again")))


def test_another_error_is_a_failure_of_the_worker():
    with pytest.raises(RuntimeError, match="on a worker: KeyError: 'x'"):
        unpack_answer(pack_answer(KeyError("x")))


def changed(**values):
    return dataclasses.replace(SEEN, prediction=dataclasses.replace(SEEN.prediction, **values))


@pytest.mark.parametrize(
    "seen",
    [
        changed(model_id="a\nb"),
        changed(model_id="x" * 300),
        changed(people=-1),
        changed(crop_hash=b"short"),
        changed(evidence=b"\xff"),
        changed(top=b"12345"),
        changed(features=b"\0" * (1 << 21)),
        dataclasses.replace(SEEN, facts=PhotoFacts("JPEG", -1)),
        dataclasses.replace(SEEN, facts=PhotoFacts("JPEG", latitude=95.0)),
    ],
)
def test_what_cannot_be_is_refused(seen):
    with pytest.raises(ValueError):
        unpack_answer(pack_answer(seen))


@given(st.integers(0, 400), st.binary(max_size=6))
def test_damage_is_refused_or_harmless(at, junk):
    data = pack_answer(SEEN)
    data = data[:at] + junk + data[at + len(junk) :]
    with contextlib.suppress(ValueError, RuntimeError):
        assert isinstance(unpack_answer(data), Seen)


def test_requests_hold_any_path():
    odd = os.fsdecode(b"/p/\xff\n.jpg")
    photos = [PhotoRequest(odd, odd, "/p", 5), PhotoRequest("/ü", "/v", None, 0)]
    assert unpack_request(pack_request(photos, 3)) == (photos, 3)
    for damaged in (b"{}", b"[]", b'{"protocol": 2, "photos": [], "readers": 0}', b"\xff"):
        with pytest.raises(ValueError):
            unpack_request(damaged)


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_answers_are_joined_and_split(parts):
    data = join(parts)
    assert split(data, len(parts)) == parts
    for wrong in (data + b"x", data[:-1] if data else b"123"):
        with pytest.raises(ValueError):
            split(wrong, len(parts))
    with pytest.raises(ValueError):
        split(data, len(parts) + 1)


@pytest.mark.parametrize(
    ("path", "there"),
    [
        ("/photos/a.jpg", "/mnt/nas/photos/a.jpg"),
        ("/photos", "/mnt/nas/photos"),
        ("/photos/raw/a.jpg", "/raw/a.jpg"),
        ("/photos2/a.jpg", "/photos2/a.jpg"),
        ("/else/a.jpg", "/else/a.jpg"),
    ],
)
def test_paths_are_mapped_by_whole_folders(path, there):
    assert mapped(path, {"/photos": "/mnt/nas/photos", "/photos/raw/": "/raw/"}) == there


def test_the_root_folder_can_be_mapped():
    assert mapped("/a/b.jpg", {"/": "/mnt"}) == "/mnt/a/b.jpg"
    assert mapped("/a/b.jpg", {"/a": "/"}) == "/b.jpg"


def test_what_is_no_offer_is_refused():
    for data in (b"", b"[]", b"{}"):
        assert "cannot be read" in difference(data)[1]
