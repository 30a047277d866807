"""A scheduler and its workers on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tagger.errors import StateError

if TYPE_CHECKING:
    from distributed import LocalCluster


def started(workers: int, threads: int, port: int) -> LocalCluster:
    """Start so many ``workers`` of so many ``threads``; as a context manager they end with it.

    Raise StateError when the ``port`` is taken.
    """
    from distributed import LocalCluster

    try:
        return LocalCluster(
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
