"""The sidecars of other photo programs in the watched folders, and whether tags reach them."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from tagger.config.photo_programs import PhotoProgram, program
from tagger.config.schema import WatchRoot, WriteConfig
from tagger.doctor.report import Installation, Result
from tagger.system.paths import is_photo_name, is_raw_name
from tagger.text.messages import gettext, ngettext
from tagger.watch.walk import WalkRules

WALK_SECONDS = 10.0
"""Sidecars are looked for and read for so long at most, in all folders together."""
HEAD = 65536
"""Bytes of a sidecar that are read: what names its program stands at the beginning."""

_TOOL = rb"CreatorTool\s*(?:=\s*[\"']|>)\s*"
SIGNS: dict[str, re.Pattern[bytes]] = {
    "darktable": re.compile(rb"http://darktable\.sf\.net/|" + _TOOL + rb"darktable", re.I),
    # tagger and Immich write digiKam:TagsList as well, so that its namespace is no sign of it.
    "digikam": re.compile(
        _TOOL + rb"digiKam"
        rb"|digiKam:(?:PickLabel|ColorLabel|ImageHistory|ImageUniqueID|CaptionsAuthorNames)\b"
        # It repeats the tags in iView's and ACDSee's properties, nobody else in both.
        rb"|\A(?=[\s\S]*ns\.iview-multimedia\.com/mediapro/)[\s\S]*ns\.acdsee\.com/iptc/",
        re.I,
    ),
    "lightroom": re.compile(
        rb"http://ns\.adobe\.com/camera-raw-settings/1\.0/"
        rb"|SidecarForExtension"
        rb"|" + _TOOL + rb"Adobe (?:Photoshop )?Lightroom"
        rb"|xmptk\s*=\s*[\"']Adobe XMP Core",
        re.I,
    ),
}
"""What stands in a sidecar that a program wrote, also if another one added to it later."""


@dataclass(slots=True)
class Found:
    """The sidecars that one program left in the folders, by kind."""

    program: PhotoProgram
    long: list[str] = field(default_factory=list)
    short: list[str] = field(default_factory=list)


def check_programs(patient: Installation) -> Iterator[Result]:
    """Yield, for each photo program whose sidecars are found, whether the tags reach it."""
    deadline = time.monotonic() + WALK_SECONDS
    found: dict[str, Found] = {}
    flat_photo = ""
    for root in patient.config.watch:
        if root.read_only:
            continue  # by choice, no program gets the tags
        for path in _files(root, deadline):
            if not path.lower().endswith(".xmp"):
                if not is_raw_name(path):
                    flat_photo = flat_photo or path
                continue
            for name in programs_of(path):
                one = found.setdefault(name, Found(program(name)))
                (one.long if is_photo_name(path[: -len(".xmp")]) else one.short).append(path)
    if not found:
        text = gettext("no sidecars of digiKam, darktable or Lightroom in the watched folders")
        yield Result("programs", "ok", text)
    for one in found.values():
        yield _judged(patient.config.write, one, flat_photo)


def programs_of(sidecar: str) -> list[str]:
    """Return the names of the programs that wrote to a sidecar, as far as that can be told."""
    try:
        with open(sidecar, "rb") as file:
            head = file.read(HEAD)
    except OSError:
        return []  # it went, or is not for this user; folders are judged elsewhere
    return [name for name, sign in SIGNS.items() if sign.search(head)]


def _judged(write: WriteConfig, one: Found, flat_photo: str) -> Result:
    """Judge the config by what a program reads; ``flat_photo`` is one that is not camera RAW."""
    title = one.program.title
    said = ngettext(
        "%(program)s wrote %(n)s sidecar, such as %(example)s",
        "%(program)s wrote %(n)s sidecars, such as %(example)s",
        len(one.long) + len(one.short),
        program=title,
        example=(one.long or one.short)[0],
    )
    name = f"programs {title}"
    short = len(one.short) > len(one.long)
    if write.target in ("none", "sidecar-json"):
        but = gettext("does not see tags with `write.target: %(target)s`", target=write.target)
        setting = f"write.target: {'embed' if one.program.sidecar == 'none' else 'sidecar-xmp'}"
    elif write.sidecar_name == ("long" if short else "short"):
        but = gettext(
            "does not read %(file)s (`write.sidecar_name: %(name)s`)",
            file="photo.jpg.xmp" if short else "photo.xmp",
            name=write.sidecar_name,
        )
        setting = "write.sidecar_name: auto"
    elif write.target == "sidecar-xmp" and one.program.sidecar == "none" and flat_photo:
        but = gettext("reads a sidecar of camera RAW only, not of %(photo)s", photo=flat_photo)
        setting = "write.target: embed"
    else:
        text = gettext("%(said)s, and %(more)s", said=said, more=gettext("sees the tags"))
        if one.program.advice:
            advice = gettext(one.program.advice)
            text += "; " + gettext("for photos that it has: %(advice)s", advice=advice)
        return Result(name, "ok", text)
    text = gettext("%(said)s, and %(more)s", said=said, more=but)
    return Result(name, "warning", text, gettext("set `%(setting)s`", setting=setting))


def _files(root: WatchRoot, deadline: float) -> Iterator[str]:
    """Yield the photos and XMP sidecars below a folder, until the time is over."""
    rules = WalkRules(root)
    waiting = [root.path]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if time.monotonic() >= deadline:
                        return
                    relative = rules.relative(entry.path)
                    if entry.is_dir(follow_symlinks=False):
                        if rules.enters(relative, entry.name):
                            waiting.append(entry.path)
                    elif rules.takes(relative, entry.name) or entry.name.lower().endswith(".xmp"):
                        yield entry.path
        except OSError:
            continue  # the folders are judged elsewhere
