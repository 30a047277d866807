"""ISO files (HEIF, CR3), TIFF files with RAW heads, and GIFs, made box by box."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

XMP_TYPE = b"application/rdf+xml"
XMP_UUID = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
CANON_UUID = bytes.fromhex("85c0b687820f11e08111f4ce462b6a48")


def box(kind: bytes, body: bytes, *, large: bool = False) -> bytes:
    if large:
        return struct.pack(">I4sQ", 1, kind, len(body) + 16) + body
    return struct.pack(">I4s", len(body) + 8, kind) + body


@dataclass
class Item:
    """One item: its data, its kind, what it describes, and where its data goes."""

    number: int
    data: bytes
    kind: bytes = b"mime"
    type: bytes = XMP_TYPE
    encoding: bytes = b""
    describes: Sequence[int] = ()
    method: int = 0
    pieces: int = 1


def heif(
    *items: Item, primary: int = 1, brand: bytes = b"heic", version: int = 1, base: bool = False
) -> bytes:
    """A HEIF file; ``version`` of iloc, ``base``: offsets count from an offset of the item."""
    wide = ">I" if version == 2 else ">H"

    def infe(item: Item) -> bytes:
        head = struct.pack(">BBH", 3 if version == 2 else 2, 0, 0)
        names = b"\0" + (item.type + b"\0" + item.encoding + b"\0" if item.kind == b"mime" else b"")
        number = struct.pack(wide, item.number)
        return box(b"infe", head[:1] + b"\0\0\0" + number + b"\0\0" + item.kind + names)

    iinf = b"\0\0\0\0" + struct.pack(">H", len(items)) + b"".join(map(infe, items))
    lists = b"".join(
        box(b"cdsc", struct.pack(">HH", i.number, len(i.describes))
            + b"".join(struct.pack(">H", to) for to in i.describes))
        for i in items if i.describes
    )  # fmt: skip
    inner = [item for item in items if item.method == 2]
    holder = 99  # the item in which the others lie
    lists += b"".join(box(b"iloc", struct.pack(">HHH", i.number, 1, holder)) for i in inner)
    idat = b"".join(item.data for item in items if item.method == 1)
    held = b"".join(item.data for item in inner)
    outside = b"".join(item.data for item in items if item.method == 0) + held

    def meta(start: int) -> bytes:
        places, at = [], {0: start, 1: 0, 2: 0}
        every = [*items]
        if inner:
            every.append(Item(holder, held, b"hidn"))
            at[2] = 0
        for item in every:
            first = start + len(outside) - len(held) if item.number == holder else at[item.method]
            origin = first if base else 0
            size = len(item.data)
            step = -(-size // item.pieces) or 1
            extents = [(n, min(step, size - n)) for n in range(0, max(size, 1), step)]
            method = struct.pack(">H", item.method) if version else b""
            places.append(
                struct.pack(wide, item.number) + method + b"\0\0"
                + (struct.pack(">I", origin) if base else b"") + struct.pack(">H", len(extents))
                + b"".join(
                    (b"\1" if version else b"")
                    + struct.pack(">II", first - origin + n, length)
                    for n, length in extents
                )
            )  # fmt: skip
            if item.number != holder:
                at[item.method] += size
        sizes = bytes([0x44, (0x40 if base else 0) | (1 if version else 0)])
        count = struct.pack(wide, len(every))
        iloc = bytes([version, 0, 0, 0]) + sizes + count + b"".join(places)
        body = box(b"hdlr", bytes(8) + b"pict" + bytes(13))
        body += box(b"pitm", bytes(4) + struct.pack(">H", primary)) + box(b"iinf", iinf)
        body += box(b"iref", b"\0\0\0\0" + lists) + box(b"iloc", iloc)
        return box(b"meta", bytes(4) + body + (box(b"idat", idat) if idat else b""))

    head = box(b"ftyp", brand + bytes(4) + b"mif1" + brand)
    start = len(head) + len(meta(0)) + 8
    return head + meta(start) + box(b"mdat", outside)


def tiff(
    entries: dict[int, tuple[int, bytes]],
    *,
    order: str = "<",
    big: bool = False,
    head: bytes = b"",
    below: dict[int, tuple[int, bytes]] | None = None,
    first: int = 0,
) -> bytes:
    """A TIFF file with one directory, and ``below`` as EXIF's; values are (type, bytes)."""
    start = first or (16 if big else 8)
    head = head or {("<", False): b"II*\0", (">", False): b"MM\0*",
                    ("<", True): b"II+\0", (">", True): b"MM\0+"}[order, big]  # fmt: skip
    if big:
        head += struct.pack(order + "HHQ", 8, 0, start)
    else:
        head += struct.pack(order + "I", start)
    widths = {1: 1, 2: 1, 3: 2, 4: 4, 7: 1}
    word, inline = ("Q", 8) if big else ("I", 4)

    def directory(of: dict[int, tuple[int, bytes]], at: int) -> bytes:
        out = struct.pack(order + ("Q" if big else "H"), len(of))
        extra, place = b"", at + len(out) + (20 if big else 12) * len(of) + inline
        for tag, (kind, value) in sorted(of.items()):
            out += struct.pack(order + "HH" + word, tag, kind, len(value) // widths[kind])
            if len(value) <= inline:
                out += value.ljust(inline, b"\0")
            else:
                out += struct.pack(order + word, place + len(extra))
                extra += value + b"\0" * (len(value) % 2)
        return out + bytes(inline) + extra

    body = head.ljust(start, b"\0")
    if below is not None:
        entries = {**entries, 34665: (4, bytes(4))}
        where = start + len(directory(entries, start))
        entries[34665] = (4, struct.pack(order + "I", where))
        return body + directory(entries, start) + directory(below, where)
    return body + directory(entries, start)


def gif(packet: bytes, *, after_pictures: int = 0) -> bytes:
    """A GIF whose XMP stands behind so many pictures."""
    picture = b",\0\0\0\0\1\0\1\0\0\2\2D\1\0"
    trailer = b"\1" + bytes(range(255, -1, -1)) + b"\0"
    return b"".join(
        (
            b"GIF89a\1\0\1\0\x80\0\0" + bytes(6),
            picture * after_pictures,
            b"!\xff\x0bXMP DataXMP" + packet + trailer,
            picture,
            b";",
        )
    )
