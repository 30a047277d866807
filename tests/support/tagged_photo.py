"""A photo that we have tagged, for other programs to write to."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tagger.metadata.prepared_write import PreparedWrite
from tagger.records import Keyword
from tests.support import jpegs
from tests.support.metadata_tools import EMBED, SIDECAR, Tagger


def _earlier(seen: Mapping[str, tuple[str, ...]], seconds: float) -> dict[str, tuple[str, ...]]:
    pairs = [text.partition("\n") for text in seen["since"]]
    since = (f"{float(when) - seconds:.3f}{mark}{word}" for when, mark, word in pairs)
    written = (str(int(seen["written"][0]) - int(seconds)),)
    return {"since": tuple(since), "written": written}


WORDS = {
    "en": ("animal", "dog", "Labrador retriever"),
    "zh": ("动物", "狗", "拉布拉多寻回犬"),
}
TAGS = ("animal", "dog", "Labrador retriever")
BEACH = {"en": "beach", "zh": "海滩"}


class Case:
    """A photo with our tags, and the file that has them."""

    def __init__(self, folder: Path, language: str, target: str, data: bytes = b"") -> None:
        self.photo = folder / "a.jpg"
        self.photo.write_bytes(data or jpegs.plain())
        old = time.time() - 5000
        os.utime(self.photo, (old, old))
        self.words = WORDS[language]
        self.beach = BEACH[language]
        animal, dog, labrador = self.words
        self.keywords = [
            Keyword("Labrador retriever", self.words, 0.97),
            Keyword("dog", (animal, dog), 0.99, leaf=False),
            Keyword("animal", (animal,), 1.0, leaf=False),
        ]
        self.tagger = Tagger(self.photo, EMBED if target == "embed" else SIDECAR)
        self.file = self.photo if target == "embed" else folder / "a.jpg.xmp"
        self.path = "/".join(self.words)
        self.leaf = labrador
        self.banned: set[str] = set()

    def write(self, *more: Keyword) -> PreparedWrite:
        made = self.tagger.write([*self.keywords, *more], tombstones=self.banned)
        self.banned |= {*made.deleted}
        return made

    def with_beach(self) -> Keyword:
        """Have the file tagged at once with one more keyword; return that."""
        beach = Keyword("beach", (self.beach,), 0.8)
        self.tagger.undo()
        self.tagger.journal = ()
        self.write(beach)
        return beach

    def is_older_by(self, seconds: float) -> None:
        """Have the journal say that all was written so long before."""
        self.tagger.journal = tuple(
            replace(entry, seen={**entry.seen, **_earlier(entry.seen, seconds)})
            for entry in self.tagger.journal
        )

    def settled(self, *more: Keyword) -> PreparedWrite:
        """Write, and prove that the next look writes nothing."""
        made = self.write(*more)
        left = self.file.read_bytes()
        again = self.write(*more)
        assert (again.intents, again.deleted) == ((), ())
        assert self.file.read_bytes() == left
        return made

    def yours(self, made: PreparedWrite) -> set[str]:
        return {"/".join(path) for path in made.user_keywords}
