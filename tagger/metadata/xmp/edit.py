"""Reads and edits XMP packets by byte offsets: what is not ours keeps every byte.

The properties written, in the forms that digiKam, darktable, Immich, PhotoPrism and
Lightroom expect: ``dc:subject`` (Bag), ``lr:hierarchicalSubject`` (Bag, ``animal|dog``),
``digiKam:TagsList`` (Seq, ``animal/dog``); and our own namespace for provenance,
:data:`PROVENANCE_URI`:

* ``tagger:model``: the network that classified,
* ``tagger:software``: the program and its version,
* ``tagger:photo``: ``xxh3-128:`` and the digest, in hexadecimal, of the photo's bytes before we
  ever wrote to it,
* ``tagger:labels`` (Seq): one ``0.9712 dog`` for each keyword, its confidence first.

XMP: ISO 16684-1. What cannot be edited with certainty raises RefusedError, as in parsing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape

from tagger.errors import RefusedError
from tagger.metadata.xmp.packet import ABOUT, Element, Packet, array_of, clean, key, parse
from tagger.metadata.xmp.properties import (
    ARRAYS,
    CATEGORIES,
    COPY_PROPERTIES,
    KEYWORD_PROPERTIES,
    NAMESPACES,
    PROVENANCE_PROPERTIES,
    PROVENANCE_URI,
    RDF,
    full_name,
    is_described,
)

PACKET_ID = "W5M0MpCehiHzreSzNTczkc9d"  # the same in every packet, ISO 16684-1 7.3.2

# Possessive, and matched at one place after the other: see packet.py.
_ATTRIBUTE = re.compile(rb"""\s++([^\s=/>]++)\s*+=\s*+("[^"]*+"|'[^']*+')""")
_NAME = re.compile(rb"[^\s/>]*+")
_PADDING = re.compile(rb">([ \t\r\n]*+)<\?xpacket\s++end=[^>]*+(?<=\?)>[\s\0]*+\Z")
_MAX_INDENT = 200

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

    ``data`` None makes a new packet. Values that are there already are left alone, and so is
    a property that describes the photo, with whatever is in it.
    Raise RefusedError when the packet cannot be edited safely.
    """
    if data is None:
        data = new_packet(toolkit)
    packet = parse(data)
    edits: list[Edit] = []
    added: dict[str, tuple[str, ...]] = {}
    fresh: dict[str, tuple[str, ...]] = {}
    before = {
        name: packet.values(name)
        for name in wanted
        if name not in PROVENANCE_PROPERTIES and not is_described(name)
    }
    for name, values in wanted.items():
        if name not in before:
            if values and not (is_described(name) and packet.texts(name)):
                fresh[name] = added[name] = tuple(values)
            continue
        new = missing(values, before[name])
        if not new:
            continue
        added[name] = new
        prop = packet.find(name)
        if prop is None:
            fresh[name] = new
        else:
            edits.append(_append(packet, prop, name, new))
    if packet.has_ours() and any(name in PROVENANCE_PROPERTIES for name in fresh):
        for node in packet.nodes:
            edits += _going(data, node, _is_ours)
    if fresh:
        edits.append(_describe(packet, fresh))
    result = apply_edits(data, edits)
    after = parse(result)
    for name, old in before.items():
        if after.values(name) != old + added.get(name, ()):
            raise RefusedError(f"its XMP could not be edited with certainty ({name})")
    return result, added


def missing(values: Sequence[str], there: Sequence[str] = ()) -> tuple[str, ...]:
    """Return those of ``values`` that are not there in any spelling, as written and each once."""
    known = {key(value) for value in there}
    found: dict[str, str] = {}
    for value in map(clean, values):
        if value and key(value) not in known:
            found.setdefault(key(value), value)
    return tuple(found.values())


def _raw_name(data: bytes, element: Element) -> bytes:
    found = _NAME.match(data, element.start + 1)
    assert found is not None
    return found[0]


def _rdf(data: bytes, element: Element) -> bytes:
    """Return the prefix, with its colon, by which ``element`` names the RDF namespace."""
    prefix, colon, _ = _raw_name(data, element).rpartition(b":")
    return prefix + colon


def _indent(data: bytes, element: Element) -> bytes:
    """Return the line break and white space before ``element``, empty when on one line.

    Empty as well when it is longer than any program indents: each value that is put in gets it.
    """
    before = data[max(0, element.start - _MAX_INDENT) : element.start]
    line = before.rstrip(b" \t")
    if not line.endswith(b"\n"):
        return b""
    return before[len(line) - (2 if line.endswith(b"\r\n") else 1) :]


def _append(packet: Packet, prop: Element, name: str, values: Sequence[str]) -> Edit:
    data = packet.data
    array, items = array_of(prop, name)
    if array is None:
        # An empty property: give it the array that we would create.
        rdf = _rdf(data, packet.rdf)
        body = _list(rdf, ARRAYS[name], values, _indent(data, prop) + b" ")
        return _refill(data, prop, body + _indent(data, prop))
    rdf = _rdf(data, array)
    indent = _indent(data, items[-1] if items else array)
    step = indent + b" " if indent and not items else indent
    new = b"".join(step + _item(rdf, value) for value in values)
    return (items[-1].end, items[-1].end, new) if items else _refill(data, array, new + indent)


def _refill(data: bytes, element: Element, body: bytes) -> Edit:
    """Return the edit that puts ``body`` before the end tag, made if it is ``<a/>``."""
    if not element.empty:
        return element.close, element.close, body
    closing = b">" + body + b"</" + _raw_name(data, element) + b">"
    return element.open_end - 2, element.open_end, closing


def _item(rdf: bytes, value: str, attributes: bytes = b"") -> bytes:
    return b"<%sli%s>%s</%sli>" % (rdf, attributes, escape(value, quote=False).encode(), rdf)


def _list(rdf: bytes, kind: str, values: Sequence[str], indent: bytes) -> bytes:
    tag = rdf + kind.encode()
    language = b' xml:lang="x-default"' if kind == "Alt" else b""
    items = b"".join(indent + b" " + _item(rdf, value, language) for value in values)
    return b"%s<%s>%s%s</%s>" % (indent, tag, items, indent, tag)


def _describe(packet: Packet, fresh: Mapping[str, Sequence[str]]) -> Edit:
    """Return the edit that adds a description of our own with the properties ``fresh``."""
    data = packet.data
    rdf = _rdf(data, packet.rdf)
    if not rdf:
        raise RefusedError("its XMP has RDF without a prefix, which few programs can read")
    line = (_indent(data, packet.nodes[-1]) or b"\n") if packet.nodes else b"\n  "
    about = _quoted(_about(packet))
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
            out += [_list(rdf, ARRAYS[name], values, line + b"  "), line, b" "]
        else:
            out.append(escape(values[0], quote=False).encode())
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
        for name, value in node.attributes:
            if name in ABOUT:
                return value
            if name in (f"{RDF}}}ID", f"{RDF}}}nodeID"):
                raise RefusedError("its XMP describes more than the photo")
    return ""


def _is_ours(name: str) -> bool:
    """Whether a full name is of our own namespace."""
    return name.startswith(PROVENANCE_URI + "}")


def _going(data: bytes, node: Element, goes: Callable[[str], bool]) -> list[Edit]:
    """Return the edits that take away properties, be they attributes, by their full names."""
    props = [_cut(data, prop) for prop in node.children if goes(prop.name)]
    return props + [(*found.span(), b"") for found, name in _attributes(data, node) if goes(name)]


def _reworded(packet: Packet, name: str, text: str) -> Iterator[Edit]:
    """Yield the edits that give a property, which is one text, another."""
    data, full = packet.data, full_name(name)
    for node in packet.nodes:
        for prop in node.children:
            if prop.name == full and not prop.children and not prop.empty:
                yield prop.open_end, prop.close, escape(text, quote=False).encode()
        for found, attribute in _attributes(data, node):
            if attribute == full:
                yield *found.span(2), b'"' + _quoted(text) + b'"'


def _attributes(data: bytes, element: Element) -> list[tuple[re.Match[bytes], str]]:
    """Return where in a start tag its attributes are, with the blanks before, and their names."""
    raw, at = [], element.start + 1 + len(_raw_name(data, element))
    while found := _ATTRIBUTE.match(data, at, element.open_end):
        at = found.end()
        if found[1] != b"xmlns" and not found[1].startswith(b"xmlns:"):
            raw.append(found)
    if len(raw) != len(element.attributes):
        raise RefusedError("its XMP has a tag that cannot be located")
    return [(found, name) for found, (name, _) in zip(raw, element.attributes, strict=True)]


def _cut(data: bytes, element: Element) -> Edit:
    return element.start - len(_indent(data, element)), element.end, b""


def remove(data: bytes, added: Mapping[str, Sequence[str]]) -> bytes:
    """Return the packet without those of the ``added`` values that are still in it.

    An array, and a description, that become empty by it go as well, and everything in our
    own namespace. A property that describes the photo goes if it still says what we wrote.
    Raise RefusedError when the packet cannot be edited safely.
    """
    packet = parse(data)
    edits: list[Edit] = []
    whole = {
        full_name(name)
        for name, values in added.items()
        if is_described(name) and values and packet.texts(name) == tuple(values)
    }
    said = added.get(CATEGORIES, ())
    if said and packet.texts(CATEGORIES) == said[:1]:
        if said[1]:
            edits += _reworded(packet, CATEGORIES, said[1])
        else:
            whole.add(full_name(CATEGORIES))
    for name in (*KEYWORD_PROPERTIES, *COPY_PROPERTIES):
        values = Counter(added.get(name, ()))
        if not values:
            continue
        items = packet.items(name)
        mine = []
        for item in reversed(items):  # one for each value: the user may have added his own
            if values[text := item.text] > 0:
                values[text] -= 1
                mine.append(item)
        if mine and len(mine) == len(items):
            whole.add(full_name(name))
        else:
            edits += [_cut(data, item) for item in mine]
    for node in packet.nodes:
        gone = _going(data, node, lambda name: _is_ours(name) or name in whole)
        said = [name for name, _ in node.attributes if name not in ABOUT]
        is_bare = len(gone) == len(node.children) + len(said)
        edits += [_cut(data, node)] if gone and is_bare else gone
    return apply_edits(data, edits)


def new_packet(toolkit: str) -> bytes:
    """Return a packet that says nothing, made by the program ``toolkit``."""
    return (
        f'<?xpacket begin="\ufeff" id="{PACKET_ID}"?>\n'
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="{escape(toolkit, quote=False)}">\n'
        f' <rdf:RDF xmlns:rdf="{RDF}">\n'
        " </rdf:RDF>\n"
        "</x:xmpmeta>\n"
        '<?xpacket end="w"?>'
    ).encode()


def resize(data: bytes, size: int) -> bytes:
    """Return the packet padded to ``size`` bytes; as it is if it has no padding, or too little."""
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


def _quoted(text: str) -> bytes:
    """Return what stands for ``text`` between double quotes."""
    return escape(text, quote=False).replace('"', "&quot;").encode()
