"""Which rules a photo meets: by the same words, and the same search, as ``tagger query``."""

from __future__ import annotations

from collections.abc import Collection

from tagger.config.rule import Rule
from tagger.config.schema import Config
from tagger.errors import QueryError
from tagger.index.conditions import Label, Query, walk
from tagger.index.query_parser import parse
from tagger.index.reader import Reader
from tagger.labels.vocabulary import Vocabulary
from tagger.library.search import known_names
from tagger.library.serialize import located


def rule_query(reader: Reader, config: Config, known: Vocabulary, rule: Rule) -> Query:
    """Return the query of a rule as of now: `today` is another day tomorrow. Raise QueryError."""
    return located(parse(rule.query, known_names(reader, config, lambda: known)), config)


def rules_met(
    reader: Reader,
    config: Config,
    known: Vocabulary,
    photo_ids: Collection[int],
    words: Reader | None = None,
) -> dict[int, list[Rule]]:
    """Return, by the photo's id, the rules that photos meet, in the order of the config.

    ``words`` is the index that knows the user's own words, if it is another.
    """
    found: dict[int, list[Rule]] = {photo_id: [] for photo_id in photo_ids}
    for rule in config.rules:
        try:
            query = rule_query(words or reader, config, known, rule)
        except QueryError:
            continue  # what the config says was checked; a word may have come to mean a field
        for photo_id in reader.matching(query, photo_ids):
            found[photo_id].append(rule)
    return found


def unknown_words(
    reader: Reader | None, known: Vocabulary, config: Config, rule: Rule
) -> list[str]:
    """Return words of a rule's query that neither name a label nor are on any photo.

    Raise QueryError.
    """

    def meant(phrase: str) -> set[str]:
        return set(known.resolve(phrase, language=config.labels.language)) | {
            old for old, new in config.labels.rename.items() if new.casefold() == phrase.casefold()
        }

    given = {one.tag.casefold() for one in config.rules if one.tag}
    words = [one.words for one in walk(parse(rule.query, meant)) if isinstance(one, Label)]
    return [
        " ".join(sorted(some))
        for some in words
        if not any(meant(word) or word.casefold() in given for word in some)
        and not any(reader is not None and reader.has_word(word) for word in some)
    ]
