"""One contract for both who look at photos: the processes of this machine, and a cluster."""

from __future__ import annotations

import os
import shutil

import pytest

from tagger.classify.loader import EngineLoader
from tagger.errors import DamagedImageError, NotAnImageError, PhotoVanishedError
from tagger.pipeline.decoding import decode_pool
from tagger.pipeline.inference import classify_photo
from tagger.pipeline.networks import Networks
from tagger.pipeline.recognition import Former
from tests.unit.cluster.conftest import copies

WAIT = 60


def test_it_sees_what_the_networks_see(recognition, config, scenes):
    networks = Networks(EngineLoader(lambda: False).open_now(config))
    with decode_pool(config, networks.subjects.spec, views=networks.views) as pool:
        for scene in scenes[:3]:
            path = str(scene)
            decoded = pool.submit(path).result()
            seen = recognition.submit(path, size=scene.stat().st_size).result(WAIT)
            assert seen.facts == decoded.facts
            assert seen.prediction == classify_photo(networks, pool, path, decoded)


def test_each_of_many_gets_its_own_answer(recognition, home, scenes):
    paths = copies(scenes, home.inbox, 40)
    futures = [recognition.submit(path, root=str(home.inbox)) for path in paths]
    while not all(future.done() for future in futures):
        assert recognition.ahead >= 0  # asked in another thread than the work is done in
    hashes = [future.result(WAIT).prediction.crop_hash for future in futures]
    kinds = len(scenes)
    assert len(set(hashes)) == kinds
    assert all(found == hashes[number % kinds] for number, found in enumerate(hashes))


def test_errors_are_the_photos_own(recognition, home, scenes):
    bad = home.inbox / "bad.jpg"
    bad.write_bytes(scenes[0].read_bytes()[:2000])
    (home.inbox / "text.jpg").write_text("no picture")
    (home.inbox / "empty.jpg").touch()
    gone = home.inbox / "gone.jpg"
    told = {
        bad: DamagedImageError,
        home.inbox / "text.jpg": NotAnImageError,
        home.inbox / "empty.jpg": NotAnImageError,
        gone: PhotoVanishedError,
    }
    futures = {path: recognition.submit(str(path), root=str(home.inbox)) for path in told}
    for path, kind in told.items():
        with pytest.raises(kind, match=path.name):
            futures[path].result(WAIT)


def test_a_name_of_any_bytes_will_do(recognition, home, scenes):
    path = os.fsdecode(os.fsencode(home.inbox) + b"/\xff\n'.jpg")
    shutil.copy(scenes[0], path)
    assert recognition.submit(path, root=str(home.inbox)).result(WAIT).facts.format


def test_no_link_is_followed_out_of_the_folder(recognition, home, scenes):
    (home.inbox / "sub").symlink_to(scenes[0].parent)
    path = str(home.inbox / "sub" / scenes[0].name)
    with pytest.raises(PhotoVanishedError):
        recognition.submit(path, root=str(home.inbox)).result(WAIT)


def test_what_is_known_of_the_same_picture_is_kept(recognition, scenes):
    first = recognition.submit(str(scenes[0])).result(WAIT).prediction
    former = Former(first)
    assert recognition.submit(str(scenes[0]), former=former).result(WAIT).prediction == first
    other = recognition.submit(str(scenes[1]), former=former).result(WAIT).prediction
    assert other.crop_hash != first.crop_hash


def test_what_is_not_wanted_any_more_stops_nothing(recognition, scenes):
    some = [recognition.submit(str(scene)) for scene in scenes]
    for future in some[1:]:
        future.cancel()
    assert some[0].result(WAIT).facts.format
    assert recognition.submit(str(scenes[1])).result(WAIT).facts.format


def test_after_its_end_it_takes_nothing(recognition, scenes):
    recognition.close()
    with pytest.raises(RuntimeError, match="closed"):
        recognition.submit(str(scenes[0]))
