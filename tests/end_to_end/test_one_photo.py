"""One photo costs one photo: what is odd about it is its own failure, and stops no other."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from tagger.config.loader import load_config
from tagger.index.store import Store
from tagger.pipeline.blocked_roots import BlockedRoots
from tagger.pipeline.context import Context
from tagger.pipeline.outcome import Failed, Tagged
from tagger.records import Candidate, FileStat


@pytest.fixture
def two(home, scenes):
    """A home with a good photo; return it with a function that gives another one a date."""
    shutil.copyfile(scenes[0], home.inbox / "good.jpg")
    shutil.copyfile(scenes[1], home.inbox / "odd.jpg")
    return home


def date(path, year):
    seconds = (year - 1970) * 31_556_952
    os.utime(path, ns=(0, seconds * 10**9))
    if path.stat().st_mtime_ns // 10**9 != seconds:
        pytest.skip("this file system holds no such date")


def test_dates_that_64_bits_cannot_hold(two, scenes):
    """Of photos, of what is none, of sidecars and of folders."""
    two.configure(write={"target": "none"})
    kinds = [two.inbox / f"{year}.jpg" for year in (1902, 2262, 2300, 2440)]
    for number, photo in enumerate(kinds):
        shutil.copyfile(scenes[number % 4 + 1], photo)
        date(photo, int(photo.stem))
    (two.inbox / "sub").mkdir()
    shutil.copyfile(scenes[3], two.inbox / "sub" / "in.jpg")
    (two.inbox / "odd.jpg.xmp").write_text("")
    (two.inbox / "diary.jpg").write_text("Dear diary")
    for name in ("sub", "odd.jpg.xmp", "diary.jpg"):
        date(two.inbox / name, 2300)
    two.once()
    others = (two.inbox / "good.jpg", two.inbox / "odd.jpg", two.inbox / "sub" / "in.jpg")
    assert {one["path"] for one in two.json("query")} == set(map(str, (*kinds, *others)))
    assert [one["kind"] for one in two.json("failures")] == ["NotAnImageError"]
    assert two.once() == [], "all are known as they are"
    assert (two.inbox / "2440.jpg").stat().st_mtime_ns // 10**9 == (2440 - 1970) * 31_556_952


def test_a_reason_tells_of_a_name_that_is_not_utf8(home, scenes):
    home.configure(write={"target": "embed"})
    inbox = os.fsencode(home.inbox)
    shutil.copyfile(scenes[0], home.inbox / "good.jpg")
    for name in (b"caf\xe9-none.jpg", b"\xfcber/none.jpg"):
        os.makedirs(os.path.dirname(os.path.join(inbox, name)), exist_ok=True)
        with open(os.path.join(inbox, name), "wb") as file:
            file.write(b"nope")
    linked, beside = (os.path.join(inbox, name) for name in (b"link\xe9.jpg", b"side\xe9.jpg"))
    shutil.copyfile(scenes[1], linked)
    os.link(linked, linked + b".copy.jpg")
    shutil.copyfile(scenes[2], beside)
    with open(beside + b".xmp", "wb") as file:
        file.write(b"<bad")
    home.once()
    states = {
        os.path.relpath(os.fsencode(path), inbox): home.json("show", path)["status"]
        for path in map(os.fsdecode, (*(inbox + b"/" + n for n in os.listdir(inbox)),))
        if path.endswith(".jpg")
    }
    assert states.pop(b"caf\xe9-none.jpg") == "failed"
    assert set(states.values()) == {"tagged"}
    assert home.run("failures").count("\\x") >= 2


class Odd(Store):
    """An index that cannot take one photo: stands for whatever nobody foresaw."""

    refuses: tuple[str, ...] = ()

    def _check(self, what, path):
        if what in self.refuses and path.endswith("odd.jpg"):
            raise ZeroDivisionError("nobody foresaw it")

    def photo(self, path):
        self._check("photo", path)
        return super().photo(path)

    def intend(self, writes):
        for path, _, _ in writes:
            self._check("intend", path)
        super().intend(writes)

    def save(self, photos):
        for photo in photos:
            self._check("save", photo.path)
        super().save(photos)

    def fail(self, path, *rest, **more):
        self._check("fail", path)
        return super().fail(path, *rest, **more)


@pytest.fixture
def pipeline(two, scenes):
    """The pipeline on an index that can be odd, and the candidates of three photos."""
    from tagger.classify.loader import EngineLoader
    from tagger.labels.chooser import Chooser, Outputs
    from tagger.labels.vocabulary import own_vocabulary
    from tagger.pipeline.decoding import decode_pool
    from tagger.pipeline.networks import Networks
    from tagger.pipeline.pipeline import Pipeline

    two.use_converted_model()
    shutil.copyfile(scenes[2], two.inbox / "zoo.jpg")
    config = load_config(str(two.config))
    engine = EngineLoader(lambda: False).get(config)
    photos = [
        Candidate(str(path), str(two.inbox), FileStat.of(path.lstat()))
        for path in sorted(two.inbox.glob("*.jpg"))
    ]
    outputs = Outputs(len(engine.categories), engine.categories)
    chooser = Chooser(own_vocabulary(config.state_dir), config.labels, outputs)
    with Odd(config.state_dir) as store:
        context = Context(config, store, BlockedRoots(config))
        with Pipeline(context, Networks(engine), decode_pool(config, engine.spec), chooser) as made:
            yield made, store, photos


def handle(pipeline, photos):
    outcomes = pipeline.advance(photos)
    while pipeline.in_work:
        outcomes += pipeline.advance(())
    return {os.path.basename(one.path): one for one in outcomes}


@pytest.mark.parametrize("refuses", [("photo",), ("intend",), ("save",), ("save", "fail")])
def test_what_nobody_foresaw_is_that_photos_failure(pipeline, refuses):
    pipeline, store, photos = pipeline
    store.refuses = refuses
    found = handle(pipeline, photos)
    assert isinstance(found["odd.jpg"], Failed)
    assert "nobody foresaw" in found["odd.jpg"].failure.reason
    assert isinstance(found["good.jpg"], Tagged) and isinstance(found["zoo.jpg"], Tagged)
    store.refuses = ()
    assert store.pending() == []
    failed = store.photo(found["odd.jpg"].path)
    assert (failed.status if failed else None) == ("waiting" if "fail" in refuses else "failed")


@pytest.mark.parametrize("number", ["1" + "0" * 400, "1e999"])
def test_a_number_without_end_in_a_sidecar_after_the_index_was_lost(two, number):
    two.configure(write={"target": "sidecar-json"})
    two.once()
    path = two.inbox / "odd.jpg.tags.json"
    said = json.loads(path.read_text())
    said["labels"][0]["confidence"] = "@"
    path.write_text(json.dumps(said).replace('"@"', number))
    (two.state / "index.sqlite3").write_bytes(b"no database" * 5000)
    two.once()
    for name in ("good.jpg", "odd.jpg"):
        assert two.json("show", str(two.inbox / name))["status"] == "tagged"
