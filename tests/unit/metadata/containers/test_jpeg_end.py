"""Where a JPEG's picture ends, and with it what must not be edited for what is behind it."""

from __future__ import annotations

import pytest

from tagger.errors import RefusedError
from tagger.metadata.containers.jpeg import _MAX_SCANS, _SCANNED, Jpeg
from tagger.metadata.safe_write.content import proved
from tests.support import jpegs

PIECE = _SCANNED
"""The end marker is looked for in pieces of that size: it may lie across two."""
TRAILER = jpegs.afcp()[len(jpegs.plain()) :]


def picture(size: int) -> bytes:
    """Return a photo with ``size`` bytes of entropy-coded data, and an AFCP mark among them."""
    data = jpegs.plain()
    scan = data.index(b"\xff\xda")
    scan += 2 + int.from_bytes(data[scan + 2 : scan + 4])
    return data[:-2] + b"AXS!".ljust(size - (len(data) - 2 - scan), b"\0") + data[-2:]


@pytest.mark.parametrize("size", [PIECE // 2, *range(PIECE - 3, PIECE + 3), 2 * PIECE - 1])
def test_only_what_is_behind_the_picture_counts(size: int) -> None:
    for start in range(4):  # the scan begins at an even or an odd place
        data = jpegs.put(picture(size), jpegs.segment(0xFE, bytes(start)))
        assert proved(Jpeg(data).replaced(None, b"MM")) is not None
        with pytest.raises(RefusedError, match="AFCP"):
            proved(Jpeg(data + TRAILER).replaced(None, b"MM"))
        with pytest.raises(RefusedError, match="AFCP"):
            proved(Jpeg(data + TRAILER + b"\xff\xd9").replaced(None, b"MM"))


def test_an_end_marker_in_a_segment_between_the_scans_is_none() -> None:
    data = jpegs.plain(progressive=True)
    second = data.rindex(b"\xff\xda")
    comment = jpegs.segment(0xFE, b"\xff\xd9" + TRAILER)
    odd = data[:second] + comment + data[second:]
    assert proved(Jpeg(odd).replaced(None, b"MM")) is not None
    with pytest.raises(RefusedError, match="AFCP"):
        proved(Jpeg(odd + TRAILER).replaced(None, b"MM"))


def test_a_picture_without_an_end_ends_with_the_file() -> None:
    data = picture(PIECE)[:-2]
    assert proved(Jpeg(data).replaced(None, b"MM")) is not None


def test_more_segments_than_any_picture_has_are_refused() -> None:
    data = jpegs.plain()
    many = jpegs.segment(0xFE, b"\xff\xd9") + jpegs.segment(0xFE, b"") * _MAX_SCANS
    with pytest.raises(RefusedError, match="100,000 segments"):
        proved(Jpeg(data[:-2] + many + data[-2:]).replaced(None, b"MM"))
