"""Puts the README's pictures of the page into ``docs/``, from those that the browser tests took.

``make pictures`` runs it. They are reduced to 256 colours, which a page of flat colours does not
show.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

PROJECT = Path(__file__).resolve().parents[1]
PICTURES = {
    "library.png": "library.png",
    "boxes.png": "boxes.png",
    "teach-select.png": "teach-select.png",
    "teach-ask.png": "teach-ask.png",
    "results-light-1280.png": "page.png",
}
"""By the name that a test gives a picture, its name in ``docs/``."""


def main() -> None:
    """Copy those that are there; the first argument names another folder of screenshots."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PROJECT / "build" / "screenshots"
    for taken, name in PICTURES.items():
        if (folder / taken).exists():
            with Image.open(folder / taken) as picture:
                few = picture.convert("RGB").quantize(256, dither=Image.Dither.NONE)
            few.save(PROJECT / "docs" / name, optimize=True)
            print(f"docs/{name}")


if __name__ == "__main__":
    main()
