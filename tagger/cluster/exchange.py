"""What is asked of a worker, and what it answers: one task, which is some photos."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tagger.cluster import worker as worker_side
from tagger.cluster.members import Asked, Task
from tagger.cluster.messages import PhotoRequest, pack_request, split
from tagger.cluster.offer import Ids, mapped
from tagger.errors import PhotoError, PhotoUnreadableError, PhotoVanishedError
from tagger.pipeline.recognition import answer
from tagger.pipeline.seen_bytes import unpack_answer

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)


async def ask(
    client: Client, worker: str, photos: Sequence[Asked], paths: Mapping[str, str], readers: int
) -> list[bytes]:
    """Have a worker, by its address, look at photos; return its answers.

    ``paths`` and ``readers`` are as in the config. Raise what the worker or Dask raises.
    """
    request = pack_request(
        [
            PhotoRequest(
                mapped(one.path, paths),
                one.path,
                None if one.root is None else mapped(one.root, paths),
                one.size,
            )
            for one in photos
        ],
        readers,
    )
    future = client.submit(
        worker_side.look,
        request,
        key=f"look-{uuid.uuid4().hex}",
        workers=[worker],
        allow_other_workers=False,
        pure=False,
        retries=0,
    )
    try:
        if (error := await future.exception()) is not None:
            raise error
        # Awaited itself, the future fetches its result together with those of other workers, a few
        # times at once: a worker that stands still just then would hold up all.
        if client.scheduler is None:
            raise RuntimeError("the scheduler is gone")
        said = await client.scheduler.gather(keys=[future.key])
        if said["status"] != "OK":
            raise RuntimeError("its answer was gone before it was fetched")
        return split(bytes(said["data"][future.key]), len(photos))
    finally:
        future.release()


@dataclass(slots=True)
class Taken:
    """What came of the answers of one task.

    ``count`` photos were looked at, ``again`` are to be looked at again. ``unseen`` are those that
    it saw and others had not. ``outdated``: they are of another offer.
    """

    count: int = 0
    again: list[Asked] = field(default_factory=list)
    unseen: list[Asked] = field(default_factory=list)
    outdated: bool = False


def take_answers(worker: str, task: Task, answers: Sequence[bytes], ids: Ids | None) -> Taken:
    """Give the ``answers`` of a worker, by its address, to those who wait for them.

    ``ids`` are those of the networks that are to look at photos now; None: there are none.
    """
    taken = Taken()
    for asked, said in zip(task.photos, answers, strict=True):
        try:
            seen = unpack_answer(said)
        except (PhotoVanishedError, PhotoUnreadableError) as error:
            # It may not see what others do.
            asked.avoid[worker] = error.message
            taken.again.append(asked)
        except PhotoError as error:
            if task.lost:  # it stood still: what took too long, or died, may not be to blame
                continue
            answer(asked.seen, error)
            taken.count += 1
        except (ValueError, RuntimeError) as error:
            log.warning("the worker %s said of %s: %s", worker, asked.path, error)
            asked.avoid[worker] = str(error)
            taken.again.append(asked)
        else:
            known = seen.prediction
            if (known.model_id, known.scenes_id, known.detector_id) != ids:
                taken.outdated = True
                taken.again.append(asked)
                continue
            if answer(asked.seen, seen) and asked.avoid:
                taken.unseen.append(asked)
            taken.count += 1
    if task.left:
        taken.again.clear()  # others have them already
    return taken
