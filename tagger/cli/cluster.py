"""``tagger cluster``: a scheduler and some workers on this machine, to try it out."""

from __future__ import annotations

import signal
import threading

import click

from tagger.system.process import cores, raise_descriptors


@click.group("cluster")
def cluster_command() -> None:
    """Try out a cluster on this machine; see docs/cluster.md for other machines."""


@cluster_command.command("start")
@click.option(
    "--workers", type=click.IntRange(1, 256), default=2, show_default=True, help="How many workers."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8786, show_default=True,
    help="The scheduler's port; 0: any free one.",
)  # fmt: skip
def start(workers: int, port: int) -> None:
    """Run a scheduler and workers on this machine until Ctrl-C.

    Only programs on this machine can reach them.
    """
    from tagger.cluster.local import started
    from tagger.cluster.recognition import require_distributed

    require_distributed()
    raise_descriptors()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    threads = max(cores() // workers, 1)
    with started(workers, threads, port) as cluster:
        address = cluster.scheduler_address
        click.echo(f"scheduler {address}, {workers} workers of {threads} threads; Ctrl-C ends them")
        click.echo(f"now run: tagger run --once --cluster {address}")
        ended.wait()
