"""Property tests: what we add to any packet can be taken away, and nothing else moves."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections import Counter

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from tagger.errors import RefusedError
from tagger.metadata.xmp import edit, properties
from tagger.metadata.xmp import packet as xmp_packet
from tests.support import packets

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
OURS = {properties.full_name(name) for name in properties.KEYWORD_PROPERTIES}
ADDED = {
    properties.SUBJECT: ("dog", "animal"),
    properties.HIERARCHICAL: ("animal|dog",),
    properties.TAGS_LIST: ("animal/dog",),
    properties.MODEL: ("resnet18/x",),
    properties.SOFTWARE: ("tagger 1",),
    properties.LABELS: ("0.9000 dog", "0.9500 animal"),
}
PLAIN = {name: ADDED[name] for name in properties.KEYWORD_PROPERTIES}

letters = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=8
)
space = st.sampled_from(["", " ", "\n   ", "\t", "\r\n  ", "\n<!-- a > b < c -->\n"])
prefix = st.sampled_from(["dc", "a", "xmpx", "dc2", "_x.y-z"])


def escaped(text: str, how: int) -> str:
    """Return a text in one of the forms that XML has for it."""
    if how == 1:
        return "".join(f"&#x{ord(letter):X};" for letter in text)
    if how == 2 and "]]>" not in text:
        return f"<![CDATA[{text}]]>"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@st.composite
def texts(draw: st.DrawFn) -> str:
    return escaped(draw(letters), draw(st.integers(0, 2)))


@st.composite
def arrays(draw: st.DrawFn, tag: str, rdf: str) -> str:
    """Return an array property with any white space and comments in it."""
    kind = draw(st.sampled_from(["Bag", "Seq", "Alt"]))
    items = draw(st.lists(st.one_of(texts(), st.sampled_from(["dog", "Dog", "animal|dog"]))))
    gap = draw(space)
    if not items and draw(st.booleans()):
        inner = draw(st.sampled_from(["", f"<{rdf}:{kind}/>", f"<{rdf}:{kind}></{rdf}:{kind}>"]))
    else:
        lang = draw(st.sampled_from(["", ' xml:lang="x-default"', " xml:lang='en' "]))
        body = "".join(f"{gap}<{rdf}:li{lang}>{item}</{rdf}:li>" for item in items)
        inner = (
            f"<{rdf}:{kind}>{body}{draw(space)}</{rdf}:{kind}{draw(st.sampled_from(['', ' ']))}>"
        )
    return f"<{tag}>{draw(space)}{inner}{draw(space)}</{tag}>"


@st.composite
def whole_packets(draw: st.DrawFn) -> bytes:
    """Return a packet with other properties in all forms, and some or all of the three."""
    rdf = draw(st.sampled_from(["rdf", "r", "RDF"]))
    names = {name: draw(prefix) + str(n) for n, name in enumerate(properties.NAMESPACES.values())}
    left = list(properties.KEYWORD_PROPERTIES)
    gap = draw(space)
    nodes = []
    for _ in range(draw(st.integers(0, 3))):
        quote = draw(st.sampled_from(["'", '"']))
        declared = "".join(
            f"{draw(st.sampled_from([' ', chr(10)]))}xmlns:{p}={quote}{uri}{quote}"
            for uri, p in names.items()
        )
        attributes = [f"{rdf}:about={quote}{quote}"]
        if draw(st.booleans()):
            value = draw(letters).replace("&", "&amp;").replace("<", "&lt;").replace(quote, "")
            attributes.append(f"o:rating = {quote}{value} > b/>{quote}")
        body = ""
        if draw(st.booleans()):
            body += f"{gap}<o:title>{draw(texts())}</o:title>"
        if draw(st.booleans()):
            body += f"{gap}<o:deep {rdf}:parseType='Resource'><o:a>{draw(texts())}</o:a></o:deep>"
        while left and draw(st.booleans()):
            name = left.pop()
            head, local = name.split(":")
            body += gap + draw(arrays(f"{names[properties.NAMESPACES[head]]}:{local}", rdf))
        nodes.append(
            f"{gap}<{rdf}:Description {' '.join(attributes)}{declared} xmlns:o='urn:o'>"
            f"{body}{draw(space)}</{rdf}:Description>"
            if body or draw(st.booleans())
            else f"{gap}<{rdf}:Description {' '.join(attributes)}{declared} xmlns:o='urn:o'/>"
        )
    inner = "".join(nodes)
    core = f"<{rdf}:RDF xmlns:{rdf}='{RDF}'>{inner}{draw(space)}</{rdf}:RDF>"
    if not nodes and draw(st.booleans()):
        core = f"<{rdf}:RDF xmlns:{rdf}='{RDF}'/>"
    if draw(st.booleans()):
        core = f"<x:xmpmeta xmlns:x='adobe:ns:meta/'>{core}</x:xmpmeta>"
    head = draw(st.sampled_from(["", "<?xml version='1.0'?>\n", "\ufeff", packets.BEGIN + "\n"]))
    tail = f"\n{' ' * draw(st.integers(0, 300))}{packets.END}" if "xpacket" in head else ""
    return (head + core + tail).encode()


def values(data: bytes, name: str) -> list[str]:
    """Return a property's items by another parser."""
    items = ET.fromstring(data.rstrip(b"\0")).iter(
        "{" + properties.full_name(name).replace("}", "}")
    )
    return [li.text or "" for prop in items for li in prop.iter(f"{{{RDF}}}li")]


def rest(data: bytes) -> Counter[str]:
    """Return everything that is not about keywords, by another parser.

    The descriptions that only hold our properties are left out.
    """
    root = ET.fromstring(data.rstrip(b"\0"))
    found: Counter[str] = Counter()
    for node in root.iter(f"{{{RDF}}}Description"):
        for key, value in node.attrib.items():
            if not key.endswith("about"):
                found[f"{key}={value}"] += 1
        for prop in node:
            name = str(prop.tag)[1:]
            if name not in OURS and not name.startswith(properties.PROVENANCE_URI):
                found[ET.tostring(prop, encoding="unicode").strip()] += 1
    return found


fast = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)


@fast
@given(whole_packets(), st.sampled_from([ADDED, PLAIN]))
def test_adding_adds_and_changes_nothing_else(
    data: bytes, wanted: dict[str, tuple[str, ...]]
) -> None:
    new, added = edit.add(data, wanted, "t")
    for name in properties.KEYWORD_PROPERTIES:
        old = values(data, name)
        known = {xmp_packet.key(value) for value in old}
        missing = [value for value in wanted[name] if xmp_packet.key(value) not in known]
        assert values(new, name) == old + missing
        assert list(added.get(name, ())) == missing
    assert rest(new) == rest(data)
    again, nothing = edit.add(new, PLAIN, "t")
    assert (again, nothing) == (new, {})


@fast
@given(whole_packets(), st.sampled_from([ADDED, PLAIN]))
def test_adding_only_inserts(data: bytes, wanted: dict[str, tuple[str, ...]]) -> None:
    new, _ = edit.add(data, wanted, "t")
    letters = iter(new)
    # An empty element <a/> becomes <a></a>: its slash moves.
    assert all(byte in letters for byte in data.replace(b"/>", b">"))


@fast
@given(whole_packets(), st.sampled_from([ADDED, PLAIN]))
def test_removing_is_the_inverse(data: bytes, wanted: dict[str, tuple[str, ...]]) -> None:
    new, added = edit.add(data, wanted, "t")
    back = edit.remove(new, added)
    for name in properties.KEYWORD_PROPERTIES:
        assert values(back, name) == values(data, name)
    assert rest(back) == rest(data)
    assert not xmp_packet.parse(back).has_ours()
    if b"<rdf:Bag" not in data and b"/>" not in data and all(values(data, n) for n in PLAIN):
        assert back == data


@fast
@given(whole_packets(), st.lists(st.sampled_from(["dog", "cat", "animal"])))
def test_removing_takes_no_more_than_was_added(data: bytes, mine: list[str]) -> None:
    back = edit.remove(data, {properties.SUBJECT: tuple(mine)})
    left = Counter(values(data, properties.SUBJECT)) - Counter(mine)
    assert Counter(values(back, properties.SUBJECT)) == left
    for name in (properties.HIERARCHICAL, properties.TAGS_LIST):
        assert values(back, name) == values(data, name)
    assert rest(back) == rest(data)


@fast
@given(whole_packets(), st.integers(0, 2000))
def test_only_white_space_is_used_for_the_size(data: bytes, more: int) -> None:
    size = len(data) + more - 1000
    new = edit.resize(data, size)
    assert len(new) == size or new == data
    assert new.split() == data.split()


@settings(fast, max_examples=300)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@example(b"")
@example(b"\0" * 40)
@example(b"<a>" * 300)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(RefusedError):
        edit.add(data, ADDED, "t")


@fast
@given(st.lists(st.text(max_size=12), min_size=1))
def test_any_keyword_comes_back(words: list[str]) -> None:
    assume(edit.missing(words))
    new, added = edit.add(None, {properties.SUBJECT: words}, "t")
    assert (
        values(new, properties.SUBJECT)
        == list(added[properties.SUBJECT])
        == list(edit.missing(words))
    )


def test_much_text_in_pieces_is_read_in_time() -> None:
    pieces = b"a<!---->" * 500_000
    data = packets.packet(packets.description("\n<xmp:Label>TEXT</xmp:Label>"))
    started = time.process_time()
    assert len(xmp_packet.parse(data.replace(b"TEXT", pieces)).nodes) == 1
    assert time.process_time() - started < 10


@pytest.mark.parametrize("name", packets.NOT_EDITABLE)
def test_refused_packets(name: str) -> None:
    data, reason = packets.REFUSED[name]
    with pytest.raises(RefusedError, match=reason):
        edit.add(data, ADDED, "t")


def test_our_former_namespace_is_understood_and_replaced() -> None:
    old = edit.add(None, {"dc:subject": ["dog"], "tagger:labels": ["0.9 dog"]}, "tagger 0.1")[0]
    old = old.replace(properties.PROVENANCE_URI.encode(), b"http://ns.tagger.invalid/1.0/")
    assert b"ns.tagger.invalid" in old
    parsed = xmp_packet.parse(old)
    assert parsed.has_ours() and parsed.labels() == {"dog": "0.9"}
    new, _ = edit.add(old, {"tagger:labels": ["0.8 dog"]}, "tagger 0.1")
    assert new.count(b"<tagger:labels>") == 1
    assert xmp_packet.parse(new).labels() == {"dog": "0.8"}
    assert not xmp_packet.parse(edit.remove(old, {"dc:subject": ["dog"]})).has_ours()
