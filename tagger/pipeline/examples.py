"""From a photo to an example: its bytes, its occasion and its features.

What the index knows of a photo it tells; other photos are looked at by the network.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from tagger.config.schema import Config
from tagger.errors import TaggerError
from tagger.index import taught_tables as tables
from tagger.index.store import Store
from tagger.index.taught_store import ask, record
from tagger.labels.personal.occasion import occasion_of
from tagger.records import Example, Origin, PhotoFacts, TaughtLabel
from tagger.system.files import hash_file, photo_stat
from tagger.system.paths import is_photo_name

log = logging.getLogger(__name__)

Look = Callable[[str], tuple[str, bytes, PhotoFacts]]
"""Has the network look at a photo: returns its model id, the features, and what the photo says of
itself. Raises TaggerError."""

PATH_MARK = ">"
AT_ONCE = 8
"""Photos that are looked at before the worker sees whether there is something else to do."""


def label_path(text: str) -> tuple[str, ...]:
    """Return the path that ``text`` names, as ``animal > cat > Mimi``; empty parts are left out."""
    return tuple(" ".join(part.split()) for part in text.split(PATH_MARK) if part.strip())


def known_example(
    store: Store, path: str, label: str, positive: bool | None, origin: Origin
) -> tuple[Example, str] | None:
    """Return the example that a photo of the index makes, and the network of its features.

    None when the index does not know the photo, or not yet what is in it.
    """
    row = store.photo(path)
    stored = store.prediction(row.id) if row is not None else None
    if row is None or stored is None or row.status == "missing":
        return None
    digest = row.source_hash or row.content_hash
    if digest is None:
        return None
    facts = row.facts
    occasion = occasion_of(facts.taken_at, facts.latitude, facts.longitude)
    one = Example(label, digest, path, positive, origin, occasion, stored.features)
    return one, stored.model_id


def new_example(
    path: str, label: str, positive: bool | None, origin: Origin, look: Look | None
) -> tuple[Example, str]:
    """Return the example that any photo makes, and the network of its features.

    Without ``look`` it has none. Raise TaggerError when the photo cannot be read.
    """
    digest = digest_of_file(path)
    model_id, features, facts = look(path) if look is not None else ("", b"", PhotoFacts())
    occasion = occasion_of(facts.taken_at, facts.latitude, facts.longitude)
    return Example(label, digest, path, positive, origin, occasion, features), model_id


def digest_of_file(path: str) -> bytes:
    """Return the digest of a photo's bytes. Raise PhotoError."""
    return hash_file(path, os.path.dirname(path), photo_stat(path))


class FolderExamples:
    """The folders that ``teach`` names in the config: each photo in one is an example.

    Used by one thread. A photo that has left its folder is an example no longer.
    """

    def __init__(self, store: Store, config: Config) -> None:
        self._store, self._config = store, config
        self._seen: dict[tuple[str, int, int], bytes] = {}

    def update(self) -> None:
        """Bring the examples in line with the folders; one that cannot be read stays as it was."""
        store = self._store
        labels = {one.label: one for one in ask(store, tables.labels)}
        known = [one for one in ask(store, tables.examples) if one.origin == "folder"]
        statements: list[tables.Statement] = []
        for text, folder in self._config.teach.items():
            path = label_path(text)
            try:
                found = dict(self._examples(path[-1], folder))
            except OSError as error:
                log.warning("examples of %s in %s: %s", text, folder, error.strerror)
                known = [one for one in known if one.label != path[-1]]
                continue
            if path[-1] not in labels or (len(path) > 1 and labels[path[-1]].path != path):
                synonyms = labels[path[-1]].synonyms if path[-1] in labels else ()
                statements.append(tables.add_label(TaughtLabel(path, synonyms)))
            told = {
                one.content_hash
                for one in ask(store, lambda db, of=path[-1]: tables.examples(db, label=of))  # type: ignore[misc]
            }
            statements += tables.add_examples(
                [one for digest, one in found.items() if digest not in told], ""
            )
            known = [one for one in known if one.label != path[-1] or one.content_hash not in found]
        for one in known:
            statements += tables.drop_example(one.label, one.content_hash)
        if statements:
            record(store, statements)

    def _examples(self, label: str, folder: str) -> Iterator[tuple[bytes, Example]]:
        for entry in sorted(os.listdir(folder)):
            path = os.path.join(folder, entry)
            if not is_photo_name(entry):
                continue
            try:
                stat = photo_stat(path)
                key = (path, stat.size, stat.mtime_ns)
                if key not in self._seen:
                    self._seen[key] = digest_of_file(path)
            except TaggerError as error:
                log.warning("an example of %s: %s", label, error)
                continue
            yield self._seen[key], Example(label, self._seen[key], path, True, "folder")


class UnseenExamples:
    """Has the present network look at the photos of examples that it has not seen.

    Used by one thread. A photo that cannot be looked at is left alone until the next start.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._given_up: set[bytes] = set()

    def update(self, model_id: str, look: Callable[[Sequence[str]], Mapping[str, bytes]]) -> bool:
        """Look at some; return whether there were any. ``look`` gives features by path."""
        unseen = self._unseen(model_id)[:AT_ONCE]
        if not unseen:
            return False
        statements: list[tables.Statement] = []
        paths = {}
        for one in unseen:
            self._given_up.add(one.content_hash)
            try:
                if self._is_same(one):
                    paths[one.path] = one
            except TaggerError as error:
                log.info("an example of %s is not there: %s", one.label, error)
        for path, features in look(list(paths)).items():
            statements.append(tables.add_features(paths[path].content_hash, model_id, features))
        if statements:
            record(self._store, statements)
        return True

    def _unseen(self, model_id: str) -> list[Example]:
        examples: Iterable[Example] = ask(self._store, lambda db: tables.examples(db, model_id))
        found = {
            one.content_hash: one
            for one in examples
            if not one.features and one.content_hash not in self._given_up
        }
        return list(found.values())

    def _is_same(self, one: Example) -> bool:
        """Whether the photo at an example's path is the one that it was; tagger may have written
        its keywords into it since."""
        digest = digest_of_file(one.path)
        row = self._store.photo(one.path)
        known = (row.content_hash, row.source_hash) if row is not None else ()
        return digest == one.content_hash or (digest in known and one.content_hash in known)
