"""What a decoding process says, as bytes that are safe to read whoever wrote them.

A line of JSON, then the pixels, uint8 RGB: the centre crop, those of the ends and what further
networks want, and the thumbnail in grey; or a view.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tagger import errors
from tagger.records import (
    NO_VIEWS,
    PHOTO_KINDS,
    THUMBNAIL_SIDE,
    DecodedPhoto,
    ExtraViews,
    PhotoFacts,
)
from tagger.text.parsing import parse_json
from tagger.text.unicode import well_formed

T = TypeVar("T")

MAX_ANSWER = 1 << 24
"""Bytes. Four crops of 600 x 600 are 4 MB and a picture of 640 x 640 is 1 MB, a view of 2048 x
2048 is 13 MB."""

MAX_SIDE = 1 << 32
"""Pixels; no image format has more a side."""
MAX_TEXT = 1000
MAX_MESSAGE = 10_000
"""Characters. A path has 4,096 bytes at most, in up to four characters each if it is escaped."""

_ERRORS = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.PhotoError)
}
_FACTS: dict[str, tuple[type, ...]] = {
    "format": (str,),
    "width": (int, type(None)),
    "height": (int, type(None)),
    "orientation": (int,),
    "taken_at": (str, type(None)),
    "camera": (str, type(None)),
    "latitude": (float, type(None)),
    "longitude": (float, type(None)),
    "kinds": (list,),
}


def pack(answer: DecodedPhoto | Exception) -> bytes:
    """Return the bytes for a photo, or for the error it gave."""
    if isinstance(answer, Exception):
        return head_line(error_head(answer))
    pieces = (answer.crop, answer.more, answer.other, answer.picture, answer.thumbnail)
    head = {
        "facts": dataclasses.asdict(answer.facts),
        "hash": answer.crop_hash.hex(),
        "from_thumbnail": answer.from_thumbnail,
        "picture": None if answer.picture is None else answer.picture.shape[:2],
    }
    return b"".join([head_line(head), *(piece.tobytes() for piece in pieces if piece is not None)])


def pack_view(pixels: NDArray[np.uint8]) -> bytes:
    """Return the bytes for a picture to look at, (H, W, 3)."""
    return head_line({"height": pixels.shape[0], "width": pixels.shape[1]}) + pixels.tobytes()


def unpack(data: bytes, size: int, views: ExtraViews = NO_VIEWS) -> DecodedPhoto:
    """Return the photo whose crops are ``size`` pixels square, or raise its PhotoError.

    ``views`` is what else was asked for. Raise ValueError for anything that :func:`pack` does
    not write for such a photo, which is also what an unexpected error becomes.
    """
    return read_answer(data, lambda head, pixels: _photo(head, pixels, size, views))


def unpack_view(data: bytes, side: int) -> NDArray[np.uint8]:
    """Return a picture of at most ``side`` pixels a side; raise as :func:`unpack`."""
    return read_answer(data, lambda head, pixels: _view(head, pixels, side))


def read_answer(
    data: bytes,
    made: Callable[[dict[str, Any], bytes], T],
    failed: Callable[[str], Exception] = ValueError,
) -> T:
    """Return what is made of the values in the first line and of the bytes that follow it.

    Raise the photo's PhotoError, what ``failed`` makes of an unexpected error, or ValueError for
    what is no answer.
    """
    line, _, rest = data.partition(b"\n")
    try:
        head = parse_json(line)
        if "error" in head:
            said = str(head["message"])[:MAX_MESSAGE], str(head["remedy"])[:MAX_MESSAGE]
            error: Exception = _ERRORS[head["error"]](*said)
        elif "failure" in head:
            error = failed(str(head["failure"]))
        else:
            return made(head, rest)
    except (TypeError, KeyError, AttributeError) as problem:
        raise ValueError(f"unknown answer: {problem!r}") from problem
    raise error


def error_head(error: BaseException) -> dict[str, str]:
    """Return an error in values of JSON, of which :func:`read_answer` makes it again."""
    if isinstance(error, errors.PhotoError):
        return {"error": type(error).__name__, "message": error.message, "remedy": error.remedy}
    return {"failure": f"{type(error).__name__}: {error}"[:500]}


def head_line(values: dict[str, Any]) -> bytes:
    """Return the first line of an answer."""
    return json.dumps(values).encode("ascii") + b"\n"


def read_facts(facts: dict[str, Any]) -> PhotoFacts:
    """Return facts from values of JSON. Raise ValueError, KeyError, TypeError if impossible."""
    for name, kinds in _FACTS.items():
        value = facts[name]
        if type(value) not in kinds or (value is not None and not _is_possible(name, value)):
            raise ValueError(f"impossible {name}")
    return PhotoFacts(**facts | {"kinds": tuple(facts["kinds"])})


def _photo(head: dict[str, Any], pixels: bytes, size: int, views: ExtraViews) -> DecodedPhoto:
    facts, digest = read_facts(head["facts"]), bytes.fromhex(head["hash"])
    left: NDArray[np.uint8] = np.frombuffer(bytearray(pixels), np.uint8)
    other = picture = thumbnail = None
    if views.thumbnail:
        left, thumbnail = _split(left, (THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    if views.side:
        height, width = _sides(head["picture"], views.side)
        left, picture = _split(left, (height, width, 3))
    elif head["picture"] is not None:
        raise ValueError("a picture that was not asked for")
    if views.crop is not None:
        left, other = _split(left, (views.crop.size, views.crop.size, 3))
    crops = left.reshape(-1, size, size, 3)
    if len(crops) == 0 or len(digest) != 16:
        raise ValueError("no crop")
    small = head["from_thumbnail"] is True
    return DecodedPhoto(crops[0], digest, facts, crops[1:], small, other, picture, thumbnail)


def _sides(said: Any, side: int) -> tuple[int, int]:
    """Return height and width of a picture whose longer side is ``side``."""
    height, width = said
    if not (type(height) is type(width) is int and min(height, width) > 0):
        raise ValueError("a picture without size")
    if max(height, width) != side:
        raise ValueError("no picture of the size that was asked for")
    return height, width


def _split(
    pixels: NDArray[np.uint8], shape: tuple[int, ...]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return what is before the last picture of a ``shape``, and that."""
    start = len(pixels) - math.prod(shape)
    if start < 0:
        raise ValueError("pixels are missing")
    return pixels[:start], pixels[start:].reshape(shape)


def _is_possible(name: str, value: Any) -> bool:
    """Whether a photo may say such a thing of itself."""
    if name in ("width", "height"):
        return bool(0 < value < MAX_SIDE)
    if name == "orientation":
        return bool(1 <= value <= 8)
    if name in ("latitude", "longitude"):
        return bool(abs(value) <= (90 if name == "latitude" else 180))  # not NaN
    if name == "kinds":
        return bool(value == [kind for kind in PHOTO_KINDS if kind in value])
    if len(value) > MAX_TEXT or well_formed(value) != value:
        return False
    if name != "taken_at":
        return True
    try:
        return bool(datetime.fromisoformat(value).isoformat() == value)
    except ValueError:
        return False


def _view(head: dict[str, Any], pixels: bytes, side: int) -> NDArray[np.uint8]:
    height, width = head["height"], head["width"]
    if not (type(height) is type(width) is int and 0 < height <= side and 0 < width <= side):
        raise ValueError("no view of the size that was asked for")
    return np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
