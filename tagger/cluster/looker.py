"""The process in which a worker looks at photos: ``python -m tagger.cluster.looker``.

It may die without harm to the worker, which starts another one, and knows then what it was at. It
speaks in frames: a number of 8 bytes, a length of 4, and so many bytes. The first one that it reads
is an offer, which it answers with JSON; then come photos, in any number, each answered when
it was looked at. It ends with its input.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import threading
from typing import IO, Any

from tagger.cluster.messages import MAX_MESSAGE, PhotoRequest, unpack_request
from tagger.cluster.offer import Offer
from tagger.config.schema import Config, LabelsConfig
from tagger.errors import ModelError, PhotoError, PhotoUnreadableError, PhotoVanishedError
from tagger.pipeline.decoding import decode_pool
from tagger.pipeline.local_recognition import LocalRecognition
from tagger.pipeline.portable_networks import open_portable
from tagger.pipeline.recognition import Seen
from tagger.pipeline.seen_bytes import pack_answer
from tagger.system.process import cores, give_memory_back, offer_to_end, raise_descriptors
from tagger.text.parsing import parse_json

FRAME = struct.Struct(">QI")
OFFER_TO_END = 250
"""Ended rather than the worker, and after the processes that decode for it."""
MOST_DECODERS = 16


def read_frame(file: IO[bytes]) -> tuple[int, bytes] | None:
    """Return number and content of a frame; None at the end. Raise ValueError for a long one."""
    head = file.read(FRAME.size)
    if len(head) < FRAME.size:
        return None
    number, length = FRAME.unpack(head)
    if length > MAX_MESSAGE:
        raise ValueError(f"a frame of {length} bytes")
    data = file.read(length)
    return (number, data) if len(data) == length else None


def write_frame(file: IO[bytes], number: int, data: bytes) -> None:
    file.write(FRAME.pack(number, len(data)) + data)
    file.flush()


def main() -> None:
    """Look at what comes until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to handle
    # Processes that decode get neither end of the pipes.
    taken, said = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    offer_to_end(OFFER_TO_END)
    give_memory_back()
    raise_descriptors()
    first = read_frame(taken)
    if first is None:
        return
    lock = threading.Lock()

    def tell(number: int, data: bytes) -> None:
        with lock:
            write_frame(said, number, data)

    try:
        settings = parse_json(first[1])
        recognition = _opened(settings)
    except ModelError as error:
        tell(first[0], json.dumps({"error": [error.message, error.remedy]}).encode())
        return
    tell(first[0], json.dumps({"networks": "loaded"}).encode())
    while (frame := read_frame(taken)) is not None:
        _look(recognition, frame, tell)
    recognition.pool.close(0)
    os._exit(0)  # the worker is gone: nobody wants what is not done


def _opened(settings: dict[str, Any]) -> LocalRecognition:
    """Return what looks at photos as the ``settings`` say. Raise ModelError."""
    offer = Offer.from_said(settings["offer"])
    threads = int(settings["threads"])
    threads = 0 if threads >= cores() else threads
    networks = open_portable(offer.networks, settings["folder"], threads=threads)
    workers = min(threads or cores(), MOST_DECODERS)
    config = Config(decode=offer.decode, labels=LabelsConfig(crops=3 if offer.crops > 1 else 1))
    spec, views = networks.subjects.spec, networks.views
    return LocalRecognition(networks, decode_pool(config, spec, workers=workers, views=views))


def _look(recognition: LocalRecognition, frame: tuple[int, bytes], tell: Any) -> None:
    number, data = frame
    [photo], readers = unpack_request(data)
    recognition.read_at_once(readers)

    def answer(future: Any) -> None:
        try:
            tell(number, _answer(photo, future.exception() or future.result()))
        except OSError:
            os._exit(0)  # the worker is gone

    recognition.submit(photo.path, root=photo.root).add_done_callback(answer)


def _answer(photo: PhotoRequest, found: Seen | BaseException) -> bytes:
    """Return what is said of a photo; its path as the daemon knows it."""
    if photo.size and not isinstance(found, PhotoVanishedError | PhotoUnreadableError):
        try:
            size = os.lstat(photo.path).st_size
        except OSError:
            size = -1
        if size != photo.size:  # what was found out is of another version
            found = PhotoVanishedError(
                f"{photo.path} is not as it was when it was found", "nothing to do"
            )
    if isinstance(found, PhotoError):
        message = found.message.replace(photo.path, photo.known_as)
        found = type(found)(message, found.remedy)
    return pack_answer(found)


if __name__ == "__main__":
    main()
