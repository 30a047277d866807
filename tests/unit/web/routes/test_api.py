"""Classifying an upload: what is answered, and how each mistake is told."""

from __future__ import annotations

import io
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tagger.errors import WeightsNotFoundError
from tagger.labels.vocabulary import load_vocabulary
from tagger.pipeline.networks import Networks
from tagger.records import Prediction
from tagger.web.upload_classifier import REST_SECONDS, UploadClassifier
from tagger.web.uploads import Spool
from tests.unit.web.conftest import FakeEngine, fake_networks, jpeg, multipart


def encoded(kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (300, 200), "olive").save(out, kind, **options)
    return out.getvalue()


def test_predict_answers_an_array_of_labels_with_percent(post):
    answer = post(jpeg())
    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.json == [
        {"label": "golden retriever", "probability": 80.0},
        {"label": "Labrador retriever", "probability": 15.1},
        {"label": "tabby", "probability": 1.9},
    ]


def test_k_and_lang_say_how_many_and_in_which_language(post):
    known = load_vocabulary()
    [one] = post(jpeg(), "/predict?k=1&lang=zh").json
    assert one == {"label": known.name("golden retriever", "zh"), "probability": 80.0}
    assert one["label"] != "golden retriever"
    assert len(post(jpeg(), "/predict?k=7").json) == 7


@pytest.mark.parametrize("query", ["k=0", "k=51", "k=x", "k=-1", "k=" + "9" * 5000, "lang=xx"])
def test_a_wrong_argument_is_told(post, query):
    answer = post(jpeg(), f"/predict?{query}")
    assert answer.status_code == 400
    assert answer.json["remedy"]


def test_classes_of_one_name_are_one_label(post):
    labels = [one["label"] for one in post(jpeg(), "/predict?k=50").json]
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "AVIF", "HEIF"])
def test_every_kind_of_picture_is_read(post, kind):
    if kind == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    answer = post(encoded(kind))
    assert answer.status_code == 200, answer.json


def test_the_page_hears_names_tags_facts_and_times(post):
    said = post(jpeg(turned=6), "/api/v1/predict").json
    assert said["predictions"][0]["names"]["en"] == "golden retriever"
    assert said["predictions"][0]["names"]["zh"]
    assert said["tags"][0]["label"] == "golden retriever"
    assert said["tags"][0]["reason"] == "the most specific that is sure"
    assert ["animal", "dog"] in said["keywords"]
    assert (said["width"], said["height"]) == (480, 640)
    assert said["model"] == "fake-00000000"
    assert said["milliseconds"]["total"] >= said["milliseconds"]["decode"] > 0


def test_no_file_is_400(client):
    for data in ({}, {"file": "text"}, {"file": (io.BytesIO(b""), "")}, {"other": "x"}):
        answer = client.post("/predict", data=data, content_type="multipart/form-data")
        assert (answer.status_code, answer.json["status"]) == (400, 400)
        assert "`file`" in answer.json["remedy"]


def test_several_files_are_400(client):
    assert client.post("/predict", **multipart(jpeg(), jpeg())).status_code == 400


def test_many_parts_are_refused(client):
    answer = client.post("/predict", **multipart(*[b"x"] * 20))
    assert answer.status_code == 413
    assert answer.json["remedy"]


@pytest.mark.parametrize(
    "data",
    [
        b"just text, as long as it needs to be",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7\n" + bytes(100),
        b"\x00\x00\x01\x00" + bytes(100),
        b"P6 1 1 255 abc",
        b"x",
    ],
)
def test_what_is_no_image_is_415_and_never_decoded(post, data):
    answer = post(data)
    assert answer.status_code == 415
    assert "JPEG" in answer.json["remedy"]


@pytest.mark.parametrize(
    "data",
    [jpeg()[:300], b"\xff\xd8\xff" + bytes(500), encoded("PNG")[:60], b"GIF89a" + bytes(9)],
)
def test_a_damaged_image_is_refused_without_telling_where_it_lay(post, data):
    answer = post(data)
    assert answer.status_code in (415, 422)
    assert "the picture" in answer.json["error"]
    assert "tagger-web" not in answer.text


def test_too_large_is_413(post):
    for size in (1_000_001, 1_300_000):  # below and above what the form may have
        answer = post(jpeg() + bytes(size))
        assert answer.status_code == 413
        assert "1 MB" in answer.json["error"]


def test_a_picture_of_too_many_pixels_is_413(post):
    out = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, "PNG")
    assert len(out.getvalue()) < 1_000_000
    assert post(out.getvalue()).status_code == 413


def test_the_whole_of_a_heic_is_looked_at_when_its_thumbnail_leaves_a_doubt(site, spool, open_site):
    import pillow_heif

    class Unsure(FakeEngine):
        looks = 0

        def predict(self, crops: np.ndarray) -> list[Prediction]:
            Unsure.looks += 1
            found = super().predict(crops)
            if Unsure.looks == 1:
                for one in found:
                    one.probabilities[:] = 0.001
            return found

    out = io.BytesIO()
    picture = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
    heic = pillow_heif.from_pillow(Image.fromarray(picture))
    heic.save(out, quality=40, thumbnails=[320])
    doubting = UploadClassifier(site.config, load_vocabulary(), lambda: Networks(Unsure()), spool)
    try:
        client = open_site(classifier=doubting)
        answer = client.post("/predict", **multipart(out.getvalue()))
    finally:
        doubting.close()
    assert answer.json[0] == {"label": "golden retriever", "probability": 80.0}
    assert Unsure.looks >= 2


def test_nothing_is_left_behind(post, spool):
    post(jpeg())
    post(b"\xff\xd8\xff" + bytes(500))
    post(jpeg() + bytes(1_000_001))
    assert os.listdir(spool._folder.name) == []


def test_what_a_killed_page_left_is_removed_at_the_next_start(tmp_path, monkeypatch):
    """And nothing else: neither what is in use, nor what is quite new, nor another's."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = (
        "import io, os, signal; from tagger.web.uploads import Spool\n"
        "with Spool().file(io.BytesIO(b'picture'), limit=9): os.kill(os.getpid(), signal.SIGKILL)"
    )
    environ = os.environ | {"TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], check=False, env=environ)
    [left] = tmp_path.iterdir()
    assert [path.read_bytes() for path in left.iterdir()] == [b"picture"]
    in_use, outside = Spool(), tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("")
    (tmp_path / "tagger-web-link").symlink_to(outside)
    old = time.time() - 3600
    for path in (left, Path(in_use._folder.name), outside):
        os.utime(path, (old, old))
    new = tmp_path / "tagger-web-new"
    new.mkdir()
    Spool().close()
    assert not left.exists()
    assert {path.name for path in tmp_path.iterdir()} == {
        "tagger-web-link", "tagger-web-new", "outside", os.path.basename(in_use._folder.name),
    }  # fmt: skip
    assert (outside / "file").exists()
    in_use.close()


def test_too_busy_is_503_with_retry_after(site, spool, open_site):
    loading, go_on = threading.Event(), threading.Event()

    def slow() -> Networks:
        loading.set()
        assert go_on.wait(20)
        return fake_networks()

    busy = UploadClassifier(site.config, load_vocabulary(), slow, spool, pending=1)
    client = open_site(classifier=busy)

    def send():
        return client.application.test_client().post("/predict", **multipart(jpeg()))

    answers = []
    first = threading.Thread(target=lambda: answers.append(send()))
    first.start()
    try:
        assert loading.wait(20)
        refused = send()
        assert refused.status_code == 503
        assert int(refused.headers["Retry-After"]) > 0
        assert refused.json["remedy"]
    finally:
        go_on.set()
        first.join(20)
        busy.close()
    assert [answer.status_code for answer in answers] == [200]


def test_what_nobody_uses_is_given_back_and_made_again(site, spool, open_site):
    now, made = [0.0], []

    def load() -> Networks:
        made.append(now[0])
        return fake_networks()

    resting = UploadClassifier(site.config, load_vocabulary(), load, spool, clock=lambda: now[0])
    client = open_site(classifier=resting)
    before = {child.pid for child in multiprocessing.active_children()}

    def processes() -> int:
        return len({child.pid for child in multiprocessing.active_children()} - before)

    try:
        assert client.post("/predict", **multipart(jpeg())).status_code == 200
        now[0] += REST_SECONDS - 1
        resting.rest()
        assert (processes(), made) == (1, [0.0])
        now[0] += 1
        resting.rest()
        assert processes() == 0
        assert client.post("/predict", **multipart(jpeg())).status_code == 200
        assert made == [0.0, REST_SECONDS]
        resting.rest()
        assert processes() == 1
    finally:
        resting.close()


def test_without_a_model_it_says_what_to_do_and_tries_again_later(site, spool, open_site):
    now, asked = [0.0], []

    def load() -> Networks:
        asked.append(now[0])
        raise WeightsNotFoundError("no weights of resnet18", "bring them")

    lacking = UploadClassifier(site.config, load_vocabulary(), load, spool, clock=lambda: now[0])
    client = open_site(classifier=lacking)
    for moment in (0.0, 5.0, 11.0):
        now[0] = moment
        answer = client.post("/predict", **multipart(jpeg()))
        assert answer.status_code == 503
        assert answer.json["remedy"] == "bring them"
        assert int(answer.headers["Retry-After"]) > 0
    assert asked == [0.0, 11.0]
