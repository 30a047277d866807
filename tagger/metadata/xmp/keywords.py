"""Keywords as paths and values: the user's, ours, both together."""

from __future__ import annotations

import contextlib
import itertools
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tagger.errors import RefusedError
from tagger.metadata.xmp import acdsee, properties
from tagger.metadata.xmp.packet import Packet, clean, key, parse, understood
from tagger.records import JournalEntry, Keyword

KeywordPath = tuple[str, ...]
MAX_DEPTH, MAX_READ, MAX_KEYWORDS, MAX_TEXT = 50, 500, 1000, 200_000
"""Of the user's keywords, levels and characters, and how many are read of one photo, with how
many characters together. What goes beyond is left where it is, and passed over: ten thousand
levels fit into a photo, but with all that stands above each not into any memory."""

_INTERNAL = frozenset({"_digikam_internal_tags_", "_digikam_root_tag_", "darktable"})
"""Roots below which programs keep their own state; no photographer's keywords."""
_INTERNAL_ABOVE = frozenset({"lightroom", "picasa"})
"""As _INTERNAL, but a word of the user's when nothing is below it."""
_BREAK = "\n"
"""Between the levels of a path in :attr:`JournalEntry.seen`; no keyword has one in it."""


def is_internal(path: Sequence[str]) -> bool:
    """Whether a keyword is another program's own, such as ``darktable|format|jpg``."""
    root = key(path[0]) if path else ""
    return root in _INTERNAL or (len(path) > 1 and root in _INTERNAL_ABOVE)


@dataclass(frozen=True, slots=True)
class OwnKeywords:
    """Our keywords in one file, by which copies are known that other programs made of them.

    ``words`` are labels and the levels above them, ``paths`` hierarchies and their beginnings.
    What the user had himself when we wrote is not among them.
    """

    words: frozenset[str] = frozenset()
    paths: frozenset[KeywordPath] = frozenset()

    @classmethod
    def of(cls, entries: Iterable[JournalEntry]) -> OwnKeywords:
        """Return what the journal says of files."""
        words, paths = set[str](), set[KeywordPath]()
        for entry in entries:
            if PATHS not in entry.seen:  # written by an older tagger, or known by provenance only
                labels = entry.added.get(properties.LABELS, ())
                words |= {text.partition(" ")[2] for text in labels} - {""}
                if not entry.after:
                    words |= {*entry.tags.values()}
                continue
            theirs = frozenset(entry.seen.get(YOURS, ()))
            for value in entry.seen[PATHS]:
                path = tuple(value.split(_BREAK))
                beginnings = {path[:count] for count in range(2, len(path) + 1)}
                paths |= {one for one in beginnings if _journal_key(one) not in theirs}
                words |= {word for word in path if _journal_key((word,)) not in theirs}
        return cls(frozenset(words), frozenset(paths))

    def has_copy(self, path: KeywordPath) -> bool:
        """Whether a keyword in a file is a copy of ours."""
        return path[0] in self.words if len(path) == 1 else path in self.paths

    def copies_in(self, packet: bytes) -> dict[str, tuple[str, ...]]:
        """Return the values that are copies of ours, by the property. Raise RefusedError.

        Of ACDSee's categories, which are one text, it is that and what is left of it.
        """
        parsed, found = parse(packet), dict[str, tuple[str, ...]]()
        for name in (*properties.KEYWORD_PROPERTIES, *properties.COPY_PROPERTIES):
            with contextlib.suppress(RefusedError):  # in a form that is never edited
                found[name] = tuple(
                    value
                    for value in dict.fromkeys(parsed.values(name))
                    if (path := properties.steps_of(name, value)) and self.has_copy(path)
                )
        for text in parsed.texts(properties.CATEGORIES)[:1]:
            with contextlib.suppress(ValueError):
                rest = acdsee.without(text, self.has_copy)
                found[properties.CATEGORIES] = (text, rest) if rest != text else ()
        return found


PATHS, YOURS = "paths", "yours"
"""In :attr:`JournalEntry.seen`: our hierarchies, and what of them the user had himself."""


def _journal_key(path: KeywordPath) -> str:
    return _BREAK.join(map(key, path))


def seen_keywords(
    keywords: Sequence[Keyword], users: Iterable[KeywordPath], words: Iterable[str]
) -> dict[str, tuple[str, ...]]:
    """Return what the journal is to know of ``keywords``, and of the user's, for OwnKeywords."""
    paths = [tuple(map(clean, keyword.path)) for keyword in keywords if keyword.leaf]
    known = {_journal_key(path[:n]) for path in paths for n in range(1, len(path) + 1)}
    known |= {key(word) for path in paths for word in path}
    given = (_journal_key(path) for path in (*users, *((word,) for word in words)))
    theirs = sorted({one for one in given if one in known})
    seen = {PATHS: tuple(_BREAK.join(path) for path in paths)}
    return seen | ({YOURS: tuple(theirs)} if theirs else {})


def user_paths(packet: bytes | None, iptc: Sequence[str] = ()) -> tuple[KeywordPath, ...]:
    """Return the keywords in a packet and in IPTC, each as its way down the hierarchy.

    A plain keyword that is part of a hierarchy is that hierarchy's. What cannot be
    understood is passed over: this is for reading.
    """
    subjects: Sequence[str] = ()
    deep: list[KeywordPath] = []
    if (parsed := understood(packet)) is not None:
        subjects = parsed.texts(properties.SUBJECT)
        for name in (properties.HIERARCHICAL, properties.TAGS_LIST):
            deep += [properties.steps_of(name, value) for value in parsed.texts(name)]
    return merged([*deep, *((word,) for word in (*subjects, *iptc))])


def user_words(packet: bytes | None, iptc: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the plain keywords in a packet and in IPTC, also those that are in a hierarchy."""
    subjects: Sequence[str] = ()
    internal: Collection[str] = ()
    if (parsed := understood(packet)) is not None:
        subjects, internal = parsed.texts(properties.SUBJECT), _internal_words(parsed)
    sane = (word for word in (*subjects, *iptc) if _is_sane((word,)) and not is_internal((word,)))
    known = (word for word in sane if key(word) not in internal)
    return tuple(itertools.islice(known, MAX_KEYWORDS))


def _internal_words(parsed: Packet) -> frozenset[str]:
    """Return the words that stand in a packet only as levels of other programs' own keywords."""
    within, beside = set[str](), set[str]()
    for name in (properties.HIERARCHICAL, properties.TAGS_LIST):
        for value in parsed.texts(name):
            path = properties.steps_of(name, value)
            (within if is_internal(path) else beside).update(map(key, path))
    return frozenset(within - beside)


def _is_sane(path: Sequence[str]) -> bool:
    return len(path) <= MAX_DEPTH and all(len(word) <= MAX_READ for word in path)


def _within(paths: Iterable[KeywordPath], count: int) -> Iterator[KeywordPath]:
    """Yield the first ``count`` paths, as long as they have MAX_TEXT characters together."""
    room = MAX_TEXT
    for path in itertools.islice(paths, count):
        room -= sum(map(len, path))
        if room < 0:
            return
        yield path


def merged(paths: Iterable[KeywordPath]) -> tuple[KeywordPath, ...]:
    """Return ``paths`` without repetitions and without plain words that a longer path holds.

    Those that are other programs' own are left out, and the words in them.
    """
    sane = _within(filter(_is_sane, paths), MAX_KEYWORDS)
    cleaned = (tuple(map(clean, path)) for path in sane)
    given = [path for path in cleaned if path and all(path)]
    inside = {key(part) for path in given if len(path) > 1 for part in path}
    found: dict[KeywordPath, KeywordPath] = {}
    for path in given:
        if is_internal(path):
            continue
        if len(path) > 1 or key(path[0]) not in inside:
            found.setdefault(tuple(map(key, path)), path)
    return tuple(found.values())


def with_parents(paths: Iterable[KeywordPath]) -> tuple[KeywordPath, ...]:
    """Return the paths and everything above them, each once, as many as are read of a photo."""
    every = dict.fromkeys(path[: n + 1] for path in paths for n in range(len(path)))
    return tuple(_within(every, 2 * MAX_KEYWORDS))


def wanted_values(
    keywords: Sequence[Keyword],
    users: Sequence[KeywordPath],
    words: Sequence[str],
    provenance: tuple[str, str, str] | None,
) -> dict[str, tuple[str, ...]]:
    """Return what each property shall hold, by the property's name.

    Programs read only one of the three, so each gets the user's keywords as well: ``users``,
    and the plain ``words`` that stand somewhere. ``provenance`` is (model, software,
    the photo's digest, empty if not known); it names only keywords that the user does not have
    himself, for these are ours to take away. Empty without ``keywords``.
    """
    if not keywords:
        return {}
    leaves = [keyword.path for keyword in keywords if keyword.leaf]
    above = {tuple(map(key, path[:n])) for path in users for n in range(1, len(path))}
    # What only begins a longer one of the user's would be a keyword of its own beside it.
    paths = [path for path in (*users, *leaves) if tuple(map(key, path)) not in above]
    wanted = {
        properties.SUBJECT: (*words, *(path[-1] for path in users), *(k.name for k in keywords)),
        properties.HIERARCHICAL: _joined(paths, "|"),
        properties.TAGS_LIST: _joined(paths, "/"),
    }
    if provenance is not None:
        wanted[properties.MODEL], wanted[properties.SOFTWARE] = (provenance[0],), (provenance[1],)
        if provenance[2]:
            wanted[properties.PHOTO] = (provenance[2],)
        known = {key(part) for path in users for part in path} | {*map(key, words)}
        wanted[properties.LABELS] = tuple(
            f"{k.confidence:.4f} {clean(k.name)}" for k in keywords if key(k.name) not in known
        )
        names = {keyword.name for keyword in keywords}
        # The levels above all keywords that are none themselves.
        prefix = itertools.takewhile(lambda word: word not in names, keywords[0].path)
        if said := "|".join(prefix):
            wanted[properties.PREFIX] = (said,)
    return wanted


def _joined(paths: Iterable[KeywordPath], mark: str) -> tuple[str, ...]:
    """Return the hierarchies as one property holds them.

    A word with the ``mark`` in it (AC/DC) is left out there: it would be read as levels.
    """
    return tuple(mark.join(path) for path in paths if not any(mark in word for word in path))


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


MAX_LENGTH = 64
"""Characters of a keyword: so many bytes IPTC holds, which other programs take for the limit."""
_LEVELS, _LISTS = frozenset("|/"), frozenset(",;")
_UNFIT = ("Cc", "Cs", "Cn", "Zl", "Zp")
"""Control characters, halves of characters, and what is none; joiners in emoji are well."""


def keyword_problem(word: str) -> str | None:
    """Return what makes ``word`` unfit as a keyword, beginning with "it"; None: nothing does."""
    if not clean(word):
        return "it is empty"
    if len(word) > MAX_LENGTH:
        return f"it has {len(word)} characters, more than {MAX_LENGTH}"
    if _LEVELS & {*word}:
        return "it has a `/` or `|`, which separate levels of keywords in other programs"
    if _LISTS & {*word}:
        return "it has a `,` or `;`, which separate keywords in other programs"
    if any(unicodedata.category(mark) in _UNFIT for mark in word):
        return "it has a character that cannot be written"
    return None
