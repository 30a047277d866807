"""The small EXIF block that a photo without one may get: keywords that Windows shows.

Exif 2.32 for the fields that every block must have; XPKeywords (0x9C9E) is Microsoft's: UTF-16,
little-endian, ended by a NUL, keywords separated by semicolons.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

import piexif

from tagger.errors import RefusedError

PROPERTY = "Exif:XPKeywords"
"""How the journal names what stands in the block."""
MAX_BLOCK = 0xFFFF - 2 - len(b"Exif\0\0")
"""Bytes of a TIFF structure that fit into a JPEG's APP1 segment."""
_SRGB = 1
_XP_KEYWORDS = 0x9C9E
_BYTE, _UNDEFINED = 1, 7
_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
_NO_MORE = bytes(4)
_MARK = b"tagger1\0"
"""Stands at the end of a block that :func:`appended` made; nothing points there."""


def build(names: Iterable[str], size: tuple[int, int], *, jpeg: bool) -> bytes | None:
    """Return the TIFF structure of an EXIF block with keywords, None without any.

    ``size`` is (width, height) in pixels. The same arguments give the same bytes: by that
    a block of ours is known again.
    """
    words = [*map(_word, names)]
    if not words:
        return None
    main = {
        piexif.ImageIFD.XResolution: (72, 1),
        piexif.ImageIFD.YResolution: (72, 1),
        piexif.ImageIFD.ResolutionUnit: 2,
        piexif.ImageIFD.XPKeywords: tuple(_value(words)),
    }
    details = {
        piexif.ExifIFD.ExifVersion: b"0232",
        piexif.ExifIFD.FlashpixVersion: b"0100",
        piexif.ExifIFD.ColorSpace: _SRGB,
    }
    if jpeg:
        main[piexif.ImageIFD.YCbCrPositioning] = 1
        details[piexif.ExifIFD.ComponentsConfiguration] = b"\1\2\3\0"
        details[piexif.ExifIFD.PixelXDimension] = size[0]
        details[piexif.ExifIFD.PixelYDimension] = size[1]
    block: bytes = piexif.dump({"0th": main, "Exif": details})
    # piexif leaves out the pointer that ends EXIF's own directory, the last thing in the block.
    return _in_order(block.removeprefix(b"Exif\0\0")) + _NO_MORE


def is_built(
    block: bytes | None, names: Iterable[str], size: tuple[int, int], *, jpeg: bool
) -> bool:
    """Whether :func:`build` made this block, now or before it ended the last directory."""
    words = [*names]
    if block is None or _value(map(_word, words)) not in block:
        return False  # quicker than making it
    made = build(words, size, jpeg=jpeg)
    return made is not None and block in (made, made.removesuffix(_NO_MORE))


def _in_order(block: bytes) -> bytes:
    """Return the block with its first directory sorted, as TIFF wants it; piexif does not."""
    count = struct.unpack_from(">H", block, 8)[0]
    entries = [block[at : at + 12] for at in range(10, 10 + 12 * count, 12)]
    return block[:10] + b"".join(sorted(entries)) + block[10 + 12 * count :]


def appended(block: bytes, names: Iterable[str]) -> bytes:
    """Return the TIFF structure ``block`` with ``names`` among its XPKeywords.

    No byte of it moves, so that offsets in maker notes stay true: a copy of the first directory
    with the new entry is put behind everything, and only the header points elsewhere (TIFF 6.0
    section 2). Keywords that are there stay first. The same arguments give the same bytes, and
    :func:`stripped` takes exactly that away again. Raise RefusedError when the block is damaged
    or would not fit into a JPEG segment.
    """
    old = keywords_of(block)
    known = {word.casefold() for word in old}
    words = [*old, *(name for name in map(_word, names) if name.casefold() not in known)]
    first = struct.unpack_from(_ORDERS[block[:4]] + "I", block, 4)[0]
    return _with_keywords(block, words, _MARK + struct.pack(">II", first, len(block)))


def without(block: bytes, names: Iterable[str]) -> bytes:
    """Return the block without ``names`` among its XPKeywords, as :func:`appended` put them there.

    A block that another program rewrote since keeps its bytes: a directory without them is put
    behind. Raise RefusedError as :func:`appended`.
    """
    if (before := stripped(block)) is not None:
        return before
    gone = {_word(name).casefold() for name in names}
    old = keywords_of(block)
    kept = [word for word in old if word.casefold() not in gone]
    return _with_keywords(block, kept) if kept != old else block


def _with_keywords(block: bytes, words: Sequence[str], mark: bytes = b"") -> bytes:
    """Return the block with a copy of its first directory, with these XPKeywords, behind it."""
    order, entries, following = _directory(block)
    value = _value(words) if words else b""
    body = block + b"\0" * (len(block) % 2)
    rows = [entry for entry in entries if entry[:2] != struct.pack(order + "H", _XP_KEYWORDS)]
    if words:
        size = 2 + 12 * (len(rows) + 1) + 4
        rows.append(struct.pack(order + "HHII", _XP_KEYWORDS, _BYTE, len(value), len(body) + size))
    rows.sort(key=lambda row: struct.unpack(order + "H", row[:2]))
    directory = struct.pack(order + "H", len(rows)) + b"".join(rows) + following
    start = body[:4] + struct.pack(order + "I", len(body))
    made = start + body[8:] + directory + value + mark
    if len(made) > MAX_BLOCK:
        raise RefusedError("its EXIF block would be over 64 kB")
    return made


def stripped(block: bytes) -> bytes | None:
    """Return the block as it was before :func:`appended`; None when that did not make it."""
    mark = len(block) - len(_MARK) - 8
    if mark < 8 or not block.startswith(_MARK, mark):
        return None
    first, size = struct.unpack_from(">II", block, mark + len(_MARK))
    order = _ORDERS.get(block[:4])
    if order is None or not 8 <= size <= mark:
        return None
    return block[:4] + struct.pack(order + "I", first) + block[8:size]


def keywords_of(block: bytes) -> list[str]:
    """Return the keywords in the first directory's XPKeywords. Raise as :func:`appended`."""
    order, entries, _ = _directory(block)
    for entry in entries:
        tag, kind, count, at = struct.unpack(order + "HHII", entry)
        if tag == _XP_KEYWORDS and kind in (_BYTE, _UNDEFINED):
            data = entry[8 : 8 + count] if count <= 4 else block[at : at + count]
            text = data.decode("utf-16-le", "replace").partition("\0")[0]
            return [word for part in text.split(";") if (word := part.strip())]
    return []


def _value(words: Iterable[str]) -> bytes:
    return (";".join(words) + "\0").encode("utf-16-le")


def _word(name: str) -> str:
    return name.replace(";", ",")


def _directory(block: bytes) -> tuple[str, list[bytes], bytes]:
    """Return byte order and entries of the first directory, and the pointer after it."""
    try:
        order = _ORDERS[block[:4]]
        first = struct.unpack_from(order + "I", block, 4)[0]
        count = struct.unpack_from(order + "H", block, first)[0]
    except (KeyError, struct.error) as error:
        raise RefusedError("its EXIF block is damaged") from error
    end = first + 2 + 12 * count
    if first < 8 or not count or end > len(block):
        raise RefusedError("its EXIF block is damaged")
    entries = [block[at : at + 12] for at in range(first + 2, end, 12)]
    # Some writers leave the pointer to the next directory out at the end of the block.
    return order, entries, block[end : end + 4].ljust(4, b"\0")
