"""What a photo or a stranger says gets into the index, whatever it is, as the nearest value."""

from __future__ import annotations

import math
import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from tagger.index.sql_values import Connection
from tagger.records import FileStat, JournalEntry, PhotoFacts, Tag

MOST, LEAST = 2**63 - 1, -(2**63)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (2**63, MOST),
        (-(2**63) - 1, LEAST),
        (10**400, MOST),
        (MOST, MOST),
        (True, 1),
        (math.nan, None),
        (math.inf, None),
        (-math.inf, None),
        (1e308, 1e308),
        ("caf\udce9.jpg", "caf\\xe9.jpg"),
        ("lone \ud800", "lone ?"),
        ("é 狗", "é 狗"),
        ("nul\0", "nul\0"),
        (b"caf\xe9", b"caf\xe9"),
        (None, None),
        (np.float32(0.5), 0.5),
        (np.int64(7), 7),
        (np.float64(math.nan), None),
        (ValueError("caf\udce9"), "caf\\xe9"),
    ],
)
def test_any_value_gets_in_as_the_nearest_that_can_be_stored(value, stored):
    db = sqlite3.connect(":memory:", factory=Connection)
    db.execute("CREATE TABLE t (v)")
    db.execute("INSERT INTO t VALUES (?)", (value,))
    db.executemany("INSERT INTO t VALUES (?)", [(value,)])
    assert db.execute("SELECT v FROM t").fetchall() == [(stored,), (stored,)]


def test_a_photo_of_absurd_values_is_remembered_beside_others(store, make_photo):
    odd = replace(
        make_photo("/photos/caf\udce9.jpg"),
        stat=FileStat(2**70, 2**80, 2**64 - 1, 2**64 - 1),
        sidecar=FileStat(-(2**70), -(2**80), 2**90),
        facts=PhotoFacts("JP\udcffG", 10**300, -(10**300), 2**65, "\ud800", "\udc80", math.nan),
        tags=(
            Tag("\ud834", math.nan, ("\ud834",), "user"),
            Tag("many", 10**400, ("many",)),
            Tag("none", -math.inf, ("none",)),
        ),
        entries=(
            JournalEntry(
                "embed",
                "/photos/caf\udce9.jpg",
                {"dc:subject": ("\ud800",)},
                {"\udce9": "\udce9"},
                False,
                b"a",
                b"b",
                b"c",
                "because of caf\udce9",
            ),
        ),
        deleted=("\udcff",),
        note="index only: caf\udce9.jpg is odd",
    )
    store.save([make_photo("/photos/a.jpg", "dog"), odd, make_photo("/photos/z.jpg", "cat")])
    assert store.photo("/photos/a.jpg").status == store.photo("/photos/z.jpg").status == "tagged"
    row = store.photo("/photos/caf\udce9.jpg")
    assert row.note == "index only: caf\\xe9.jpg is odd"
    assert (row.stat.size, row.stat.mtime_ns) == (MOST, MOST)
    assert (row.facts.width, row.facts.height, row.facts.latitude) == (MOST, LEAST, None)
    confidences = {tag.label: tag.confidence for tag in store.tags(row.id)}
    assert confidences == {"?": 0.0, "many": 1.0, "none": 0.0}
    [entry] = store.entries(row.id)
    assert (entry.file, entry.added) == ("/photos/caf\udce9.jpg", {"dc:subject": ("\ud800",)})


def test_a_failure_tells_of_names_of_any_bytes(store):
    stat = FileStat(7, -(2**63))
    for _ in range(2):
        failure = store.fail(
            "/p/\udcfcber.jpg",
            "/p",
            stat,
            stat,
            kind="K\udce9",
            reason="cannot read /p/\udcfcber.jpg",
            permanent=False,
        )
    assert failure.tries == 2, "it is the same version"


@pytest.mark.parametrize("seconds", [-(10**12), 2**34, 10**13])
def test_a_date_that_64_bits_cannot_hold_is_the_same_at_the_next_look(store, make_photo, seconds):
    """ext4 reaches to 2446, tmpfs and XFS further; NTFS without a date says 1601."""

    class Found:
        st_size, st_ino, st_dev = 7, 2**64 - 5, 9
        st_mtime_ns = st_ctime_ns = seconds * 10**9

    stat = FileStat.of(Found())
    store.save([replace(make_photo("/photos/a.jpg"), stat=stat, sidecar=stat)])
    assert store.is_current("/photos/a.jpg", FileStat.of(Found()), FileStat.of(Found()))


def test_text_that_was_damaged_on_the_disk_is_still_read(store, make_photo):
    """A flipped bit in a text is nothing that SQLite's own check can see."""
    store.save([make_photo("/photos/a.jpg", "dog")])
    with store.transaction() as db:
        db.execute("UPDATE photos SET camera = CAST(? AS TEXT)", (b"Ca\xff\xfenon",))
    assert store.photo("/photos/a.jpg").facts.camera == "Ca\ufffd\ufffdnon"
