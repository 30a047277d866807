"""Sidecars and photos from strangers that are small and would cost much: the kinds, and chance."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator

from PIL import Image

from tests.support import jpegs, packets
from tests.support.pictures import encoded, png_chunk, quarters

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
SPACES = {
    "tagger": "http://ns.tagger.invalid/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
}
MARKS = "\u0301\u0327"
OURS = "<tagger:model>x</tagger:model>"


def packet(inside: str, attributes: str = "") -> bytes:
    named = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in SPACES.items())
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}"><rdf:Description '
        f'rdf:about="" {named}{attributes}>{inside}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


def array(name: str, values: list[str]) -> str:
    items = "".join(f"<rdf:li>{value}</rdf:li>" for value in values)
    return f"<{name}><rdf:Bag>{items}</rdf:Bag></{name}>"


def counted(text: str, count: int) -> str:
    """Return ``text`` so many times, each ``#`` in it being the number."""
    return "".join(text.replace("#", str(number)) for number in range(count))


def _words(count: int) -> list[str]:
    return [f"w{number}" for number in range(count)]


SIDECARS: dict[str, Callable[[], bytes]] = {
    "one-keyword-of-marks": lambda: packet(array("dc:subject", ["a" + MARKS * 190_000])),
    "keywords-of-marks": lambda: packet(array("dc:subject", ["a" + MARKS * 249] * 1800)),
    "hierarchies-of-marks": lambda: packet(
        array("lr:hierarchicalSubject", [f"{n}|a" + MARKS * 249 for n in range(900)])
    ),
    "blanks-in-a-tag": lambda: packet(OURS, " " * 4_000_000),
    "blanks-in-tags": lambda: packet(OURS + ("<dc:a" + " " * 400 + "/>") * 9000),
    "blanks-in-an-end-tag": lambda: packet("<dc:a></dc:a" + " " * 4_000_000 + ">"),
    "many-attributes": lambda: packet(OURS, " " + counted("dc:a#='1' ", 90_000)),
    "attributes-of-ours": lambda: packet(OURS, " " + counted("tagger:a#='1' ", 4_900)),
    "long-namespace": lambda: packet(
        OURS, f" xmlns:q='{'u' * 1_000_000}' " + counted("q:a#='1' ", 90_000)
    ),
    "many-namespaces": lambda: packet("", " " + counted("xmlns:a#='u#' ", 90_000)),
    "namespace-in-each": lambda: packet(counted("<q:a xmlns:q='u#'/>", 9_900)),
    "large-attribute": lambda: packet(f"<dc:a b='{'é' * 3_900_000}\U0001f600'/>"),
    "large-attributes": lambda: packet(
        "".join(f"<dc:a b='{'é' * 500_000}\U0001f600'/>" for _ in range(7))
    ),
    "large-text": lambda: packet(f"<dc:a>{'é' * 3_900_000}\U0001f600</dc:a>"),
    "wide-texts": lambda: packet(array("dc:subject", ["\U0001f600" + "é" * 490] * 4000)),
    "indented": lambda: packet(
        array("lr:hierarchicalSubject", _words(900))
        + "<dc:subject><rdf:Bag>\n"
        + " " * 1_600_000
        + "<rdf:li>z</rdf:li></rdf:Bag></dc:subject>"
    ),
    "indented-description": lambda: packet(
        array("lr:hierarchicalSubject", _words(900)) + OURS
    ).replace(b"<rdf:Desc", b"\n" + b"\t" * 2_000_000 + b"<rdf:Desc"),
    "levels": lambda: packet(
        array("lr:hierarchicalSubject", ["ab|" * 900_000])
        + array("digiKam:TagsList", ["ab/" * 900_000])
    ),
    "long-levels": lambda: packet(
        array("lr:hierarchicalSubject", [f"{n}" + "|abcdefgh" * 49 for n in range(1500)])
    ),
    "hundred-thousand-keywords": lambda: packet(array("dc:subject", _words(100_000))),
    "many-keywords": lambda: packet(array("dc:subject", _words(39_000))),
    "many-in-all": lambda: packet(
        array("dc:subject", _words(12_500))
        + array("lr:hierarchicalSubject", [f"a|{word}" for word in _words(12_500)])
        + array("digiKam:TagsList", [f"a/{word}" for word in _words(12_500)])
    ),
    "one-of-ten-megabytes": lambda: packet(array("dc:subject", ["x" * 10_000_000])),
    "of-ours": lambda: packet(
        array("dc:subject", _words(19_000))
        + array("tagger:labels", [f"0.5 {word}" for word in _words(19_000)])
    ),
    "descriptions": lambda: packet("</rdf:Description>" + "<rdf:Description/>" * 39_000).replace(
        b"</rdf:Description></rdf:RDF>", b"</rdf:RDF>"
    ),
    "properties": lambda: packet(OURS + "<dc:x/>" * 39_000),
    "long-names": lambda: packet(OURS + counted(f"<dc:{'n' * 150}#/>", 39_000)),
    "brush-strokes": lambda: packet(
        "<dc:x><rdf:Seq><rdf:li><rdf:Description><dc:y><rdf:Seq>"
        + "<rdf:li>d 0.1 0.2</rdf:li>" * 95_000
        + "</rdf:Seq></dc:y></rdf:Description></rdf:li></rdf:Seq></dc:x>"
    ),
    "nested": lambda: packet("<dc:a>" * 900_000 + "</dc:a>" * 900_000),
    "comments": lambda: packet(f"<dc:x>{'a<!---->' * 900_000}</dc:x>"),
    "references": lambda: packet(f"<dc:x>{'&#10;' * 1_500_000}</dc:x>"),
    "instructions": lambda: packet("<?a b?>" * 900_000),
    "entities": lambda: (
        b'<!DOCTYPE x [<!ENTITY a "' + b"a" * 100_000 + b'">]><x>' + b"&a;" * 100_000 + b"</x>"
    ),
    "namespace-words": lambda: packet(f"<dc:x>{'xmlns ' * 9000}{'x' * 7_000_000}</dc:x>"),
    "ends-of-packets": lambda: packet("") + b"><?xpacket end='w'?>" * 400_000 + b"x",
    "blanks-at-the-end": lambda: packet("") + (b">" + b" " * 9) * 800_000 + b"<?xpacket end=",
    "blanks-before-the-end": lambda: packet("") + b"><?xpacket " + b" " * 7_900_000,
    "nothing": lambda: b" " * 100_000_000,
}
"""XMP sidecars by their names."""

JSON: dict[str, Callable[[], bytes]] = {
    "fifty-megabytes": lambda: b'{"version": 1, "labels": [' + b"0," * 25_000_000 + b"0]}",
    "lists": lambda: b'{"version": 1, "labels": [' + b"[]," * 300_000 + b"0]}",
    "deep": lambda: (
        b'{"version": 1, "x": ' + b"[" * 900 + b"0," * 500_000 + b"0" + b"]" * 900 + b"}"
    ),
    "bottomless": lambda: b"[" * 900_000,
    "digits": lambda: (
        b'{"version": 1, "labels": [{"label": "a", "confidence": ' + b"9" * 900_000 + b"}]}"
    ),
    "large-number": lambda: (
        b'{"version": 1, "software": "tagger 1", "labels": [{"label": "a", "path": ["a"], '
        b'"confidence": 1' + b"0" * 400 + b"}]}"
    ),
    "infinite": lambda: (
        b'{"version": 1, "software": "tagger 1", "labels": [{"label": "a", "path": ["a"], '
        b'"confidence": 1e999}], "x": -Infinity}'
    ),
    "marks": ('{"version": 1, "labels": [{"label": "a' + MARKS * 240_000 + '"}]}').encode,
    "many": lambda: (
        b'{"version": 1, "labels": ['
        + b",".join(b'{"label": "w%d"}' % number for number in range(50_000))
        + b"]}"
    ),
}
"""JSON sidecars by their names."""


def _jpeg(segment: bytes, count: int) -> bytes:
    sound = jpegs.plain()
    return sound[:2] + segment * count + sound[2:]


def _png(chunks: bytes) -> bytes:
    sound = encoded(quarters(64, 48), "PNG")
    return sound[:33] + chunks + sound[33:]


def _webp(chunks: bytes) -> bytes:
    sound = encoded(quarters(64, 48), "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")[12:]
    body = b"WEBP" + sound + chunks
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _gif(blocks: bytes) -> bytes:
    sound = encoded(quarters(64, 48), "GIF")
    return sound[:-1] + blocks + b";"


def _iptc(size: int) -> bytes:
    """Return JPEG segments with so many bytes of IPTC's smallest keywords."""
    datasets = b"\x1c\x02\x19\x00\x01a" * (size // 6)
    resource = b"8BIM\x04\x04\0\0" + struct.pack(">I", len(datasets)) + datasets
    pieces = [resource[at : at + 65_000] for at in range(0, len(resource), 65_000)]
    return b"".join(jpegs.segment(0xED, b"Photoshop 3.0\0" + piece) for piece in pieces)


def _mpf(entries: int) -> bytes:
    """Return an MPF segment that says it lists so many pictures."""
    head = b"II*\0\x08\0\0\0\1\0" + struct.pack("<HHIII", 0xB002, 7, entries * 16, 26, 0)
    return jpegs.segment(0xE2, b"MPF\0" + head + bytes(60_000))


def _exif(entries: int, kind: int, count: int) -> bytes:
    """Return a TIFF structure whose directory has so many entries, all of the same place."""
    body = struct.pack("<H", min(entries, 65_535))
    body += b"".join(struct.pack("<HHII", n & 0xFFFF, kind, count, 8) for n in range(entries))
    return b"II*\0\x08\0\0\0" + body + bytes(4)


def _loop() -> bytes:
    tags = b"".join(struct.pack("<HHII", tag, 4, 1, 8) for tag in (0x8769, 0x8825, 0xA005))
    return b"II*\0\x08\0\0\0\x03\0" + tags + struct.pack("<I", 8)


def _boxes(depth: int) -> bytes:
    box = b""
    for _ in range(depth):
        box = struct.pack(">I", len(box) + 12) + b"meta\0\0\0\0" + box
    return b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + box


def _extensions(count: int) -> bytes:
    head = b"http://ns.adobe.com/xmp/extension/\0" + b"A" * 32
    main = packet("", ' xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="'
                  + "A" * 32 + '"')  # fmt: skip
    parts = (head + struct.pack(">II", count, at) + b"<" for at in range(count))
    return jpegs.xmp(main) + b"".join(jpegs.segment(0xE1, part) for part in parts)


def _scans(count: int) -> bytes:
    """Return a JPEG with so many small segments between its scan and its end."""
    sound = jpegs.plain()
    return sound[:-2] + b"\xff\xc4\x00\x02" * count + b"\xff\xd9"


_XMP_HEAD = b"XML:com.adobe.xmp\0\0\0\0\0"
PHOTOS: dict[str, Callable[[], bytes]] = {
    "dri.jpg": lambda: _jpeg(b"\xff\xdd\x00\x04\x00\x00", 5_000_000),
    "comments.jpg": lambda: _jpeg(b"\xff\xfe\x00\x02", 7_000_000),
    "app1.jpg": lambda: _jpeg(b"\xff\xe1\x00\x02", 200_000),
    "fill.jpg": lambda: b"\xff\xd8" + b"\xff" * 30_000_000,
    "iptc.jpg": lambda: jpegs.put(jpegs.plain(), _iptc(30_000_000)),
    "mpf.jpg": lambda: jpegs.put(jpegs.plain(), _mpf(1_000_000)),
    "mpf-full.jpg": lambda: jpegs.put(jpegs.plain(), jpegs.exif(), _mpf(3_700)),
    "extended.jpg": lambda: jpegs.put(jpegs.plain(), _extensions(9_000)),
    "scans.jpg": lambda: _scans(5_000_000),
    "profiles.jpg": lambda: jpegs.put(
        jpegs.plain(), *[jpegs.segment(0xE2, b"ICC_PROFILE\0\1\xff" + bytes(60_000))] * 400
    ),
    "packets.jpg": lambda: jpegs.put(jpegs.plain(), *[jpegs.xmp(packets.MINIMAL)] * 4000),
    "blanks.jpg": lambda: jpegs.put(jpegs.plain(), jpegs.xmp(packet(OURS, " " * 60_000))),
    "exif.jpg": lambda: jpegs.put(
        jpegs.plain(), jpegs.segment(0xE1, b"Exif\0\0" + _exif(5_000, 7, 50_000))
    ),
    "exif-loop.jpg": lambda: jpegs.put(jpegs.plain(), jpegs.segment(0xE1, b"Exif\0\0" + _loop())),
    "chunks.png": lambda: _png(png_chunk(b"tEXt", b"") * 2_500_000),
    "pixels.png": lambda: _png(png_chunk(b"IDAT", b"") * 2_500_000),
    "texts.png": lambda: _png(
        png_chunk(b"zTXt", b"Raw profile type APP1\0\0" + zlib.compress(bytes(8_000_000), 9)) * 900
    ),
    "digits.png": lambda: _png(
        png_chunk(
            b"zTXt",
            b"Raw profile type APP1\0\0" + zlib.compress(b"\nexif\n4\n" + b"ab " * 2_700_000, 9),
        )
    ),
    "packet.png": lambda: _png(png_chunk(b"iTXt", _XMP_HEAD + packet("") + b" " * 30_000_000)),
    "packed.png": lambda: _png(
        png_chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(100_000_000), 9))
    ),
    "exif.png": lambda: _png(png_chunk(b"eXIf", _exif(65_535, 7, 700_000) + bytes(1))),
    "exif-large.png": lambda: _png(png_chunk(b"eXIf", b"II*\0" + bytes(30_000_000))),
    "chunks.webp": lambda: _webp(b"JUNK\0\0\0\0" * 3_700_000),
    "packet.webp": lambda: _webp(b"XMP " + struct.pack("<I", 30_000_000) + b" " * 30_000_000),
    "blocks.gif": lambda: _gif(b"!\xfe\x01a\0" * 1_000_000),
    "sub-blocks.gif": lambda: _gif(b"!\xfe" + b"\x01a" * 5_000_000 + b"\0"),
    "xmp.gif": lambda: _gif(b"!\xff\x0bXMP DataXMP" + b"\x01<" * 5_000_000 + b"\0"),
    "nested.heic": lambda: _boxes(100_000),
    "boxes.heic": lambda: _boxes(1) + b"\0\0\0\x08free" * 3_000_000,
    "directory.tif": lambda: _exif(65_535, 4, 1_000_000),
    "loop.tif": _loop,
}
"""Photos by their names, of which some have a picture."""


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Return ``data`` with pieces of it changed, cut out, or repeated many times."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        if not out:
            break
        at = chance.randrange(len(out))
        length = chance.choice((1, 2, 4, 16, 200))
        piece = bytes(out[at : at + length])
        what = chance.randrange(5)
        if what == 0:
            out[at : at + 1] = bytes([chance.randrange(256)])
        elif what == 1:
            del out[at : at + length]
        elif what == 2:
            out[at:at] = piece * chance.choice((1, 10, 3000))
        elif what == 3:
            out[at:at] = chance.choice((b" ", b"\xff", b"\0", b"<", MARKS.encode())) * 20_000
        else:
            out[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\0\0"))
    return bytes(out)


def mutations(seed: int) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield, without end, the ending of a photo's name, the photo, and its sidecar."""
    chance = random.Random(seed)
    small = quarters(64, 48)
    texts = [
        *(packets.LIGHTROOM, packets.DIGIKAM, packets.DARKTABLE, packets.COMMENTED),
        *(make() for make in (SIDECARS["attributes-of-ours"], lambda: packet(OURS))),
    ]
    photos = [("jpg", make()) for make in jpegs.MAKERS.values()]
    for suffix, kind in (("png", "PNG"), ("webp", "WEBP"), ("gif", "GIF"), ("tif", "TIFF")):
        photos.append((suffix, encoded(small, kind)))
    photos.append(("png", _png(png_chunk(b"iTXt", _XMP_HEAD + packets.DIGIKAM))))
    photos.append(("heic", encoded(Image.new("RGB", (64, 48)), "HEIF")))
    while True:
        suffix, photo = chance.choice(photos)
        sidecar = chance.choice(texts)
        if chance.random() < 0.5:
            photo = mutated(photo, chance)
        else:
            sidecar = mutated(sidecar, chance)
        yield suffix, photo, sidecar
