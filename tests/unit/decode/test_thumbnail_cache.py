"""A HEIC's own thumbnail is used where that leaves no doubt; else the whole picture is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from tagger.decode.opening import decode
from tagger.decode.pool import DecodePool
from tagger.errors import PhotoError
from tagger.index.rows import unpack_top
from tagger.pipeline.inference import CERTAIN, classify_photo
from tagger.pipeline.networks import Networks
from tagger.records import CropSpec, Prediction

SPEC = CropSpec()


class Fake:
    """An engine that is as sure of each crop as it is told, call by call."""

    model_id = "fake"

    def __init__(self, *sure: float) -> None:
        self.sure, self.crops = list(sure), []

    def predict(self, crops):
        self.crops.append(crops)
        rest = np.zeros(1000, np.float32)
        rest[len(self.crops)] = self.sure.pop(0)
        return [Prediction(rest, np.zeros(512, np.float32), self.model_id) for _ in crops]


@pytest.fixture(scope="module")
def heic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a HEIC whose thumbnail is 320x240, of a picture with fine detail."""
    dice = np.random.default_rng(1)
    picture = dice.integers(0, 256, (960, 1280, 3), np.uint8)
    path = tmp_path_factory.mktemp("heic") / "photo.heic"
    pillow_heif.from_pillow(Image.fromarray(picture)).save(path, quality=60, thumbnails=[320])
    return path


def test_a_thumbnail_is_said_to_be_one(heic: Path) -> None:
    quick = decode(str(heic), SPEC)
    whole = decode(str(heic), SPEC, whole=True)
    assert quick.from_thumbnail and not whole.from_thumbnail
    assert np.abs(quick.crop.astype(int) - whole.crop).mean() > 5
    assert quick.facts == whole.facts


def test_the_workers_pass_it_on(heic: Path, tmp_path: Path) -> None:
    jpeg = tmp_path / "a.jpg"
    Image.new("RGB", (2000, 1500)).save(jpeg)
    with DecodePool(SPEC, workers=1) as pool:
        assert pool.submit(str(heic)).result(60).from_thumbnail
        assert not pool.submit(str(heic), whole=True).result(60).from_thumbnail
        assert not pool.submit(str(jpeg)).result(60).from_thumbnail


@pytest.mark.parametrize(("sure", "calls"), [(CERTAIN + 0.01, 1), (CERTAIN - 0.01, 2)])
def test_the_whole_picture_is_looked_at_when_in_doubt(heic: Path, sure: float, calls: int) -> None:
    engine = Fake(sure, 0.95)
    with DecodePool(SPEC, workers=1) as pool:
        decoded = pool.submit(str(heic)).result(60)
        stored = classify_photo(Networks(engine), pool, str(heic), decoded)
    assert len(engine.crops) == calls
    assert unpack_top(stored.top, 1)[0][0] == calls, "the last look is what counts"


def test_a_picture_that_cannot_be_decoded_leaves_its_thumbnail(heic: Path, tmp_path: Path) -> None:
    copy = tmp_path / "b.heic"
    copy.write_bytes(heic.read_bytes())
    engine = Fake(0.3)
    with DecodePool(SPEC, workers=1) as pool:
        decoded = pool.submit(str(copy)).result(60)
        copy.unlink()
        with pytest.raises(PhotoError):
            pool.submit(str(copy), whole=True).result(60)
        stored = classify_photo(Networks(engine), pool, str(copy), decoded)
    assert unpack_top(stored.top, 1)[0][0] == 1


def test_a_daemon_looks_twice_where_it_must(home, heic: Path) -> None:
    """Noise is no scene that the demo's network is sure of."""
    photo = home.inbox / "noise.heic"
    photo.write_bytes(heic.read_bytes())
    [line] = home.once()
    assert line["how"] == "classified"
    shown = home.json("show", str(photo))["top"]
    assert home.json("classify", str(photo))[0]["top"] == shown
    whole = decode(str(heic), SPEC, whole=True, more=True)
    from tagger.index.reader import open_reader  # what is stored is of the whole picture

    with open_reader(str(home.state)) as reader:
        [[stored]] = reader._db.execute("SELECT crop_hash FROM predictions").fetchall()
    expected = (
        whole.crop_hash if shown[0]["probability"] < CERTAIN else decode(str(heic), SPEC).crop_hash
    )
    assert stored == expected


def test_a_jpeg_may_be_larger_for_it_is_decoded_smaller(tmp_path: Path) -> None:
    path = tmp_path / "wide.jpg"
    Image.new("RGB", (3000, 1000)).save(path)
    decode(str(path), SPEC, max_pixels=1_000_000)
    Image.new("RGB", (3000, 1000)).save(path, progressive=True)
    with pytest.raises(PhotoError, match="more than 1 million"):
        decode(str(path), SPEC, max_pixels=1_000_000)
    Image.new("RGB", (3000, 1000)).save(path.with_suffix(".png"))
    with pytest.raises(PhotoError, match="more than 1 million"):
        decode(str(path.with_suffix(".png")), SPEC, max_pixels=1_000_000)
