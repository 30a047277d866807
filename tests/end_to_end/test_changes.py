"""Photos that change, move, are copied or go away, between and during runs."""

from __future__ import annotations

import os
import shutil

import pytest

from tagger.index.store import Store


def drop(home, photo, name):
    target = home.inbox / name
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(photo, target)
    return target


def hows(lines):
    return {os.path.basename(line["path"]): line["how"] for line in lines}


def sidecar(photo):
    return photo.with_name(photo.name + ".xmp")


def said(*words, date=""):
    """A sidecar as Lightroom writes one."""
    items = "".join(f"<rdf:li>{word}</rdf:li>" for word in words)
    date = f' photoshop:DateCreated="{date}"' if date else ""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description'
        ' rdf:about="" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
        f' xmlns:dc="http://purl.org/dc/elements/1.1/"{date}><dc:subject><rdf:Bag>{items}'
        "</rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"
    )


@pytest.mark.parametrize("target", ["sidecar-xmp", "sidecar-json", "none"])
def test_a_change_of_the_second_sidecar_is_seen(home, scenes, target):
    """Lightroom's `x.xmp` beside ours; its keywords and its date are the photo's."""
    home.configure(write={"target": target})
    photo = drop(home, scenes[0], "x.jpg")
    sidecar(photo).write_text(said("digiKam's"))
    home.once()
    second = photo.with_suffix(".xmp")
    for word, date in (("first", "1965"), ("second", "1966-07")):
        second.write_text(said(word, date=date))
        assert hows(home.once()) == {"x.jpg": "known"}
        shown = home.json("show", str(photo))
        users = {tag["label"] for tag in shown["tags"] if tag["source"] == "user"}
        assert users == {"digiKam's", word}
        assert shown["taken_at"].startswith(date)
        assert home.json("query", f"taken:{date}")
        assert home.once() == [], "all is known as it is"
    second.unlink()
    home.once()
    assert "second" not in str(home.json("show", str(photo))["tags"])
    assert home.once() == []


def test_a_changed_photo_is_tagged_again(home, scenes):
    photo = drop(home, scenes[0], "x.jpg")
    home.once()
    before = home.json("show", str(photo))["tags"]
    shutil.copyfile(scenes[1], photo)
    assert hows(home.once()) == {"x.jpg": "classified"}
    after = home.json("show", str(photo))["tags"]
    assert {t["label"] for t in after} != {t["label"] for t in before}
    text = sidecar(photo).read_text()
    old = {t["label"] for t in before} - {t["label"] for t in after}
    assert old and not any(f">{label}<" in text for label in old)


def test_a_touched_photo_is_not_classified_again(home, scenes):
    photo = drop(home, scenes[0], "x.jpg")
    home.once()
    os.utime(photo, (1_500_000_000, 1_500_000_000))
    assert hows(home.once()) == {"x.jpg": "known"}
    assert photo.stat().st_mtime == 1_500_000_000


def test_a_change_is_seen_though_size_and_date_are_as_before(home, scenes):
    photo, second = (drop(home, scene, f"{n}.jpg") for n, scene in enumerate(scenes[:2]))
    size = max(photo.stat().st_size, second.stat().st_size)
    for one in (photo, second):  # what follows the picture's end changes nothing
        with one.open("ab") as file:
            file.write(bytes(size - one.stat().st_size))
    home.once()
    before = home.json("show", str(photo))["tags"]
    seen = photo.stat()
    with photo.open("r+b") as file:
        file.write(second.read_bytes())
    os.utime(photo, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    now = photo.stat()
    assert (now.st_size, now.st_mtime_ns, now.st_ino) == (size, seen.st_mtime_ns, seen.st_ino)
    assert hows(home.once()) == {"0.jpg": "copied"}
    after = home.json("show", str(photo))["tags"]
    assert {t["label"] for t in after} != {t["label"] for t in before}
    assert home.once() == []


def test_a_sidecars_change_is_seen_though_size_and_date_are_as_before(home, scenes):
    photo = drop(home, scenes[0], "x.jpg")
    home.once()
    beside = sidecar(photo)
    seen = beside.stat()
    label = next(t["label"] for t in home.json("show", str(photo))["tags"] if len(t["path"]) > 1)
    other = label[::-1]
    with beside.open("r+b") as file:
        text = file.read().replace(f">{label}<".encode(), f">{other}<".encode())
        file.seek(0)
        file.write(text)
    os.utime(beside, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert beside.stat().st_size == seen.st_size
    assert hows(home.once()) == {"x.jpg": "known"}
    tags = home.json("show", str(photo))["tags"]
    assert other in {t["label"] for t in tags if t["source"] == "user"}
    assert home.once() == []


@pytest.mark.parametrize("target", ["sidecar-xmp", "embed"])
def test_what_only_touches_a_photo_costs_one_look_at_its_bytes(home, scenes, target, tmp_path):
    home.configure(write={"target": target})
    photo = drop(home, scenes[0], "x.jpg")
    home.once()
    files = [path for path in (photo, sidecar(photo)) if path.exists()]

    def remembered():
        with Store(str(home.state)) as store:
            row = store.photo(str(photo))
            return row.stat.ctime_ns, row.tagged_at

    ctime, tagged = remembered()
    assert ctime == photo.stat().st_ctime_ns  # of what we left: nothing is looked at once more
    (tmp_path / "kept").mkdir()
    for number, touch in enumerate(
        (
            lambda path: path.chmod(0o600),
            lambda path: os.utime(path, ns=(1, path.stat().st_mtime_ns)),
            lambda path: os.link(path, tmp_path / "kept" / path.name),
            lambda path: (tmp_path / "kept" / path.name).unlink(),
            lambda path: path.rename(path.with_name("y")) and path.with_name("y").rename(path),
        )
    ):
        for path in files:
            touch(path)
        assert home.once() == [], number
        assert remembered() == (photo.stat().st_ctime_ns, tagged), number
    assert home.json("status")["counts"]["tagged"] == 1


def test_a_renamed_photo_keeps_its_tags_and_its_sidecar_follows(home, scenes):
    photo = drop(home, scenes[0], "x.jpg")
    home.once()
    tags = home.json("show", str(photo))["tags"]
    old_sidecar = sidecar(photo).read_bytes()
    moved = home.inbox / "2024" / "renamed.jpg"
    moved.parent.mkdir()
    photo.rename(moved)
    assert hows(home.once()) == {"renamed.jpg": "moved"}
    assert home.json("show", str(moved))["tags"] == tags
    assert home.run("query").splitlines() == [str(moved)]
    assert home.json("status")["counts"]["missing"] == 0
    assert not sidecar(photo).exists()
    assert sidecar(moved).read_bytes() == old_sidecar
    assert home.once() == []


def test_a_sidecar_moved_by_the_user_stays_the_only_one(home, scenes):
    photo = drop(home, scenes[0], "x.jpg")
    home.once()
    moved = home.inbox / "y.jpg"
    photo.rename(moved)
    sidecar(photo).rename(sidecar(moved))
    before = sidecar(moved).read_bytes()
    home.once()
    assert sorted(p.name for p in home.inbox.glob("*.xmp")) == ["y.jpg.xmp"]
    assert sidecar(moved).read_bytes() == before


def test_an_exact_copy_costs_no_inference(home, scenes):
    drop(home, scenes[0], "x.jpg")
    home.once()
    drop(home, scenes[0], "copy.jpg")
    drop(home, scenes[1], "twin1.jpg")
    drop(home, scenes[1], "twin2.jpg")
    told = hows(home.once())
    assert told["copy.jpg"] == "copied"
    assert sorted([told["twin1.jpg"], told["twin2.jpg"]]) == ["classified", "copied"]
    both = [home.json("show", str(home.inbox / n))["tags"] for n in ("x.jpg", "copy.jpg")]
    assert both[0] == both[1]
    assert sidecar(home.inbox / "copy.jpg").is_file()


def test_a_photo_that_is_gone_is_missing_and_comes_back(home, scenes):
    photo = drop(home, scenes[0], "x.jpg")
    drop(home, scenes[1], "y.jpg")
    home.once()
    kept = home.folder / "x.jpg"
    photo.rename(kept)
    home.once()
    assert home.json("status")["counts"]["missing"] == 1
    assert str(photo) not in home.run("query").splitlines()
    assert home.json("show", str(photo))["status"] == "missing"
    kept.rename(photo)
    assert hows(home.once()) == {"x.jpg": "known"}
    assert home.json("show", str(photo))["status"] == "tagged"


def test_a_sidecar_that_was_deleted_is_written_again(home, scenes):
    photo = drop(home, scenes[0], "x.jpg")
    home.once()
    sidecar(photo).unlink()
    assert hows(home.once()) == {"x.jpg": "known"}
    assert sidecar(photo).is_file()


def test_an_unmounted_disk_is_not_a_deletion(home, scenes):
    photos = [drop(home, scene, scene.name) for scene in scenes]
    home.once()
    away = home.folder / "away"
    home.inbox.rename(away)
    home.inbox.mkdir()  # the empty mount point
    home.once()
    status = home.json("status")
    assert status["counts"]["missing"] == 0
    assert status["counts"]["tagged"] == len(photos)
    home.inbox.rmdir()
    away.rename(home.inbox)
    assert home.once() == []


def test_retry_classifies_again(home, scenes):
    photo = drop(home, scenes[0], "x.jpg")
    home.once()
    assert home.run("retry", str(photo)).startswith("1 photo")
    assert hows(home.once()) == {"x.jpg": "classified"}
    home.run("retry", "/no/such.jpg", code=2)
    assert "not in the index" in home.err


def test_another_language_rewrites_what_is_written_without_decoding(home, scenes):
    photo = drop(home, scenes[0], "x.jpg")
    home.once()
    label = home.json("show", str(photo))["tags"][0]["label"]
    chinese = home.json("labels", label)[0]["names"]["zh"]
    assert home.run("query", chinese) == f"{photo}\n"
    home.configure(labels={"language": "zh"})
    assert hows(home.once()) == {"x.jpg": "known"}
    assert f">{chinese}<" in sidecar(photo).read_text()
    assert f">{label}<" not in sidecar(photo).read_text()
    home.configure(labels={"language": "zh", "exclude": [label]})
    home.once()
    assert label not in [t["label"] for t in home.json("show", str(photo))["tags"]]
    assert f">{chinese}<" not in sidecar(photo).read_text()


def test_a_photo_whose_disk_fails_has_not_moved(home, scenes):
    """A share of SMB whose server is off says "host is down"; here a folder that leads nowhere."""
    album = home.inbox / "album"
    album.mkdir()
    photo = album / "x.jpg"
    shutil.copy2(scenes[0], photo)
    home.once()
    album.rename(home.folder / "aside")
    album.symlink_to(album)
    shutil.copy2(scenes[0], home.inbox / "copy.jpg")
    assert [line["how"] for line in home.once()] == ["copied"]
    album.unlink()
    (home.folder / "aside").rename(album)
    assert home.once() == []
    assert sorted(home.run("query").splitlines()) == sorted([str(photo), f"{home.inbox}/copy.jpg"])


@pytest.mark.parametrize("name", ["x.jpg.XMP", "x.XMP", "x.jpg.Xmp"])
def test_a_sidecar_with_a_big_ending_is_the_photos_all_the_same(home, scenes, name):
    photo = drop(home, scenes[0], "x.jpg")
    beside = home.inbox / name
    beside.write_text(
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF'
        ' xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description'
        ' xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag>'
        "<rdf:li>Oma Ilse</rdf:li></rdf:Bag></dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    original = beside.read_bytes()
    home.once()
    tags = home.json("show", str(photo))["tags"]
    assert {tag["label"] for tag in tags if tag["source"] == "user"} == {"Oma Ilse"}
    assert "tagger" in beside.read_text() and "Oma Ilse" in beside.read_text()
    assert sorted(home.inbox.glob("x*")) == sorted([photo, beside])
    assert home.once() == []
    # Both are renamed by the user; then the photo alone, and ours follows.
    moved, moved_beside = photo.rename(home.inbox / "y.jpg"), home.inbox / ("y" + name[1:])
    beside.rename(moved_beside)
    assert hows(home.once()) == {"y.jpg": "moved"}
    assert sorted(home.inbox.glob("[xy]*")) == sorted([moved, moved_beside])
    assert home.json("show", str(moved))["tags"] == tags
    home.run("untag", str(moved))
    assert moved_beside.read_bytes() == original


@pytest.mark.parametrize("way", ["run", "prune"])
def test_a_sidecar_of_ours_goes_with_its_photo_unless_it_was_changed(home, scenes, way):
    """Deleted in a program that knows nothing of sidecars."""
    photos = [drop(home, scene, f"{number}.jpg") for number, scene in enumerate(scenes[:3])]
    home.once()
    sidecar(photos[1]).write_bytes(sidecar(photos[1]).read_bytes() + b"\n")
    for photo in photos[:2]:
        photo.unlink()
    home.run("prune") if way == "prune" else home.once()
    kept = {photos[2], sidecar(photos[2]), sidecar(photos[1])}
    assert {path for path in home.inbox.iterdir() if path.name != ".tagger-root"} == kept
    home.once()
    assert sidecar(photos[1]).exists()
    drop(home, scenes[0], "0.jpg")
    home.once()
    assert sidecar(photos[0]).exists()
