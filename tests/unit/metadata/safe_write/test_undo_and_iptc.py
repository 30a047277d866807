"""Reverse patches give back every byte, or a clear error; IPTC is read from any bytes."""

from __future__ import annotations

import contextlib
import random
import time
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tagger.metadata.containers import iptc
from tagger.metadata.containers.reader import Inside
from tagger.metadata.safe_write import undo as patch
from tests.support.jpegs import iim

runs = st.lists(
    st.one_of(
        st.binary(max_size=300),
        st.builds(lambda seed, n: random.Random(seed).randbytes(n), st.integers(0, 5),
                  st.integers(0, 900)),
        st.builds(lambda byte, n: bytes([byte]) * n, st.integers(0, 255), st.integers(0, 500)),
    ),
    max_size=8,
)  # fmt: skip
"""Pieces that two files are likely to have in common."""


@settings(max_examples=400, deadline=None, derandomize=True)
@given(runs, runs, st.integers(0, 255), st.binary(min_size=16, max_size=16))
@example([], [], 0, bytes(16))
@example([b"a" * 1000], [b"a" * 999], 1, b"x" * 16)
def test_the_old_bytes_come_back(
    new: list[bytes], old: list[bytes], flags: int, prior: bytes
) -> None:
    made, was = b"".join(new), b"".join(old)
    undo = patch.decode(patch.encode(made, was, flags=flags, prior=prior))
    assert undo.apply(made) == was
    assert undo.flags == flags
    assert undo.prior == (b"" if prior == patch.NO_FILE else prior)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.binary(max_size=4000), st.integers(0, 4000), st.binary(max_size=300), st.integers(0, 300))
def test_an_insertion_costs_a_few_bytes(photo: bytes, at: int, packet: bytes, removed: int) -> None:
    photo = photo * 3
    at = min(at, len(photo))
    new = photo[:at] + packet + photo[at + removed :]
    blob = patch.encode(new, photo)
    assert patch.decode(blob).apply(new) == photo
    assert len(blob) < 200 + removed + 64


@settings(max_examples=600, deadline=None, derandomize=True)
@given(st.data())
def test_damaged_patches_are_value_errors(data: st.DataObject) -> None:
    new, old = b"abc" * 100 + b"new", b"abc" * 100 + b"old" * 30
    blob = bytearray(patch.encode(new, old))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(blob) - 1))
        blob[at] = data.draw(st.integers(0, 255))
    del blob[data.draw(st.integers(0, len(blob))) :]
    with contextlib.suppress(ValueError):
        patch.decode(bytes(blob)).apply(new)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(st.binary(max_size=80), st.binary(max_size=50))
def test_damaged_operations_are_value_errors(operations: bytes, new: bytes) -> None:
    head = patch.encode(b"", b"")[:19]
    with contextlib.suppress(ValueError):
        patch.decode(head + zlib.compress(operations)).apply(new)


@pytest.mark.parametrize("blob", [b"", b"T1", b"T2" + bytes(40), b"T1" + bytes(17) + b"x"])
def test_what_is_no_patch_is_a_value_error(blob: bytes) -> None:
    with pytest.raises(ValueError):
        patch.decode(blob).apply(b"")


def test_two_files_with_nothing_in_common_take_no_age() -> None:
    one, other = random.Random(1).randbytes(6 << 20), random.Random(2).randbytes(6 << 20)
    started = time.process_time()
    blob = patch.encode(one, other)
    assert time.process_time() - started < 20
    assert patch.decode(blob).apply(one) == other


def resources(body: bytes, number: int = 0x0404, name: bytes = b"\0\0") -> bytes:
    return b"8BIM" + number.to_bytes(2) + name + len(body).to_bytes(4) + body + b"\0" * (
        len(body) % 2
    )  # fmt: skip


def test_keywords_are_found_behind_other_resources() -> None:
    other = resources(b"abc", 0x03ED, b"\x03abc")
    data = other + resources(iim("sea", "Zoë")) + resources(iim("sea", "last"))
    assert Inside(resources=data).iptc == ("sea", "Zoë", "last")
    assert Inside(resources=other).iptc == ()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (iim("Zoë", declared=True), ("Zoë",)),
        (iim("Zoë", encoding="latin-1"), ("Zoë",)),
        (iim("“q”", encoding="cp1252"), ("“q”",)),
        (iim(" sea ", "", "sea"), ("sea",)),
        (iim("sea") + b"\x1c\x02\x19\xff\xff", ("sea",)),
        (iim("sea")[:-1], ()),
        (b"", ()),
    ],
)
def test_character_sets_and_damage(data: bytes, words: tuple[str, ...]) -> None:
    assert iptc.keywords_of_iim(data) == words


@settings(max_examples=500, deadline=None, derandomize=True)
@given(st.binary(max_size=200), st.integers(0, 60), st.integers(0, 255))
def test_any_bytes_are_read_without_an_error(noise: bytes, at: int, byte: int) -> None:
    assert isinstance(iptc.keywords_of_iim(noise), tuple)
    assert isinstance(Inside(resources=b"8BIM" + noise).iptc, tuple)
    damaged = bytearray(resources(iim("sea", "Zoë")))
    damaged[at % len(damaged)] = byte
    assert all(isinstance(word, str) for word in Inside(resources=bytes(damaged)).iptc)
