"""``tagger query``."""

from __future__ import annotations

import io
import sys
from typing import Any

import click

from tagger.cli.common import (
    ask_path,
    config_or_default,
    json_option,
    only_one,
    print_json,
    print_paths,
    vocabulary,
)
from tagger.cli.completion import complete_query
from tagger.cli.terminal import is_terminal
from tagger.index.conditions import And, Below, Query, Taken
from tagger.index.query_fields import is_moment
from tagger.index.query_parser import parse
from tagger.index.reader import open_reader
from tagger.library.search import known_names, with_likeness
from tagger.library.serialize import facts_json, located, tags_json
from tagger.text.messages import gettext, ngettext


class _Moment(click.ParamType[str]):
    """A year, month, day or moment: 2024, 2024-07, 2024-07-15, 2024-07-15T12:30."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip().replace(" ", "T")
        if not is_moment(text):
            said = gettext("%(value)r is no date; write 2024, 2024-07 or 2024-07-15", value=value)
            self.fail(said, param, ctx)
        return text


@click.command("query")
@click.argument("words", nargs=-1, metavar="QUERY...", shell_complete=complete_query)
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
@click.option(
    "--explain", is_flag=True, help="Say how QUERY is understood, and what each part finds."
)
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print a table: path, taken_at, labels.")
@click.option("--open", "show", is_flag=True, help="Show the photos on the desktop.")
@click.option("--copy-to", metavar="DIR", help="Copy the photos there; nothing is overwritten.")
@click.option("--link-to", metavar="DIR", help="Make or update an album of links there.")
def query_command(
    words: tuple[str, ...],
    minimum: float,
    since: str | None,
    until: str | None,
    folder: str | None,
    limit: int | None,
    count: bool,
    null: bool,
    explain: bool,
    as_json: bool,
    as_csv: bool,
    show: bool,
    copy_to: str | None,
    link_to: str | None,
) -> int:
    """Print the photos that QUERY finds, newest first.

    A label is found in every language, by its synonyms, and by everything below it in the
    tree: `animal` finds dogs. Your own keywords are found too.

    \b
    dog beach                both
    dog or cat               either
    dog not person           without
    "sports car" (a or b)     quotes and brackets, as usual
    dog>0.6                  by confidence: > >= < <=
    taken:2025-06..2025-08   also 2025, 2025-06-30, today, 2025.. and ..2025
    added:yesterday          when it was first seen
    in:holiday               part of the folder's path; /a/b or ~/b: below that folder
    camera:pixel             part of the camera's name
    source:user              has a keyword of your own (or: model, rule, taught)
    is:failed                or tagged, untagged, waiting, missing, duplicate, burst
    like:/photos/a.jpg       looks like that photo
    burst:12                 the series that photo 12 is in
    near:52.5,13.4,10km      latitude, longitude, distance in m, km or mi
    format:heic              the image format
    people:3..               three or more; also people:0, people:1, people:1..4
    kind:screenshot          or panorama, selfie, portrait, burst, motion, edited

    Put the query in single quotes where the shell would take < > ( ) " for itself.
    """
    only_one(
        {"--explain": explain, "--count": count, "--csv": as_csv, "--null": null, "--open": show}
        | {"--copy-to": copy_to, "--link-to": link_to}
        | {"--json": as_json and not (count or explain)}
    )
    config = config_or_default()
    options: tuple[Query, ...] = (Taken(since, until),) if since or until else ()
    options += (Below((ask_path(folder),)),) if folder else ()
    with open_reader(config.state_dir) as reader:
        query = parse(
            " ".join(words), known_names(reader, config, lambda: vocabulary(config)), least=minimum
        )
        query = located(And((query, *options)) if options else query, config)
        query = with_likeness(query, reader, config)
        if explain:
            from tagger.cli.query_explanation import explained, lines

            told = explained(query, reader, vocabulary(config))
            print_json(told) if as_json else click.echo("\n".join(lines(told)))
        elif count:
            number = reader.count(query)
            number = min(number, limit) if limit else number
            print_json(number) if as_json else click.echo(number)
        elif as_json:
            print_json(
                [
                    {"path": photo.row.path, "tags": tags_json(photo.tags)}
                    | facts_json(photo.row.facts)
                    for photo in reader.find(query, limit=limit)
                ]
            )
        elif as_csv:
            from tagger.cli.export import write_csv

            if is_terminal(sys.stdout):
                write_csv(reader.find(query, limit=limit), sys.stdout)
            else:
                sys.stdout.flush()
                text = io.TextIOWrapper(sys.stdout.buffer, "utf-8", "surrogateescape", newline="")
                write_csv(reader.find(query, limit=limit), text)
                text.detach()  # flushes, and leaves standard output open
        elif not (show or copy_to or link_to):
            print_paths(reader.find_paths(query, limit=limit), null=null)
        else:
            # Copying may take long, and an open reader keeps the daemon's WAL growing.
            photos = [(one.row.path, one.row.root) for one in reader.find(query, limit=limit)]
    if show or copy_to or link_to:
        return _export(photos, copy_to, link_to)
    return 0


def _export(photos: list[tuple[str, str]], copy_to: str | None, link_to: str | None) -> int:
    """Copy, link or open photos, and say so; return the exit code."""
    from tagger.cli.export import copy_photos, link_photos, open_photos
    from tagger.text.printable import printable

    if not (copy_to or link_to):
        if photos:
            open_photos(photos)
        return 0
    folder = ask_path(copy_to or link_to or "")
    done = (copy_photos if copy_to else link_photos)(photos, folder)
    where = printable(folder)
    if copy_to:
        said = ngettext(
            "%(n)s photos copied to %(place)s",
            "%(n)s photos copied to %(place)s",
            done.added,
            place=where,
        )
    else:
        said = ngettext(
            "%(n)s photos linked to %(place)s",
            "%(n)s photos linked to %(place)s",
            done.added,
            place=where,
        )
    if done.present:
        said += ", " + ngettext(
            "%(n)s were there already", "%(n)s were there already", done.present
        )
    click.echo(said)
    return 2 if done.failed else 0
