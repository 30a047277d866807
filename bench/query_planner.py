"""Whether the query planner earns its keep: beside what SQLite plans alone.

For each query the median time of its first page and its count, as the reader answers them and as
one plain statement does, after ``ANALYZE``; and whether both find the same. Usage: ``python
bench/query_planner.py [SIZES…] [--folder DIR]``, by default 100000 and 1000000 photos; the figures
also go to ``query_planner.json`` beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench import index_scale
from bench.machine import describe
from bench.synthetic_index import fill
from tagger.cli.common import vocabulary
from tagger.config.schema import Config
from tagger.index.conditions import Query
from tagger.index.connection import index_path
from tagger.index.planner import statement
from tagger.index.query_parser import parse
from tagger.index.read_connection import connect
from tagger.index.reader import open_reader
from tagger.library.search import known_names

SIZES = (100_000, 1_000_000)
QUERIES = index_scale.QUERIES | {
    "camera": "camera:pixel",
    "folder of none": "in:nowhere",
    "folder and label": "in:holiday dog",
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare the query planner with SQLite's own.")
    parser.add_argument("sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--folder", help="where to build them; kept, and used again")
    parser.add_argument(
        "--seconds", type=float, default=index_scale.SECONDS, help="for each figure"
    )
    given = parser.parse_args()
    index_scale.SECONDS, index_scale.LEAST = given.seconds, 3
    report: dict[str, Any] = {"machine": describe(), "sqlite": sqlite3.sqlite_version}
    with tempfile.TemporaryDirectory(prefix="plain-") as scratch:
        for size in given.sizes:
            report[str(size)] = compare(os.path.join(given.folder or scratch, str(size)), size)
    Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=1) + "\n")


def compare(state_dir: str, photos: int) -> dict[str, dict[str, float]]:
    """Build the index unless it is there, print and return the times in ms."""
    path = index_path(state_dir)
    if not os.path.exists(path):
        fill(state_dir, photos)
    db = sqlite3.connect(path)
    db.execute("ANALYZE")
    db.close()
    config = Config(state_dir=state_dir)
    plain = connect(path)
    times: dict[str, dict[str, float]] = {}
    print(f"{photos} photos, ms{'page':>15}{'plain':>10}{'count':>10}{'plain':>10}")
    with open_reader(state_dir) as reader:
        for name, text in QUERIES.items():
            query = parse(text, known_names(reader, config, lambda: vocabulary(config)))
            page = list(reader.find_paths(query, limit=index_scale.PAGE))
            if page != plain_page(plain, query) or reader.count(query) != plain_count(plain, query):
                raise SystemExit(f"{text}: the two ways find different photos")
            times[name] = {
                "page": median(lambda q=query: list(reader.find_paths(q, limit=index_scale.PAGE))),  # type: ignore[misc]
                "plain page": median(lambda q=query: plain_page(plain, q)),  # type: ignore[misc]
                "count": median(lambda q=query: reader.count(q)),  # type: ignore[misc]
                "plain count": median(lambda q=query: plain_count(plain, q)),  # type: ignore[misc]
            }
            print(f"{name:18}" + "".join(f"{value:10.1f}" for value in times[name].values()))
    plain.close()
    return times


def median(ask: Callable[[], object]) -> float:
    return index_scale.timed(ask)["median_ms"]


def plain_page(db: sqlite3.Connection, query: Query) -> list[str]:
    """Return the paths of the first page, by one statement."""
    where, values = statement(query)
    rows = db.execute(
        f"SELECT path FROM photos p WHERE {where} ORDER BY p.sort_at DESC, p.path LIMIT ?",
        (*values, index_scale.PAGE),
    )
    return [os.fsdecode(row["path"]) for row in rows]


def plain_count(db: sqlite3.Connection, query: Query) -> int:
    """Return the number of photos found, by one statement."""
    where, values = statement(query)
    return int(db.execute(f"SELECT count(*) FROM photos p WHERE {where}", values).fetchone()[0])


if __name__ == "__main__":
    main()
