"""The rules of the config: what they name, and what they could do."""

from __future__ import annotations

from collections.abc import Iterator

from tagger.doctor.report import Installation, Result
from tagger.library.rules import check


def check_rules(patient: Installation) -> Iterator[Result]:
    """Yield how each rule is, and what failed."""
    running = patient.status.rules if patient.runs else None
    no_network = None if running is None else ""  # the daemon knows better than we do
    found = check.check_rules(
        patient.config, may=lambda folder: patient.may(folder, write=True), no_network=no_network
    )
    for one in found:
        yield Result(f"rule {one.rule}", one.state, one.message, one.remedy)
    if running is None:
        return
    if running.notice:
        yield Result("rules", "warning", running.notice, "see docs/rules.md for what allows it")
    if running.failed:
        text = (
            f"{running.failed:,} actions failed since the start, the last: {running.last_failure}"
        )
        remedy = "see `tagger rules list`; `tagger rules retry` tries them again"
        yield Result("rules", "warning", text, remedy)
