"""What tagger is compared with: the naive script, decoding alone, and a naive web service.

    python bench/baselines.py naive WEIGHTS SIDECARS PHOTO...
    python bench/baselines.py decode PHOTO...
    python bench/baselines.py serve WEIGHTS

The first two print the seconds and the CPU seconds that the photos took, without the start and a
photo or two to warm up. The last is what a tutorial would have one write on Flask's development
server; it prints its port. A picture posted to ``/predict`` as the field ``file`` is decoded in
full, transformed with torchvision and classified by eager torch; the answer has the three best.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
from PIL import Image, ImageOps

PROJECT = Path(__file__).resolve().parents[1]
if str(PROJECT) not in sys.path:  # run as a script, not installed
    sys.path.insert(0, str(PROJECT))

RESIZE, CROP = 256, 224
PACKET = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF \
xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" \
xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag><rdf:li>{}</rdf:li></rdf:Bag>\
</dc:subject></rdf:Description></rdf:RDF></x:xmpmeta>
"""


def network(weights: str) -> tuple[Any, Any]:
    """Return the transforms and the network, a ResNet-18, that any tutorial has."""
    import torch

    from tagger.classify.torchvision_compat import import_torchvision

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
    return prepare, model.eval()


def naive(weights: str, folder: str, paths: list[str]) -> tuple[float, float]:
    """Return the seconds of the script that any tutorial would have one write."""
    import torch

    pillow_heif.register_heif_opener()
    prepare, model = network(weights)
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


def serve(weights: str) -> None:
    """Run the web service; print its port."""
    import torch
    from flask import Flask, Response, jsonify, request
    from werkzeug.serving import make_server

    from tagger.classify.torchvision_compat import import_torchvision

    prepare, model = network(weights)
    names = import_torchvision().models.ResNet18_Weights.DEFAULT.meta["categories"]
    app = Flask(__name__)

    @app.post("/predict")
    def predict() -> Response:
        image = Image.open(request.files["file"].stream).convert("RGB")
        with torch.no_grad():
            probabilities = torch.softmax(model(prepare(image).unsqueeze(0))[0], 0)
        best = probabilities.topk(3)
        return jsonify(
            [
                {"label": names[index], "probability": round(100 * value, 1)}
                for value, index in zip(best.values.tolist(), best.indices.tolist(), strict=True)
            ]
        )

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # As app.run() makes it: a thread for each request.
    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(server.port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "naive":
        print(*naive(sys.argv[2], sys.argv[3], sys.argv[4:]))
    elif sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        print(*decode(sys.argv[2:]))
