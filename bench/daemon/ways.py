"""What the daemon is compared with: the naive script, and decoding alone.

    python bench/daemon/ways.py naive WEIGHTS SIDECARS PHOTO...
    python bench/daemon/ways.py decode PHOTO...

Prints the seconds and the CPU seconds that the photos took, without the start and a photo or
two to warm up.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image, ImageOps

PROJECT = Path(__file__).resolve().parents[2]
if str(PROJECT) not in sys.path:  # run as a script, not installed
    sys.path.insert(0, str(PROJECT))

RESIZE, CROP = 256, 224
PACKET = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF \
xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" \
xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag><rdf:li>{}</rdf:li></rdf:Bag>\
</dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>
"""


def naive(weights: str, folder: str, paths: list[str]) -> tuple[float, float]:
    """Return the seconds of the script that any tutorial would have one write."""
    import torch

    from tagger.classify.torchvision_compat import import_torchvision

    pillow_heif.register_heif_opener()
    torchvision = import_torchvision()
    transforms = torchvision.transforms
    prepare = transforms.Compose(
        [
            transforms.Resize(RESIZE),
            transforms.CenterCrop(CROP),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    model = torchvision.models.resnet18(weights=None)
    model.load_state_dict(torch.load(weights, weights_only=True))
    model.eval()
    started = cpu = 0.0
    for number, path in enumerate([paths[0], *paths]):
        if number == 1:
            started, cpu = time.perf_counter(), time.process_time()
        with Image.open(path) as image:
            pixels = prepare(image.convert("RGB"))
        with torch.no_grad():
            best = int(torch.softmax(model(pixels.unsqueeze(0)), 1)[0].argmax())
        Path(folder, Path(path).name + ".xmp").write_text(PACKET.format(f"class {best}"))
    return time.perf_counter() - started, time.process_time() - cpu


def crop(path: str) -> np.ndarray:
    """Return the centre crop of a photo, uint8 (224, 224, 3)."""
    with Image.open(path) as image:
        # A HEIC's thumbnail of 240 pixels will do, as it does for the daemon.
        scale = (CROP if image.format == "HEIF" else RESIZE) / min(image.size)
        if scale < 1:
            image.draft(None, (int(image.width * scale), int(image.height * scale)))
        small = ImageOps.fit(image.convert("RGB"), (RESIZE, RESIZE), Image.Resampling.BILINEAR)
    edge = (RESIZE - CROP) // 2
    return np.asarray(small.crop((edge, edge, edge + CROP, edge + CROP)))


def prepare_decoder() -> None:
    """Let thumbnails of HEIC files be used."""
    pillow_heif.register_heif_opener(thumbnails=True)


def timed_crop(path: str) -> float:
    """Return the CPU seconds that :func:`crop` takes."""
    before = time.process_time()
    crop(path)
    return time.process_time() - before


def decode(paths: list[str]) -> tuple[float, float]:
    """Return the seconds that decoding alone takes, on all cores."""
    cores = len(os.sched_getaffinity(0))
    with multiprocessing.get_context("fork").Pool(cores, prepare_decoder) as pool:
        pool.map(timed_crop, paths[:cores], chunksize=1)
        started = time.perf_counter()
        cpu = sum(pool.imap_unordered(timed_crop, paths, chunksize=1))
        return time.perf_counter() - started, cpu


if __name__ == "__main__":
    if sys.argv[1] == "naive":
        print(*naive(sys.argv[2], sys.argv[3], sys.argv[4:]))
    else:
        print(*decode(sys.argv[2:]))
