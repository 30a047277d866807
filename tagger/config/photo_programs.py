"""Other photo programs: where each reads keywords, and which settings suit those that are used.

The findings behind it are in docs/programs.md: of the programs named "tried" there with the real
ones, of the others as their documentation says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tagger.config.schema import Target
from tagger.text.messages import noop


@dataclass(frozen=True, slots=True)
class PhotoProgram:
    """One program.

    ``sidecar``: which sidecar of a JPEG, PNG or WebP it reads, ``photo.jpg.xmp`` ("long"),
    ``photo.xmp`` ("short"), or none; ``raw_sidecar``: the same for camera RAW. ``advice``: what to
    set in it, or of tagger, so that it shows the tags.
    """

    name: str
    title: str
    sidecar: Literal["long", "short", "none"]
    raw_sidecar: Literal["long", "short", "none"]
    advice: str = ""


PROGRAMS: tuple[PhotoProgram, ...] = (
    PhotoProgram(
        "digikam",
        "digiKam",
        "long",
        "long",
        noop(
            'turn on "Read from sidecar files" (Metadata > Sidecars) and "Rescan file when files'
            ' are modified" (Metadata > Behavior) in its settings'
        ),
    ),
    PhotoProgram(
        "darktable",
        "darktable",
        "long",
        "long",
        noop('turn on "look for updated XMP files on startup" (preferences > storage)'),
    ),
    PhotoProgram(
        "immich", "Immich", "long", "long", noop('run the job "Sidecar Metadata" for photos it has')
    ),
    PhotoProgram(
        "photoprism",
        "PhotoPrism",
        "none",
        "none",
        noop(
            "it looks at photos with a new date only: set `write.preserve_mtime: false` for those"
            " that it has"
        ),
    ),
    PhotoProgram(
        "lightroom",
        "Lightroom Classic",
        "none",
        "short",
        noop('"Metadata > Read Metadata from Files" for photos it has'),
    ),
    PhotoProgram("gthumb", "gThumb", "short", "short"),
    PhotoProgram("shotwell", "Shotwell", "none", "none"),
    PhotoProgram("gnome", "GNOME (localsearch)", "none", "none"),
    PhotoProgram("windows", "Windows Explorer", "none", "none"),
    PhotoProgram("apple-photos", "Apple Photos", "none", "none", noop("import photos once tagged")),
)


def program(name: str) -> PhotoProgram:
    """Return the program of that name. Raise KeyError if there is none."""
    return {one.name: one for one in PROGRAMS}[name]


def fitting_target(programs: Sequence[PhotoProgram]) -> Target:
    """Return the ``write.target`` whose tags all of ``programs`` show.

    Sidecars leave the photos as they are, and do while each program reads them; all that read
    sidecars read what is embedded, too.
    """
    return "embed" if any(one.sidecar != "long" for one in programs) else "sidecar-xmp"


def fitting_sidecar_name(programs: Sequence[PhotoProgram]) -> Literal["auto", "long", "short"]:
    """Return the ``write.sidecar_name`` that suits ``programs``: "auto" if they differ."""
    names = {name for one in programs for name in (one.sidecar, one.raw_sidecar)} - {"none"}
    if names == {"long"}:
        return "long"
    return "short" if names == {"short"} else "auto"
