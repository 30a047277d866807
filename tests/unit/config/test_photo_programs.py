"""Which settings suit which photo programs."""

from __future__ import annotations

import pytest

from tagger.config.photo_programs import (
    PROGRAMS,
    fitting_sidecar_name,
    fitting_target,
    program,
)
from tests.conftest import PROJECT

DOCUMENT = (PROJECT / "docs" / "programs.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("names", "target", "sidecar_name"),
    [
        ((), "sidecar-xmp", "auto"),
        (("digikam",), "sidecar-xmp", "long"),
        (("digikam", "darktable", "immich"), "sidecar-xmp", "long"),
        (("lightroom",), "embed", "short"),
        (("gthumb",), "embed", "short"),
        (("gthumb", "lightroom"), "embed", "short"),
        (("digikam", "lightroom"), "embed", "auto"),
        (("darktable", "windows"), "embed", "long"),
        (("shotwell",), "embed", "auto"),
        (("photoprism", "apple-photos"), "embed", "auto"),
    ],
)
def test_what_is_chosen_suits_all_programs(names, target, sidecar_name):
    used = [program(name) for name in names]
    assert fitting_target(used) == target
    assert fitting_sidecar_name(used) == sidecar_name


def test_every_program_is_in_the_document_with_what_is_to_be_set():
    plain = " ".join(DOCUMENT.split())
    for one in PROGRAMS:
        assert f"| {one.title}" in DOCUMENT, one.title
        assert f"`{one.name}`" in DOCUMENT, one.name
        for setting in one.advice.split('"')[1::2]:
            assert setting in plain, setting
