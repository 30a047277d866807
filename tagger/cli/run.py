"""``tagger run``."""

from __future__ import annotations

import logging
import os
import shlex
import time
from contextlib import nullcontext
from dataclasses import replace

import click

from tagger.cli.common import leave_folder, named_config, read_config
from tagger.cli.invocation import invocation
from tagger.cli.progress_bar import Bar, wants_bar
from tagger.config.cluster import check_scheduler
from tagger.config.loader import load_config, old_keys
from tagger.config.schema import Config
from tagger.pipeline.preflight import check_config
from tagger.system.logs import set_up_logging
from tagger.system.process import be_nice, give_memory_back, keep_private, raise_descriptors
from tagger.system.sd_notify import Notifier

log = logging.getLogger(__name__)


@click.command("run")
@click.option("--once", is_flag=True, help="Handle all that is there, then exit.")
@click.option("--take-over", is_flag=True, help="Write the tags where another tagger does now.")
@click.option(
    "--cluster",
    metavar="ADDRESS",
    help="With --once, have the workers of a Dask scheduler look at photos.",
)
def run_command(once: bool, take_over: bool, cluster: str | None) -> None:
    """Watch the folders and tag every new photo, until stopped.

    With --once it says at the end what it found.

    SIGTERM stops it within seconds, SIGHUP makes it read its config again.
    """
    config, path = read_config()
    if cluster is not None:
        if not once:
            raise click.UsageError("--cluster is for --once; else set `cluster.scheduler`")
        check_scheduler("--cluster", cluster)
        config = replace(config, cluster=replace(config.cluster, scheduler=cluster))
    check_config(config, path, watches=True)
    _check_cluster(config)
    own = named_config()  # the default place needs no --config
    command = f"tagger --config {shlex.quote(os.path.abspath(path))}" if own else "tagger"
    leave_folder()
    keep_private()
    give_memory_back()
    raise_descriptors()
    be_nice(config.priority.nice, config.priority.io)

    from tagger.daemon.daemon import Daemon

    def again() -> Config:
        new = load_config(path)
        check_config(new, path)
        _check_cluster(new)
        tell_old_keys()
        return new

    def tell_old_keys() -> None:
        for said in old_keys(path):
            log.warning("%s, %s", path, said)

    with Bar() if wants_bar(config.log) else nullcontext() as bar:
        set_up_logging(config.log.level, config.log.format)
        tell_old_keys()
        show = bar.show if bar else lambda progress: None
        daemon = Daemon(
            config, read_config=again, show=show, notifier=Notifier(), take_over=take_over
        )
        try:
            if once:
                began = time.time()
                daemon.run_once()
            else:
                daemon.run()
        finally:
            invocation().ends_at_once = daemon.left_behind
    if once:
        from tagger.cli.summary import summary
        from tagger.index.reader import open_reader
        from tagger.library.found import found_since

        with open_reader(config.state_dir) as reader:
            found = found_since(reader, began)
        click.echo("\n".join(summary(found, command)))


def _check_cluster(config: Config) -> None:
    """Raise ConfigError if the config asks for a cluster that needs what is not installed."""
    if config.cluster.scheduler:
        from tagger.cluster.recognition import require_distributed

        require_distributed()
