"""Compares a network with the one in use, on the same photos: its time, and the tags it gives."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from tagger.classify.catalog import Kind, check_model_name, list_models
from tagger.classify.weights import models_dir
from tagger.config.schema import NO_MODEL, Config, is_model_path
from tagger.errors import ModelError
from tagger.labels.evidence import Evidence
from tagger.pipeline.decoding import decode_pool, decoded_by_each
from tagger.pipeline.inference import look
from tagger.pipeline.networks import Networks, open_networks
from tagger.system.files import replace_atomically
from tagger.text.json_records import read_record
from tagger.text.parsing import parse_json

if TYPE_CHECKING:
    from tagger.labels.chooser import Chooser
    from tagger.records import DecodedPhoto

TRIAL_NAME = "network-trial.json"
"""The file in the state directory that keeps the last comparison."""
FIELDS: dict[Kind, str] = {"subjects": "name", "scenes": "scenes", "detector": "detector"}
"""Below which key of the config's `model` a network of each kind is named."""
MOST_LABELS = 12
"""Labels that are told of as given more often by one network."""


@dataclass(frozen=True, slots=True)
class TriedPhoto:
    """The labels that a photo gets with the network in use, and with the other one."""

    path: str
    present: tuple[str, ...]
    other: tuple[str, ...]

    @property
    def lost(self) -> tuple[str, ...]:
        """The labels that only the network in use gives."""
        return tuple(label for label in self.present if label not in self.other)

    @property
    def gained(self) -> tuple[str, ...]:
        """The labels that only the other one gives."""
        return tuple(label for label in self.other if label not in self.present)


@dataclass(frozen=True, slots=True)
class NetworkTrial:
    """What came of a comparison; pairs are of the network in use, and of the other one.

    ``names`` are those in the config, ``milliseconds`` and ``cpu_milliseconds`` medians a photo of
    what all networks take, without decoding. ``failed`` photos could not be opened. ``at`` is a
    time in seconds since 1970.
    """

    kind: Kind
    names: tuple[str, str]
    milliseconds: tuple[float, float]
    cpu_milliseconds: tuple[float, float]
    photos: tuple[TriedPhoto, ...]
    failed: int
    at: float

    @property
    def differing(self) -> list[TriedPhoto]:
        """The photos that get other labels."""
        return [one for one in self.photos if set(one.present) != set(one.other)]

    @property
    def tags(self) -> tuple[int, int]:
        """How many tags the photos get in all."""
        return sum(len(one.present) for one in self.photos), sum(
            len(one.other) for one in self.photos
        )

    @property
    def untagged(self) -> tuple[int, int]:
        """How many photos get none."""
        return sum(not one.present for one in self.photos), sum(
            not one.other for one in self.photos
        )

    def labels(self) -> list[tuple[str, int, int]]:
        """Return the labels that one of the two gives more often, and how often each does.

        Those with the greatest difference, :data:`MOST_LABELS` at most.
        """
        first = Counter(label for one in self.photos for label in one.present)
        second = Counter(label for one in self.photos for label in one.other)
        rows = [(label, first[label], second[label]) for label in first.keys() | second.keys()]
        rows = [row for row in rows if row[1] != row[2]]
        return sorted(rows, key=lambda row: (-abs(row[1] - row[2]), row[0]))[:MOST_LABELS]


def kind_of(name: str, kind: Kind | None = None) -> Kind:
    """Return which kind of network ``name`` is; ``kind`` says so of a path and of NO_MODEL.

    Raise ModelError for an unknown one.
    """
    if is_model_path(name) or name == NO_MODEL:
        found = kind or "subjects"
        if name == NO_MODEL and found == "subjects":
            raise ModelError(
                "there has to be a network of subjects", "say which is meant: --kind scenes"
            )
        return found
    for one in FIELDS:
        if name in {info.name for info in list_models(one)}:
            if kind not in (None, one):
                raise ModelError(f"{name} is no network of {kind}", "see `tagger model list`")
            return one
    raise ModelError(check_model_name(name)[0].partition(": ")[2], "see `tagger model list`")


def with_network(config: Config, kind: Kind, name: str) -> Config:
    """Return ``config`` with another network of a ``kind``."""
    model = replace(config.model, **{FIELDS[kind]: name})  # type: ignore[arg-type]
    weights = config.model.weights
    if kind == "subjects" and weights is not None and not os.path.isdir(weights):
        model = replace(model, weights=None)  # they are of the network before
    return replace(config, model=model)


def open_tried(config: Config, kind: Kind, name: str) -> Networks:
    """Return the networks of ``config``. Raise ModelError if that of ``kind`` cannot be loaded."""
    networks = open_networks(config)
    if name != NO_MODEL and getattr(networks, kind) is None:
        raise ModelError(
            f"{name} cannot be loaded",
            f"see `tagger doctor`; put its file into {models_dir(config.state_dir)}, or run"
            f" `tagger model download {name}`",
        )
    return networks


def try_network(
    config: Config,
    kind: Kind,
    name: str,
    paths: Sequence[str],
    *,
    done: Callable[[int], None] = lambda count: None,
) -> NetworkTrial:
    """Have the networks of ``config``, and those with ``name`` among them, look at photos.

    Both in fp32, by turns. ``done`` is told how many photos have been looked at. Taught labels are
    left out: they are learned for the network in use. Raise ModelError.
    """
    plain = replace(config, model=replace(config.model, precision="fp32", download=False))
    configs = plain, with_network(plain, kind, name)
    networks = open_networks(configs[0]), open_tried(configs[1], kind, name)
    choosers = [one.chooser(own) for own, one in zip(configs, networks, strict=True)]
    photos: list[TriedPhoto] = []
    wall: list[list[float]] = [[], []]
    cpu: list[list[float]] = [[], []]
    failed = 0
    with ExitStack() as stack:
        pools = [
            stack.enter_context(decode_pool(own, one.subjects.spec, workers=1, views=one.views))
            for own, one in zip(configs, networks, strict=True)
        ]
        for number, (path, pair) in enumerate(decoded_by_each(pools, paths)):
            done(number + 1)
            if pair is None:
                failed += 1
                continue
            labels: list[tuple[str, ...]] = [(), ()]
            if not photos:  # the first run of a network takes longer
                for which in (0, 1):
                    _labels(networks[which], choosers[which], pair[which])
            for which in (0, 1) if number % 2 else (1, 0):
                began = time.perf_counter(), time.process_time()
                labels[which] = _labels(networks[which], choosers[which], pair[which])
                wall[which].append(time.perf_counter() - began[0])
                cpu[which].append(time.process_time() - began[1])
            photos.append(TriedPhoto(path, *labels))
    return NetworkTrial(
        kind,
        (str(getattr(config.model, FIELDS[kind])), name),
        _medians(wall),
        _medians(cpu),
        tuple(photos),
        failed,
        time.time(),
    )


def _labels(networks: Networks, chooser: Chooser, photo: DecodedPhoto) -> tuple[str, ...]:
    [stored] = look(networks, [photo])
    chosen = chooser.choose(Evidence.from_bytes(stored.evidence), photo.facts.kinds)
    return tuple(tag.label for tag in chosen)


def _medians(seconds: Sequence[Sequence[float]]) -> tuple[float, float]:
    first, second = (round(1000 * statistics.median(one), 2) if one else 0.0 for one in seconds)
    return first, second


def trial_json(trial: NetworkTrial) -> dict[str, Any]:
    """Return a comparison as JSON."""
    found = asdict(trial)
    photos = [asdict(one) | {"lost": one.lost, "gained": one.gained} for one in trial.photos]
    return found | {
        "photos": photos,
        "same_tags": len(trial.photos) - len(trial.differing),
        "tags": trial.tags,
        "untagged": trial.untagged,
        "labels": trial.labels(),
    }


def keep_trial(state_dir: str, trial: NetworkTrial) -> None:
    """Keep a comparison for the page. Raise OSError."""
    path = os.path.join(state_dir, TRIAL_NAME)
    replace_atomically(path, json.dumps(asdict(trial)).encode(), mode=0o640, durable=False)


def kept_trial(state_dir: str) -> NetworkTrial | None:
    """Return the last comparison; None if there is none that can be read."""
    try:
        with open(os.path.join(state_dir, TRIAL_NAME), encoding="ascii") as file:
            return read_record(NetworkTrial, parse_json(file.read()))
    except (OSError, ValueError):
        return None
