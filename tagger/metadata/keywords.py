"""Which values belong into which property: the union of the user's keywords and ours."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from tagger.errors import RefusedError
from tagger.metadata import xmp
from tagger.photo import Keyword

KeywordPath = tuple[str, ...]

_PACKET = re.compile(
    rb"<\?xpacket\s+begin=[^>]*\?>.{0,1000000}?<\?xpacket\s+end=[^>]*\?>", re.DOTALL
)


def user_paths(packet: bytes | None, iptc: Sequence[str] = ()) -> tuple[KeywordPath, ...]:
    """Return the keywords in a packet and in IPTC, each as its way down the hierarchy.

    A plain keyword that is part of a hierarchy is that hierarchy's. What cannot be
    understood is passed over: this is for reading.
    """
    subjects: list[str] = []
    deep: list[KeywordPath] = []
    if packet is not None:
        try:
            parsed = xmp.parse(packet)
        except RefusedError:
            pass  # nothing can be read from it, and nothing is written into it
        else:
            subjects += parsed.texts(xmp.SUBJECT)
            deep += [_split(value, "|") for value in parsed.texts(xmp.HIERARCHICAL)]
            deep += [_split(value, "/") for value in parsed.texts(xmp.TAGS_LIST)]
    return merged([*deep, *((word.strip(),) for word in (*subjects, *iptc))])


def merged(paths: Iterable[KeywordPath]) -> tuple[KeywordPath, ...]:
    """Return ``paths`` without repetitions and without plain words that a longer path holds."""
    given = [path for path in paths if path and all(path)]
    inside = {part.casefold() for path in given if len(path) > 1 for part in path}
    found: dict[KeywordPath, KeywordPath] = {}
    for path in given:
        if len(path) > 1 or path[0].casefold() not in inside:
            found.setdefault(tuple(part.casefold() for part in path), path)
    return tuple(found.values())


def _split(value: str, mark: str) -> KeywordPath:
    return tuple(part for part in (piece.strip() for piece in value.split(mark)) if part)


def with_parents(paths: Iterable[KeywordPath]) -> tuple[KeywordPath, ...]:
    """Return the paths and everything above them, each once."""
    return tuple(dict.fromkeys(path[: n + 1] for path in paths for n in range(len(path))))


def find_packet(data: bytes) -> bytes | None:
    """Return the first XMP packet in a file of any format, found by its wrapper.

    For reading only (XMP part 3, "packet scanning"): thumbnails may carry others.
    """
    found = _PACKET.search(data)
    return found[0] if found else None


def wanted_values(
    keywords: Sequence[Keyword],
    users: Sequence[KeywordPath],
    provenance: tuple[str, str] | None,
) -> dict[str, tuple[str, ...]]:
    """Return what each property shall hold, by the property's name.

    Programs read only one of the three, so each gets the user's keywords as well.
    ``provenance`` is (model, software). Empty without ``keywords``.
    """
    if not keywords:
        return {}
    leaves = [keyword.path for keyword in keywords if keyword.leaf]
    paths = [*users, *leaves]
    wanted = {
        xmp.SUBJECT: (*(path[-1] for path in users), *(k.name for k in keywords)),
        xmp.HIERARCHICAL: tuple("|".join(path) for path in paths),
        xmp.TAGS_LIST: tuple("/".join(path) for path in paths),
    }
    if provenance is not None:
        wanted[xmp.MODEL], wanted[xmp.SOFTWARE] = (provenance[0],), (provenance[1],)
        wanted[xmp.LABELS] = tuple(f"{k.confidence:.4f} {xmp.clean(k.name)}" for k in keywords)
    return wanted


def without(
    keywords: Sequence[Keyword], labels: Collection[str], words: Mapping[str, str]
) -> tuple[Keyword, ...]:
    """Return ``keywords`` without some ``labels``, also where they stand above others.

    ``words`` maps labels to the words once written for them.
    """
    if not labels:
        return tuple(keywords)
    gone = {k.name for k in keywords if k.tag in labels}
    gone |= {word for label, word in words.items() if label in labels}
    kept = [
        replace(k, path=(*(part for part in k.path[:-1] if part not in gone), k.name))
        for k in keywords
        if k.tag not in labels
    ]
    inner = {k.path[:n] for k in kept for n in range(1, len(k.path))}
    return tuple(replace(k, leaf=k.path not in inner) for k in kept)
