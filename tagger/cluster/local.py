"""A scheduler and its workers on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tagger.errors import StateError


@contextmanager
def started(workers: int, threads: int, port: int) -> Iterator[str]:
    """Start so many ``workers`` of so many ``threads``; give the scheduler's address; end them.

    Raise StateError when the ``port`` is taken.
    """
    from distributed import LocalCluster

    try:
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            processes=True,
            host="127.0.0.1",
            scheduler_port=port,
            dashboard_address=None,
        )
    except (OSError, RuntimeError) as error:
        raise StateError(
            f"no scheduler can be started on port {port} of this machine: {error}",
            "give another `--port`, or 0",
        ) from error
    with cluster:
        yield cluster.scheduler_address
