"""Prometheus metrics and a health check of the daemon, by HTTP.

``/metrics`` has the figures, ``/healthz`` answers 200, or 503 when the work hangs. Nothing is
imported, counted or listened to unless ``metrics.listen`` asks for it. The listening thread
sleeps until somebody asks.
"""

from __future__ import annotations

import logging
import socket
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from tagger import __version__
from tagger.config.addresses import Address
from tagger.config.schema import MetricsConfig
from tagger.errors import StateError
from tagger.library.daemon_status import NO_PROGRESS, STALE_SECONDS, DaemonStatus
from tagger.pipeline.outcome import Outcome, Tagged
from tagger.text.printable import printable

if TYPE_CHECKING:
    from prometheus_client import Counter, Histogram
    from prometheus_client.core import Metric
    from prometheus_client.registry import CollectorRegistry

    from tagger.web.http.server import ServingThread

log = logging.getLogger(__name__)

SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 60.0)
"""The upper bounds of the histogram's buckets."""
STATES = ("online", "offline", "missing")
THREADS, CONNECTIONS, MAX_BODY = 2, 20, 1024
"""That answer; of clients at once; bytes."""


class Metrics:
    """Counts, and serves what it counted. A context manager, which ends the serving.

    What was counted stays over a reload of the config. ``clock`` is monotonic seconds.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._status = DaemonStatus()
        self._shown_at = clock()
        self._config = MetricsConfig()
        self._numbers: _Numbers | None = None
        self._server: ServingThread | None = None

    def __enter__(self) -> Metrics:
        return self

    def __exit__(self, *exc: object) -> None:
        self._close()

    def show(self, status: DaemonStatus) -> None:
        """Serve the figures of ``status`` from now on. To be called at least once a minute."""
        self._status, self._shown_at = status, self._clock()

    def problem(self) -> str | None:
        """Return why the daemon is not well; None when it is. For any thread."""
        if not self._status.moving:
            return "the work hangs: one batch of photos takes too long"
        age = self._clock() - self._shown_at
        if age > STALE_SECONDS:
            return f"no heartbeat from the main thread for {age:.0f} s"
        return None

    def use(self, config: MetricsConfig, counts: Callable[[], Mapping[str, int]]) -> None:
        """Serve metrics at the address of ``config`` from now on, if it names one.

        ``counts`` gives the photos of the index by their status, in any thread; it may raise
        sqlite3.Error. An address that cannot be had is logged, not raised.
        """
        if config.listen is not None:
            if self._numbers is None:
                self._numbers = _Numbers(lambda: self._status, self.problem)
            self._numbers.counts = counts
        if config == self._config and (self._server is not None or config.listen is None):
            return
        self._close()
        self._config = config
        address = config.address
        if address is None or self._numbers is None:
            return
        try:
            self._server = _serve(address, self._numbers.answer)
        except OSError as error:
            log.error(
                "no metrics: cannot listen on %s: %s; free that port, or change `metrics.listen`",
                config.listen,
                error.strerror or error,
            )
        else:
            log.info("metrics are at http://%s/metrics", config.listen)

    def count(self, outcome: Outcome) -> None:
        if self._numbers is not None:
            self._numbers.count(outcome)

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None


class _Numbers:
    """What is counted, and a collector of the figures of the moment.

    ``status`` gives the last record of the daemon, ``problem`` why it is not well; ``counts``
    the photos of the index.
    """

    def __init__(
        self, status: Callable[[], DaemonStatus], problem: Callable[[], str | None]
    ) -> None:
        import prometheus_client
        from prometheus_client.registry import Collector

        self.counts: Callable[[], Mapping[str, int]] = dict
        self._status, self._problem = status, problem
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
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            return self._metrics(environ, start)
        status, text = "404 Not Found", "see /metrics and /healthz"
        if path == "/healthz":
            problem = self._problem()
            status, text = ("503 Service Unavailable", problem) if problem else ("200 OK", "ok")
        start(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [f"{text}\n".encode()]

    def _gauges(self) -> Iterable[Metric]:
        from prometheus_client.core import CounterMetricFamily as Counter
        from prometheus_client.core import GaugeMetricFamily as Gauge
        from prometheus_client.core import InfoMetricFamily

        status = self._status()
        progress = status.progress or NO_PROGRESS
        errors = status.errors.count if status.errors else 0
        yield InfoMetricFamily(
            "tagger",
            "The version, and which network runs in what.",
            value={
                "version": __version__,
                "model": status.model or "",
                "engine": status.engine or "",
            },
        )
        yield Gauge("tagger_healthy", "1, or 0 when it hangs.", float(self._problem() is None))
        yield Gauge("tagger_queue_photos", "Photos found, not done.", status.queue)
        yield Gauge("tagger_remaining_photos", "Photos known to be left.", progress.remaining)
        paused = float(status.paused_reason is not None)
        yield Gauge("tagger_paused", "1 while photos wait: paused, or not scheduled.", paused)
        if status.memory_mb is not None:
            yield Gauge("tagger_memory_bytes", "Memory of all processes.", status.memory_mb * 1e6)
        yield Counter("tagger_unexpected_errors", "Unexpected errors since the start.", errors)
        if status.rules is not None:
            yield Gauge("tagger_rules_waiting", "Actions to be done.", status.rules.waiting)
            actions = Counter("tagger_rule_actions", "Actions since the start.", labels=["result"])
            actions.add_metric(["done"], status.rules.done)
            actions.add_metric(["failed"], status.rules.failed)
            yield actions
        state = Gauge("tagger_folder_state", "1 for the state of it.", labels=["folder", "state"])
        polled = Gauge("tagger_folder_polled", "1 when it is without events.", labels=["folder"])
        for root in status.roots:
            for name in STATES:
                state.add_metric([printable(root.path), name], float(root.state == name))
            polled.add_metric([printable(root.path)], float(root.mode == "poll"))
        yield from (state, polled)
        index = Gauge("tagger_index_photos", "Photos in the index.", labels=["status"])
        try:
            for name, number in self.counts().items():
                index.add_metric([name], number)
        except (sqlite3.Error, StateError) as error:
            log.debug("the index is not counted: %s", error)  # it is being closed, or locked
        yield index


def _serve(address: Address, answer: WSGIApplication) -> ServingThread:
    """Answer at ``address``; raise OSError if it cannot be had.

    The library's own server would wake up twice a second, and let in any number of clients.
    """
    from tagger.web.http.server import Limits, Serving, ServingThread

    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError:
        listening.close()
        raise
    serving = Serving(listening, answer, Limits(THREADS, CONNECTIONS, MAX_BODY))
    return ServingThread(serving, "metrics")
