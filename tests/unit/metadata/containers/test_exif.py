"""The EXIF block for photos without one: Windows shows its keywords."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tagger.metadata.options import WriteOptions
from tests.support import jpegs, packets, pngs_webps
from tests.support.metadata_tools import (
    BEACH,
    EMBED,
    TAGS,
    Tagger,
    exiftool,
    look,
    pixels,
    warnings,
)

IF_ABSENT = WriteOptions(target="embed", exif="if-absent")
WITHOUT: dict[str, Callable[[], bytes]] = {
    "a.jpg": jpegs.plain,
    "b.jpg": jpegs.MAKERS["gray"],
    "arithmetic.jpg": jpegs.MAKERS["arithmetic"],
    "arithmetic-progressive.jpg": jpegs.MAKERS["arithmetic-progressive"],
    "xmp-first.jpg": jpegs.MAKERS["xmp-first"],
    "xmp-late.jpg": jpegs.MAKERS["xmp-late"],
    "mpf.jpg": jpegs.two_pictures,
    "mpf-xmp.jpg": lambda: jpegs.two_pictures(after=(jpegs.xmp(packets.rated()),)),
    "no-jfif.jpg": jpegs.MAKERS["no-jfif"],
    "a.png": pngs_webps.png,
    "late.png": pngs_webps.PNG_MAKERS["late-xmp"],
    "moving.png": pngs_webps.moving_png,
    "idot.png": pngs_webps.split_pixels,
    "a.webp": pngs_webps.webp,
    "alpha.webp": pngs_webps.WEBP_MAKERS["vp8l-alpha"],
    "xmp.webp": pngs_webps.WEBP_MAKERS["vp8x-xmp"],
    "moving.webp": pngs_webps.moving_webp,
}
WITH: dict[str, Callable[[], bytes]] = {
    "exif-first.jpg": jpegs.MAKERS["exif-first"],
    "lightroom.jpg": jpegs.MAKERS["lightroom"],
    "arithmetic-xmp.jpg": jpegs.MAKERS["arithmetic-xmp"],
    "exif.png": pngs_webps.PNG_MAKERS["exif"],
    "late-exif.png": pngs_webps.PNG_MAKERS["late-exif"],
    "raw.png": pngs_webps.PNG_MAKERS["raw-exif"],
    "exif.webp": pngs_webps.WEBP_MAKERS["vp8x-exif"],
    "prefix.webp": pngs_webps.WEBP_MAKERS["vp8x-jpeg-exif"],
}


def keywords_for_windows(path: Path) -> list[str]:
    (said,) = json.loads(exiftool("-j", "-XPKeywords", path))
    return [word for word in said.get("XPKeywords", "").split(";") if word]


def test_photos_without_get_one(tmp_path: Path) -> None:
    files = {name: make() for name, make in WITHOUT.items()}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    before = look(tmp_path / name for name in files)
    taggers = {name: Tagger(tmp_path / name, IF_ABSENT) for name in files}
    for tagger in taggers.values():
        assert tagger.write().reason == ""
    after = look(tmp_path / name for name in files)
    for name, tagger in taggers.items():
        said = str(after[name]["IFD0:XPKeywords"])
        assert {"animal", "beach"} <= set(said.split(";")), name
        assert warnings(after[name]) <= warnings(before[name]), name
        assert pixels(tagger.path.read_bytes()) == pixels(files[name]), name
        if "mpf" in name:
            assert after[name]["MPImage2:MPImage2"] == before[name]["MPImage2:MPImage2"]
        assert tagger.write().intents == (), name
        tagger.write([BEACH])
        tagger.undo()
        assert tagger.path.read_bytes() == files[name], name


def test_photos_with_one_keep_it(tmp_path: Path) -> None:
    for name, make in WITH.items():
        path = tmp_path / name
        path.write_bytes(make())
        before = exiftool("-b", "-EXIF", path)
        tagger = Tagger(path, IF_ABSENT)
        tagger.write()
        assert exiftool("-b", "-EXIF", path) == before, name
        assert all("Exif:XPKeywords" not in entry.added for entry in tagger.journal)
        assert b"dog" in path.read_bytes()
        tagger.undo()
        assert path.read_bytes() == make(), name


def test_it_changes_with_the_keywords_and_goes_with_the_option(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.MAKERS["iptc-latin"]())
    tagger = Tagger(path, IF_ABSENT)
    tagger.write()
    assert keywords_for_windows(path) == ["Übung", "sea", "dog", "animal", "beach"]
    tagger.write([BEACH])
    assert keywords_for_windows(path) == ["Übung", "sea", "beach"]
    tagger.write(TAGS, options=EMBED)
    assert keywords_for_windows(path) == []
    tagger.write(TAGS)
    assert "dog" in keywords_for_windows(path)
    tagger.undo()
    assert path.read_bytes() == jpegs.MAKERS["iptc-latin"]()


def test_it_is_taken_away_after_another_programs_edit(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.plain())
    tagger = Tagger(path, IF_ABSENT)
    tagger.write()
    exiftool("-q", "-overwrite_original", "-XMP:Rating=3", path)
    tagger.undo()
    assert keywords_for_windows(path) == []
    assert exiftool("-s3", "-XMP:Rating", path).strip() == b"3"


def test_one_that_another_program_wrote_into_is_the_users(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpegs.plain())
    tagger = Tagger(path, IF_ABSENT)
    tagger.write()
    exiftool("-q", "-overwrite_original", "-EXIF:Artist=Me", path)
    block = exiftool("-b", "-EXIF", path)
    tagger.write([BEACH])
    tagger.undo()
    assert exiftool("-b", "-EXIF", path) == block
