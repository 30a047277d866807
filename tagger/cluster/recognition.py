"""Recognition by the workers of a cluster, and by this machine where they cannot."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future

from tagger.cluster.coordinator import HERE, Coordinator, Work
from tagger.cluster.members import Asked
from tagger.cluster.offer import Offer, SharedRoot, mapped
from tagger.config.schema import Config
from tagger.errors import ConfigError, ModelError
from tagger.pipeline.cluster_state import ClusterState
from tagger.pipeline.local_recognition import LocalRecognition
from tagger.pipeline.networks import Networks, NetworksLoader
from tagger.pipeline.portable_networks import portable
from tagger.pipeline.recognition import Former, Seen, answer
from tagger.watch.root_identity import read_marker

log = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0


class ClusterRecognition:
    """Has the workers of the scheduler of ``config`` look at photos.

    See :class:`~tagger.pipeline.recognition.Recognition`. ``local`` looks at those that the index
    knows already, and at all when there is no worker and the config says so; it is not closed.
    ``changed`` is called, in another thread, when its state is worth telling at once. Raise
    ConfigError without the library.
    """

    def __init__(
        self,
        config: Config,
        networks: Networks,
        loader: NetworksLoader,
        local: LocalRecognition,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        require_distributed()
        self._config, self._loader, self._local = config, loader, local
        self._networks = networks
        self._loop = asyncio.new_event_loop()
        self._coordinator = Coordinator(config.cluster, self._look_here, changed)
        self._task = self._loop.create_task(self._coordinator.run())
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cluster", daemon=True)
        self._thread.start()
        self.use(networks)

    @property
    def ahead(self) -> int:
        """How many photos workers and this machine want to have at a time."""
        return self._coordinator.wanted + 2 * HERE

    def submit(
        self, path: str, *, root: str | None = None, size: int = 0, former: Former | None = None
    ) -> Future[Seen]:
        """Return the future of what is seen; see :meth:`.recognition.Recognition.submit`."""
        if self._ended.is_set():
            raise RuntimeError("the cluster is closed")
        if former is not None and former.serves(self._networks.subjects.model_id):
            # Mostly nothing but its metadata has changed, or only one network is to look at it.
            return self._local.submit(path, root=root, size=size, former=former)
        asked = Asked(path, root, size, Future())
        self._loop.call_soon_threadsafe(self._coordinator.add, asked)
        return asked.seen

    def use(self, networks: Networks) -> None:
        self._networks = networks
        self._local.use(networks)
        work, problem = None, ""
        try:
            work = self._made(networks)
        except (ModelError, OSError) as error:
            problem = str(error)
            log.warning("no worker looks at photos: %s", problem)
        self._loop.call_soon_threadsafe(self._coordinator.use, work, problem)

    def state(self) -> ClusterState:
        return self._coordinator.state

    def close(self) -> None:
        """End the connection; what is not done is cancelled by whoever waits for it."""
        if self._ended.is_set():
            return
        self._ended.set()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(CLOSE_SECONDS)

    def _made(self, networks: Networks) -> Work:
        """Return what workers are to do. Raise ModelError for networks that cannot be sent."""
        config = self._config
        sent, files = portable(networks, self._loader, config)
        roots = tuple(
            SharedRoot(root.path, mapped(root.path, config.cluster.paths), read_marker(root.path))
            for root in config.watch
        )
        return Work(Offer(sent, config.decode, config.labels.crops, roots), files)

    def _look_here(self, asked: Asked, done: Callable[[Asked], None]) -> None:
        def pass_on(found: Future[Seen]) -> None:
            if found.cancelled():
                asked.seen.cancel()
            else:
                answer(asked.seen, found.exception() or found.result())
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(done, asked)

        self._local.submit(asked.path, root=asked.root, size=asked.size).add_done_callback(pass_on)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._task)
        except asyncio.CancelledError:
            log.debug("the connection to the cluster is closed")
        except Exception:
            log.exception("the connection to the cluster ended")
        finally:
            self._loop.close()


def require_distributed() -> None:
    """Raise ConfigError unless Dask's library is installed."""
    try:
        import distributed  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "a cluster needs Dask, which is not installed",
            "install it with `pip install 'tagger[cluster]'`",
        ) from error
    for name in ("distributed", "distributed.client", "tornado", "tornado.application", "bokeh"):
        # It prints in a form of its own; what matters of it is said here.
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.CRITICAL)
