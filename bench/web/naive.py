"""The web service that a tutorial would have one write, on Flask's development server.

    python bench/web/naive.py WEIGHTS

Prints its port. A picture posted to ``/predict`` as the field ``file`` is decoded in full,
transformed with torchvision and classified by eager torch; the answer has the three best.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from flask import Flask, Response, jsonify, request
from PIL import Image
from werkzeug.serving import make_server

PROJECT = Path(__file__).resolve().parents[2]
if str(PROJECT) not in sys.path:  # run as a script, not installed
    sys.path.insert(0, str(PROJECT))


def application(weights: str) -> Flask:
    """Return the service, with the checkpoint of a ResNet-18."""
    import torch

    from tagger.classify.torchvision_compat import import_torchvision

    torchvision = import_torchvision()
    transforms = torchvision.transforms
    prepare = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    model = torchvision.models.resnet18(weights=None)
    model.load_state_dict(torch.load(weights, weights_only=True))
    model.eval()
    names = torchvision.models.ResNet18_Weights.DEFAULT.meta["categories"]
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

    return app


def main() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # As app.run() makes it: a thread for each request.
    server = make_server("127.0.0.1", 0, application(sys.argv[1]), threaded=True)
    print(server.port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
