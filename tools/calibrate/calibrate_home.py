"""Writes ``tagger/labels/fusion.yaml`` from the photos of homes in ``../shared``.

    python tools/calibrate/calibrate_home.py [--output FILE]

The 63 photos of ``photos/imagenet`` are not used. ``bench/home.py`` shows what photos left out
of the fit get.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tagger.labels.vocabulary import load_vocabulary
from tools.calibrate.fit_home import HomeFit, told
from tools.calibrate.home_photos import load_photos
from tools.calibrate.photos import PROJECT


def main() -> None:
    """Calibrate and write the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=PROJECT / "tagger/labels/fusion.yaml")
    asked = parser.parse_args()
    vocabulary = load_vocabulary()
    fit = HomeFit(load_photos(vocabulary), vocabulary)
    used = np.array([photo.folder != "imagenet" for photo in fit.photos])
    asked.output.write_text(told(fit.calibration(used)), encoding="utf-8")
    print(f"{int(used.sum())} photos; written to {asked.output}")


if __name__ == "__main__":
    main()
