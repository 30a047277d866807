"""What the user teaches: labels, examples, and what is known of how well they are learned."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tagger.config.schema import Config
from tagger.errors import StateError
from tagger.index import taught_tables as tables
from tagger.index.store import Store
from tagger.index.taught_store import ask, record
from tagger.labels.yaml_reader import name_problem
from tagger.library.taught_words import known_words
from tagger.pipeline.examples import Look, known_example, label_path, new_example
from tagger.records import Example, Origin, TaughtLabel

if TYPE_CHECKING:
    from tagger.labels.personal.model import LabelFit

MOST_KEYWORDS = 200
"""Photos of one keyword that are taken as examples."""
LEAST_KEYWORDS = 3
MOST_SUGGESTED = 40
LEAST_EXAMPLES = 2


class KnownLabelError(StateError):
    """A word that is to be taught is a label already; ``path`` is its place in the tree."""

    def __init__(self, message: str, remedy: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(message, remedy)
        self.path = path


@dataclass(frozen=True, slots=True)
class LabelState:
    """How a taught label fares: its examples, and the photos that carry it.

    ``missing`` says what is needed before it is given; empty when it is.
    """

    label: TaughtLabel
    positive: int
    negative: int
    answers: int
    photos: int
    missing: str

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON of it."""
        return {
            "label": self.label.label,
            "path": list(self.label.path),
            "synonyms": list(self.label.synonyms),
            "examples": self.positive,
            "not": self.negative,
            "answers": self.answers,
            "photos": self.photos,
            "missing": self.missing or None,
        }


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A keyword of the user's, on so many photos; ``found`` is which share of them tagger would
    find by the others."""

    word: str
    photos: int
    found: float

    def as_json(self) -> dict[str, Any]:
        """Return the documented JSON of it."""
        return {"keyword": self.word, "photos": self.photos, "found": round(self.found, 3)}


class Teacher:
    """Teaches labels. Raise StateError when what was taught cannot be kept."""

    def __init__(self, config: Config, store: Store) -> None:
        self._config, self._store = config, store

    def labels(self) -> tuple[TaughtLabel, ...]:
        """Return the taught labels, by name."""
        return ask(self._store, tables.labels)

    def find(self, text: str) -> TaughtLabel:
        """Return the taught label that ``text`` names. Raise StateError."""
        word = (label_path(text) or (text,))[-1].casefold()
        for one in self.labels():
            if word in (one.label.casefold(), *(s.casefold() for s in one.synonyms)):
                return one
        raise StateError(f"{text!r} was never taught", "see `tagger teach --list`")

    def place(self, text: str, *, under: str | None = None, extend: bool = False) -> TaughtLabel:
        """Return the label that ``text`` names: a taught one, or a new one with its place.

        ``text`` is a word, or a path as ``animal > cat > Mimi``; ``under`` names the label above.
        Raise KnownLabelError for a label of the tree, unless ``extend`` says that it is to be
        learned too; StateError for a word that cannot be one, and for an unknown label above.
        """
        path = label_path(text)
        if not path:
            raise StateError("a label needs a name", "write a word, such as Mimi")
        for part in path:
            if problem := name_problem(part):
                raise StateError(f"the label {part!r} {problem}", "write another word")
        for one in self.labels():
            if one.label.casefold() == path[-1].casefold():
                if under is None and len(path) == 1:
                    return one
                return TaughtLabel((*self._above(path, under), one.label), one.synonyms)
        known = known_words(self._config.state_dir)
        if (there := known.named(path[-1])) is not None:
            if extend:
                return TaughtLabel(known.path(there))
            raise KnownLabelError(
                f"{path[-1]!r} is a label already ({' > '.join(known.path(there))})",
                "say --extend to teach it further photos, or take another word",
                known.path(there),
            )
        return TaughtLabel((*self._above(path, under), path[-1]))

    def _above(self, path: tuple[str, ...], under: str | None) -> tuple[str, ...]:
        """Return the place of what is above a label: of the tree, or new words of the user's."""
        if under is None and len(path) == 1:
            return ()
        known = known_words(self._config.state_dir)
        word = under if under is not None else path[-2]
        language = self._config.labels.language
        found = known.resolve((label_path(word) or (word,))[-1], language=language)
        if under is None and len(found) != 1:
            found = tuple(one for one in found if known.path(one) == path[:-1])
        if not found:
            near = known.nearest(word)
            hint = f"did you mean `{near}`?" if near else "see `tagger labels --all`"
            raise StateError(f"there is no label {word!r}", hint)
        if len(found) > 1:
            names = ", ".join(f"`{one}`" for one in found)
            raise StateError(f"{word!r} may mean {names}", "name one of them")
        return known.path(found[0])

    def teach(
        self,
        label: TaughtLabel,
        paths: Sequence[str],
        *,
        positive: bool = True,
        origin: Origin = "given",
        look: Look | None = None,
    ) -> list[Example]:
        """Add photos as examples: they show ``label``, or (``positive`` False) they do not.

        What the index does not know is looked at by ``look``. Raise TaggerError for a photo that
        cannot be read; nothing is taught then.
        """
        found: list[tuple[Example, str]] = []
        for path in dict.fromkeys(paths):
            known = known_example(self._store, path, label.label, positive, origin)
            found.append(known or new_example(path, label.label, positive, origin, look))
        self._record(label, found)
        return [one for one, _ in found]

    def answer(self, label: TaughtLabel, path: str, yes: bool | None) -> Example:
        """Note the answer to whether a photo shows ``label``; None: not said."""
        known = known_example(self._store, path, label.label, yes, "answer")
        if known is None:
            raise StateError(f"{path} is not in the index any more", "choose another one")
        self._record(label, [known])
        return known[0]

    def _record(self, label: TaughtLabel, found: Sequence[tuple[Example, str]]) -> None:
        statements = [tables.add_label(label)]
        for one, model_id in found:
            statements += tables.add_examples([one], model_id)
        record(self._store, statements)
        for one, _ in found:
            self._decide(one)

    def _decide(self, one: Example) -> None:
        """Have a photo of the library never be given a label that it does not show."""
        row = self._store.photo(one.path)
        if row is None or one.positive is None:
            return
        stones = self._store.tombstones(row.id)
        if not one.positive and one.label not in stones:
            self._store.set_tombstones(row.id, [one.label])
            self._store.forget_keywords([row.path])
        elif one.positive and one.label in stones:
            self._store.lift_tombstones(row.id, [one.label])

    def _examples(self, label: TaughtLabel) -> list[Example]:
        return ask(self._store, lambda db: tables.examples(db, label=label.label))

    def forget(self, label: TaughtLabel, paths: Sequence[str] = ()) -> int:
        """Forget a label, or only what was said of some photos; return how many examples go."""
        wanted = set(paths)
        gone = [one for one in self._examples(label) if not paths or one.path in wanted]
        if missing := wanted - {one.path for one in gone}:
            raise StateError(
                f"nothing was said of {sorted(missing)[0]} for {label.label!r}",
                "see `tagger teach --list --json`",
            )
        said = [s for one in gone for s in tables.drop_example(one.label, one.content_hash)]
        record(self._store, said if paths else tables.drop_label(label.label))
        for one in gone:
            self._lift(one)
        return len(gone)

    def _lift(self, one: Example) -> None:
        row = self._store.photo(one.path)
        if row is not None and one.positive is False:
            self._store.lift_tombstones(row.id, [one.label])

    def rename(self, label: TaughtLabel, text: str) -> TaughtLabel:
        """Give a label another name, or place; its examples stay. Raise as :meth:`place`."""
        path = label_path(text)
        if path and path[-1].casefold() == label.label.casefold():
            above = self._above(path, None) if len(path) > 1 else label.path[:-1]
            new = TaughtLabel((*above, path[-1]), label.synonyms)
        else:
            new = self.place(text)
            if any(new.label == one.label for one in self.labels()):
                raise StateError(f"{new.label!r} is taught already", "take another word")
            if len(path) == 1:
                new = TaughtLabel((*label.path[:-1], new.label), label.synonyms)
            new = replace(new, synonyms=label.synonyms)
        refused = [one for one in self._examples(label) if one.positive is False]
        record(self._store, tables.rename_label(label, new))
        if new.label != label.label:
            for one in refused:
                self._lift(one)
                self._decide(replace(one, label=new.label))
        return new

    def add_synonyms(self, label: TaughtLabel, words: Sequence[str]) -> TaughtLabel:
        """Return the label with further words by which it is found. Raise StateError."""
        for word in words:
            if problem := name_problem(word):
                raise StateError(f"the word {word!r} {problem}", "write another word")
        return replace(label, synonyms=tuple(dict.fromkeys((*label.synonyms, *words))))

    def states(self) -> list[LabelState]:
        """Return how all taught labels fare."""
        examples = ask(self._store, tables.examples)
        fits = self._fits()
        rows = self._store.read(
            "SELECT label, count(DISTINCT photo_id) AS photos FROM names n CROSS JOIN tags t"
            " ON t.name_id = n.id WHERE source = 'taught' GROUP BY label"
        )
        photos = {row["label"]: row["photos"] for row in rows}
        found = []
        for label in self.labels():
            own = [one for one in examples if one.label == label.label]
            positive = sum(one.positive is True for one in own)
            found.append(
                LabelState(
                    label,
                    positive,
                    sum(one.positive is False for one in own),
                    sum(one.origin == "answer" for one in own),
                    photos.get(label.label, 0),
                    _missing(positive, fits.get(label.label)),
                )
            )
        return found

    def _fits(self) -> dict[str, LabelFit]:
        """Return what was learned last, by label, for the network of most photos."""
        from tagger.labels.personal.model import TaughtModel

        rows = self._store.read(
            "SELECT model FROM taught_models WHERE model_id = ?", (present_network(self._store),)
        )
        try:
            fits = [fit for row in rows for fit in TaughtModel.from_bytes(row["model"]).fits]
        except ValueError:
            return {}
        return {fit.label.label: fit for fit in fits}

    def keyword_examples(self, word: str) -> list[tuple[Example, str]]:
        """Return the photos with a keyword of the user's, as examples of a label of that name."""
        rows = self._store.read(
            "SELECT DISTINCT p.path FROM names n CROSS JOIN tags t ON t.name_id = n.id"
            " CROSS JOIN photos p ON p.id = t.photo_id WHERE n.source = 'user' AND n.label = ?"
            " AND p.status IN ('tagged', 'untagged') ORDER BY p.sort_at DESC LIMIT ?",
            (word, MOST_KEYWORDS),
        )
        found = (
            known_example(self._store, os.fsdecode(row["path"]), word, True, "keyword")
            for row in rows
        )
        return [one for one in found if one is not None]

    def teach_keyword(self, label: TaughtLabel, word: str) -> int:
        """Take the photos with a keyword of the user's as examples; return how many there are.

        Raise StateError when there are fewer than three.
        """
        found = self.keyword_examples(word)
        if len(found) < LEAST_KEYWORDS:
            raise StateError(
                f"{len(found)} photos have your keyword {word!r}",
                f"choose one of {LEAST_KEYWORDS} or more: `tagger teach --suggest`",
            )
        known = {one.content_hash for one in self._examples(label)}
        new = [
            (replace(one, label=label.label), model)
            for one, model in found
            if one.content_hash not in known
        ]
        self._record(label, new)
        return len(new)

    def suggestions(self) -> list[Suggestion]:
        """Return the user's keywords that could be taught, those first that are learned best."""
        from tagger.pipeline.lessons import lesson
        from tagger.pipeline.library_features import sample

        taken = {one.label.casefold() for one in self.labels()}
        model_id = present_network(self._store)
        rows = self._store.read(
            "SELECT n.label, count(DISTINCT t.photo_id) AS photos FROM names n CROSS JOIN tags t"
            " ON t.name_id = n.id WHERE n.source = 'user' GROUP BY n.label"
            " HAVING photos >= ? ORDER BY photos DESC LIMIT ?",
            (LEAST_KEYWORDS, MOST_SUGGESTED),
        )
        found, before = [], None
        usual = sample(self._store, model_id) if rows else []
        for row in rows:
            word = row["label"]
            if word.casefold() in taken or name_problem(word):
                continue
            own = [one for one, model in self.keyword_examples(word) if model == model_id]
            if len(own) < LEAST_KEYWORDS:
                continue
            taught = lesson(
                self._store,
                model_id,
                self._config.labels.precision,
                before=before,
                usual=usual,
                only=TaughtLabel((word,)),
                more=own,
            )
            if taught is not None and (scores := taught.labels[0].left_out):
                before = taught.model
                share = sum(s >= taught.labels[0].fall.cut for s in scores) / len(scores)
                found.append(Suggestion(word, row["photos"], share))
        return sorted(found, key=lambda one: (-one.found, -one.photos, one.word))


def present_network(store: Store) -> str:
    """Return the network that has seen the newest photo; "" without any."""
    rows = store.read("SELECT model_id FROM predictions ORDER BY photo_id DESC LIMIT 1")
    return str(rows[0]["model_id"]) if rows else ""


def _missing(positive: int, fit: LabelFit | None) -> str:
    if positive < LEAST_EXAMPLES:
        count = LEAST_EXAMPLES - positive
        return "1 more example" if count == 1 else f"{count} more examples"
    if fit is None:
        return "it is still to be learned"
    if math.isfinite(fit.thresholds.write):
        return ""
    count, label = max(fit.thresholds.missing, 1), fit.label.label
    if count == 1:
        return f"1 more answer (`tagger teach {label} --ask`)"
    return f"{count} more answers (`tagger teach {label} --ask`)"
