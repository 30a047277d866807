"""What an HEVC stream says of its pictures before they are decoded: size, subsampling, bit depth.

ISO/IEC 14496-15, 8.3.3.1 (the ``hvcC`` record), ITU-T H.265, 7.3.1.1 and 7.3.2.2 (units, the
sequence parameter set).
"""

from __future__ import annotations

from dataclasses import dataclass

_SEQUENCE, _PICTURE, _VIDEO = 33, 34, 32
_INTRA = range(16, 22)
"""Units of pictures that need no other; those of most stills are IDR or CRA."""
_HARMLESS = (35, 36, 37, 38, 39, 40)
"""Delimiters, ends, filler and messages."""
_MAX_UNITS = 2000
"""Of a picture: it has a slice for each row of blocks at most, and few messages."""
_MAX_SETS = 16


@dataclass(frozen=True, slots=True)
class Coding:
    """How pictures are coded: ``size`` before the window is cut out of it, (width, height);
    ``chroma`` is H.265's chroma_format_idc (0: grey, 1: 4:2:0, 2: 4:2:2, 3: 4:4:4)."""

    size: tuple[int, int]
    shown: tuple[int, int]
    chroma: int
    depth: int


def read_coding(setup: bytes) -> Coding:
    """Return what an ``hvcC`` record says. Raise ValueError or IndexError."""
    if setup[0] != 1:
        raise ValueError("a record of another version")
    sequences: list[bytes] = []
    at, sets = 23, 0
    for _ in range(setup[22]):
        kind, count = setup[at] & 63, int.from_bytes(setup[at + 1 : at + 3])
        at += 3
        for _ in range(count):
            length = int.from_bytes(setup[at : at + 2])
            unit = setup[at + 2 : at + 2 + length]
            if len(unit) < length or length < 3 or unit[0] >> 1 & 63 != kind:
                raise ValueError("a parameter set that is cut off")
            if kind == _SEQUENCE:
                sequences.append(unit)
            elif kind not in (_VIDEO, _PICTURE, *_HARMLESS):
                raise ValueError("a record with pictures in it")
            at += 2 + length
            sets += 1
            if sets > _MAX_SETS:
                raise ValueError("very many parameter sets")
    if len(sequences) != 1:
        raise ValueError("not one sequence parameter set")
    return _coding(_Bits(sequences[0]))


def check_units(data: bytes, setup: bytes) -> None:
    """Raise ValueError for a tile that is not one intra picture's units, each behind its length.

    Parameter sets among them could change what :func:`read_coding` has found.
    """
    width = (setup[21] & 3) + 1
    at = units = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + width])
        at += width
        if length < 3 or at + length > len(data):
            raise ValueError("a unit that is cut off")
        kind = data[at] >> 1 & 63
        if kind not in _INTRA and kind not in _HARMLESS:
            raise ValueError(f"a unit of kind {kind}")
        at += length
        units += 1
        if units > _MAX_UNITS:
            raise ValueError("very many units")


class _Bits:
    """The bits of one unit, without the bytes that keep start codes out of it (7.4.2)."""

    def __init__(self, unit: bytes) -> None:
        data = unit[2:].replace(b"\0\0\3", b"\0\0")
        self._value, self._left = int.from_bytes(data), 8 * len(data)

    def take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise ValueError("a parameter set that is cut off")
        return self._value >> self._left & ((1 << count) - 1)

    def golomb(self) -> int:
        """Return an unsigned number in Exp-Golomb code (9.2)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 31:
                raise ValueError("a number without end")
        return (1 << zeros) - 1 + self.take(zeros)


def _coding(bits: _Bits) -> Coding:
    bits.take(4)
    layers = bits.take(3)
    bits.take(1 + 96)  # general profile, tier and level
    parts = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    if layers:
        bits.take(2 * (8 - layers))
    for profile, level in parts:
        bits.take(88 * profile + 8 * level)
    bits.golomb()
    chroma = bits.golomb()
    if chroma > 3 or (chroma == 3 and bits.take(1)):
        raise ValueError("planes of another kind")
    width, height = bits.golomb(), bits.golomb()
    shown = width, height
    if bits.take(1):
        left, right, top, bottom = (bits.golomb() for _ in range(4))
        across, down = 2 if chroma in (1, 2) else 1, 2 if chroma == 1 else 1
        shown = width - across * (left + right), height - down * (top + bottom)
    depth, other = 8 + bits.golomb(), 8 + bits.golomb()
    if depth > 16 or (chroma and depth != other) or min(*shown, width, height) < 1:
        raise ValueError("planes of another kind")
    return Coding((width, height), shown, chroma, depth)
