"""Milliseconds to write tags into, or beside, a JPEG of 5 MB: ours, exiftool's and piexif's.

Each round does every way once, on a fresh copy, in turn; the figures are medians. All make
the result durable (fsync of file and folder), for that is what a copy costs at least.
exiftool runs in one process for all files (``-stay_open``). Usage: ``python
bench/embedding.py [ROUNDS]``; the figures also go to ``embedding.json`` beside this file.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import piexif
from PIL import Image

from tagger.metadata.options import Provenance, WriteOptions
from tagger.metadata.prepare import prepare
from tagger.records import Candidate, FileStat, Keyword
from tagger.system.files import hash_file

SIZE = 5_000_000
PATH = ("animal", "dog", "Labrador retriever")
KEYWORDS = tuple(Keyword(PATH[n], PATH[: n + 1], 0.97, n == 2) for n in range(3))
digests: dict[Path, bytes] = {}
ORIGIN = Provenance("resnet18", "tagger bench")


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 31
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        original = folder / "original.jpg"
        make_photo(original)
        ways: dict[str, Callable[[Path], None]] = {
            "copy and fsync": copy_and_fsync,
            "tagger, sidecar": lambda path: ours(path, "sidecar-xmp"),
            "tagger, embedded": lambda path: ours(path, "embed"),
            "piexif.insert": by_piexif,
        }
        exiftool = Exiftool() if shutil.which("exiftool") else None
        if exiftool is not None:
            ways["exiftool -stay_open"] = exiftool.write
        times: dict[str, list[float]] = {way: [] for way in ways}
        for number in range(rounds + 1):
            for way, call in ways.items():
                path = folder / f"{number}-{len(times[way])}-{abs(hash(way))}.jpg"
                shutil.copyfile(original, path)
                fsync(path)
                # The daemon knows it before it decodes: exact copies are not classified twice.
                digests[path] = hash_file(str(path), str(path.parent), FileStat.of(os.lstat(path)))
                started = time.perf_counter()
                call(path)
                took = (time.perf_counter() - started) * 1000
                if number:  # the first round warms up
                    times[way].append(took)
                for file in folder.glob(f"{path.name}*"):
                    file.unlink()
        if exiftool is not None:
            exiftool.close()
        report(times, original.stat().st_size)


def make_photo(path: Path) -> None:
    """Write a JPEG of about 5 MB, with EXIF."""
    pixels = np.random.default_rng(1).integers(0, 256, (1500, 2000, 3), np.uint8)
    smooth = Image.fromarray(pixels).resize((4000, 3000), Image.Resampling.BICUBIC)
    exif = piexif.dump({"0th": {piexif.ImageIFD.Make: b"Bench"}})
    low, high = 10, 98
    while low < high:  # the best quality below the size
        middle = (low + high + 1) // 2
        smooth.save(path, quality=middle, exif=exif)
        low, high = (middle, high) if path.stat().st_size <= SIZE else (low, middle - 1)
    smooth.save(path, quality=low, exif=exif)


def fsync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def copy_and_fsync(path: Path) -> None:
    """Do the least that any safe rewriting of a file does."""
    new = path.with_name(path.name + ".new")
    with open(path, "rb") as source, open(new, "wb") as target:
        target.write(source.read())
        target.flush()
        os.fsync(target.fileno())
    os.replace(new, path)
    fsync(path.parent)


def ours(path: Path, target: str) -> None:
    candidate = Candidate(str(path), str(path.parent), FileStat.of(os.lstat(path)))
    options = WriteOptions(target=target)
    prepare(candidate, KEYWORDS, options, ORIGIN, digest=digests[path]).commit()


def by_piexif(path: Path) -> None:
    block = piexif.dump({"0th": {piexif.ImageIFD.XPKeywords: tuple("dog".encode("utf-16-le"))}})
    piexif.insert(block, str(path))
    fsync(path)


class Exiftool:
    """One exiftool process that takes commands."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["exiftool", "-stay_open", "True", "-@", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def write(self, path: Path) -> None:
        values = [
            *(f"-XMP-dc:Subject+={name}" for name in PATH),
            f"-XMP-lr:HierarchicalSubject+={'|'.join(PATH)}",
            f"-XMP-digiKam:TagsList+={'/'.join(PATH)}",
        ]
        self._do("-overwrite_original", "-P", *values, str(path))
        fsync(path)

    def _do(self, *arguments: str) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write("\n".join([*arguments, "-execute"]) + "\n")
        self._process.stdin.flush()
        while "{ready}" not in self._process.stdout.readline():
            pass

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("-stay_open\nFalse\n")
        self._process.stdin.close()
        self._process.wait()


def report(times: dict[str, list[float]], size: int) -> None:
    medians = {way: statistics.median(values) for way, values in times.items()}
    base = medians["copy and fsync"]
    print(f"a JPEG of {size / 1e6:.1f} MB, median of {len(times['copy and fsync'])} rounds")
    print(f"{'':24}{'ms':>8}{'of a copy':>12}")
    for way, ms in medians.items():
        print(f"{way:24}{ms:8.1f}{ms / base:11.2f}x")
    figures = {"bytes": size, "milliseconds": medians}
    Path(__file__).with_name("embedding.json").write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
