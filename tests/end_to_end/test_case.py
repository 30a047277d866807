"""On a file system that ignores case one photo is one, whatever spelling is used: exFAT."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tagger.system.files import is_absent
from tagger.system.path_spelling import spelled

TOOLS = ("mkfs.exfat", "losetup", "mount")


def run(*command: object) -> str:
    return subprocess.run(
        list(map(str, command)), check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def exfat(tmp_path):
    """Return a mounted exFAT file system, by the kernel or by FUSE."""
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing or os.geteuid() != 0:
        assert not (missing and os.environ.get("TAGGER_CI")), missing
        pytest.skip(f"needs root and {', '.join(TOOLS)}")
    image, path, loop = tmp_path / "exfat.img", tmp_path / "exfat", ""
    path.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    run("mkfs.exfat", image)
    try:
        loop = run("losetup", "-f", "--show", image)
        try:
            run("mount", "-t", "exfat", loop, path)
        except subprocess.CalledProcessError:
            run("mount.exfat-fuse", loop, path)
    except (OSError, subprocess.CalledProcessError) as error:
        if loop:
            run("losetup", "-d", loop)
        pytest.skip(f"no exFAT can be mounted here: {error}")
    yield path
    run("umount", "-l", path)
    run("losetup", "-d", loop)


def rows(home):
    """Return the photos that are there, and whether each is spelled as on the disk."""
    return sorted(Path(path).name for path in home.run("query", "is:tagged").splitlines())


def sidecars(folder):
    return [path for path in folder.rglob("*") if path.suffix.lower() == ".xmp"]


def test_another_spelling_is_the_same_photo(home, scenes, exfat, eventually):
    home.configure(watch=[{"path": str(exfat)}])
    (exfat / "Trip").mkdir()
    photo = exfat / "Trip" / "One.JPG"
    shutil.copy(scenes[0], photo)
    home.start()
    eventually(lambda: home.heartbeat() and (home.state / "index.sqlite3").exists())
    eventually(lambda: rows(home) == ["One.JPG"])
    tags = home.json("show", str(photo))["tags"]
    # Renamed, in one step and by a name in between.
    photo.rename(photo := photo.with_name("one.jpg"))
    eventually(lambda: rows(home) == ["one.jpg"])
    aside = photo.rename(photo.with_name("aside"))
    aside.rename(photo := photo.with_name("ONE.jpg"))
    eventually(lambda: rows(home) == ["ONE.jpg"])
    assert home.json("show", str(photo))["tags"] == tags
    # Another program uses another spelling: for a new version, and to add something.
    new = exfat / "Trip" / "new"
    shutil.copy(scenes[1], new)
    new.rename(photo := photo.with_name("oNe.JPG"))
    eventually(lambda: rows(home) == ["oNe.JPG"])
    eventually(lambda: home.json("show", str(photo))["tags"] not in ([], tags))
    with photo.with_name("onE.jpg").open("ab") as file:
        file.write(b"\0")
    with photo.with_name("ONE.JPG.XMP").open("ab") as file:
        file.write(b"\n")
    # The folder too.
    (exfat / "Trip").rename(exfat / "trip")
    photo = exfat / "trip" / "oNe.JPG"
    eventually(lambda: home.run("query").splitlines() == [str(photo)])
    # Asked for in whatever spelling.
    other = exfat / "TRIP" / "one.jpg"
    assert home.json("show", str(other))["path"] == str(photo)
    assert home.run("query", "--in", str(exfat / "TRIP")).splitlines() == [str(photo)]
    assert len(sidecars(exfat)) == 1
    # What was just touched settles, which counts as waiting; a busy machine takes its time.
    wanted = {"tagged": 1, "waiting": 0, "failed": 0}
    eventually(lambda: wanted.items() <= home.json("status")["counts"].items(), 60)
    # No name that it had is a missing photo; only the version that was replaced may be one.
    missing = home.run("query", "is:missing").splitlines()
    assert missing in ([], [str(exfat / "Trip" / "ONE.jpg")])
    assert home.json("status")["counts"]["missing"] == len(missing)
    home.run("untag", str(other))
    # With the line that another program added it is not ours alone, and stays.
    assert not any("beach" in one.read_text() for one in sidecars(exfat))


def test_names_as_the_disk_lists_them(exfat):
    photo = exfat / "Ä Dir" / "Fuß.JPG"
    photo.parent.mkdir()
    photo.write_bytes(b"x")
    top = str(exfat)
    for way in ("Ä Dir/Fuß.jpg", "Ä DIR/FUß.JPG", "ä dir/fuß.jpg", "Ä Dir/Fuß.JPG"):
        path = os.path.join(top, way)
        if os.path.exists(path):  # FUSE may know fewer letters than the kernel
            assert spelled(path, top) == str(photo)
            assert is_absent(path, top) == (path != str(photo))
            assert not is_absent(path)
    assert spelled(f"{top}/Ä DIR/none.jpg", top) in (f"{top}/Ä Dir/none.jpg",)
    assert is_absent(f"{top}/none.jpg", top)


def test_where_case_matters_every_name_is_its_own(tmp_path, monkeypatch):
    for name in ("a.jpg", "A.JPG", "b.jpg", "2024"):
        (tmp_path / name).write_bytes(b"x")
    listed = []
    monkeypatch.setattr(
        "tagger.system.path_spelling.os.listdir", lambda folder: listed.append(folder) or []
    )
    assert spelled(str(tmp_path / "b.jpg"), str(tmp_path)) == str(tmp_path / "b.jpg")
    assert listed == []
    monkeypatch.undo()
    for name in ("a.jpg", "A.JPG", "b.jpg", "2024", "none.jpg", "B.jpg"):
        assert spelled(str(tmp_path / name), str(tmp_path)) == str(tmp_path / name)
        assert spelled(str(tmp_path / name)) == str(tmp_path / name)
    assert is_absent(str(tmp_path / "B.jpg"), str(tmp_path))
    assert not is_absent(str(tmp_path / "2024"), str(tmp_path))


def test_a_composed_name_that_is_not_there_is_looked_for_decomposed(tmp_path):
    (tmp_path / "E\u0301te\u0301").mkdir()
    (tmp_path / "E\u0301te\u0301" / "u\u0308.jpg").write_bytes(b"x")
    typed = tmp_path / "\u00c9t\u00e9" / "\u00fc.jpg"
    assert spelled(str(typed)) == str(tmp_path / "E\u0301te\u0301" / "u\u0308.jpg")
    typed.parent.mkdir()  # but two folders are two
    assert spelled(str(typed)) == str(typed)
