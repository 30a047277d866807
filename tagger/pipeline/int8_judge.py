"""Looks at photos in fp32 as well, and counts whether the int8 versions say the same."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tagger.classify.child_process import never
from tagger.classify.int8_agreement import (
    SURE,
    Agreement,
    Int8State,
    int8_state,
    read_agreement,
    state_of,
    write_agreement,
)
from tagger.classify.int8_files import FullNetwork, Int8Record, intact_int8, make_int8, read_record
from tagger.index.rows import StoredPrediction, unpack_top
from tagger.labels.evidence import Boxes, Evidence, Ranking
from tagger.pipeline.inference import predict
from tagger.pipeline.look import look_further
from tagger.pipeline.networks import Networks, NetworksLoader
from tagger.records import INT8_NAME, DecodedPhoto

if TYPE_CHECKING:
    from tagger.config.schema import Config
    from tagger.labels.chooser import Chooser

log = logging.getLogger(__name__)

MARGIN = 0.1
"""A detector is sure that a class of things is there from SURE + MARGIN on, and that it is not
below SURE - MARGIN."""
WRITE_AFTER = 16
"""Photos that are counted before that is written down."""


@dataclass(slots=True)
class Trial:
    """An int8 version that is to be judged: ``counts`` are those of ``full``'s files."""

    full: FullNetwork
    record: Int8Record
    counts: Agreement
    network: Any = None
    """The network in fp32, once it was needed."""

    @property
    def is_open(self) -> bool:
        """Whether it is not known yet how it ends."""
        return self.counts.state == "provisional"

    @property
    def state(self) -> Int8State:
        return state_of(self.full, self.record, self.counts)


class Int8Judge:
    """Judges the int8 ones among ``networks`` by photos. Used by one thread.

    ``trials`` are by kind (KINDS); ``open_fp32`` loads the full network of a kind, and may raise
    TaggerError. Tags are those that ``chooser`` gives.
    """

    def __init__(
        self,
        networks: Networks,
        trials: Mapping[str, Trial],
        chooser: Chooser,
        open_fp32: Callable[[str], Any],
    ) -> None:
        self.networks, self.trials, self._chooser = networks, trials, chooser
        self._open = open_fp32
        self._unwritten = 0

    @property
    def has_open(self) -> bool:
        return any(trial.is_open for trial in self.trials.values())

    def knows(self, crop_hash: bytes) -> bool:
        """Whether a photo was counted in all trials that are open."""
        return all(one.counts.knows(crop_hash) for one in self.trials.values() if one.is_open)

    def judge(self, photo: DecodedPhoto) -> list[str]:
        """Look at a photo with both; return the kinds whose trial it decided.

        A photo that was counted before is passed over. Raise TaggerError when a full network
        cannot be loaded, OSError when the counts cannot be kept.
        """
        asked = [
            kind
            for kind, trial in self.trials.items()
            if trial.is_open and not trial.counts.knows(photo.crop_hash)
        ]
        if not asked:
            return []
        [stored] = predict(self.networks.subjects, [photo])
        [whole] = look_further([photo], [stored], self.networks)
        small = Evidence.from_bytes(whole.evidence)
        tags = self._tags(small)
        decided = []
        for kind in asked:
            compared = self._compared(kind, photo, stored, small)
            if compared is None:
                continue
            full, sure, same = compared
            same_tags = self._tags(full) == tags
            trial = self.trials[kind]
            trial.counts = trial.counts.with_photo(
                photo.crop_hash, sure=sure, same=same, same_tags=same_tags
            )
            if not trial.is_open:
                trial.network = None  # its memory goes back
                decided.append(kind)
        self._unwritten += 1
        if decided or self._unwritten >= WRITE_AFTER:
            self.write()
        return decided

    def states(self) -> dict[str, Int8State]:
        return {kind: trial.state for kind, trial in self.trials.items()}

    def write(self) -> None:
        """Keep what was counted. Raise OSError."""
        if self._unwritten:
            self._unwritten = 0
            for trial in self.trials.values():
                write_agreement(trial.full, trial.counts)

    def close(self) -> None:
        """Keep what was counted, if that can be, and drop the full networks."""
        try:
            self.write()
        except OSError as error:
            log.warning("what int8 was judged by is not kept: %s", error)
        for trial in self.trials.values():
            trial.network = None

    def _compared(
        self, kind: str, photo: DecodedPhoto, stored: StoredPrediction, small: Evidence
    ) -> tuple[Evidence, bool, bool] | None:
        """Return what is said with the full network of a kind; None when one of both says nothing.

        With it whether that is sure, and whether int8 says the same. ``stored`` is what the present
        network of subjects said, ``small`` what all did.
        """
        trial = self.trials[kind]
        if trial.network is None:
            trial.network = self._open(kind)
        if kind == "subjects":
            [full] = predict(trial.network, [photo])
            [best], [other] = unpack_top(full.top, 1), unpack_top(stored.top, 1)
            evidence = replace(small, subjects=Evidence.from_bytes(full.evidence).subjects)
            return evidence, best[1] >= SURE, best[0] == other[0]
        alone = replace(self.networks, **{"scenes": None, "detector": None, kind: trial.network})
        [whole] = look_further([photo], [stored], alone)
        said = Evidence.from_bytes(whole.evidence)
        if kind == "scenes":
            if said.scenes is None or small.scenes is None:
                return None
            return replace(small, scenes=said.scenes), *same_class(said.scenes, small.scenes)
        if said.boxes is None or small.boxes is None:
            return None
        return replace(small, boxes=said.boxes), *same_things(said.boxes, small.boxes)

    def _tags(self, evidence: Evidence) -> frozenset[str]:
        return frozenset(tag.label for tag in self._chooser.choose(evidence))


def same_class(full: Ranking, small: Ranking) -> tuple[bool, bool]:
    """Return whether fp32 is sure of its best class, and whether that of int8 is the same."""
    [best], [other] = full.top(1), small.top(1)
    return best[1] >= SURE, best[0] == other[0]


def same_things(full: Boxes, small: Boxes) -> tuple[bool, bool]:
    """Return whether fp32 is sure of a thing, and whether int8 sees the same things.

    A class is seen from SURE on, by its best box. fp32 is sure of what it gives SURE + MARGIN or
    more; a class that it gives SURE - MARGIN to SURE + MARGIN may be seen or not.
    """
    one, two = _best(full), _best(small)
    there, absent = one >= SURE + MARGIN, one < SURE - MARGIN
    seen = two >= SURE
    return bool(there.any()), bool(seen[there].all() and not seen[absent].any())


def _best(boxes: Boxes) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the score of the best box of each class (256,)."""
    best = np.zeros(256, np.float32)
    np.maximum.at(best, boxes.classes, boxes.scores)
    return best


def open_trials(loaders: Mapping[str, Any]) -> dict[str, Trial]:
    """Return the trials of the int8 versions that are used, by kind.

    ``loaders`` are those of what is loaded, by kind, each with its config.
    """
    found = {}
    for kind, (loader, config) in loaders.items():
        full = loader.full(config)
        if full is None or loader.engine.name != INT8_NAME:
            continue
        if (record := read_record(full)) is not None:
            found[kind] = Trial(full, record, read_agreement(full, record))
    return found


def fp32_opener(loaders: Mapping[str, Any]) -> Callable[[str], Any]:
    """Return what loads the full network of a kind; it raises TaggerError."""

    def opened(kind: str) -> Any:
        loader, config = loaders[kind]
        return loader.open_fp32(config)

    return opened


def made_judge(config: Config) -> tuple[Int8Judge | None, dict[str, Int8State]]:
    """Make the int8 versions of all networks that are on this machine; judge those anew.

    Return the judge, None when there is none to judge, and how those are that are not used.
    Raise ModelError.
    """
    plain = NetworksLoader(never)
    plain_config = replace(config, model=replace(config.model, precision="fp32"))
    if plain.load(plain_config, now=True) is None:
        assert plain.error is not None
        raise plain.error
    states: dict[str, Int8State] = {}
    for kind, (loader, own) in plain.loaders(plain_config).items():
        if (full := loader.full(own)) is None:
            continue
        record = read_record(full)
        if record is None or not (record.problem or intact_int8(full, record)):
            record = make_int8(full)
        if record.is_faster:
            write_agreement(full, Agreement(record.sha256))
        else:
            states[kind] = int8_state(full)
    quick = NetworksLoader(never)
    networks = quick.load(config, now=True)
    loaders = quick.loaders(config)
    trials = open_trials(loaders)
    if networks is None or not trials:
        return None, states
    chooser = networks.chooser(config)
    return Int8Judge(networks, trials, chooser, fp32_opener(loaders)), states
