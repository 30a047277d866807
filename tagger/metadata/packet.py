"""XMP packets parsed with byte offsets, as :mod:`~tagger.metadata.xmp` edits them.

XMP: ISO 16684-1. What cannot be understood with certainty raises RefusedError whose message
is a clause about "its XMP", without a path.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.parsers import expat

from tagger.errors import RefusedError

SUBJECT = "dc:subject"
HIERARCHICAL = "lr:hierarchicalSubject"
TAGS_LIST = "digiKam:TagsList"
KEYWORD_PROPERTIES = (SUBJECT, HIERARCHICAL, TAGS_LIST)
MODEL = "tagger:model"
SOFTWARE = "tagger:software"
LABELS = "tagger:labels"
PROVENANCE_PROPERTIES = (MODEL, SOFTWARE, LABELS)
SIDECAR_FOR = "photoshop:SidecarForExtension"
"""Which file a sidecar is for, as Lightroom and Camera Raw say."""

PROVENANCE_URI = "http://ns.tagger.invalid/1.0/"
"""In .invalid (RFC 2606), as nobody can own it; an XMP namespace is never fetched."""

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "tagger": PROVENANCE_URI,
}
MAX_BYTES = 16 << 20
MAX_ELEMENTS = 100_000

_START_TAG = re.compile(rb"""<[^\s/>]+(?:\s+[^\s=/>]+\s*=\s*(?:"[^"]*"|'[^']*'))*\s*(/?)>""")
_END_TAG = re.compile(rb"</[^>]*>")
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
        return array_of(prop, name)[1] if prop is not None else []

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
        return not any(node.children or says_something(node) for node in self.nodes)


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
        self._count = 0
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
        self._count += 1 + len(attributes)
        if self._count > MAX_ELEMENTS:
            raise RefusedError("its XMP has more than 100,000 parts")

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


def array_of(prop: Element, name: str) -> tuple[Element | None, list[Element]]:
    """Return the rdf:Bag, Seq or Alt of a property (None when it is empty) and its items.

    Raise RefusedError when it is no plain array of texts.
    """
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


def says_something(node: Element) -> bool:
    """Whether a description has an attribute that is not only about what it is."""
    return any(key not in ("about", f"{RDF}}}about") for key, _ in node.attributes)
