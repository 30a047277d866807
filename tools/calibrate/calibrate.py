"""Writes ``tagger/labels/calibration.yaml`` from a folder of photos of known class.

    python tools/calibrate/calibrate.py FOLDER --model mobilenet_v2 --weights FILE [--output FILE]

FOLDER has a ``truth.csv`` with the columns ``file`` and ``class_index``. Other models in the
output file are kept. Prints what photos left out of the fit would have got.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tagger.labels.vocabulary import load_vocabulary
from tools.calibrate.fit import DEFAULT_PRECISION, Fit, fit_temperature
from tools.calibrate.photos import PROJECT, SHARED, labelled, load

HEAD = """\
# What the model's probabilities are worth. Written by tools/calibrate/calibrate.py; the method
# is told in calibration.py. `thresholds` has by kind of label the points [precision,
# threshold]: the summed probability from which on a label is given.
"""


def main() -> None:
    """Calibrate, print what is to be expected, write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, nargs="?", default=SHARED / "photos/calibration")
    parser.add_argument("--model", default="mobilenet_v2")
    parser.add_argument("--weights", type=Path, default=SHARED / "models/mobilenet_v2.pth")
    parser.add_argument("--output", type=Path, default=PROJECT / "tagger/labels/calibration.yaml")
    asked = parser.parse_args()
    photos = labelled(asked.folder, load(asked.model, asked.weights))
    temperature = fit_temperature(photos)
    fit = Fit(photos, load_vocabulary(), temperature)
    print(f"{len(photos)} photos, temperature {temperature}")
    print("precision  tagged  right  exact  (photos left out, 10-fold)")
    for precision in sorted({0.9, 0.925, DEFAULT_PRECISION, 0.97, 0.98}):
        found = fit.cross_validate(precision)
        right = found.right.sum() / found.tagged.sum()
        print(
            f"{precision:9.3f}  {found.tagged.mean():6.1%}  {right:5.1%}  {found.exact.mean():5.1%}"
        )
    write(asked.output, asked.model, temperature, fit)


def write(output: Path, model: str, temperature: float, fit: Fit) -> None:
    """Put the calibration of ``model`` into the file ``output``."""
    content = yaml.safe_load(output.read_text(encoding="utf-8")) if output.exists() else None
    content = content or {"default": {"temperature": 1.0, "thresholds_of": model}, "models": {}}
    content["models"][model] = {
        "photos": len(fit.photos),
        "temperature": temperature,
        "thresholds": dict(fit.curves()),
    }
    body = yaml.safe_dump(content, sort_keys=False, default_flow_style=None, width=100)
    output.write_text(HEAD + body, encoding="utf-8")


if __name__ == "__main__":
    main()
