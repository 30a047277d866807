"""What ``tagger run --once`` and ``tagger init`` say at the end: what was found."""

from __future__ import annotations

from collections.abc import Iterator

from tagger.cli.terminal import shown
from tagger.library.found import FoundLabels
from tagger.text.messages import gettext, ngettext, number

MOST_FREQUENT = 5


def summary(found: FoundLabels, command: str = "tagger") -> Iterator[str]:
    """Yield the lines of a summary; ``command`` is how tagger is called for these photos."""
    if not found.photos and not found.failed:
        yield gettext("No new photos.")
        return
    parts = [ngettext("%(n)s photo looked at", "%(n)s photos looked at", found.photos)]
    if found.silent:
        parts.append(ngettext("%(n)s says nothing", "%(n)s say nothing", found.silent))
    if found.failed:
        parts.append(ngettext("%(n)s failed", "%(n)s failed", found.failed))
    yield ", ".join(parts) + "."
    if not found.labels:
        return
    yield gettext("By label: %(counts)s", counts=_counts(found.general.most_common()))
    frequent = found.labels.most_common(MOST_FREQUENT)
    yield gettext("The most frequent: %(counts)s", counts=_counts(frequent))
    word = frequent[0][0]
    query = f"'\"{word}\"'" if " " in word else word
    yield gettext("See them: %(command)s", command=f"{command} query {shown(query)}")
    if found.failed:
        yield gettext("See what failed: %(command)s", command=f"{command} failures")


def _counts(counted: list[tuple[str, int]]) -> str:
    return ", ".join(f"{shown(label)} {number(count)}" for label, count in counted)
