"""The one seam of recognition: a photo's path goes in, what the networks saw in it comes out.

:class:`~tagger.pipeline.local_recognition.LocalRecognition` answers it with the processes of this
machine, ``tagger.cluster`` with those of others.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from tagger.index.rows import StoredPrediction
from tagger.pipeline.cluster_state import ClusterState
from tagger.records import PhotoFacts, same_network

if TYPE_CHECKING:
    from tagger.pipeline.networks import Networks


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen in one photo, about 2 kB: its facts, and what all networks say of it.

    ``classify_ms`` is its share of a run of the networks, in milliseconds.
    """

    facts: PhotoFacts
    prediction: StoredPrediction
    classify_ms: float = field(default=0.0, compare=False)


def answer(asked: Future[Seen], said: Seen | BaseException) -> bool:
    """Give an answer, unless there is one, or nobody wants it; return whether it was given."""
    if asked.done() or not asked.set_running_or_notify_cancel():
        return False
    if isinstance(said, BaseException):
        asked.set_exception(said)
    else:
        asked.set_result(said)
    return True


@dataclass(frozen=True, slots=True)
class Former:
    """What the index has of a photo from before.

    It serves again when the picture is the same. ``completes``: only networks that have not
    looked at the photo are asked, that of subjects in fp32 or in int8.
    """

    prediction: StoredPrediction
    completes: bool = False

    def serves(self, present: str) -> bool:
        """Whether it counts where the network of subjects with the id ``present`` looks now."""
        seen_by = self.prediction.model_id
        return same_network(seen_by, present) if self.completes else seen_by == present


class Recognition(Protocol):
    """What decodes photos and has the networks look at them. For any thread.

    ``ahead`` is how many photos it wants to have at a time; 0: those of one batch, which are
    waited for together.
    """

    @property
    def ahead(self) -> int: ...

    def submit(
        self, path: str, *, root: str | None = None, size: int = 0, former: Former | None = None
    ) -> Future[Seen]:
        """Return the future of what is seen in the photo ``path``.

        No link is followed between the folder ``root``, if one is given, and the photo. ``size`` in
        bytes, if known, is that of the version that is meant. The future raises PhotoError, and
        what a network raises. Raise RuntimeError after :meth:`close`.
        """
        ...

    def use(self, networks: Networks) -> None:
        """Have other networks look at photos from now on."""
        ...

    def state(self) -> ClusterState | None:
        """Return how the cluster is; None when this machine alone looks at photos."""
        ...

    def close(self) -> None:
        """End; futures that are not done are cancelled."""
        ...
