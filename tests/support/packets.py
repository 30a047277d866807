"""XMP packets as different programs write them."""

from __future__ import annotations

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
END = '<?xpacket end="w"?>'
PREFIXES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "darktable": "http://darktable.sf.net/",
    "dcterms": "http://purl.org/dc/terms/",
    "xmpNote": "http://ns.adobe.com/xmp/note/",
    "Container": "http://ns.google.com/photos/1.0/container/",
    "Item": "http://ns.google.com/photos/1.0/container/item/",
    "hdrgm": "http://ns.adobe.com/hdr-gain-map/1.0/",
}


def description(body: str = "", attributes: str = "") -> str:
    """Return an rdf:Description with the prefixes that it uses declared."""
    used = "".join(
        f'\n    xmlns:{prefix}="{uri}"'
        for prefix, uri in PREFIXES.items()
        if f"{prefix}:" in body + attributes
    )
    return f'  <rdf:Description rdf:about=""{used}\n    {attributes}>{body}\n  </rdf:Description>\n'


def array(name: str, *values: str, kind: str = "Bag") -> str:
    items = "".join(f"\n     <rdf:li>{value}</rdf:li>" for value in values)
    return f"\n   <{name}>\n    <rdf:{kind}>{items}\n    </rdf:{kind}>\n   </{name}>"


def packet(*descriptions: str, padding: int = 0, wrapper: bool = True, toolkit: str = "") -> bytes:
    """Return a whole packet with ``padding`` bytes of white space."""
    body = (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="{toolkit or "XMP Core 5.6.0"}">\n'
        f' <rdf:RDF xmlns:rdf="{RDF}">\n{"".join(descriptions)} </rdf:RDF>\n</x:xmpmeta>\n'
    )
    room = (" " * 99 + "\n") * (padding // 100)
    return (f"{BEGIN}\n{body}{room}{END}" if wrapper else body).encode()


def rated(**options: int) -> bytes:
    """Return a packet that is not about keywords."""
    return packet(description(attributes='xmp:Rating="3"'), **options)  # type: ignore[arg-type]


def with_keywords(*words: str) -> bytes:
    return packet(description(array("dc:subject", *words)))


LIGHTROOM = packet(
    description(
        array("dc:subject", "holiday", "Dog")
        + array("lr:hierarchicalSubject", "places|beach", "pets|Dog")
        + '\n   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">Sea &amp; sun</rdf:li>'
        "</rdf:Alt></dc:title>",
        'xmp:Rating="4" xmp:Label="Red"',
    ),
    padding=2000,
    toolkit="Adobe XMP Core 5.6-c140",
)
DIGIKAM = b'<?xml version="1.0" encoding="UTF-8"?>\n' + packet(
    description(
        array("digiKam:TagsList", "people/Anna", kind="Seq") + array("dc:subject", "Anna"),
        'xmp:Rating="5" digiKam:PickLabel="3"',
    ),
    wrapper=False,
    toolkit="XMP Core 4.4.0-Exiv2",
)
DARKTABLE = b'<?xml version="1.0" encoding="UTF-8"?>\n' + packet(
    description(
        array("dc:subject", "sea", kind="Seq")
        + array("lr:hierarchicalSubject", "nature|sea", kind="Seq")
        + "\n   <darktable:history>\n    <rdf:Seq>\n     <rdf:li\n"
        '      darktable:num="0"\n      darktable:operation="exposure"\n'
        '      darktable:params="gz02eJxjYGBgYAFiCQYYOOHEgAZY0QWAgBGLGANDgz0Ej1Q+AAnPEg8="/>\n'
        "    </rdf:Seq>\n   </darktable:history>",
        'darktable:xmp_version="5" darktable:raw_params="0"\n    xmp:Rating="1"',
    ),
    wrapper=False,
    toolkit="XMP Core 4.4.0-Exiv2",
)
MINIMAL = (
    f'<r:RDF xmlns:r="{RDF}"><r:Description r:about="" '
    'xmlns:d="http://purl.org/dc/elements/1.1/"><d:subject><r:Bag><r:li>one</r:li></r:Bag>'
    "</d:subject></r:Description></r:RDF>"
).encode()
COMMENTED = packet(
    description(
        "\n<!-- a > b --><dc:subject><rdf:Bag><!-- none --><rdf:li><![CDATA[a<b]]></rdf:li>"
        "<rdf:li>caf&#xE9;</rdf:li></rdf:Bag></dc:subject>"
    )
)
EMPTY_ARRAYS = packet(
    description("\n   <dc:subject><rdf:Bag/></dc:subject>\n   <lr:hierarchicalSubject/>")
)

REFUSED = {
    "attribute": (packet(description(attributes='dc:subject="dog"')), "as an attribute"),
    "duplicated": (
        packet(description(array("dc:subject", "a")), description(array("dc:subject", "b"))),
        "2 times",
    ),
    "structure": (
        packet(description('\n<dc:subject rdf:parseType="Resource"></dc:subject>')),
        "unusual form",
    ),
    "utf-16": (rated().decode().encode("utf-16"), "UTF-16"),
    "utf-16-le": (rated().decode().encode("utf-16-le"), "UTF-16"),
    "latin-1": (b'<?xml version="1.0" encoding="ISO-8859-1"?>' + rated(wrapper=0), "encoded"),
    "dtd": (b'<!DOCTYPE x [<!ENTITY a "b">]>' + rated(wrapper=0), "DTD"),
    "malformed": (rated().replace(b"</rdf:RDF>", b"</rdf:RDX>"), "malformed"),
    "no-rdf": (b"<x:xmpmeta xmlns:x='adobe:ns:meta/'></x:xmpmeta>", "rdf:RDF"),
    "no-prefix": (
        f'<RDF xmlns="{RDF}" xmlns:rdf="{RDF}"><Description rdf:about=""/></RDF>'.encode(),
        "prefix",
    ),
    "not-xml": (b"hello", "malformed"),
    "extended": (
        packet(description(attributes=f'xmpNote:HasExtendedXMP="{"0" * 32}"')),
        "continues elsewhere",
    ),
    "provenance": (
        packet(description(attributes='dcterms:provenance="https://example.org/x.c2pa"')),
        "C2PA",
    ),
    "large": (packet(description(attributes='xmp:Rating="1"'), padding=0)
              + b" " * (65502 - len(packet(description(attributes='xmp:Rating="1"'))) - 10),
              "64 kB"),
}  # fmt: skip
"""Packets that must not be edited, and a part of the reason."""
NOT_EDITABLE = [name for name in REFUSED if name not in ("extended", "large", "provenance")]
"""Those that are refused wherever they are, in a photo or a sidecar."""
