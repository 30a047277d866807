"""The doctor knows other programs' sidecars, and says where the tags do not reach them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tagger.config.schema import WatchRoot, WriteConfig
from tagger.doctor.programs import check_programs, programs_of
from tagger.doctor.report import Installation
from tests.support import jpegs, packets
from tests.support.installations import only
from tests.support.metadata_tools import SIDECAR, Tagger
from tests.support.photo_programs import Darktable, DigiKam, immich, stamp

CAMERA_RAW = b'xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"'
TOOL = b'<x:xmpmeta x:xmptk="XMP Core 5.6.0"><xmp:CreatorTool>%s</xmp:CreatorTool></x:xmpmeta>'


@pytest.fixture
def inbox(config):
    return Path(config.watch[0].path)


def look(config, **write):
    """Return what is found with a config of ``write``."""
    return list(check_programs(Installation(replace(config, write=WriteConfig(**write)))))


def tagged(inbox, name="a.jpg"):
    """Return the sidecar of a new photo that tagger tagged."""
    (inbox / name).write_bytes(jpegs.plain())
    Tagger(inbox / name, SIDECAR).write()
    return inbox / f"{name}.xmp"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (packets.DARKTABLE, "darktable"),
        (packets.DIGIKAM, "digikam"),
        (packets.LIGHTROOM, "lightroom"),
        (TOOL % b"digiKam-8.6.0", "digikam"),
        (b'<x xmp:CreatorTool="digiKam-7.9.0"/>', "digikam"),
        (TOOL % b"darktable 5.0.1", "darktable"),
        (TOOL % b"Adobe Photoshop Lightroom Classic 13.2 (Windows)", "lightroom"),
        (TOOL % b"Adobe Lightroom 8.0", "lightroom"),
        (CAMERA_RAW, "lightroom"),
    ],
)
def test_a_sidecar_names_its_program(tmp_path, data, name):
    (tmp_path / "a.xmp").write_bytes(data)
    assert programs_of(str(tmp_path / "a.xmp")) == [name]


def test_programs_that_added_to_ours_are_known(inbox):
    sidecar = tagged(inbox)
    assert programs_of(str(sidecar)) == [], "our own is nobody else's"
    immich(sidecar, ["animal/dog"])
    assert programs_of(str(sidecar)) == []
    Darktable(stamp(1_700_000_000), ["animal|dog"]).write(sidecar)
    assert programs_of(str(sidecar)) == ["darktable"]
    DigiKam(["animal/dog"]).write(sidecar)
    assert programs_of(str(sidecar)) == ["darktable", "digikam"]


def test_nothing_is_found_among_sidecars_of_ours(config, inbox):
    tagged(inbox)
    result = only(look(config))
    assert (result.name, result.state) == ("programs", "ok")
    assert "no sidecars of digiKam, darktable or Lightroom" in result.message


@pytest.mark.parametrize(
    ("write", "remedy"),
    [
        ({}, ""),
        ({"target": "embed"}, ""),
        ({"sidecar_name": "long"}, ""),
        ({"target": "none"}, "set `write.target: sidecar-xmp`"),
        ({"target": "sidecar-json"}, "set `write.target: sidecar-xmp`"),
        ({"sidecar_name": "short"}, "set `write.sidecar_name: auto`"),
    ],
)
@pytest.mark.parametrize("data", [packets.DARKTABLE, packets.DIGIKAM])
def test_programs_that_read_the_long_sidecar(config, inbox, data, write, remedy):
    (inbox / "a.jpg").write_bytes(jpegs.plain())
    (inbox / "a.jpg.xmp").write_bytes(data)
    result = only(look(config, **write))
    assert result.remedy == remedy
    assert result.state == ("warning" if remedy else "ok")
    assert "1 sidecar, such as" in result.message and str(inbox / "a.jpg.xmp") in result.message
    assert remedy or ' "' in result.message, "it says what to set for photos that it has"


@pytest.mark.parametrize(
    ("write", "others", "remedy"),
    [
        ({}, [], ""),
        ({}, ["b.jpg"], "set `write.target: embed`"),
        ({"target": "embed"}, ["b.jpg"], ""),
        ({"target": "none"}, [], "set `write.target: embed`"),
        ({"sidecar_name": "long"}, [], "set `write.sidecar_name: auto`"),
        ({"sidecar_name": "short"}, [], ""),
    ],
)
def test_lightroom_reads_sidecars_of_raw_only(config, inbox, write, others, remedy):
    (inbox / "sub").mkdir()
    (inbox / "sub" / "a.NEF").write_bytes(b"raw")
    (inbox / "sub" / "a.xmp").write_bytes(CAMERA_RAW)
    for name in others:
        (inbox / name).write_bytes(jpegs.plain())
    result = only(look(config, **write))
    assert result.name == "programs Lightroom Classic"
    assert result.remedy == remedy
    assert all(str(inbox / name) in result.message for name in others) or not remedy


def test_each_program_is_judged_by_itself(config, inbox):
    (inbox / "a.jpg.xmp").write_bytes(packets.DARKTABLE)
    (inbox / "b.xmp").write_bytes(CAMERA_RAW)
    (inbox / "b.jpg").write_bytes(jpegs.plain())
    states = {one.name: one.state for one in look(config)}
    assert states == {"programs darktable": "ok", "programs Lightroom Classic": "warning"}


def test_folders_that_are_left_alone_are_not_looked_at(config, inbox):
    (inbox / ".trash").mkdir()
    (inbox / ".trash" / "a.jpg.xmp").write_bytes(packets.DARKTABLE)
    (inbox / "other").mkdir()
    (inbox / "other" / "a.jpg.xmp").write_bytes(packets.DARKTABLE)
    roots = (WatchRoot(str(inbox), ignore=("other",)), WatchRoot("/no/such/folder"))
    assert only(look(replace(config, watch=roots))).name == "programs"
    roots = (WatchRoot(str(inbox / "other"), read_only=True),)
    assert only(look(replace(config, watch=roots))).name == "programs"
    assert only(look(config)).name == "programs darktable"
