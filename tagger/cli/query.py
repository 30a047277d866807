"""``tagger query``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from tagger.cli.common import (
    ask_path,
    config_or_default,
    facts_json,
    json_option,
    print_json,
    print_paths,
    tags_json,
    vocabulary,
)
from tagger.config import Config
from tagger.index.records import fold
from tagger.index.search import Filters, open_reader

if TYPE_CHECKING:
    from tagger.labels.vocabulary import Vocabulary


class _Moment(click.ParamType[str]):
    """A year, month, day or moment: 2024, 2024-07, 2024-07-15, 2024-07-15T12:30."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip().replace(" ", "T")
        shape = re.fullmatch(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d)?)?)?)?", text)
        try:
            if shape is None:
                raise ValueError(text)
            datetime.fromisoformat(text + "-01-01"[len(text) - 4 :] if len(text) < 10 else text)
        except ValueError:
            self.fail(f"{value!r} is no date; write 2024, 2024-07 or 2024-07-15", param, ctx)
        return text


@click.command("query")
@click.argument("words", nargs=-1, metavar="LABEL...")
@click.option(
    "--min",
    "minimum",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="Least confidence of each label.",
)
@click.option("--since", type=_Moment(), help="Taken then or later.")
@click.option("--until", type=_Moment(), help="Taken then or earlier.")
@click.option("--in", "folder", metavar="FOLDER", help="Only below this folder.")
@click.option("--limit", type=click.IntRange(1), help="At most so many.")
@click.option("--count", is_flag=True, help="Print only how many.")
@click.option("--null", is_flag=True, help="End each path with a NUL, for xargs -0.")
@json_option
@click.pass_context
def query_command(
    ctx: click.Context,
    words: tuple[str, ...],
    minimum: float,
    since: str | None,
    until: str | None,
    folder: str | None,
    limit: int | None,
    count: bool,
    null: bool,
    as_json: bool,
) -> None:
    """Print the photos that show all the given LABELs, newest first.

    A label is found in every language, by its synonyms, and by everything below it in the
    tree: `animal` finds dogs. Your own keywords are found too.
    """
    config = config_or_default(ctx)
    filters = Filters(minimum, since, until, ask_path(folder) if folder else None, limit)
    terms = search_terms(words, vocabulary() if words else None, config)
    with open_reader(config.state_dir) as reader:
        if count:
            number = reader.count(terms, filters)
            number = min(number, limit) if limit else number
            print_json(number) if as_json else click.echo(number)
        elif as_json:
            print_json(
                [
                    {"path": photo.row.path, "tags": tags_json(photo.tags)}
                    | facts_json(photo.row.facts)
                    for photo in reader.find(terms, filters)
                ]
            )
        else:
            print_paths((photo.row.path for photo in reader.find(terms, filters)), null=null)


def search_terms(words: Sequence[str], known: Vocabulary | None, config: Config) -> list[set[str]]:
    """Return for each word the folded labels that satisfy it.

    Neighbouring words that together name a label (`golden retriever`) are one term.
    """
    terms: list[set[str]] = []
    rest = list(words)
    while rest:
        for length in range(len(rest), 0, -1):
            phrase = " ".join(rest[:length])
            found = labels_meant(phrase, known, config)
            if found or length == 1:
                terms.append({fold(label) for label in found} | {fold(phrase)})
                del rest[:length]
                break
    return terms


def labels_meant(phrase: str, known: Vocabulary | None, config: Config) -> set[str]:
    """Return the labels a phrase means: by name, synonym or new name, and all below them."""
    if known is None:
        return set()
    heads = set(known.resolve(phrase))
    heads |= {
        label
        for old, new in config.labels.rename.items()
        if fold(new) == fold(phrase)
        for label in known.resolve(old)
    }
    return {label for head in heads for label in known.below(head)}
