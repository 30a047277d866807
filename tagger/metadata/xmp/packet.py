"""XMP packets parsed with byte offsets, as :mod:`~tagger.metadata.xmp` edits them.

XMP: ISO 16684-1. What cannot be understood with certainty raises RefusedError whose message
is a clause about "its XMP", without a path.

Packets come from strangers and are parsed in the daemon. expat works on to the end after a
handler has raised, so what would make it slow or large is looked for before.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.parsers import expat

from tagger.errors import RefusedError
from tagger.metadata.xmp.properties import (
    FORMER_URI,
    LABELS,
    PREFIX,
    PROVENANCE_URI,
    RDF,
    full_name,
)
from tagger.text.unicode import normalized

MAX_BYTES = 8 << 20
MAX_PARTS = 100_000
"""Of elements and attributes together."""
MAX_KEPT = 40_000
"""Of these, in descriptions, properties, arrays and items; brush strokes lie deeper."""
MAX_NAMESPACES, MAX_NAMESPACE = 10_000, 256
"""Declarations, and bytes of one: expat repeats it for each attribute that uses it."""
MAX_ATTRIBUTE = 1 << 20
"""Bytes of one attribute's value."""
MAX_VALUE = 4096
"""Characters that are kept of one text. No keyword is that long; a longer one stays where it is."""
MAX_TEXT = 2 << 20
"""Characters that are kept of all texts together."""
MAX_ATTRIBUTES = 5000
"""Of one element. Lightroom writes some hundreds."""
MAX_HEAD = 400
"""Bytes in which a packet says which program wrote it."""
_REMEMBERED = 3
_ITEM = 4
"""How deep below rdf:RDF the items of an array are: description, property, array, item."""

# Possessive: a tag that does not fit is found out once, not from each of its blanks.
_START_TAG = re.compile(
    rb"""<[^\s/>]++(?:\s++[^\s=/>]++\s*+=\s*+(?:"[^"]*+"|'[^']*+'))*+\s*+(/?)>"""
)
_NAMESPACE = re.compile(rb"""xmlns[^\s=]*+(?:\s*+=\s*+(["']))?+""")
_VALUE = re.compile(rb"""=\s*+(["'])?+""")
_END_TAG = re.compile(rb"</[^>]*>")
ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """Return ``text`` on one line, as it can stand in XML: without what is ILLEGAL there."""
    return " ".join(ILLEGAL.sub("", text).split())


def key(text: str) -> str:
    """Return what is the same for two spellings of one keyword."""
    return normalized("NFC", clean(text)).casefold()


@dataclass(slots=True, eq=False)
class Element:
    """One XML element by its byte offsets.

    ``start``…``open_end`` is the start tag, ``close``…``end`` the end tag (both empty
    at ``open_end`` for ``<a/>``). Names are ``uri}local``. ``text`` is the character data
    directly in it, MAX_VALUE characters at most.
    """

    name: str
    start: int
    open_end: int
    empty: bool
    attributes: Sequence[tuple[str, str]]
    close: int = -1
    end: int = -1
    children: Sequence[Element] = ()
    text: str = ""


@dataclass(slots=True)
class Packet:
    """A parsed packet: its ``rdf:RDF`` element and the descriptions directly in it.

    Elements are there down to those within the items of an array; what is below those is not.
    """

    data: bytes
    rdf: Element

    @property
    def nodes(self) -> Sequence[Element]:
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

    def items(self, name: str) -> Sequence[Element]:
        """Return the items of an array property, none without it. Raise as :func:`array_of`."""
        prop = self.find(name)
        return array_of(prop, name)[1] if prop is not None else []

    def values(self, name: str) -> tuple[str, ...]:
        """Return the texts of an array property; raise RefusedError as :meth:`items`."""
        return tuple(item.text for item in self.items(name))

    def texts(self, name: str) -> tuple[str, ...]:
        """Return the texts of a property for reading, whatever its form, but for those cut off."""
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
        return tuple(text for text in found if len(text) < MAX_VALUE)

    def has_namespace(self, uri: str) -> bool:
        """Whether a property of a namespace is in the packet."""
        return any(
            key.startswith(uri + "}")
            for node in self.nodes
            for key in [prop.name for prop in node.children] + [k for k, _ in node.attributes]
        )

    def labels(self) -> dict[str, str]:
        """Return the keywords that our provenance names, each with its confidence."""
        pairs = (text.partition(" ") for text in self.texts(LABELS))
        return {keyword: confidence for confidence, _, keyword in pairs if keyword}

    def prefix(self) -> tuple[str, ...]:
        """Return the levels that our provenance says to be above all our hierarchies."""
        texts = self.texts(PREFIX)
        return tuple(filter(None, texts[0].split("|"))) if len(texts) == 1 else ()

    def has_ours(self) -> bool:
        """Whether anything of our provenance namespace is in the packet."""
        return self.has_namespace(PROVENANCE_URI)

    def is_as_made(self) -> bool:
        """Whether no other program has written the packet since tagger made it."""
        return b'x:xmptk="tagger ' in self.data[:MAX_HEAD]

    def is_bare(self) -> bool:
        """Whether the packet says nothing at all."""
        return not any(
            node.children or any(key not in ABOUT for key, _ in node.attributes)
            for node in self.nodes
        )


_memory = threading.local()


@contextlib.contextmanager
def remembering() -> Iterator[None]:
    """Have :func:`parse` in this thread remember the last packets, while this lasts.

    One photo's packets are asked for several things, and a large one takes a while.
    """
    before = getattr(_memory, "parsed", None)
    if before is None:
        _memory.parsed = {}
    try:
        yield
    finally:
        _memory.parsed = before


def parse(data: bytes) -> Packet:
    """Parse a packet, not to be changed. Raise RefusedError if it is unsafe, or past MAX_PARTS."""
    known: dict[bytes, Packet | str] | None = getattr(_memory, "parsed", None)
    if known is None:
        return _parsed(data)
    found = known.pop(data, None)
    if found is None:
        try:
            found = _parsed(data)
        except RefusedError as error:
            found = error.message
    known[data] = found
    if len(known) > _REMEMBERED:
        del known[next(iter(known))]
    if isinstance(found, str):
        raise RefusedError(found)
    return found


def understood(data: bytes | None) -> Packet | None:
    """Parse a packet for reading only; None when there is none, or :func:`parse` refuses it."""
    try:
        return parse(data) if data is not None else None
    except RefusedError:
        return None


def _parsed(data: bytes) -> Packet:
    if len(data) > MAX_BYTES:
        raise RefusedError(f"its XMP is larger than {MAX_BYTES >> 20} MB")
    text = data.rstrip(b"\0")
    if b"\0" in text[:64] or text[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise RefusedError("its XMP is UTF-16 or UTF-32")
    _check_size(text)
    return Packet(data, _Reader(text).rdf())


def _check_size(text: bytes) -> None:
    """Raise RefusedError for what would keep expat busy, or fill the memory."""
    tags = text.count(b"<") - text.count(b"<!") - text.count(b"<?")
    if tags > 2 * MAX_PARTS or text.count(b"=") > MAX_PARTS:
        raise RefusedError(_TOO_MANY_PARTS)
    if b"<!DOCTYPE" in text:
        raise RefusedError(_DTD)
    if text.count(b"xmlns") > MAX_NAMESPACES:
        raise RefusedError(f"its XMP declares more than {MAX_NAMESPACES:,} namespaces")
    if _is_long(text, _NAMESPACE, MAX_NAMESPACE):
        raise RefusedError(f"its XMP has a namespace of more than {MAX_NAMESPACE} bytes")
    if _is_long(text, _VALUE, MAX_ATTRIBUTE):
        raise RefusedError("its XMP has an attribute of more than 1 MB")


def _is_long(text: bytes, begin: re.Pattern[bytes], limit: int) -> bool:
    """Whether any value that begins with a quote, as ``begin`` finds it, goes beyond a limit."""
    return any(
        found[1]
        and text.find(found[1], found.end(), found.end() + limit + 1) < 0
        and len(text) - found.end() > limit
        for found in begin.finditer(text)
    )


_TOO_MANY_PARTS = f"its XMP has more than {MAX_PARTS:,} parts"
_DTD = "its XMP has a DTD"


class _Reader:
    """Builds the tree; a stack, not recursion, for the nesting may be hostile."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._is_former = FORMER_URI.encode() in data
        self._parser = parser = expat.ParserCreate("UTF-8", "}")
        self._stack: list[Element | None] = []
        self._count = self._kept = self._text_length = 0
        self._rdf_depth: int | None = None
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
        finally:
            self._let_go()
        if len(self._all_rdf) != 1:
            raise RefusedError(f"its XMP has {len(self._all_rdf)} rdf:RDF elements, not one")
        rdf = self._all_rdf[0]
        if self._rdf_depth is not None and self._rdf_depth > 1:
            raise RefusedError("its XMP is nested in another document")
        return rdf

    def _let_go(self) -> None:
        """Have the parser not refer to this any more: a circle stays until a collection is made."""
        parser = self._parser
        parser.StartElementHandler = parser.EndElementHandler = None
        parser.CharacterDataHandler = None
        parser.StartDoctypeDeclHandler = parser.XmlDeclHandler = None

    def _doctype(self, *args: object) -> None:
        raise RefusedError(_DTD)

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.upper() not in ("UTF-8", "US-ASCII", "ASCII"):
            raise RefusedError(f"its XMP is encoded as {encoding[:20]}")

    def _start(self, name: str, pairs: Sequence[str]) -> None:
        if self._is_former:
            name, pairs = _present(name), [*map(_present, pairs)]
        depth = len(self._stack)
        if depth >= 200:
            raise RefusedError("its XMP is nested more than 200 deep")
        self._count += 1 + len(pairs) // 2
        if self._count > MAX_PARTS:
            raise RefusedError(_TOO_MANY_PARTS)
        if name == _RDF:
            self._rdf_depth = depth if self._rdf_depth is None else self._rdf_depth
        elif self._rdf_depth is not None and depth > self._rdf_depth + _ITEM + 1:
            self._stack.append(None)  # nothing in there is read or edited
            return
        start = self._parser.CurrentByteIndex
        tag = _START_TAG.match(self._data, start)
        if tag is None:
            raise RefusedError("its XMP has a tag that cannot be located")
        if len(pairs) > 2 * MAX_ATTRIBUTES:
            raise RefusedError(f"its XMP has an element of more than {MAX_ATTRIBUTES:,} attributes")
        attributes = tuple(zip(pairs[::2], pairs[1::2], strict=True)) if pairs else ()
        element = Element(name, start, tag.end(), bool(tag[1]), attributes)
        self._kept += 1 + len(attributes)
        if self._kept > MAX_KEPT:
            raise RefusedError(f"its XMP has more than {MAX_KEPT:,} properties and items")
        parent = self._stack[-1] if self._stack else None
        if parent is None:
            pass
        elif isinstance(parent.children, list):
            parent.children.append(element)
        else:  # most have none
            parent.children = [element]
        if name == _RDF:
            self._all_rdf.append(element)
        self._stack.append(element)

    def _end(self, name: str) -> None:
        element = self._stack.pop()
        if element is None:
            return
        if element.empty:
            element.close = element.end = element.open_end
            return
        element.close = self._parser.CurrentByteIndex
        tag = _END_TAG.match(self._data, element.close)
        if tag is None:
            raise RefusedError("its XMP has a tag that cannot be located")
        element.end = tag.end()

    def _text(self, text: str) -> None:
        element = self._stack[-1] if self._stack else None
        if element is None or (room := MAX_VALUE - len(element.text)) <= 0:
            return
        text = text[:room]
        element.text = element.text + text if element.text else text
        self._text_length += len(text)
        if self._text_length > MAX_TEXT:
            raise RefusedError("its XMP has more than two million characters of text")


def _present(name: str) -> str:
    """Return a name of our former namespace as one of the present."""
    former = FORMER_URI + "}"
    return f"{PROVENANCE_URI}}}{name[len(former) :]}" if name.startswith(former) else name


ABOUT = ("about", f"{RDF}}}about")
"""What names the thing that a description is about, which says nothing of it."""
_RDF = f"{RDF}}}RDF"
_LISTS = {f"{RDF}}}{kind}" for kind in ("Bag", "Seq", "Alt")}
_XML_LANG = "http://www.w3.org/XML/1998/namespace}lang"


def array_of(prop: Element, name: str) -> tuple[Element | None, Sequence[Element]]:
    """Return the rdf:Bag, Seq or Alt of a property (None when it is empty) and its items.

    Raise RefusedError when it is no plain array of texts.
    """
    odd = RefusedError(f"its XMP holds {name} in an unusual form")
    if prop.text.strip() or [key for key, _ in prop.attributes if key != _XML_LANG]:
        raise odd
    if not prop.children:
        return None, ()
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
