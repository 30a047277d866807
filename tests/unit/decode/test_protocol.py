"""What comes out of a decoding process is data, whoever wrote it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger.decode.protocol import pack, unpack
from tagger.errors import ConfigError, DamagedImageError, PhotoError, PhotoUnreadableError
from tagger.records import CropSpec, DecodedPhoto, ExtraViews, PhotoFacts

PHOTO = DecodedPhoto(
    np.arange(4 * 4 * 3, dtype=np.uint8).reshape(4, 4, 3),
    bytes(range(16)),
    PhotoFacts(
        "JPEG", 3, 2, 6, "2020-01-02T03:04:05", "Cam\n\u732b", 1.5, -2.0, ("selfie", "edited")
    ),
    np.full((2, 4, 4, 3), 10, np.uint8),  # newlines
)


def test_a_photo_comes_out_as_it_went_in() -> None:
    found = unpack(pack(PHOTO), 4)
    assert np.array_equal(found.crop, PHOTO.crop)
    assert found.more is not None and np.array_equal(found.more, PHOTO.more)
    assert (found.crop_hash, found.facts) == (PHOTO.crop_hash, PHOTO.facts)


VIEWS = ExtraViews(CropSpec(3, 2), 5)
SEEN = replace(
    PHOTO,
    other=np.arange(12, dtype=np.uint8).reshape(2, 2, 3),
    picture=np.arange(60, dtype=np.uint8).reshape(4, 5, 3),
)


@pytest.mark.parametrize("views", [ExtraViews(), ExtraViews(VIEWS.crop), ExtraViews(side=5), VIEWS])
def test_what_further_networks_want_comes_with_it(views: ExtraViews) -> None:
    other = SEEN.other if views.crop else None
    picture = SEEN.picture if views.side else None
    found = unpack(pack(replace(SEEN, other=other, picture=picture)), 4, views)
    assert found.more is not None and np.array_equal(found.more, np.full((2, 4, 4, 3), 10))
    for got, wanted in ((found.other, other), (found.picture, picture)):
        assert (got is None) == (wanted is None)
        assert got is None or np.array_equal(got, wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "picture",
    [None, [5, 5], [5], [4, 5, 3], [0, 5], [-4, 5], [4, 6], [True, 5], ["4", 5], 5, [4.0, 5]],
)
def test_a_picture_that_was_not_asked_for(picture: object) -> None:
    line, _, pixels = pack(SEEN).partition(b"\n")
    head = json.loads(line) | {"picture": picture}
    with pytest.raises(ValueError):
        unpack(json.dumps(head).encode() + b"\n" + pixels, 4, VIEWS)


def test_pixels_of_further_networks_that_lack_or_are_too_many() -> None:
    data = pack(SEEN)
    for changed in (data[:-1], data + b"x", data[:-60], data.partition(b"\n")[0] + b"\n"):
        with pytest.raises(ValueError):
            unpack(changed, 4, VIEWS)
    for views in (ExtraViews(), ExtraViews(VIEWS.crop), ExtraViews(side=5)):
        with pytest.raises(ValueError):
            unpack(data, 4, views)


def test_errors_come_out_with_both_parts() -> None:
    for kind in (DamagedImageError, PhotoUnreadableError):
        with pytest.raises(kind) as caught:
            unpack(pack(kind("/p/caf\udce9\n.jpg is odd", "do this")), 4)
        assert caught.value.message == "/p/caf\udce9\n.jpg is odd"
        assert caught.value.remedy == "do this"


@pytest.mark.parametrize("error", [KeyError("x"), MemoryError(), ConfigError("a", "b")])
def test_unexpected_errors_are_named(error: Exception) -> None:
    with pytest.raises(ValueError, match=type(error).__name__):
        unpack(pack(error), 4)


@pytest.mark.parametrize(
    "change",
    [
        {"facts": None},
        {"facts": {}},
        {"facts": {"width": "3"}},
        {"facts": {"latitude": float("nan")}},
        {"facts": {"more": 1}},
        {"facts": {"width": 2**63}},
        {"facts": {"width": 10**400}},
        {"facts": {"height": -5}},
        {"facts": {"height": True}},
        {"facts": {"orientation": 10**30}},
        {"facts": {"orientation": 0}},
        {"facts": {"latitude": 90.1}},
        {"facts": {"longitude": -1e308}},
        {"facts": {"kinds": ["portrait", "selfie"]}},  # in another order
        {"facts": {"kinds": ["selfie", "selfie"]}},
        {"facts": {"kinds": ["a secret"]}},
        {"facts": {"kinds": "selfie"}},
        {"facts": {"kinds": [7]}},
        {"facts": {"taken_at": "2024-13-01T00:00:00"}},
        {"facts": {"taken_at": "9" * 5000}},
        {"facts": {"camera": "\ud800"}},
        {"facts": {"camera": "x" * 100_000}},
        {"facts": {"format": None}},
        {"hash": "00"},
        {"hash": 5},
        {"error": "ConfigError", "message": "", "remedy": ""},
        {"error": "DamagedImageError"},
        {"error": ["x"]},
    ],
)
def test_wrong_answers(change: dict[str, object]) -> None:
    line, _, pixels = pack(PHOTO).partition(b"\n")
    head = json.loads(line)
    for name, value in change.items():
        if isinstance(value, dict) and value:
            head[name] |= value
        else:
            head[name] = value
    with pytest.raises(ValueError):
        unpack(json.dumps(head).encode() + b"\n" + pixels, 4)


def test_wrong_number_of_pixels() -> None:
    data = pack(PHOTO)
    for changed in (data[:-1], data + b"x", data.partition(b"\n")[0] + b"\n"):
        with pytest.raises(ValueError):
            unpack(changed, 4)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["facts", "hash", "error", "message", "remedy", "failure"]), inner
            )
        ),
    ).map(lambda value: json.dumps(value).encode() + b"\n")
)
def test_anything_at_all(data: bytes) -> None:
    with pytest.raises((ValueError, PhotoError)):
        unpack(data, 4)


def test_brackets_without_end() -> None:
    with pytest.raises(ValueError):
        unpack(b"[" * 1_000_000, 4)
