"""What ``tagger query --explain`` says: how a query is understood, and what each part finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tagger.cli.terminal import shown
from tagger.index import conditions
from tagger.index.folding import fold
from tagger.system.humanize import moment
from tagger.text.messages import gettext, ngettext, noop, number

SHOWN_WORDS = (noop("user"), noop("model"), noop("rule"), noop("taught"))
"""Words of the index that are shown as they are: where a tag is from."""

if TYPE_CHECKING:
    from tagger.index.reader import Reader
    from tagger.labels.vocabulary import Vocabulary


def explained(query: conditions.Query, reader: Reader, known: Vocabulary) -> dict[str, Any]:
    """Return what a query means: ``text``, ``count`` of the photos it finds, and its ``parts``."""
    inner: tuple[conditions.Query, ...] = ()
    if isinstance(query, conditions.And | conditions.Or):
        inner = query.parts
    elif isinstance(query, conditions.Not):
        inner = (query.part,)
    if len(inner) == 1 and not isinstance(query, conditions.Not):
        return explained(inner[0], reader, known)
    parts = [explained(part, reader, known) for part in inner]
    return {"text": _meaning(query, known), "count": reader.count(query), "parts": parts}


def lines(told: dict[str, Any], depth: int = 0) -> Iterator[str]:
    """Yield an explanation as a person reads it, each part below the whole."""
    photos = ngettext("%(n)s photo", "%(n)s photos", told["count"])
    yield f"{'  ' * depth}{shown(told['text'])}: {photos}"
    for part in told["parts"]:
        yield from lines(part, depth + 1)


def _meaning(query: conditions.Query, known: Vocabulary) -> str:
    if isinstance(query, conditions.And):
        return gettext("all of these") if query.parts else gettext("every photo")
    if isinstance(query, conditions.Or):
        return gettext("at least one of these")
    if isinstance(query, conditions.Not):
        return gettext("without this")
    if isinstance(query, conditions.Label):
        return _label(query, known)
    if isinstance(query, conditions.Taken | conditions.Added):
        return _time(query)
    if isinstance(query, conditions.Below):
        return gettext("below the folder %(folder)s", folder=", ".join(query.folders))
    if isinstance(query, conditions.InFolder):
        return gettext("with %(text)s in the folder's path", text=repr(query.fragment))
    if isinstance(query, conditions.Camera):
        return gettext("with %(text)s in the camera's name", text=repr(query.fragment))
    if isinstance(query, conditions.Kind):
        return gettext("the file says that it is: %(kind)s", kind=query.kind)
    if isinstance(query, conditions.Source):
        return gettext("with a tag from: %(source)s", source=gettext(query.source))
    if isinstance(query, conditions.State):
        return gettext("in the state: %(states)s", states=", ".join(map(gettext, query.states)))
    if isinstance(query, conditions.InGroup):
        return gettext("in a group with others: %(kind)s", kind=query.kind)
    if isinstance(query, conditions.Like):
        return gettext("looks like %(photo)s", photo=query.path)
    if isinstance(query, conditions.Near):
        return gettext(
            "within %(km)s km of %(latitude)s, %(longitude)s",
            km=f"{query.radius:g}",
            latitude=f"{query.latitude:.5f}",
            longitude=f"{query.longitude:.5f}",
        )
    if isinstance(query, conditions.Format):
        return gettext("in the format %(name)s", name=query.name)
    if isinstance(query, conditions.People):
        most = "" if query.most is None else query.most
        return gettext("with so many people: %(range)s", range=f"{query.least}..{most}")
    return type(query).__name__


def _label(query: conditions.Label, known: Vocabulary) -> str:
    """Say which labels are meant: those at the head of what is looked for, and how many below."""
    by_word = {fold(label): label for label in known.nodes}
    labels = {by_word.get(word, word) for word in query.words}
    heads = sorted(
        label
        for label in labels
        if label not in known.nodes or not labels.intersection(known.path(label)[:-1])
    )
    said = gettext("label %(names)s", names=", ".join(heads))
    if below := len(labels) - len(heads):
        more = ngettext("%(n)s label below it", "%(n)s labels below it", below)
        said = gettext("%(label)s, and %(more)s", label=said, more=more)
    if query.bound > 0 or query.comparison != ">=":
        said += f" ({query.comparison} {number(100 * query.bound)} %)"
    return said


def _time(query: conditions.Taken | conditions.Added) -> str:
    if isinstance(query, conditions.Taken):
        start, end = query.since or "…", query.until or "…"
        return gettext("taken from %(start)s to %(end)s", start=start, end=end)
    start, end = ("…" if one is None else moment(one) for one in (query.since, query.until))
    return gettext("first seen from %(start)s to before %(end)s", start=start, end=end)
