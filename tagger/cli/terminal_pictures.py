"""Photos shown in terminals that can show pictures: Kitty's protocol, or iTerm2's.

See https://sw.kovidgoyal.net/kitty/graphics-protocol/ and https://iterm2.com/documentation-images.
Photos are opened by the decoding processes, as always.
"""

from __future__ import annotations

import base64
import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from tagger.cli.terminal import is_terminal, raw
from tagger.config.schema import Config
from tagger.errors import PhotoError
from tagger.records import CropSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDE = 480
"""The longer side of a picture, in pixels."""
_CHUNK = 4096
"""Characters of base64 that Kitty takes at a time."""


def protocol(environ: Mapping[str, str]) -> Literal["kitty", "iterm"] | None:
    """Return how the terminal shows pictures; None when it does not."""
    program = environ.get("TERM_PROGRAM", "")
    if "KITTY_WINDOW_ID" in environ or program == "ghostty" or "kitty" in environ.get("TERM", ""):
        return "kitty"
    return "iterm" if program in ("iTerm.app", "WezTerm") else None


@contextlib.contextmanager
def pictures(config: Config) -> Iterator[Callable[[str], None]]:
    """Give a function that shows a photo, if the terminal can; else it does nothing."""
    kind = protocol(os.environ) if is_terminal(sys.stdout) else None
    if kind is None:
        yield lambda path: None
        return
    from tagger.pipeline.decoding import decode_pool

    with decode_pool(config, CropSpec(), workers=1) as pool:

        def show(path: str) -> None:
            with contextlib.suppress(PhotoError):
                picture = pool.view(os.path.realpath(path), SIDE).result()
                out = raw(sys.stdout)
                out.write(kitty(picture) if kind == "kitty" else iterm(picture))
                out.write("\n")
                out.flush()

        yield show


def kitty(picture: NDArray[np.uint8]) -> str:
    """Return what has Kitty show a picture (H, W, 3)."""
    data = base64.standard_b64encode(picture.tobytes()).decode()
    height, width = picture.shape[:2]
    parts = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
    told = []
    for number, part in enumerate(parts):
        more = int(number < len(parts) - 1)
        first = f"a=T,f=24,s={width},v={height}," if number == 0 else ""
        told.append(f"\x1b_G{first}m={more};{part}\x1b\\")
    return "".join(told)


def iterm(picture: NDArray[np.uint8]) -> str:
    """Return what has iTerm2 show a picture (H, W, 3)."""
    import io

    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=85)
    data = base64.standard_b64encode(file.getvalue()).decode()
    return f"\x1b]1337;File=inline=1;size={len(file.getvalue())}:{data}\x07"
