"""What was seen in one photo, as bytes of our own form: a line of JSON, and blobs after it.

It comes from processes that have looked at strangers' files, so it is read strictly: what
:func:`pack_answer` does not write is a ValueError.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tagger.decode.protocol import error_head, head_line, read_answer, read_facts
from tagger.index.rows import StoredPrediction
from tagger.labels.evidence import Evidence
from tagger.pipeline.recognition import Seen

MOST_ID, MOST_BLOB = 200, 1 << 20
"""Characters of a model id; bytes of one part of what was seen."""
_BLOBS = ("top", "evidence", "features", "crop_hash", "picture_hash", "thumbnail")
_REQUIRED = _BLOBS[:4]


def pack_answer(answer: Seen | BaseException) -> bytes:
    """Return what is said of one photo."""
    if isinstance(answer, BaseException):
        return head_line(error_head(answer))
    stored = answer.prediction
    blobs = [getattr(stored, name) for name in _BLOBS]
    head = {
        "facts": asdict(answer.facts),
        "ids": [stored.model_id, stored.scenes_id, stored.detector_id],
        "people": stored.people,
        "ms": round(answer.classify_ms, 3),
        "lengths": [None if blob is None else len(blob) for blob in blobs],
    }
    return b"".join([head_line(head), *(blob for blob in blobs if blob is not None)])


def unpack_answer(data: bytes) -> Seen:
    """Return what was seen, or raise the photo's PhotoError.

    Raise RuntimeError for a failure that nobody foresaw there, ValueError for what is no answer.
    """
    return read_answer(data, _seen, lambda text: RuntimeError(f"on a worker: {text[:1000]}"))


def _seen(head: dict[str, Any], rest: bytes) -> Seen:
    blobs: dict[str, bytes | None] = {}
    at = 0
    for name, length in zip(_BLOBS, head["lengths"], strict=True):
        if length is None and name not in _REQUIRED:
            blobs[name] = None
            continue
        if type(length) is not int or not 0 <= length <= MOST_BLOB:
            raise ValueError(f"impossible length of {name}")
        blobs[name] = rest[at : at + length]
        at += length
    if at != len(rest):
        raise ValueError(f"{len(rest)} bytes, not {at}")
    model_id, scenes_id, detector_id = ids = head["ids"]
    known = [one for one in ids if one is not None]
    if type(model_id) is not str or any(type(one) is not str for one in known):
        raise ValueError("no model id")
    if any(len(one) > MOST_ID or not one.isprintable() for one in known):
        raise ValueError("impossible model id")
    people = head["people"]
    if people is not None and (type(people) is not int or not 0 <= people < 1 << 31):
        raise ValueError("impossible number of people")
    if len(blobs["crop_hash"] or b"") != 16 or len(blobs["top"] or b"") % 6:
        raise ValueError("no hash, or no classes")
    Evidence.from_bytes(blobs["evidence"] or b"")
    prediction = StoredPrediction(
        model_id=model_id,
        scenes_id=scenes_id,
        detector_id=detector_id,
        people=people,
        **blobs,  # type: ignore[arg-type]  # the required ones are bytes
    )
    return Seen(read_facts(head["facts"]), prediction, float(head["ms"]))
