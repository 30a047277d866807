"""Forms as they come in: one picture is taken as it lies, all others as Werkzeug reads them."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import os
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from werkzeug.formparser import FormDataParser

from tagger.classify.shared_engine import TOGETHER, SharedEngine
from tagger.config.schema import Config, WebConfig
from tagger.pipeline.networks import Networks
from tagger.records import Prediction
from tagger.web.body import Body, spooled
from tagger.web.server import WebServer
from tagger.web.uploads import Spool
from tests.unit.web.conftest import GOLDEN_RETRIEVER, TABBY, FakeEngine, jpeg

FORM = "multipart/form-data; boundary=XbX"
HEAD = b'--XbX\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
FIELD = b'--XbX\r\nContent-Disposition: form-data; name="folder"\r\n\r\n1\r\n'
END = b"\r\n--XbX--\r\n"
NOISE = np.random.default_rng(7).integers(0, 256, 200_000, np.uint8).tobytes()


def taken(spool: Spool, data: bytes, step: int = 65_536) -> Body:
    body = spooled(FORM, spool)
    assert body is not None
    for start in range(0, len(data), step):
        body.append(data[start : start + step])
    return body


@pytest.mark.parametrize("step", [1, 7, 28_000, 65_536, 1 << 20])
def test_one_picture_is_what_was_sent_however_it_comes(spool, step):
    picture = NOISE[: 2000 if step < 100 else None] + b"--Xb\r\n--XbY\r\r\n"
    with contextlib.closing(taken(spool, HEAD + picture + END, step)) as body:
        file = body.only_file(b"XbX")
        assert file is not None
        assert (file.name, file.filename) == ("file", "a.jpg")
        assert file.stream.read() == picture
        file.stream.seek(0)
        with spool.file(file.stream, limit=len(picture)) as path:
            assert os.path.samestat(os.stat(path), os.fstat(file.stream.fileno()))
        assert body.read() == b""
    assert os.listdir(spool._folder.name) == []


@pytest.mark.parametrize(
    "form",
    [
        FIELD + HEAD + NOISE + END,
        HEAD + NOISE + b"\r\n" + FIELD.rstrip(b"\r\n") + END,
        HEAD + NOISE + b"\r\n" + HEAD + NOISE + END,
        HEAD + NOISE + b"\n--XbX--" + END,
        (HEAD + NOISE + END).replace(HEAD, HEAD.replace(b"\r\n", b"\n"), 1),
        HEAD + NOISE + END + b"more",
        HEAD + NOISE,
        b"before\r\n\r\n" + HEAD + NOISE + END,
        HEAD.replace(b"Content-Disposition", b"X-Other") + NOISE + END,
        NOISE,
        b"\r\n" * 9000,
    ],
)
def test_all_other_forms_are_read_as_ever(spool, form):
    def parsed(stream):
        parser = FormDataParser(stream_factory=lambda **_: io.BytesIO())
        _, fields, files = parser.parse(stream, "multipart/form-data", None, {"boundary": "XbX"})
        return list(fields.items(multi=True)), [
            (name, file.filename, file.stream.read()) for name, file in files.items(multi=True)
        ]

    with contextlib.closing(taken(spool, form)) as body:
        assert len(body) == len(form)
        assert body.only_file(b"XbX") is None
        assert parsed(body) == parsed(io.BytesIO(form))


def test_another_boundary_than_the_body_was_divided_by_is_not_used(spool):
    with contextlib.closing(taken(spool, HEAD + NOISE + END)) as body:
        assert body.only_file(b"other") is None


def test_only_forms_go_to_the_spool(spool):
    for kind in ("", "image/jpeg", "multipart/form-data", "multipart/mixed; boundary=XbX"):
        assert spooled(kind, spool) is None


class Telling(FakeEngine):
    """Says of a dark picture that it is a cat; the first run waits until it is told to go on."""

    def __init__(self) -> None:
        self.runs: list[int] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def predict(self, crops: np.ndarray) -> list[Prediction]:
        self.runs.append(len(crops))
        self.begun.set()
        assert self.go_on.wait(20)
        if any(crop.min() == 13 for crop in crops):
            raise ValueError("unlucky")
        found = [one for crop in crops for one in super(Telling, self).predict(crop[None])]
        for crop, one in zip(crops, found, strict=True):
            if crop.mean() < 60:
                one.probabilities[[GOLDEN_RETRIEVER, TABBY]] = 0.0, 0.8
        return found


def test_what_waits_goes_together_and_each_hears_of_its_own(eventually):
    engine = Telling()
    together = SharedEngine(engine)

    def ask(shade: int) -> int | str:
        try:
            [one] = together.predict(np.full((1, 224, 224, 3), shade, np.uint8))
        except ValueError as error:
            return str(error)
        return int(one.probabilities.argmax())

    shades = [200, 10, 13, 200, 10, 10, 200, 200]
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(ask, 200)
        assert engine.begun.wait(20)
        others = [pool.submit(ask, shade) for shade in shades]
        eventually(lambda: len(together._waiting) == len(shades))
        engine.go_on.set()
        found = [one.result(20) for one in others]
        assert first.result(20) == GOLDEN_RETRIEVER
    expected = {200: GOLDEN_RETRIEVER, 10: TABBY, 13: "unlucky"}
    assert found == [expected[shade] for shade in shades]
    # The four with the unlucky one are tried together, then each alone.
    assert sorted(engine.runs) == [1, 1, 1, 1, 1, TOGETHER, TOGETHER]


def test_more_crops_than_go_together_go_alone():
    engine = Telling()
    engine.go_on.set()
    assert len(SharedEngine(engine).predict(np.zeros((9, 224, 224, 3), np.uint8))) == 9
    assert engine.runs == [9]


def photo(shade: int, seed: int) -> bytes:
    """Return a JPEG of more than half a megabyte."""
    dice = np.random.default_rng(seed)
    pixels = dice.integers(shade, shade + 40, (1200, 1600, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=95)
    assert len(out.getvalue()) > 600_000
    return out.getvalue()


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[int, str]]:
    """Return the port of a page that takes 2 MB, and the folder of its spool."""
    engine = Telling()
    engine.go_on.set()
    web = WebConfig(listen="127.0.0.1:0", max_upload_mb=2)
    config = Config(state_dir=str(tmp_path), web=web)
    with WebServer(config, load=lambda: Networks(engine)) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        yield int(server.url.rsplit(":", 1)[1].strip("/")), server._spool._folder.name
        server.stop()
        thread.join(10)


def post(port: int, *pictures: bytes) -> tuple[int, str]:
    """Return the status, and the first label or the error."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        form = b"\r\n".join(HEAD + picture for picture in pictures) + END
        connection.request("POST", "/predict", form, {"Content-Type": FORM})
        answer = connection.getresponse()
        said = json.loads(answer.read())
        return answer.status, said[0]["label"] if answer.status == 200 else said["error"]


def test_large_pictures_at_once_each_get_their_own_answer(served):
    port, folder = served
    light, dark = photo(180, 1), photo(5, 2)
    broken = b"\xff\xd8\xff" + NOISE * 4
    pictures = [light, dark, broken, jpeg(), light + bytes(2_000_000), dark, light, NOISE * 4] * 2
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda one: post(port, one), pictures))
    assert [status for status, _ in answers] == [200, 200, 422, 200, 413, 200, 200, 415] * 2
    said = [label for status, label in answers if status == 200]
    golden, tabby = "golden retriever", "tabby"
    assert said == [golden, tabby, golden, tabby, golden] * 2
    assert post(port, light, dark)[0] == 400
    assert os.listdir(folder) == []


def test_an_upload_that_is_broken_off_leaves_nothing(served):
    port, folder = served
    with socket.create_connection(("127.0.0.1", port), timeout=20) as end:
        head = f"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: {FORM}\r\n"
        end.sendall(f"{head}Content-Length: 1500000\r\n\r\n".encode() + HEAD + NOISE * 4)
        assert os.listdir(folder) == []
    assert post(port, photo(180, 1)) == (200, "golden retriever")
    assert os.listdir(folder) == []
