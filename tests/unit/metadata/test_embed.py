"""Tags inside photos: whatever the file's structure, all but the XMP stays as it is."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tagger.metadata.options import WriteOptions
from tests.support import jpegs, packets, pngs_webps
from tests.support.metadata_tools import (
    EMBED,
    Tagger,
    differences,
    left_behind,
    look,
    outside,
    packet_for_pillow,
    pixels,
    second_picture,
    warnings,
)

BUILT: dict[str, tuple[dict[str, Callable[[], bytes]], str]] = {
    "jpeg": (jpegs.MAKERS, ".jpg"),
    "png": (pngs_webps.PNG_MAKERS, ".png"),
    "webp": (pngs_webps.WEBP_MAKERS, ".webp"),
}
REFUSED = {
    "jpeg": (jpegs.REFUSED, ".jpg"),
    "png": (pngs_webps.PNG_REFUSED, ".png"),
    "webp": (pngs_webps.WEBP_REFUSED, ".webp"),
}


def check_all(folder: Path, files: dict[str, bytes], options: WriteOptions) -> int:
    """Embed into all ``files``, look at them in every way, undo; return how many there were."""
    old, taggers = {}, {}
    for name, data in files.items():
        path = folder / name
        path.write_bytes(data)
        path.chmod(0o640)
        os.utime(path, ns=(10**18, 1_500_000_000_123_456_789))
        old[name], taggers[name] = path.stat(), Tagger(path, options)
    before = look(folder / name for name in files)
    problems = []
    for name, tagger in taggers.items():
        made = tagger.write()
        if made.reason:
            problems.append(f"{name}: refused, {made.reason}")
    after = look(folder / name for name in files)
    for name, tagger in taggers.items():
        written = tagger.path.read_bytes()
        wrong = differences(before[name], after[name], len(written) - len(files[name]))
        wrong += sorted(warnings(after[name]) - warnings(before[name]))
        if outside(written) != outside(files[name]):
            wrong.append("other bytes have changed")
        if pixels(written) != pixels(files[name]):
            wrong.append(f"pixels: {pixels(files[name])} -> {pixels(written)}")
        if "animal/dog" not in str(after[name].get("XMP-digiKam:TagsList")):
            wrong.append("it has no tags")
        if b">animal/dog<" not in packet_for_pillow(written):
            wrong.append("Pillow finds no tags")
        now = tagger.path.stat()
        if any(getattr(now, f) != getattr(old[name], f) for f in ("st_mtime_ns", "st_mode")):
            wrong.append("its date or mode has changed")
        moved = b"MPF\0" in written[:9999]
        if moved and second_picture(written) != second_picture(files[name]):
            wrong.append("MPF leads elsewhere")
        again = tagger.prepare()
        if again.intents or tagger.write().intents or tagger.path.stat() != now:
            wrong.append("a second run writes again")
        tagger.undo()
        if tagger.path.read_bytes() != files[name] or tagger.journal:
            wrong.append("undo does not restore it")
        problems += [f"{name}: {one}" for one in wrong]
    assert problems == []
    assert sorted(os.listdir(folder)) == sorted(files)
    return len(files)


@pytest.mark.parametrize("kind", BUILT)
@pytest.mark.parametrize("provenance", [True, False])
def test_nothing_else_changes(kind: str, provenance: bool, tmp_path: Path) -> None:
    makers, suffix = BUILT[kind]
    files = {name + suffix: make() for name, make in makers.items()}
    assert check_all(tmp_path, files, WriteOptions(target="embed", provenance=provenance)) > 12


@pytest.mark.parametrize("name", ["arithmetic", "arithmetic-progressive"])
def test_arithmetic_coding_is_what_it_says(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.MAKERS[name]())
    frame = b"\xff\xca" if "progressive" in name else b"\xff\xc9"
    assert frame in path.read_bytes()
    assert b"\xff\xc4" not in path.read_bytes()  # no Huffman tables
    assert b"\xff\xcc" in path.read_bytes()  # conditioning of the arithmetic coder
    before = [decoded(path) for decoded in (by_djpeg, by_pillow)]
    if not any(before):
        pytest.skip("no decoder here knows arithmetic coding; bytes are compared elsewhere")
    tagger = Tagger(path)
    tagger.write()
    assert [decoded(path) for decoded in (by_djpeg, by_pillow)] == before
    assert tagger.journal[0].target == "embed"


def by_djpeg(path: Path) -> bytes:
    """Return the pixels as libjpeg's own program decodes them, empty when it cannot."""
    if shutil.which("djpeg") is None:
        return b""
    return subprocess.run(["djpeg", path], capture_output=True, check=False).stdout


def by_pillow(path: Path) -> bytes:
    try:
        with Image.open(path) as image:
            return image.tobytes()
    except OSError:
        return b""


@pytest.mark.parametrize("folder", ["imagenet", "calibration", "cameras"])
def test_nothing_else_changes_in_real_photos(folder: str, shared: Path, tmp_path: Path) -> None:
    files = {
        path.name: path.read_bytes()
        for path in sorted((shared / "photos" / folder).iterdir())
        if path.suffix in (".jpg", ".JPEG", ".jpeg", ".png")
    }
    assert check_all(tmp_path, files, EMBED) >= 18


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, (cases, _) in REFUSED.items() for name in cases]
)
def test_what_is_refused_gets_a_sidecar(kind: str, name: str, tmp_path: Path) -> None:
    cases, suffix = REFUSED[kind]
    make, reason = cases[name]
    data = make()
    path = tmp_path / f"photo{suffix}"
    path.write_bytes(data)
    tagger = Tagger(path)
    made = tagger.write()
    assert reason in made.reason
    assert [entry.reason for entry in tagger.journal] == [made.reason]
    assert path.read_bytes() == data
    assert (tmp_path / f"photo{suffix}.xmp").exists()
    tagger.undo()
    assert os.listdir(tmp_path) == [f"photo{suffix}"]
    assert path.read_bytes() == data


def test_padding_is_used(tmp_path: Path) -> None:
    for name, data in {
        "a.jpg": jpegs.MAKERS["padded"](),
        "b.jpg": jpegs.MAKERS["nearly-full"](),
        "c.jpg": jpegs.put(jpegs.two_pictures(), jpegs.xmp(packets.rated(padding=5000))),
        "d.png": pngs_webps.late(pngs_webps.itxt(packets.rated(padding=5000))),
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        tagger = Tagger(path, replace(EMBED, preserve_mtime=False))
        tagger.write()
        assert path.read_bytes() != data
        assert len(path.read_bytes()) == len(data)
        tagger.undo()
        # Where the date stays, it is by the size that others see the change.
        Tagger(path).write()
        assert 0 < abs(len(path.read_bytes()) - len(data)) <= 6


def test_pillow_still_opens_both_pictures(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    first, second = jpegs.picture(), jpegs.picture(1)
    first.save(path, "MPO", save_all=True, append_images=[second])
    old = path.read_bytes()
    Tagger(path).write()
    assert path.read_bytes() != old
    assert pixels(path.read_bytes()) == pixels(old)
    assert pixels(old).startswith("2 frames")
    assert second_picture(path.read_bytes()) == second_picture(old)


def test_hard_links_and_write_protection_are_respected(tmp_path: Path) -> None:
    for name, spoil in {
        "linked": lambda path: os.link(path, path.with_suffix(".copy")),
        "protected": lambda path: path.chmod(0o444),
    }.items():
        path = tmp_path / f"{name}.jpg"
        path.write_bytes(jpegs.plain())
        tagger = Tagger(path)
        spoil(path)
        inode = path.stat().st_ino
        assert tagger.write().reason
        assert path.read_bytes() == jpegs.plain()
        assert path.stat().st_ino == inode
        assert path.with_name(path.name + ".xmp").exists()


def test_a_link_made_later_is_not_broken_by_undo(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.plain())
    tagger = Tagger(path)
    tagger.write()
    os.link(path, tmp_path / "other")
    written = path.read_bytes()
    assert "hard links" in tagger.undo().reason
    assert path.read_bytes() == (tmp_path / "other").read_bytes() == written
    assert path.samefile(tmp_path / "other")
    (tmp_path / "other").unlink()
    tagger.undo()
    assert path.read_bytes() == jpegs.plain()
    assert left_behind(tmp_path) == []
