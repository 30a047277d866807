"""The daemon's figures for Prometheus, and whether it is well, by HTTP.

``/metrics`` has the figures, ``/healthz`` answers 200, or 503 when the work hangs. Nothing is
imported, counted or listened to unless ``metrics.listen`` asks for it. The listening thread
sleeps until somebody asks.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from tagger import __version__
from tagger.classify.loader import EngineLoader
from tagger.config.schema import MetricsConfig
from tagger.daemon.reporting import HeartbeatWriter
from tagger.daemon.worker import Worker
from tagger.errors import StateError
from tagger.records import Outcome, Tagged
from tagger.system.logs import printable
from tagger.watch.interfaces import RootStatus

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram
    from prometheus_client.core import Metric
    from prometheus_client.registry import CollectorRegistry

    from tagger.web.http.server import ServingThread
from tagger.daemon.metrics_server import serve

log = logging.getLogger(__name__)

STALE_SECONDS = 180.0
"""A daemon writes down how it is every minute: three times that, and it hangs."""
SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0)
"""The upper bounds of the histogram's buckets."""
STATES = ("online", "offline", "missing")


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the figures of the moment come from; all may be asked from any thread."""

    worker: Worker
    loader: EngineLoader
    heartbeat: HeartbeatWriter
    roots: Callable[[], Sequence[RootStatus]]
    counts: Callable[[], Mapping[str, int]]
    unforeseen: Callable[[], int] = lambda: 0

    def problem(self) -> str | None:
        """Return why the daemon is not well; None when it is."""
        if not self.worker.moves():
            return "the work hangs: one batch of photos takes too long"
        if self.heartbeat.age > STALE_SECONDS:
            return f"no heartbeat from the main thread for {self.heartbeat.age:.0f} s"
        return None


class Metrics:
    """Counts, and serves what it counted. A context manager, which ends the serving.

    What was counted stays over a reload of the config.
    """

    def __init__(self) -> None:
        self._config = MetricsConfig()
        self._numbers: _Numbers | None = None
        self._server: ServingThread | None = None

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *exc: object) -> None:
        self._close()

    def use(self, config: MetricsConfig, sources: Sources) -> None:
        """Tell of ``sources`` at the address of ``config`` from now on, if it names one.

        An address that cannot be had is logged, and no reason not to work.
        """
        if config.listen is not None:
            if self._numbers is None:
                self._numbers = _Numbers(sources)
            self._numbers.sources = sources
        if config == self._config and (self._server is not None or config.listen is None):
            return
        self._close()
        self._config = config
        if config.listen is None or self._numbers is None:
            return
        try:
            self._server = serve(config.listen, self._numbers.answer)
        except OSError as error:
            log.error(
                "no metrics: cannot listen on %s: %s; free that port, or change `metrics.listen`",
                config.listen,
                error.strerror or error,
            )
        else:
            log.info("metrics are at http://%s/metrics", config.listen)

    def count(self, outcome: Outcome) -> None:
        """Note what became of a photo."""
        if self._numbers is not None:
            self._numbers.count(outcome)

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


class _Numbers:
    """What is counted, and a collector of the figures of the moment."""

    def __init__(self, sources: Sources) -> None:
        import prometheus_client
        from prometheus_client.registry import Collector

        self.sources = sources
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry: CollectorRegistry = prometheus_client.CollectorRegistry()
        self._photos: Counter = prometheus_client.Counter(
            "tagger_photos",
            "Photos since the start, by what became of them.",
            ["outcome"],
            registry=self._registry,
        )
        self._stages: Histogram = prometheus_client.Histogram(
            "tagger_stage_seconds",
            "What the stages of a photo took.",
            ["stage"],
            buckets=SECONDS,
            registry=self._registry,
        )
        for outcome in ("tagged", "untagged", "unchanged", "skipped", "failed"):
            self._photos.labels(outcome)
        for stage in ("hash", "decode", "classify", "write", "commit"):
            self._stages.labels(stage)
        gauges = self._gauges

        class Gauges(Collector):
            def collect(self) -> Iterable[Metric]:
                return gauges()

        self._registry.register(Gauges())
        self._metrics: WSGIApplication = prometheus_client.make_wsgi_app(self._registry)

    def count(self, outcome: Outcome) -> None:
        if isinstance(outcome, Tagged):
            self._photos.labels("tagged" if outcome.tags else "untagged").inc()
            for stage, milliseconds in outcome.milliseconds.items():
                self._stages.labels(stage).observe(milliseconds / 1000)
        else:
            self._photos.labels(type(outcome).__name__.lower()).inc()

    def answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            return self._metrics(environ, start)
        status, text = "404 Not Found", "see /metrics and /healthz"
        if path == "/healthz":
            problem = self.sources.problem()
            status, text = ("503 Service Unavailable", problem) if problem else ("200 OK", "ok")
        start(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{text}\n".encode()]

    def _gauges(self) -> Iterable[Metric]:
        from prometheus_client.core import CounterMetricFamily as Counter
        from prometheus_client.core import GaugeMetricFamily as Gauge
        from prometheus_client.core import InfoMetricFamily

        sources = self.sources
        standing, engine = sources.worker.standing(), sources.loader.engine
        yield InfoMetricFamily(
            "tagger",
            "The version, and which network runs in what.",
            value={
                "version": __version__,
                "model": engine.model_id if engine else "",
                "engine": engine.name if engine else "",
            },
        )
        yield Gauge("tagger_healthy", "1, or 0 when it hangs.", float(sources.problem() is None))
        yield Gauge("tagger_queue_photos", "Photos found, not done.", sources.worker.queued)
        yield Gauge("tagger_remaining_photos", "Photos known to be left.", standing.remaining)
        resting = float(sources.worker.paused_reason is not None)
        yield Gauge("tagger_paused", "1 while photos wait: paused, or not scheduled.", resting)
        if (memory := sources.heartbeat.memory()) is not None:
            yield Gauge("tagger_memory_bytes", "Memory of all processes.", memory * 1e6)
        yield Counter(
            "tagger_unexpected_errors", "Unexpected errors since the start.", sources.unforeseen()
        )
        state = Gauge("tagger_folder_state", "1 for the state of it.", labels=["folder", "state"])
        polled = Gauge("tagger_folder_polled", "1 when it is without events.", labels=["folder"])
        for root in sources.roots():
            for name in STATES:
                state.add_metric([printable(root.path), name], float(root.state == name))
            polled.add_metric([printable(root.path)], float(root.mode == "poll"))
        yield from (state, polled)
        index = Gauge("tagger_index_photos", "Photos in the index.", labels=["status"])
        try:
            for name, number in sources.counts().items():
                index.add_metric([name], number)
        except (sqlite3.Error, StateError) as error:
            log.debug("the index is not counted: %s", error)  # it is being closed, or locked
        yield index
