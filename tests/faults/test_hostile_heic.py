"""HEIC files that somebody changed: FFmpeg's decoder ends no process and takes little memory."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tagger.decode import heic
from tagger.decode.heic_items import read_picture
from tagger.decode.pool import DecodePool
from tagger.errors import DecoderCrashedError, PhotoError
from tagger.records import CropSpec, ExtraViews
from tests.faults.conftest import Figure
from tests.faults.test_hostile import peak
from tests.support import heics
from tests.unit.decode.test_bad_files import mutated

MOST_MB = 250
VIEWS = ExtraViews(CropSpec(squash=True), 416, thumbnail=True)


def seeds() -> list[bytes]:
    """Return sound files: one tile and many, other subsamplings and depths, turned, with alpha."""
    picture = heics.detailed(300, 220)
    return [
        heics.heic(picture),
        heics.heic(picture, tile_size=128),
        heics.heic(picture, tile_size=128, thumbnails=[96], exif=b"Exif\0\0"),
        heics.heic(picture, chroma="444"),
        heics.heic(picture.convert("L")),
        heics.deep_heic(picture),
        heics.heic(heics.translucent(200, 150)),
        heics.KINDS["tiles, orientation 7"](),
    ]


def changed(data: bytes, chance: random.Random) -> bytes:
    """Return it with changes anywhere, in the record of the decoder, or in the pictures alone."""
    kind = chance.random()
    if kind < 0.3:
        return mutated(data, chance)
    start = data.index(b"mdat") if kind < 0.6 else data.index(b"hvcC")
    head, rest = data[: start + 4], bytearray(data[start + 4 :])
    if kind >= 0.6:
        rest = bytearray(data[start + 4 : start + 110])
    for _ in range(chance.choice((1, 2, 8, 64))):
        rest[chance.randrange(len(rest))] = chance.choice((0, 1, 0x7F, 0xFF, chance.randrange(256)))
    return head + bytes(rest) + (data[start + 110 :] if kind >= 0.6 else b"")


def mutations(count: int, seed: int = 4) -> Iterator[bytes]:
    chance, files = random.Random(seed), seeds()
    for number in range(count):
        yield changed(files[number % len(files)], chance)


def opened_all(folder: Path, files: Iterator[bytes]) -> dict[str, Any]:
    """Open the files in one decoding process, and what is seen of each as well."""
    kinds: Counter[str] = Counter()
    workers: set[int] = set()
    most = 0
    path = folder / "a.heic"
    with DecodePool(
        CropSpec(), workers=1, memory_mb=400, max_pixels=50_000_000, views=VIEWS
    ) as pool:
        for data in files:
            path.write_bytes(data)
            for future in (pool.submit(str(path), whole=True), pool.view(str(path), 200)):
                try:
                    future.result(90)
                    kinds["read"] += 1
                except PhotoError as error:
                    kinds[type(error).__name__] += 1
                    if isinstance(error, DecoderCrashedError):
                        (folder / f"crash-{kinds.total()}.heic").write_bytes(data)
            [worker] = pool._workers
            if worker._process is not None and worker._process.pid is not None:
                workers.add(worker._process.pid)
                most = max(most, peak(worker._process.pid))
    return {"kinds": kinds, "workers": len(workers), "peak": most // 1000}


def check(found: dict[str, Any], files: int) -> None:
    assert found["kinds"]["DecoderCrashedError"] == 0, found
    assert found["peak"] <= MOST_MB, found
    assert found["workers"] <= 1 + 2 * files // 1000, "replaced for their age only"


def test_some_mutations(tmp_path: Path) -> None:
    found = opened_all(tmp_path, mutations(80))
    check(found, 80)
    assert found["kinds"]["read"] > 10 and found["kinds"]["DamagedImageError"] > 10


@pytest.mark.skipif(not heic.load_ffmpeg(), reason="PyAV is not installed")
def test_most_mutations_reach_ffmpeg() -> None:
    """Else the tests above would show nothing of it."""
    import io

    ffmpeg_error = heic.load_ffmpeg().error.FFmpegError
    reached = 0
    for data in mutations(80):
        try:
            picture = read_picture(io.BytesIO(data))
        except ValueError:
            continue
        try:
            for _ in heic._frames(io.BytesIO(data), picture, heic.read_coding(picture.setup)):
                pass
        except (*heic._BROKEN, ffmpeg_error) as error:
            reached += isinstance(error, ffmpeg_error)
        else:
            reached += 1
    assert reached > 20


@pytest.mark.torture
def test_three_thousand_mutations(tmp_path: Path, figure: Figure) -> None:
    found = opened_all(tmp_path, mutations(3000, seed=8))
    figure(
        "hostile-heic",
        f"3,000 files, each decoded and shown: {dict(found['kinds'])}; one process at a time,"
        f" {found['workers']} in all for their age; largest {found['peak']} MB",
    )
    check(found, 3000)
