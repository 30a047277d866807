"""The properties of XMP that tagger reads and writes, by their usual prefixes."""

from __future__ import annotations

SUBJECT = "dc:subject"
HIERARCHICAL = "lr:hierarchicalSubject"
TAGS_LIST = "digiKam:TagsList"
KEYWORD_PROPERTIES = (SUBJECT, HIERARCHICAL, TAGS_LIST)
LAST_KEYWORDS = "MicrosoftPhoto:LastKeywordXMP"
"""Windows and digiKam repeat the keywords here; tagger reads it, and takes its own out of it."""
COPY_PROPERTIES = (
    LAST_KEYWORDS,
    "MicrosoftPhoto:LastKeywordIPTC",
    "mediapro:CatalogSets",
    "Iptc4xmpCore:Keywords",
)
"""Where programs put copies of keywords that they read elsewhere; the last one is gThumb's."""
CATEGORIES = "acdsee:categories"
MARKS = {
    HIERARCHICAL: "|",
    TAGS_LIST: "/",
    LAST_KEYWORDS: "/",
    "MicrosoftPhoto:LastKeywordIPTC": "/",
    "mediapro:CatalogSets": "|",
}
"""What separates the levels of a keyword in a property; dc:subject has none."""
IMPORTED = "darktable:import_timestamp"
"""When darktable took the photo into its library: microseconds since the year 1, UTC."""
TEXT_PROPERTIES = ("xmp:Rating", "xmp:Label")
ARRAY_PROPERTIES = {
    "dc:title": "Alt",
    "dc:description": "Alt",
    "dc:creator": "Seq",
    "dc:rights": "Alt",
}
GPS_PREFIX = "exif:GPS"
MODEL = "tagger:model"
SOFTWARE = "tagger:software"
LABELS = "tagger:labels"
PHOTO = "tagger:photo"
PREFIX = "tagger:prefix"
PROVENANCE_PROPERTIES = (MODEL, SOFTWARE, PHOTO, LABELS, PREFIX)
ARRAYS = {
    SUBJECT: "Bag", HIERARCHICAL: "Bag", TAGS_LIST: "Seq", LABELS: "Seq", **ARRAY_PROPERTIES
}  # fmt: skip
"""The array type of each property that we create; an array that exists keeps its own."""
SIDECAR_FOR = "photoshop:SidecarForExtension"
"""Which file a sidecar is for, as Lightroom and Camera Raw say."""

PROVENANCE_URI = "http://tagger-daemon.github.io/ns/1.0/"
"""The project's own; an XMP namespace is a name, and never fetched."""
FORMER_URI = "http://ns.tagger.invalid/1.0/"
"""The namespace before 0.1.0: read as if it were the present one."""

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
NAMESPACES = {
    "dc": "http://purl.org/dc/elements/1.1/",
    "lr": "http://ns.adobe.com/lightroom/1.0/",
    "digiKam": "http://www.digikam.org/ns/1.0/",
    "exif": "http://ns.adobe.com/exif/1.0/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "MicrosoftPhoto": "http://ns.microsoft.com/photo/1.0/",
    "mediapro": "http://ns.iview-multimedia.com/mediapro/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "darktable": "http://darktable.sf.net/",
    "acdsee": "http://ns.acdsee.com/iptc/1.0/",
    "tagger": PROVENANCE_URI,
}


def full_name(name: str) -> str:
    """Return the name ``prefix:local`` of one of our properties as expat gives it."""
    prefix, local = name.split(":")
    return f"{NAMESPACES[prefix]}}}{local}"


def is_described(name: str) -> bool:
    """Whether a property describes a photo as its owner does: a rating, a title, a place."""
    return name in TEXT_PROPERTIES or name in ARRAY_PROPERTIES or name.startswith(GPS_PREFIX)


def steps_of(name: str, value: str) -> tuple[str, ...]:
    """Return the levels that a value of a property of keywords consists of."""
    pieces = value.split(MARKS[name]) if name in MARKS else (value,)
    return tuple(part for piece in pieces if (part := piece.strip()))
