"""A pipeline in the process of the test, with the demo network and a real index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tagger.classify.loader import EngineLoader
from tagger.config.loader import load_config
from tagger.index.store import Store
from tagger.labels.vocabulary import own_vocabulary
from tagger.pipeline.context import Context
from tagger.pipeline.decoding import decode_pool
from tagger.pipeline.networks import Networks
from tagger.pipeline.outcome import Outcome
from tagger.pipeline.pipeline import Pipeline
from tagger.records import Candidate, FileStat
from tagger.system.files import sidecar_stat
from tests.conftest import Home


@contextmanager
def opened(
    home: Home, kind: type[Store] = Store, *, further: tuple[Any, Any] = (None, None)
) -> Iterator[tuple[Pipeline, Context]]:
    """Return a pipeline of a home, and its context; its index is a ``kind`` of store.

    ``further`` are a network of scenes and a detector that look at photos as well.
    """
    home.use_converted_model()
    config = load_config(str(home.config))
    engine = EngineLoader(lambda: False).get(config)
    assert engine is not None
    networks = Networks(engine, *further)
    chooser = networks.chooser(config, own_vocabulary(config.state_dir))
    pool = decode_pool(config, engine.spec, views=networks.views)
    with kind(config.state_dir) as store:
        context = Context(config, store)
        with Pipeline(context, networks, pool, chooser) as pipeline:
            yield pipeline, context


def candidate(path: Path) -> Candidate:
    """Return a photo as the watcher finds it."""
    stat = FileStat.of(path.lstat())
    return Candidate(str(path), str(path.parent), stat, sidecar_stat(str(path)))


def through(pipeline: Pipeline, candidates: Sequence[Candidate]) -> list[Outcome]:
    """Take candidates all the way; return the outcomes."""
    outcomes = pipeline.advance(candidates)
    while not pipeline.is_idle:
        outcomes += pipeline.advance(())
    return outcomes
