"""What the user decides about the tags of single photos.

Ours are taken away, all of them or some labels, and given back; keywords of his own are added.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from tagger import __version__
from tagger.config.schema import Config
from tagger.errors import MetadataError, PhotoChangedError, PhotoError, StateError, TaggerError
from tagger.index.rows import PhotoRow, SavedPhoto
from tagger.index.store import Store
from tagger.labels.chooser import Chooser
from tagger.labels.vocabulary import own_vocabulary
from tagger.library.search import photo_known
from tagger.library.taught_words import known_words
from tagger.metadata.options import Provenance
from tagger.metadata.prepare import prepare
from tagger.metadata.prepared_write import PreparedWrite
from tagger.metadata.program_knowledge import LOST
from tagger.metadata.recovery import recover
from tagger.metadata.xmp.keywords import keyword_problem
from tagger.metadata.xmp.packet import clean, key
from tagger.pipeline.commit import ReadyPhoto, commit_one
from tagger.pipeline.companions import Companions
from tagger.pipeline.photo_lock import WAIT_SECONDS, photo_locks
from tagger.pipeline.tagging import whose
from tagger.pipeline.write_options import keywords_hash, write_options
from tagger.records import OVERWRITTEN, Candidate, JournalEntry, Keyword, Tag
from tagger.system.files import hash_file, photo_stat, sidecar_stat

ATTEMPTS = 3
PAUSE_SECONDS = 2.0
TOGETHER = 256
"""Photos that are changed in one transaction."""


@dataclass(frozen=True, slots=True)
class Removal:
    """What is, or would be, taken away: the journal of ``path`` before, ``files`` changed.

    ``reason`` says why tags stay in a file all the same.
    """

    path: str
    entries: tuple[JournalEntry, ...]
    files: tuple[str, ...]
    reason: str


class TagEditor:
    """Takes tags away, and adds the user's; the index, and so the daemon, knows of it at once."""

    def __init__(self, config: Config, store: Store) -> None:
        self._config = config
        self._store = store
        self._chooser: Chooser | None = None
        self._companions = Companions(store, config.labels.stacks)

    def known(self) -> list[str]:
        """Return the photos that a removal of everything is about: those not missing."""
        return [path for root in self._store.roots() for path in self._store.known_under(root)]

    def remove(self, path: str, labels: Sequence[str] = (), *, dry_run: bool = False) -> Removal:
        """Take ``labels`` and what is below them away from a photo; without any, all tags.

        They do not come back until :meth:`restore`. Raise StateError for a photo that is
        not in the index or does not carry a label, MetadataError and PhotoError when a
        file cannot be changed.
        """
        with self._alone(path):
            row = photo_known(self._store, path)
            every = self._store.tags(row.id)
            ours = [tag for tag in every if tag.ours]
            stones = self._stones(path, ours, labels)
            entries = self._store.entries(row.id)
            photo = self._candidate(row)
            digest = self._digest(row, photo)
            left = [tag for tag in ours if tag.label not in stones]
            keywords = self._keywords(left) if stones else ()
            write = self._prepared(row, photo, entries, stones, keywords, digest)
            files = tuple(intent.file for intent in write.intents)
            reasons = [write.reason if write.entries else "", _in_iptc(write.copies)]
            removal = Removal(path, entries, files, "; ".join(filter(None, reasons)))
            if dry_run:
                write.discard()
                return removal
            gone = stones | set(write.deleted)
            tags = tuple(tag for tag in every if not tag.ours or (stones and tag.label not in gone))
            deleted = gone if stones else frozenset()
            saved = self._saved(row, photo, tags, keywords, digest, deleted)
            saved = replace(saved, kept_out=not labels)
            commit_one(self._store, ReadyPhoto(saved, write))
            if deleted:
                self._companions.make_due([row.id])
            return removal

    def remove_all(
        self,
        paths: Iterable[str],
        labels: Sequence[str] = (),
        *,
        dry_run: bool = False,
        wait: Callable[[float], object] = time.sleep,
    ) -> Iterator[tuple[str, Removal | TaggerError]]:
        """Yield, with each path, what came of :meth:`remove`, or why it could not be done.

        One that changes meanwhile (the daemon, too, writes into photos) is tried again when the
        others are done: ATTEMPTS in all, ``wait`` being called in between. Raise StateError as
        :meth:`remove`.
        """
        left = list(paths)
        for attempt in range(1, ATTEMPTS + 1):
            changed = []
            for path in left:
                try:
                    yield path, self.remove(path, labels, dry_run=dry_run)
                except PhotoChangedError:
                    if attempt < ATTEMPTS:
                        changed.append(path)
                        continue
                    error = PhotoChangedError(
                        f"{path} changed again and again; it keeps its tags",
                        "try again when no other program writes to it",
                    )
                    yield path, error
                except (MetadataError, PhotoError) as error:
                    yield path, error
            if not changed:
                return
            left = changed
            wait(PAUSE_SECONDS)

    def restore(self, path: str, labels: Collection[str] = ()) -> tuple[str, ...]:
        """Let tags that were taken away come back (some labels, or all); return which.

        They are written again by the daemon, also where another program has overwritten them.
        Raise StateError as :meth:`remove`.
        """
        with self._alone(path):
            row = photo_known(self._store, path)
            stones = self._store.tombstones(row.id)
            lifted = tuple(sorted(stones & set(labels) if labels else stones))
            for photo_id in (row.id, *self._companions.of(row.id)):
                self._store.lift_tombstones(photo_id, lifted)
            self._store.forget_entries(row.id, OVERWRITTEN, LOST)
            if row.keep_out and not labels:
                self._store.keep_out(row.id, False)
            return lifted

    def add(self, path: str, word: str) -> tuple[str, ...]:
        """Write a keyword of the user's own to where tags go; return the files changed.

        It is the user's as if another program had written it: :meth:`remove` leaves it.
        Raise StateError for a photo that is not tagged yet or has the keyword, for a word that
        is none, and where tags are not written to files; MetadataError and PhotoError
        when a file cannot be changed.
        """
        if (problem := keyword_problem(word)) is not None:
            raise StateError(f"{word!r} cannot be a keyword: {problem}", "write another word")
        with self._alone(path):
            return self._add(path, clean(word))

    def retry(self, path: str) -> int:
        """Have a photo tried again, whether it failed or is tagged; return how many there are.

        Raise StateError when somebody else is changing it all the time.
        """
        with self._alone(path):
            return self._retry([path])

    def retry_all(self, paths: Sequence[str]) -> int:
        """:meth:`retry` for many, some hundred in one transaction.

        One that somebody else is changing comes last, and keeps no other from being tried again.
        """
        count, busy = 0, list[str]()
        for start in range(0, len(paths), TOGETHER):
            with photo_locks(self._config.state_dir) as locks:
                free = list[str]()
                for path in paths[start : start + TOGETHER]:
                    # Who holds several photos waits for none.
                    (free if locks.take(path, 0.0) else busy).append(path)
                count += self._retry(free)
        problem: StateError | None = None
        for path in busy:
            try:
                count += self.retry(path)
            except StateError as error:
                problem = problem or error
        if problem is not None:
            raise problem
        return count

    def _retry(self, paths: Sequence[str]) -> int:
        self._store.retry(paths)
        return self._store.forget_version(paths)

    @contextmanager
    def _alone(self, path: str) -> Iterator[None]:
        """Change a photo while neither the daemon nor anybody else does."""
        with photo_locks(self._config.state_dir) as locks:
            if not locks.take(path, WAIT_SECONDS):
                raise StateError(
                    f"{path} is being changed by another process of tagger's",
                    "wait until its disk answers, and try again",
                )
            yield

    def _add(self, path: str, word: str) -> tuple[str, ...]:
        row = photo_known(self._store, path)
        if row.status not in ("tagged", "untagged"):
            raise StateError(f"{path} has not been looked at yet", "wait until it is tagged")
        options = write_options(self._config, self._config.root_of(path), path)
        if options.others:
            raise StateError(
                f"another tagger writes the keywords to the files in {row.root}",
                f"add it there, or see `tagger take-over {row.root}`",
            )
        if options.target == "none" or options.read_only:
            raise StateError(
                f"no keywords are written to the files in {row.root}",
                "see `write.target` and `read_only` in the config",
            )
        tags = self._store.tags(row.id)
        if any(key(tag.label) == key(word) for tag in tags if tag.source == "user"):
            raise StateError(f"{path} has the keyword {word!r} already", "nothing is to be done")
        photo = self._candidate(row)
        digest = self._digest(row, photo)
        keywords = self._keywords(tag for tag in tags if tag.ours)
        entries = self._store.entries(row.id)
        write = self._prepared(row, photo, entries, frozenset(), keywords, digest, own=word)
        files = tuple(intent.file for intent in write.intents)
        kept = [tag for tag in tags if tag.ours and tag.label not in write.deleted]
        own = [Tag(path[-1], 1.0, path, "user") for path in write.user_keywords]
        saved = self._saved(row, photo, (*kept, *own), keywords, digest, write.deleted)
        commit_one(self._store, ReadyPhoto(saved, write))
        return files

    def _stones(self, path: str, tags: Sequence[Tag], labels: Sequence[str]) -> frozenset[str]:
        """Return which of our ``tags`` are to go: those named by ``labels`` and all below them."""
        language = self._config.labels.language
        gone: set[str] = set()
        for label in labels:
            known = known_words(self._config.state_dir)
            names = {label, *known.resolve(label, language=language)}
            found = {tag.label for tag in tags if names & set(tag.path)}
            if not found:
                raise StateError(
                    f"{path} has no tag of tagger's called {label!r}",
                    "see what it has with `tagger show`",
                )
            gone |= found
        return frozenset(gone)

    def _candidate(self, row: PhotoRow) -> Candidate:
        """Return the photo as it is now. Raise PhotoError."""
        return Candidate(row.path, row.root, photo_stat(row.path), sidecar_stat(row.path))

    def _prepared(
        self,
        row: PhotoRow,
        photo: Candidate,
        entries: Sequence[JournalEntry],
        stones: frozenset[str],
        keywords: tuple[Keyword, ...],
        digest: bytes,
        own: str = "",
    ) -> PreparedWrite:
        root = self._config.root_of(row.path)
        options = write_options(self._config, root, row.path)
        if options.others:  # of what it has written since, nothing is ours
            entries = [one for one in entries if recover(one, row.root) == "after"]
            options = replace(options, others=False)
        if options.target == "none" or options.read_only:
            # What was written before the config said so goes all the same.
            target = entries[0].target if entries else "none"
            options = replace(options, target=target, read_only=False)
        prediction = self._store.prediction(row.id)
        return prepare(
            photo,
            keywords,
            options,
            Provenance(
                prediction.model_id if prediction else "",
                f"tagger {__version__}",
                row.source_hash or digest,
            ),
            previous=entries,
            tombstones=self._store.tombstones(row.id) | stones,
            digest=digest,
            own=own,
            whose=whose(digest, row),
        )

    def _keywords(self, tags: Iterable[Tag]) -> tuple[Keyword, ...]:
        if self._chooser is None:
            self._chooser = Chooser(own_vocabulary(self._config.state_dir), self._config.labels)
        return self._chooser.keywords([*tags])

    def _digest(self, row: PhotoRow, photo: Candidate) -> bytes:
        """Return the digest of the bytes of a photo as it is now. Raise PhotoError."""
        if row.content_hash and row.stat is not None and photo.stat.same_version(row.stat):
            return row.content_hash
        return hash_file(row.path, row.root, photo.stat)

    def _saved(
        self,
        row: PhotoRow,
        photo: Candidate,
        tags: tuple[Tag, ...],
        keywords: tuple[Keyword, ...],
        digest: bytes,
        deleted: Collection[str],
    ) -> SavedPhoto:
        """Return what is to be remembered of a photo: these ``tags`` are left."""
        options = write_options(self._config, self._config.root_of(row.path), row.path)
        # Labels that are to come back are still to be written.
        due = row.keywords_hash is None
        return SavedPhoto(
            path=row.path,
            root=row.root,
            stat=photo.stat,
            sidecar=photo.sidecar,
            content_hash=digest,
            source_hash=row.source_hash or digest,
            facts=row.facts,
            tags=tags,
            labels_hash=row.labels_hash or "",
            keywords_hash=None if due else keywords_hash(keywords, options),
            note=row.note,
            deleted=tuple(sorted(deleted)),
        )


def _in_iptc(copies: Sequence[str]) -> str:
    """Return what is to be said of copies that another program made where tagger never writes."""
    if not copies:
        return ""
    return f"another program copied {', '.join(copies)} into the photo's IPTC, where they stay"
