"""The rules of the config: what they name, and what they could do."""

from __future__ import annotations

from collections.abc import Iterator

from tagger.doctor.report import Installation, Result
from tagger.library.rules import check
from tagger.text.error_texts import all_in_language
from tagger.text.messages import gettext, number


def check_rules(patient: Installation) -> Iterator[Result]:
    """Yield how each rule is, and what failed."""
    running = patient.status.rules if patient.runs else None
    no_network = None if running is None else ""  # the daemon knows better than we do
    found = check.check_rules(
        patient.config,
        may=lambda folder: patient.may(folder, write=True),
        see=patient.as_seen,
        no_network=no_network,
    )
    for one in found:
        said, remedy = all_in_language(one.message), all_in_language(one.remedy)
        yield Result(f"rule {one.rule}", one.state, said, remedy)
    if running is None:
        return
    if running.notice:
        remedy = all_in_language("see docs/rules.md for what allows it")
        yield Result("rules", "warning", all_in_language(running.notice), remedy)
    if running.failed:
        text = gettext(
            "%(n)s actions failed since the start, the last: %(last)s",
            n=number(running.failed),
            last=all_in_language(running.last_failure or ""),
        )
        remedy = gettext("see `tagger rules list`; `tagger rules retry` tries them again")
        yield Result("rules", "warning", text, remedy)
