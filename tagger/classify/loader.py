"""Keeps one network over reloads, and waits for weights that are not there yet."""

from __future__ import annotations

import logging
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from tagger.classify.digest_cache import DigestCache
from tagger.classify.download_thread import DownloadThread
from tagger.classify.torch_installed import torch_installed
from tagger.classify.weights import find_weights, models_dir, places, ready_file
from tagger.config.schema import NO_MODEL, Config, is_model_path
from tagger.errors import DownloadError, ModelError, StoppedError, WeightsNotFoundError
from tagger.records import INT8_ENDING, INT8_NAME

if TYPE_CHECKING:
    from tagger.classify.engine import Engine
    from tagger.classify.int8_agreement import Int8State
    from tagger.classify.int8_files import FullNetwork
    from tagger.classify.onnx_store import OnnxModel

log = logging.getLogger(__name__)

POLL_SECONDS = 10.0
DOWNLOAD_RETRY_SECONDS = 900.0
LOAD_RETRY_SECONDS = 900.0
"""When a file that could not be loaded, and has not changed since, is tried again."""


class Loaded(Protocol):
    """What a loaded network of any kind says of itself."""

    name: str
    model_id: str


N = TypeVar("N", bound=Loaded)


class NetworkLoader(ABC, Generic[N]):
    """Keeps one network over reloads, and looks for weights every few seconds without one.

    ``error`` says why there is none; without an ``optional`` one photos are tagged all the same.
    ``needs_torch``: what is downloaded has to be converted by torch.
    ``stop`` is asked during a download or a conversion, and ends it when it is true; ``clock``
    is monotonic seconds.
    """

    needs_torch = False

    def __init__(
        self,
        stop: Callable[[], bool],
        *,
        optional: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine: N | None = None
        self.refused = ""
        """The model id of its int8 version, if that was found not to agree."""
        self._level = logging.WARNING if optional else logging.ERROR
        self.error: ModelError | None = None
        self.stop = stop
        self._clock = clock
        self._key: tuple[Any, ...] = ()
        self._next_try = self._next_download = 0.0
        self._download: DownloadThread | None = None
        self._warned = ""
        self._failed: tuple[tuple[Any, ...], float, ModelError] | None = None

    @abstractmethod
    def model_name(self, config: Config) -> str:
        """Return the name of the model that ``config`` asks for."""

    @abstractmethod
    def open(self, config: Config, path: str) -> N:
        """Return the network in the file ``path``. Raise ModelError, StoppedError."""

    def find(self, config: Config) -> str:
        """Return the path of its file. Raise ModelError, WeightsNotFoundError without one."""
        name = self.model_name(config)
        if is_model_path(name):
            return own_file(name)
        return weights_file(config, name, digest=DigestCache(models_dir(config.state_dir)).of)

    def open_kept(self, config: Config) -> N | None:
        """Return the network from what was made of its file, which is gone; None without."""
        return None

    def full(self, config: Config) -> FullNetwork | None:
        """Return what an int8 version of the loaded network can be made of, if one can be."""
        return None

    def open_now(self, config: Config) -> N:
        """Return the network for ``config``, now or never: nothing is downloaded or kept.

        Raise ModelError (WeightsNotFoundError when there is nothing to load), StoppedError.
        """
        try:
            path = self.find(config)
        except WeightsNotFoundError:
            if (kept := self.open_kept(config)) is None:
                raise
            return kept
        return self.open(config, path)

    def open_fp32(self, config: Config) -> N:
        """Return the network that is loaded in fp32. Raise as :meth:`open_now`."""
        return self.open_now(replace(config, model=replace(config.model, precision="fp32")))

    def renew(self, config: Config) -> None:
        """Load the network again, in another precision now; keep the old one if that fails."""
        assert self.engine is not None
        try:
            self.engine = self._load(config)
            self._note_refusal(config)
        except (ModelError, StoppedError) as error:
            log.warning("%s; going on with %s", error, self.engine.name)

    def key(self, config: Config) -> tuple[Any, ...]:
        """Return what another network, or the same one loaded otherwise, differs in."""
        return (config.state_dir, replace(config.model, scenes=NO_MODEL, detector=NO_MODEL))

    def int8_state(self, config: Config) -> Int8State | None:
        """Return how the int8 version of the loaded network is; None: there can be none."""
        from tagger.classify.int8_agreement import int8_state

        full = self.full(config)
        return int8_state(full) if full is not None else None

    def _note_refusal(self, config: Config) -> None:
        state = self.int8_state(config)
        refused = state is not None and state.state == "refused"
        plain = self.engine is not None and self.engine.name != INT8_NAME
        self.refused = state.model + INT8_ENDING if state and refused and plain else ""

    def get(self, config: Config) -> N | None:
        """Return the network for ``config``; None when there is none yet, see ``error``."""
        key = self.key(config)
        if key != self._key:
            self._key, self.engine, self._failed = key, None, None
            self._next_try = self._next_download = self._clock()
        if self.engine is None and self._clock() >= self._next_try:
            try:
                self.engine = self._load(config)
                self._note_refusal(config)
                self.error = None
            except ModelError as error:
                if str(error) != str(self.error):
                    log.log(self._level, "%s", error)
                self.error = error
            except StoppedError:
                return None
            self._next_try = self._clock() + POLL_SECONDS
        return self.engine

    def _load(self, config: Config) -> N:
        name = self.model_name(config)
        started = time.monotonic()
        try:
            path = self.find(config)
        except WeightsNotFoundError as missing:
            if (engine := self.open_kept(config)) is not None:
                log.info("%s loaded with %s, without its weights", engine.model_id, engine.name)
                return engine
            useless = is_model_path(name) or (self.needs_torch and not torch_installed())
            cannot = useless or not config.model.download
            if cannot or self._clock() < self._next_download:
                raise
            log.info("no weights of %s on this machine; downloading them", name)
            if self._download is not None:
                self._download.wait(self.stop)
            self._download = DownloadThread(name, config.state_dir)
            try:
                path = self._download.result(self.stop)
            except DownloadError as error:
                self._next_download = self._clock() + DOWNLOAD_RETRY_SECONDS
                if str(error) != self._warned:
                    self._warned = str(error)
                    log.warning("%s", error)
                raise missing from error
        engine = self._load_file(config, path)
        took = time.monotonic() - started
        log.info("%s loaded from %s with %s in %.1f s", engine.model_id, path, engine.name, took)
        return engine

    def _load_file(self, config: Config, path: str) -> N:
        """Load weights, unless that has failed lately and they have not changed since.

        Each try may start a process that imports torch, too much for every few seconds.
        """
        version = _version(path)
        if (
            self._failed is not None
            and version == self._failed[0]
            and self._clock() < self._failed[1]
        ):
            raise self._failed[2].with_traceback(None)  # it would grow with every raise
        self._failed = None
        try:
            return self.open(config, path)
        except ModelError as error:
            self._failed = (version, self._clock() + LOAD_RETRY_SECONDS, error)
            raise


class EngineLoader(NetworkLoader["Engine"]):
    """Loads classifiers: that of ``model.name``, or by :func:`scenes_config` that of scenes."""

    needs_torch = True

    def model_name(self, config: Config) -> str:
        return config.model.name

    def open(self, config: Config, path: str) -> Engine:
        from tagger.classify.factory import load_engine

        model = config.model
        if is_model_path(model.name):
            from tagger.classify.custom_engine import CustomEngine
            from tagger.classify.custom_network import read_network

            name = os.path.splitext(os.path.basename(path))[0]
            network, digests = read_network(path), models_dir(config.state_dir)
            own = CustomEngine(name, network, digests, threads=model.threads)
            use_int8(own.use_int8, own.full, config, self.stop)
            return own
        try:
            return load_engine(
                model.name,
                path,
                engine=model.engine,
                precision=model.precision,
                threads=model.threads,
                state_dir=config.state_dir,
                stop=self.stop,
            )
        except ModelError:
            if torch_installed() or (engine := self.open_kept(config)) is None:
                raise
            return engine  # made of other weights, on a machine with torch

    def open_kept(self, config: Config) -> Engine | None:
        from tagger.classify.factory import load_converted

        model = config.model
        if model.engine == "torch" or is_model_path(model.name):
            return None
        if (kept := ready_network(config, model.name)) is None:
            return None
        return load_converted(
            kept, precision=model.precision, threads=model.threads, stop=self.stop
        )

    def full(self, config: Config) -> FullNetwork | None:
        if config.model.engine == "torch":
            return None
        found: FullNetwork | None = getattr(self.engine, "full", None)
        return found


def network_file(
    config: Config, name: str, *, environ: Mapping[str, str] = os.environ
) -> str | None:
    """Return the file of a classifier's network that needs no weights, if there is one.

    That is one that was converted here, or ``NAME.onnx``, written by ``tagger model convert``,
    where weights are looked for.
    """
    from tagger.classify.onnx_store import kept_conversion

    where = weights_places(config, name, environ)
    kept = kept_conversion(name, where, config.state_dir)
    return kept.path if kept else ready_file(name, where)


def ready_network(config: Config, name: str) -> OnnxModel | None:
    """Return what :func:`network_file` names; ``NAME.onnx`` is imported. Raise ModelError."""
    from tagger.classify.onnx_store import kept_conversion

    where = weights_places(config, name)
    if (kept := kept_conversion(name, where, config.state_dir)) is not None:
        return kept
    if (file := ready_file(name, where)) is None:
        return None
    from tagger.classify.ready_network import import_network

    return import_network(file, config.state_dir)


def weights_file(
    config: Config,
    name: str,
    *,
    environ: Mapping[str, str] = os.environ,
    digest: Callable[[str], str] | None = None,
) -> str:
    """Return the weights file of a model of any kind, as :func:`find_weights` does."""
    configured = config.model.weights if name == config.model.name else None
    return find_weights(
        name, configured=configured, state_dir=config.state_dir, environ=environ, digest=digest
    )


def weights_places(
    config: Config, name: str, environ: Mapping[str, str] = os.environ
) -> tuple[str, ...]:
    """Return the files and folders where the weights of a model are looked for, in order."""
    configured = config.model.weights if name == config.model.name else None
    return places(configured=configured, state_dir=config.state_dir, environ=environ)


def scenes_config(config: Config) -> Config:
    """Return ``config`` with the network of scenes in place of that of subjects."""
    model = config.model
    return replace(config, model=replace(model, name=model.scenes, weights=None))


def own_file(path: str) -> str:
    """Return the path of a file that the config names. Raise WeightsNotFoundError without one."""
    if not os.path.isfile(path):
        raise WeightsNotFoundError(
            f"there is no file {path}, which the config names", "put it there, or correct the path"
        )
    return path


def use_int8(
    change: Callable[[str, int], None], full: FullNetwork, config: Config, stop: Callable[[], bool]
) -> None:
    """Have a network that was loaded in fp32 run in int8, if that is to be used and can be.

    ``change`` is its own ``use_int8``: from then on it runs the file at a path in so many threads.
    """
    from tagger.classify.int8_agreement import int8_to_use

    model = config.model
    try:
        path = int8_to_use(full, model.precision, stop=stop)
        if path is not None:
            change(path, model.threads)
    except ModelError as error:
        log.warning("%s; going on with fp32", error)


def _version(path: str) -> tuple[Any, ...]:
    try:
        st = os.stat(path)
    except OSError:
        return (path,)
    return (path, st.st_size, st.st_mtime_ns, st.st_ino)
