"""Reads and edits XMP packets by byte offsets: what is not ours keeps every byte.

The properties written, in the forms that digiKam, darktable, Immich, PhotoPrism and
Lightroom expect: ``dc:subject`` (Bag), ``lr:hierarchicalSubject`` (Bag, ``animal|dog``),
``digiKam:TagsList`` (Seq, ``animal/dog``); and our own namespace for provenance,
:data:`PROVENANCE_URI`:

* ``tagger:model``: the network that classified,
* ``tagger:software``: the program and its version,
* ``tagger:labels`` (Seq): one ``0.9712 dog`` for each keyword, its confidence first.

XMP: ISO 16684-1. Anything that cannot be edited with certainty raises RefusedError whose
message is a clause about "its XMP", without a path.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape

from tagger.errors import RefusedError

SUBJECT = "dc:subject"
HIERARCHICAL = "lr:hierarchicalSubject"
TAGS_LIST = "digiKam:TagsList"
KEYWORD_PROPERTIES = (SUBJECT, HIERARCHICAL, TAGS_LIST)
MODEL = "tagger:model"
SOFTWARE = "tagger:software"
LABELS = "tagger:labels"
PROVENANCE_PROPERTIES = (MODEL, SOFTWARE, LABELS)

PROVENANCE_URI = "http://ns.tagger.invalid/1.0/"
"""In .invalid (RFC 2606), as nobody can own it; an XMP namespace is never fetched."""

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "tagger": PROVENANCE_URI,
}
ARRAYS = {SUBJECT: "Bag", HIERARCHICAL: "Bag", TAGS_LIST: "Seq", LABELS: "Seq"}
"""The array type of each property that we create; an array that exists keeps its own."""

PACKET_ID = "W5M0MpCehiHzreSzNTczkc9d"  # the same in every packet, ISO 16684-1 7.3.2
MAX_BYTES = 16 << 20

_ATTRIBUTE = re.compile(rb"""\s+([^\s=/>]+)\s*=\s*("[^"]*"|'[^']*')""")
_START_TAG = re.compile(rb"""<[^\s/>]+(?:\s+[^\s=/>]+\s*=\s*(?:"[^"]*"|'[^']*'))*\s*(/?)>""")
_END_TAG = re.compile(rb"</[^>]*>")
_PADDING = re.compile(rb">([ \t\r\n]*)<\?xpacket\s+end=[^>]*\?>[\s\0]*\Z")
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def full_name(name: str) -> str:
    """Return the name ``prefix:local`` of one of our properties as expat gives it."""
    prefix, local = name.split(":")
    return f"{NAMESPACES[prefix]}}}{local}"


def clean(text: str) -> str:
    """Return ``text`` as it can stand in XML: no control characters, no lone surrogates."""
    return " ".join(_ILLEGAL.sub("", text).split())


def key(text: str) -> str:
    """Return what is the same for two spellings of one keyword."""
    return unicodedata.normalize("NFC", clean(text)).casefold()


@dataclass(slots=True, eq=False)
class Element:
    """One XML element by its byte offsets.

    ``start``…``open_end`` is the start tag, ``close``…``end`` the end tag (both empty
    at ``open_end`` for ``<a/>``). Names are ``uri}local``.
    """

    name: str
    start: int
    open_end: int
    empty: bool
    attributes: list[tuple[str, str]]
    parent: Element | None
    close: int = -1
    end: int = -1
    children: list[Element] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The character data directly in the element."""
        return "".join(self.texts)


@dataclass(slots=True)
class Packet:
    """A parsed packet: its ``rdf:RDF`` element and the descriptions directly in it."""

    data: bytes
    rdf: Element

    @property
    def nodes(self) -> list[Element]:
        """The ``rdf:Description`` elements (or typed nodes)."""
        return self.rdf.children

    def find(self, name: str) -> Element | None:
        """Return the element of a property named ``prefix:local``; None when absent.

        Raise RefusedError when it is there twice or as an attribute.
        """
        full = full_name(name)
        found = [prop for node in self.nodes for prop in node.children if prop.name == full]
        if any(key == full for node in self.nodes for key, _ in node.attributes):
            raise RefusedError(f"its XMP holds {name} as an attribute")
        if len(found) > 1:
            raise RefusedError(f"its XMP holds {name} {len(found)} times")
        return found[0] if found else None

    def items(self, name: str) -> list[Element]:
        """Return the ``rdf:li`` elements of an array property, none when it is absent.

        Raise RefusedError when it is no plain array of texts.
        """
        prop = self.find(name)
        return _array(prop, name)[1] if prop is not None else []

    def values(self, name: str) -> tuple[str, ...]:
        """Return the texts of an array property; raise RefusedError as :meth:`items`."""
        return tuple(item.text for item in self.items(name))

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the texts of an array property for reading, whatever its form."""
        full, found = full_name(name), list[str]()
        for node in self.nodes:
            found += [value for key, value in node.attributes if key == full]
            for prop in node.children:
                if prop.name != full:
                    continue
                lists = [array for array in prop.children if array.name in _LISTS]
                found += [item.text for array in lists for item in array.children]
                if not prop.children and prop.text.strip():
                    found.append(prop.text)
        return tuple(found)

    def labels(self) -> dict[str, str]:
        """Return the keywords that our provenance names, each with its confidence."""
        pairs = (text.partition(" ") for text in self.texts(LABELS))
        return {keyword: confidence for confidence, _, keyword in pairs if keyword}

    def has_ours(self) -> bool:
        """Whether anything of our provenance namespace is in the packet."""
        return any(
            key.startswith(PROVENANCE_URI + "}")
            for node in self.nodes
            for key in [prop.name for prop in node.children] + [k for k, _ in node.attributes]
        )

    def is_bare(self) -> bool:
        """Whether the packet says nothing at all."""
        return not any(node.children or _says_something(node) for node in self.nodes)


def parse(data: bytes) -> Packet:
    """Parse a packet. Raise RefusedError when it cannot be edited safely."""
    if len(data) > MAX_BYTES:
        raise RefusedError("its XMP is larger than 16 MB")
    text = data.rstrip(b"\0")
    if b"\0" in text[:64] or text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise RefusedError("its XMP is UTF-16 or UTF-32")
    return Packet(data, _Reader(text).rdf())


class _Reader:
    """Builds the tree; a stack, not recursion, for the nesting may be hostile."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._parser = parser = expat.ParserCreate("UTF-8", "}")
        self._stack: list[Element] = []
        self._all_rdf: list[Element] = []
        parser.ordered_attributes = True
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = self._doctype
        parser.XmlDeclHandler = self._declaration

    def rdf(self) -> Element:
        try:
            self._parser.Parse(self._data, True)
        except expat.ExpatError as error:
            raise RefusedError(f"its XMP is malformed ({error})") from error
        if len(self._all_rdf) != 1:
            raise RefusedError(f"its XMP has {len(self._all_rdf)} rdf:RDF elements, not one")
        rdf = self._all_rdf[0]
        if rdf.parent is not None and rdf.parent.parent is not None:
            raise RefusedError("its XMP is nested in another document")
        return rdf

    def _doctype(self, *args: object) -> None:
        raise RefusedError("its XMP has a DTD")

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.upper() not in ("UTF-8", "US-ASCII", "ASCII"):
            raise RefusedError(f"its XMP is encoded as {encoding[:20]}")

    def _start(self, name: str, pairs: Sequence[str]) -> None:
        start = self._parser.CurrentByteIndex
        tag = _START_TAG.match(self._data, start)
        if tag is None:
            raise RefusedError("its XMP has a tag that cannot be located")
        attributes = list(zip(pairs[::2], pairs[1::2], strict=True))
        parent = self._stack[-1] if self._stack else None
        element = Element(name, start, tag.end(), bool(tag[1]), attributes, parent)
        if parent is not None:
            parent.children.append(element)
        if name == f"{RDF}}}RDF":
            self._all_rdf.append(element)
        self._stack.append(element)
        if len(self._stack) > 200:
            raise RefusedError("its XMP is nested more than 200 deep")

    def _end(self, name: str) -> None:
        element = self._stack.pop()
        if element.empty:
            element.close = element.end = element.open_end
            return
        element.close = self._parser.CurrentByteIndex
        tag = _END_TAG.match(self._data, element.close)
        if tag is None:
            raise RefusedError("its XMP has a tag that cannot be located")
        element.end = tag.end()

    def _text(self, text: str) -> None:
        if self._stack:
            self._stack[-1].texts.append(text)


_LISTS = {f"{RDF}}}{kind}" for kind in ("Bag", "Seq", "Alt")}
_XML_LANG = "http://www.w3.org/XML/1998/namespace}lang"


def _array(prop: Element, name: str) -> tuple[Element | None, list[Element]]:
    """Return the rdf:Bag, Seq or Alt of a property (None when it is empty) and its items."""
    odd = RefusedError(f"its XMP holds {name} in an unusual form")
    if prop.text.strip() or [key for key, _ in prop.attributes if key != _XML_LANG]:
        raise odd
    if not prop.children:
        return None, []
    array = prop.children[0]
    if len(prop.children) > 1 or array.name not in _LISTS or array.text.strip():
        raise odd
    if array.attributes:
        raise odd
    for item in array.children:
        plain = all(key == _XML_LANG for key, _ in item.attributes)
        if item.name != f"{RDF}}}li" or item.children or not plain:
            raise odd
    return array, array.children


def _says_something(node: Element) -> bool:
    return any(key not in ("about", f"{RDF}}}about") for key, _ in node.attributes)


Edit = tuple[int, int, bytes]


def apply_edits(data: bytes, edits: Iterable[Edit]) -> bytes:
    """Return ``data`` with each (start, end, replacement) done; offsets are of ``data``."""
    out, at = [], 0
    for start, end, new in sorted(edits, key=lambda edit: edit[:2]):
        if start < at:
            raise RefusedError("its XMP would be edited twice in one place")
        out += [data[at:start], new]
        at = end
    out.append(data[at:])
    return b"".join(out)


def add(
    data: bytes | None, wanted: Mapping[str, Sequence[str]], toolkit: str
) -> tuple[bytes, dict[str, tuple[str, ...]]]:
    """Return the packet with the ``wanted`` values in it, and those really added.

    ``data`` None makes a new packet. Values that are there already are left alone.
    Raise RefusedError when the packet cannot be edited safely.
    """
    if data is None:
        data = new_packet(toolkit)
    packet = parse(data)
    edits: list[Edit] = []
    added: dict[str, tuple[str, ...]] = {}
    fresh: dict[str, tuple[str, ...]] = {}
    before = {name: packet.values(name) for name in wanted if name not in PROVENANCE_PROPERTIES}
    for name, values in wanted.items():
        if name in PROVENANCE_PROPERTIES:
            if values:
                fresh[name] = added[name] = tuple(values)
            continue
        new = _missing(values, before[name])
        if not new:
            continue
        added[name] = new
        prop = packet.find(name)
        if prop is None:
            fresh[name] = new
        else:
            edits.append(_append(packet, prop, name, new))
    if packet.has_ours() and any(name in PROVENANCE_PROPERTIES for name in fresh):
        edits += _without_provenance(packet)
    if fresh:
        edits.append(_describe(packet, fresh))
    result = apply_edits(data, edits)
    after = parse(result)
    for name, old in before.items():
        if after.values(name) != old + added.get(name, ()):
            raise RefusedError(f"its XMP could not be edited with certainty ({name})")
    return result, added


def distinct(values: Sequence[str]) -> tuple[str, ...]:
    """Return ``values`` as they can be written, each once."""
    return _missing(values, ())


def _missing(values: Sequence[str], there: Sequence[str]) -> tuple[str, ...]:
    """Return those of ``values``, each once, that are not there in any spelling."""
    known = {key(value) for value in there}
    found: dict[str, str] = {}
    for value in map(clean, values):
        if value and key(value) not in known:
            found.setdefault(key(value), value)
    return tuple(found.values())


def _raw_name(data: bytes, element: Element) -> bytes:
    return re.split(rb"[\s/>]", data[element.start + 1 : element.open_end], maxsplit=1)[0]


def _rdf(data: bytes, element: Element) -> bytes:
    """Return the prefix, with its colon, by which ``element`` names the RDF namespace."""
    prefix, colon, _ = _raw_name(data, element).rpartition(b":")
    return prefix + colon


def _indent(data: bytes, element: Element) -> bytes:
    """Return the line break and white space before ``element``, empty when on one line."""
    at = element.start
    while at > 0 and data[at - 1 : at] in (b" ", b"\t"):
        at -= 1
    if at == 0 or data[at - 1 : at] != b"\n":
        return b""
    at -= 2 if data[at - 2 : at] == b"\r\n" else 1
    return data[at : element.start]


def _append(packet: Packet, prop: Element, name: str, values: Sequence[str]) -> Edit:
    data = packet.data
    array, items = _array(prop, name)
    if array is None:
        # An empty property: give it the array that we would create.
        rdf = _rdf(data, packet.rdf)
        body = _list(rdf, ARRAYS[name], values, _indent(data, prop) + b" ", b"")
        return _refill(data, prop, body + _indent(data, prop))
    rdf = _rdf(data, array)
    if items:
        indent = _indent(data, items[-1])
        new = b"".join(indent + _item(rdf, value) for value in values)
        return items[-1].end, items[-1].end, new
    indent = _indent(data, array)
    step = indent + b" " if indent else b""
    new = b"".join(step + _item(rdf, value) for value in values)
    return _refill(data, array, new + indent)


def _refill(data: bytes, element: Element, body: bytes) -> Edit:
    """Return the edit that puts ``body`` before the end tag, made if it is ``<a/>``."""
    if not element.empty:
        return element.close, element.close, body
    closing = b">" + body + b"</" + _raw_name(data, element) + b">"
    return element.open_end - 2, element.open_end, closing


def _item(rdf: bytes, value: str) -> bytes:
    return b"<%sli>%s</%sli>" % (rdf, escape(value).encode(), rdf)


def _list(rdf: bytes, kind: str, values: Sequence[str], indent: bytes, unit: bytes) -> bytes:
    tag = rdf + kind.encode()
    items = b"".join(indent + unit + b" " + _item(rdf, value) for value in values)
    return b"%s<%s>%s%s</%s>" % (indent, tag, items, indent, tag)


def _describe(packet: Packet, fresh: Mapping[str, Sequence[str]]) -> Edit:
    """Return the edit that adds a description of our own with the properties ``fresh``."""
    data = packet.data
    rdf = _rdf(data, packet.rdf)
    if not rdf:
        raise RefusedError("its XMP has RDF without a prefix, which few programs can read")
    line = _indent(data, packet.nodes[-1]) if packet.nodes else b"\n  "
    line = line or b"\n"
    about = escape(_about(packet), {'"': "&quot;"}).encode()
    prefixes = sorted({name.split(":")[0] for name in fresh})
    tag = b"".join(
        line + b'  xmlns:%s="%s"' % (prefix.encode(), NAMESPACES[prefix].encode())
        for prefix in prefixes
    )
    out = [line, b'<%sDescription %sabout="%s"' % (rdf, rdf, about), tag, b">"]
    for name, values in fresh.items():
        raw = name.encode()
        out += [line, b" <", raw, b">"]
        if name in ARRAYS:
            out += [_list(rdf, ARRAYS[name], values, line + b"  ", b""), line, b" "]
        else:
            out.append(escape(values[0]).encode())
        out += [b"</", raw, b">"]
    out += [line, b"</%sDescription>" % rdf]
    if packet.rdf.empty:
        out.append(b"\n ")
        return _refill(data, packet.rdf, b"".join(out))
    at = packet.nodes[-1].end if packet.nodes else packet.rdf.open_end
    return at, at, b"".join(out)


def _about(packet: Packet) -> str:
    """Return what the descriptions are about; exiftool warns when they differ."""
    for node in packet.nodes:
        for key, value in node.attributes:
            if key in ("about", f"{RDF}}}about"):
                return value
            if key in (f"{RDF}}}ID", f"{RDF}}}nodeID"):
                raise RefusedError("its XMP describes more than the photo")
    return ""


def _without_provenance(packet: Packet) -> list[Edit]:
    """Return the edits that take away what is in our own namespace."""
    data, mine = packet.data, PROVENANCE_URI + "}"
    edits: list[Edit] = []
    for node in packet.nodes:
        edits += [_cut(data, prop) for prop in node.children if prop.name.startswith(mine)]
        raw = [
            found
            for found in _ATTRIBUTE.finditer(data, node.start, node.open_end)
            if found[1] != b"xmlns" and not found[1].startswith(b"xmlns:")
        ]
        if len(raw) != len(node.attributes):
            raise RefusedError("its XMP has a tag that cannot be located")
        for found, (name, _) in zip(raw, node.attributes, strict=True):
            if name.startswith(mine):
                edits.append((found.start(), found.end(), b""))
    return edits


def _cut(data: bytes, element: Element) -> Edit:
    return element.start - len(_indent(data, element)), element.end, b""


def remove(data: bytes, added: Mapping[str, Sequence[str]]) -> bytes:
    """Return the packet without those of the ``added`` values that are still in it.

    An array, and a description, that become empty by it go as well, and everything in our
    own namespace. Raise RefusedError when the packet cannot be edited safely.
    """
    packet = parse(data)
    gone: dict[int, Element] = {}
    for name in KEYWORD_PROPERTIES:
        values = list(added.get(name, ()))
        if not values:
            continue
        items = packet.items(name)
        mine = []
        for item in reversed(items):  # one for each value: the user may have added his own
            if item.text in values:
                values.remove(item.text)
                mine.append(item)
        if mine and len(mine) == len(items):
            prop = packet.find(name)
            assert prop is not None
            mine = [prop]
        gone |= {item.start: item for item in mine}
    for node in packet.nodes:
        mine = [p for p in node.children if p.name.startswith(PROVENANCE_URI + "}")]
        gone |= {item.start: item for item in mine}
    edits = _without_provenance(packet)
    for node in packet.nodes:
        rest = [prop for prop in node.children if prop.start not in gone]
        says = [k for k, _ in node.attributes if not k.startswith(PROVENANCE_URI + "}")]
        bare = not rest and all(key in ("about", f"{RDF}}}about") for key in says)
        if bare and (node.children or len(says) < len(node.attributes)):
            edits = [edit for edit in edits if not node.start <= edit[0] < node.end]
            inside = [at for at in gone if node.start < at < node.end]
            for at in inside:
                del gone[at]
            gone[node.start] = node
            edits = [edit for edit in edits if not node.start <= edit[1] <= node.end]
    cut = {edit[1] for edit in edits}
    edits += [_cut(data, item) for item in gone.values() if item.end not in cut]
    return apply_edits(data, edits)


def new_packet(toolkit: str) -> bytes:
    """Return a packet that says nothing, made by the program ``toolkit``."""
    return (
        f'<?xpacket begin="\ufeff" id="{PACKET_ID}"?>\n'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="{escape(toolkit)}">\n'
        f' <rdf:RDF xmlns:rdf="{RDF}">\n'
        " </rdf:RDF>\n"
        "</x:xmpmeta>\n"
        '<?xpacket end="w"?>'
    ).encode()


def resize(data: bytes, size: int) -> bytes:
    """Return the packet with its padding changed so that it takes ``size`` bytes.

    As it is when it has no padding or too little of it.
    """
    found = _PADDING.search(data)
    if found is None:
        return data
    start, end = found.span(1)
    length = end - start + size - len(data)
    if length < 0 or length == end - start:
        return data
    padding = data[start:end]
    if length <= len(padding):
        return data[:start] + padding[len(padding) - length :] + data[end:]
    return data[:end] + b" " * (length - len(padding) - 1) + b"\n" + data[end:]
