"""What rules would do with photos, without doing it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tagger.config.rule import ACTIONS, Rule
from tagger.config.schema import Config
from tagger.errors import PhotoError
from tagger.index.reader import Reader, open_reader
from tagger.index.rows import SavedPhoto
from tagger.index.store import Store
from tagger.labels.evidence import Evidence
from tagger.labels.vocabulary import Vocabulary
from tagger.library.rules import webhook
from tagger.library.rules.matching import rules_met
from tagger.library.rules.program import arguments
from tagger.metadata.read import read_keywords
from tagger.pipeline.decoding import decode_pool
from tagger.pipeline.inference import classify_photo
from tagger.pipeline.networks import open_networks
from tagger.records import Tag
from tagger.system.file_transfer import numbered_names
from tagger.system.files import photo_stat, sidecar_stat
from tagger.system.paths import is_inside


@dataclass(frozen=True, slots=True)
class Would:
    """What one rule would do with a photo: its actions, each with what would come of it."""

    rule: str
    actions: Mapping[str, str]


def would_save(config: Config, paths: Sequence[str]) -> Iterator[SavedPhoto | PhotoError]:
    """Yield what the index would have of each photo, or why it has nothing. Raise ModelError."""
    if not paths:
        return
    networks = open_networks(config)
    chooser = networks.chooser(config)
    with decode_pool(config, networks.subjects.spec, workers=1, views=networks.views) as pool:
        for path in paths:
            watched = config.root_of(path)
            root = watched.path if watched is not None else os.path.dirname(path)
            try:
                decoded = pool.submit(os.path.realpath(path)).result()
                stored = classify_photo(networks, pool, path, decoded)
                own = read_keywords(path, root)
                stat, beside = photo_stat(path), sidecar_stat(path)
            except PhotoError as error:
                yield error
                continue
            chosen = chooser.choose(Evidence.from_bytes(stored.evidence), decoded.facts.kinds)
            users = tuple(Tag(words[-1], 1.0, words, "user") for words in own if words)
            yield SavedPhoto(
                path=path,
                root=root,
                stat=stat,
                sidecar=beside,
                content_hash=b"",
                source_hash=b"",
                facts=decoded.facts,
                tags=(*chosen, *users),
                prediction=stored,
            )


def photos_met(
    reader: Reader | None, config: Config, known: Vocabulary, photos: Sequence[SavedPhoto]
) -> list[list[Rule]]:
    """Return the rules that photos meet which are in no index, as they would be in one.

    ``reader`` is that of the library, if there is one: it knows the user's own words.
    """
    with tempfile.TemporaryDirectory(prefix="tagger-rules-") as folder:
        with Store(folder) as store:
            store.save(photos)
            rows = [store.photo(photo.path) for photo in photos]
        ids = [row.id for row in rows if row is not None]
        with open_reader(folder) as alone:
            met = rules_met(alone, config, known, ids, words=reader)
    return [met[photo_id] for photo_id in ids]


def would_do(rules: Sequence[Rule], path: str, labels: Sequence[str]) -> list[Would]:
    """Return what ``rules`` would do with the photo at ``path``."""
    place, moved = path, False
    for rule in rules:
        if rule.move_to and not moved and not is_inside(path, rule.move_to):
            place, moved = _free(path, rule.move_to), True
    first = next((rule.key for rule in rules if rule.move_to), None)
    return [
        Would(
            rule.key,
            {
                action: _what(rule, action, path, place, labels, moves=rule.key == first)
                for action in ACTIONS
                if action in rule.actions
            },
        )
        for rule in rules
    ]


def _what(
    rule: Rule, action: str, path: str, place: str, labels: Sequence[str], *, moves: bool
) -> str:
    if action == "tag":
        return rule.tag or ""
    if action == "webhook":
        return webhook.shown(rule)
    if action == "run":
        return " ".join(map(repr, arguments(rule.run, place, labels, rule.key)))
    folder = (rule.copy_to if action == "copy_to" else rule.move_to) or ""
    if is_inside(path, folder):
        return "nothing: it is in that folder already"
    if action == "move_to" and not moves:
        return "nothing: another rule moves it first"
    if not os.path.isdir(folder):
        return f"nothing: {folder} is not there"
    return _free(path, folder)


def _free(path: str, folder: str) -> str:
    names = (os.path.join(folder, name) for name in numbered_names(path))
    return next(name for name in names if not os.path.lexists(name))
