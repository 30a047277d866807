"""A small library of real files, and the page before it with an engine that always says dog."""

from __future__ import annotations

import io
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from tagger.config.schema import Config, WatchRoot, WebConfig
from tagger.daemon.commands import DaemonCommands
from tagger.index.rows import SavedPhoto, StoredPrediction, pack_top
from tagger.index.store import Store
from tagger.labels.vocabulary import load_vocabulary
from tagger.library.status import page_status_json
from tagger.pipeline.networks import Networks
from tagger.records import CropSpec, FileStat, JournalEntry, PhotoFacts, Prediction, Tag
from tagger.web.app import create_app
from tagger.web.auth.request_checks import allowed_hosts
from tagger.web.bounded_search import limited_reader
from tagger.web.photo_images import PhotoImages
from tagger.web.services import Services
from tagger.web.upload_classifier import UploadClassifier
from tagger.web.uploads import Spool
from tests.support.tagged_page import opened

GOLDEN_RETRIEVER, LABRADOR, TABBY = 207, 208, 281


class Clock:
    """Seconds, moved by hand."""

    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class FakeEngine:
    """Sees a golden retriever, perhaps a Labrador, in anything."""

    name, model_id, spec = "fake", "fake-00000000", CropSpec()
    categories = tuple(f"category {index}" for index in range(1000))

    def predict(self, crops: np.ndarray) -> list[Prediction]:
        assert crops.shape[1:] == (224, 224, 3)
        probabilities = np.full(1000, 0.03 / 997, np.float32)
        probabilities[[GOLDEN_RETRIEVER, LABRADOR, TABBY]] = 0.80, 0.1514, 0.0186
        features = np.zeros(512, np.float32)
        return [Prediction(probabilities, features, self.model_id) for _ in crops]


def fake_networks() -> Networks:
    """Return networks of which the only one is a :class:`FakeEngine`."""
    return Networks(FakeEngine())


def jpeg(size: tuple[int, int] = (640, 480), colour: str = "teal", *, turned: int = 0) -> bytes:
    """Return a JPEG with a camera and a place in its EXIF, and perhaps an orientation."""
    exif = Image.Exif()
    exif[0x010F] = "SecretCam"
    if turned:
        exif[0x0112] = turned
    exif.get_ifd(0x8825).update({1: "N", 2: (52.0, 30.0, 0.0), 3: "E", 4: (13.0, 24.0, 0.0)})
    out = io.BytesIO()
    Image.new("RGB", size, colour).save(out, "JPEG", exif=exif)
    return out.getvalue()


def multipart(*files: bytes, filename: str = "a.jpg", **fields: str) -> dict[str, Any]:
    """Return what a client needs to send ``files``, each as the field ``file``, and ``fields``."""
    name = filename.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    head = '--XbX\r\nContent-Disposition: form-data; name="'
    parts = [f'{head}{field}"\r\n\r\n{value}\r\n'.encode() for field, value in fields.items()]
    file = f'{head}file"; filename="{name}"\r\n\r\n'.encode(errors="surrogateescape")
    parts += [file + data + b"\r\n" for data in files]
    body = b"".join(parts) + b"--XbX--\r\n"
    return {"data": body, "content_type": "multipart/form-data; boundary=XbX"}


class Site:
    """A config, its folders, and clients of the page; ``services`` may be replaced."""

    def __init__(self, folder: Path, **web: Any) -> None:
        self.inbox, self.state = folder / "inbox", folder / "state"
        self.inbox.mkdir()
        self.outside = folder / "outside"
        self.outside.mkdir()
        self.config = Config(
            state_dir=str(self.state),
            watch=(WatchRoot(str(self.inbox)),),
            web=WebConfig(**{"max_upload_mb": 1, "hosts": ("photos.example",)} | web),
        )
        self._numbers = itertools.count()

    def add(self, name: str | bytes, label: str = "dog", *, data: bytes = b"", **facts: Any) -> int:
        """Put a photo into inbox and index; return its id."""
        path = os.path.join(str(self.inbox), os.fsdecode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if data:
            with open(path, "wb") as file:
                file.write(data)
        return self.remember(path, label, **facts)

    def remember(self, path: str, label: str = "dog", **facts: Any) -> int:
        """Put a photo into the index, whatever is at ``path``; return its id."""
        with Store(str(self.state)) as store:
            return self.saved(store, path, label, **facts)

    def saved(self, store: Store, path: str, label: str = "dog", **facts: Any) -> int:
        """Do as :meth:`remember` with an open store."""
        number = next(self._numbers)
        way = load_vocabulary().path(label) if label else ()
        day = f"2024-05-01T{number // 60:02}:{number % 60:02}:00"
        names = {name: name for name in way}
        added = {"dc:subject": way}
        top = pack_top([(GOLDEN_RETRIEVER, 0.8), (LABRADOR, 0.1)])
        photo = SavedPhoto(
            path=path,
            root=str(self.inbox),
            stat=FileStat(number, number),
            sidecar=None,
            content_hash=number.to_bytes(16, "big"),
            source_hash=number.to_bytes(16, "big"),
            facts=PhotoFacts(**{"format": "JPEG", "taken_at": day} | facts),
            tags=tuple(Tag(name, 0.9, way[: depth + 1]) for depth, name in enumerate(way)),
            entries=(
                JournalEntry("sidecar-xmp", path + ".xmp", added, names, True, b"", b"1" * 16, b""),
            ),
            prediction=StoredPrediction("fake-00000000", top, b"", b"", b"0" * 16),
        )
        store.save([photo])
        row = store.photo(path)
        assert row is not None
        return row.id


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture(scope="module")
def spool() -> Iterator[Spool]:
    made = Spool()
    yield made
    made.close()


@pytest.fixture(scope="module")
def classifier(
    spool: Spool, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[UploadClassifier]:
    """Return one for a module's tests, so that its decoding process starts once."""
    folder = tmp_path_factory.mktemp("classifier")
    config = Config(state_dir=str(folder), web=WebConfig(max_upload_mb=1))
    made = UploadClassifier(config, load_vocabulary(), fake_networks, spool)
    yield made
    made.close()


class Hints:
    """Takes the place of a watcher that nobody runs: remembers what it is to look at."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    def hint(self, path: str) -> None:
        self.paths.append(path)

    def rescan(self) -> None:
        self.paths.append("")


class Daemon(DaemonCommands):
    """What the page asks of a daemon, with a real index, and all folders there but ``away``."""

    def __init__(self, site: Site, store: Store) -> None:
        self.hints, self.away = Hints(), set[str]()
        super().__init__(
            store,
            config=lambda: site.config,
            watcher=lambda: self.hints,  # type: ignore[arg-type, return-value]
            online=lambda path: os.path.isdir(path) and path not in self.away,
            changed=lambda: None,
        )


@pytest.fixture
def manager(site: Site) -> Iterator[Daemon]:
    with Store(site.config.state_dir) as store:
        yield Daemon(site, store)


@pytest.fixture
def open_site(
    site: Site, spool: Spool, classifier: UploadClassifier
) -> Iterator[Callable[..., FlaskClient]]:
    """Return a function that gives a client of the page; named services are replaced."""
    gallery = PhotoImages(site.config, spool)

    def page(**other: Any) -> FlaskClient:
        services = {
            "config": site.config,
            "vocabulary": load_vocabulary(),
            "classifier": classifier,
            "gallery": gallery,
            "reader": lambda: limited_reader(site.config.state_dir),
            "status": lambda: page_status_json(site.config),
            "hosts": allowed_hosts(site.config.web.listen, site.config.web.hosts),
        } | other
        return create_app(Services(**services)).test_client()

    yield page
    gallery.close()


@pytest.fixture
def client(open_site: Callable[..., FlaskClient]) -> FlaskClient:
    return open_site()


@pytest.fixture
def post(client: FlaskClient) -> Callable[..., Any]:
    """Return a function that sends a picture as a program does."""

    def send(data: bytes, url: str = "/predict", **options: Any) -> Any:
        return client.post(url, **multipart(data), **options)

    return send


@pytest.fixture
def tagged(home: Any, scenes: list[Path]) -> Callable[..., tuple[FlaskClient, Path, str]]:
    """Return a function that tags one photo; it gives the page, the photo and its URL."""

    def make(target: str = "sidecar-xmp", **settings: Any) -> tuple[FlaskClient, Path, str]:
        home.configure(write={"target": target}, **settings)
        photo = home.inbox / "x.jpg"
        shutil.copy2(scenes[0], photo)
        home.once()
        client = opened(home)
        [found] = client.get("/api/v1/photos").json["photos"]
        return client, photo, f"/api/v1/photos/{found['id']}"

    return make
