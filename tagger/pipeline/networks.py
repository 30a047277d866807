"""The networks that look at a photo together, and how those besides the first are loaded.

Photos never wait for a network of scenes or a detector: what there is says what it can, and the
others look at the photos later, see :mod:`~tagger.pipeline.completion`.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tagger.classify.child_process import never
from tagger.classify.custom_network import scene_categories
from tagger.classify.digest_cache import DigestCache
from tagger.classify.loader import (
    POLL_SECONDS,
    EngineLoader,
    Loaded,
    NetworkLoader,
    scenes_config,
    use_int8,
)
from tagger.classify.weights import models_dir
from tagger.config.schema import NO_MODEL, Config
from tagger.errors import ModelError
from tagger.labels.chooser import Chooser, Outputs
from tagger.labels.vocabulary import own_vocabulary
from tagger.records import ExtraViews, same_network

if TYPE_CHECKING:
    from tagger.classify.engine import Engine
    from tagger.classify.int8_files import FullNetwork
    from tagger.detect.detector import Detector
    from tagger.index.rows import StoredPrediction
    from tagger.index.store import Store
    from tagger.labels.vocabulary import Vocabulary

log = logging.getLogger(__name__)

KINDS = ("subjects", "scenes", "detector")
SCENES_KEY = "scenes"
"""Under which the index remembers what the classes of the user's own network of scenes mean."""
STEP_SECONDS = 0.1
"""How often a wait for weights is asked to end."""


@dataclass(frozen=True, slots=True)
class Networks:
    """What looks at photos: the classifier of subjects and, if there are any, two others.

    ``refused`` are the model ids of int8 versions of theirs that were found not to agree: what
    those said is to be replaced.
    """

    subjects: Engine
    scenes: Engine | None = None
    detector: Detector | None = None
    refused: frozenset[str] = frozenset()

    @property
    def views(self) -> ExtraViews:
        """What the others want of a photo besides the crops of the first."""
        same = self.scenes is None or self.scenes.spec == self.subjects.spec
        crop = None if self.scenes is None or same else self.scenes.spec
        return ExtraViews(crop, self.detector.side if self.detector else 0, thumbnail=True)

    def chooser(
        self, config: Config, vocabulary: Vocabulary | None = None, store: Store | None = None
    ) -> Chooser:
        """Return what chooses tags from the evidence of these networks.

        ``vocabulary`` is that of the state directory, unless it is given.
        It is the same before a network of scenes has come: tags are not chosen anew for that.
        ``store`` remembers what that of the user's own means while its description is away.
        """
        try:
            scenes = scene_categories(config.model.scenes)
        except ModelError as error:
            log.warning("%s", error)
            scenes = store.meta_texts(SCENES_KEY) if store is not None else None
        else:
            kept = store is None or scenes is None or scenes == store.meta_texts(SCENES_KEY)
            if store is not None and not kept:
                store.set_meta(SCENES_KEY, json.dumps(scenes))
        known = vocabulary or own_vocabulary(config.state_dir)
        categories = self.subjects.categories
        outputs = Outputs(len(categories), categories, scenes)
        return Chooser(known, config.labels, outputs, model_name=config.model.name)

    def lacking(self, stored: StoredPrediction) -> Networks:
        """Return the networks without those that have looked at a photo already."""
        return Networks(
            self.subjects,
            self.scenes if self._lacks(self.scenes, stored.scenes_id) else None,
            self.detector if self._lacks(self.detector, stored.detector_id) else None,
        )

    def _lacks(self, network: Loaded | None, seen_by: str | None) -> bool:
        """Whether what the network with the id ``seen_by`` said is not what ``network`` says."""
        if network is None or seen_by is None or seen_by in self.refused:
            return network is not None
        return not same_network(network.model_id, seen_by)

    @property
    def ids(self) -> tuple[str | None, str | None]:
        """The model ids of the network of scenes and of the detector, None where there is none."""
        return (
            self.scenes.model_id if self.scenes else None,
            self.detector.model_id if self.detector else None,
        )

    def differ_in_precision(self, others: Networks) -> bool:
        """Whether ``others`` are the same networks, but some in int8 that are here in fp32, or
        the other way round."""
        pairs = zip(self.all(), others.all(), strict=True)
        same = all((one is None) == (two is None) for one, two in pairs)
        return self != others and same and self.views == others.views

    def all(self) -> tuple[Engine, Engine | None, Detector | None]:
        """Return them in the order of KINDS."""
        return (self.subjects, self.scenes, self.detector)


class DetectorLoader(NetworkLoader["Detector"]):
    """Loads the detector that ``model.detector`` names."""

    _full: FullNetwork | None = None

    def model_name(self, config: Config) -> str:
        return config.model.detector

    def key(self, config: Config) -> tuple[Any, ...]:
        model = config.model
        return (config.state_dir, model.detector, model.threads, model.download, model.precision)

    def open(self, config: Config, path: str) -> Detector:
        from tagger.classify.int8_files import own_network
        from tagger.classify.network_input import NetworkInput
        from tagger.detect.onnx_detector import OnnxDetector

        folder = models_dir(config.state_dir)
        digest = DigestCache(folder).of(path)
        name = os.path.splitext(os.path.basename(path))[0]
        detector = OnnxDetector(path, f"{name}-{digest[:8]}", threads=config.model.threads)
        taken = NetworkInput(detector.input_name, detector.side, bgr=True)
        self._full = own_network(path, folder, detector.model_id, taken)
        use_int8(detector.use_int8, self._full, config, self.stop)
        return detector

    def full(self, config: Config) -> FullNetwork | None:
        return self._full if self.engine is not None else None


class _Loading(threading.Thread):
    """The thread that loads; ``left`` is set to have it end, ``done`` once it is about to."""

    left = done = False


class FurtherNetworks:
    """Loads, in a thread of its own, what a config asks for besides the first network.

    ``stop`` ends what it does; :attr:`changed` is called in that thread when a network has come.
    For any thread.
    """

    def __init__(self, stop: Callable[[], bool] = never) -> None:
        self.changed: Callable[[], None] = lambda: None
        self._stop = stop
        self._config: Config | None = None
        self._scenes = EngineLoader(self._stopped, optional=True)
        self._detector = DetectorLoader(self._stopped, optional=True)
        self._thread: _Loading | None = None
        self._lock = threading.Lock()  # so that a thread that is needed again does not just end

    @property
    def scenes(self) -> Engine | None:
        return self._scenes.engine

    @property
    def detector(self) -> Detector | None:
        return self._detector.engine

    def refused(self) -> set[str]:
        return {loader.refused for _, _, loader in self._asked() if loader.engine is not None}

    def states(self) -> list[dict[str, Any]]:
        """Return kind, name, model id (None: not there) and problem of each that is asked for."""
        return [
            {
                "kind": kind,
                "name": name,
                "model": loader.engine.model_id if loader.engine else None,
                "problem": str(loader.error) if loader.error and not loader.engine else None,
            }
            for kind, name, loader in self._asked()
        ]

    def loaders(self, config: Config) -> dict[str, tuple[NetworkLoader[Any], Config]]:
        """Return the loaders of what is there, by kind, each with the config that it takes."""
        return {
            kind: (loader, config if loader is self._detector else scenes_config(config))
            for kind, _, loader in self._asked()
            if loader.engine is not None
        }

    def load(self, config: Config) -> None:
        """Begin to load what ``config`` asks for, unless that is done or going on already."""
        if self._config is not None and self._config.model == config.model:
            with self._lock:
                running = self._thread is not None and not self._thread.done
            if running or all(loader.engine for _, _, loader in self._asked()):
                return
        if self._thread is not None:
            self._thread.left = True
            self._thread.join()
        self._config = config
        self._drop_unwanted(config)
        self._thread = _Loading(target=self._run, args=[config], name="networks", daemon=True)
        self._thread.start()

    def load_now(self, config: Config) -> None:
        """Load what is on this machine, in this thread; nothing is downloaded or waited for."""
        if self._config is not None and self._config.model == config.model:
            return
        self._config = config
        self._drop_unwanted(config)
        offline = replace(config, model=replace(config.model, download=False))
        for _, _, loader in self._asked():
            loader.get(offline if loader is self._detector else scenes_config(offline))

    def _asked(self) -> list[tuple[str, str, NetworkLoader[Any]]]:
        if self._config is None:
            return []
        model = self._config.model
        every: tuple[tuple[str, str, NetworkLoader[Any]], ...] = (
            ("detector", model.detector, self._detector),  # first: small, and as it is
            ("scenes", model.scenes, self._scenes),
        )
        return [one for one in every if one[1] != NO_MODEL]

    def awaited(self) -> frozenset[str]:
        """Return the kinds of the networks that are there, or may yet come: all but failed ones."""
        return frozenset(one["kind"] for one in self.states() if one["model"] or not one["problem"])

    def _stopped(self) -> bool:
        return self._stop() or getattr(threading.current_thread(), "left", False)

    def _drop_unwanted(self, config: Config) -> None:
        if config.model.scenes == NO_MODEL:
            self._scenes = EngineLoader(self._stopped, optional=True)
        if config.model.detector == NO_MODEL:
            self._detector = DetectorLoader(self._stopped, optional=True)

    def _run(self, config: Config) -> None:
        missing = [loader for _, _, loader in self._asked()]
        while not self._ends(missing):
            for loader in missing[:]:
                own = config if loader is self._detector else scenes_config(config)
                try:
                    found = loader.get(own)
                except Exception:
                    log.exception("a network could not be loaded")
                    continue
                if found is not None:
                    missing.remove(loader)
                    self.changed()
            waited = 0.0
            while missing and waited < POLL_SECONDS and not self._stopped():
                time.sleep(STEP_SECONDS)
                waited += STEP_SECONDS

    def _ends(self, missing: Sequence[NetworkLoader[Any]]) -> bool:
        """Whether the thread that loads has nothing more to do, which it then notes."""
        with self._lock:
            thread = threading.current_thread()
            ends = not missing or self._stopped()
            if ends and isinstance(thread, _Loading):
                thread.done = True
            return ends


class NetworksLoader(EngineLoader):
    """Keeps all networks over reloads: the first as any loader does, the others beside the work."""

    def __init__(self, stop: Callable[[], bool]) -> None:
        super().__init__(stop)
        self.further = FurtherNetworks(stop)

    def loaders(self, config: Config) -> dict[str, tuple[NetworkLoader[Any], Config]]:
        if self.engine is None:
            return {}
        return {"subjects": (self, config), **self.further.loaders(config)}

    @property
    def networks(self) -> Networks | None:
        """What there is now; None without the first network."""
        if self.engine is None:
            return None
        refused = {self.refused, *self.further.refused()} - {""}
        return Networks(self.engine, self.further.scenes, self.further.detector, frozenset(refused))

    def load(self, config: Config, *, now: bool) -> Networks | None:
        """Return what there is for ``config``, and have the others loaded.

        ``now``: those that are on this machine are waited for. None without the first network,
        see ``error``.
        """
        if self.get(config) is None:
            return None
        if now:
            self.further.load_now(config)
        else:
            self.further.load(config)
        return self.networks


def open_networks(config: Config, *, stop: Callable[[], bool] = never) -> Networks:
    """Return the networks for ``config`` that are on this machine, now or never.

    Raise ModelError (WeightsNotFoundError) without the first, StoppedError.
    """
    return with_further(EngineLoader(stop).open_now(config), config, stop=stop)


def with_further(engine: Engine, config: Config, *, stop: Callable[[], bool] = never) -> Networks:
    """Return ``engine`` with those of the other networks that are on this machine."""
    further = FurtherNetworks(stop)
    further.load_now(config)
    return Networks(engine, further.scenes, further.detector)
