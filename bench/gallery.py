"""How long the first page of a large library takes to come.

    python bench/gallery.py [PHOTOS] [--requests N]

Fills an index with PHOTOS made-up photos (default 100000; five tags each), starts ``tagger
web`` on it, and asks N times (default 60) for what the gallery shows first: the HTML of
``/library``, the JSON of ``/api/v1/photos`` with that of ``/api/v1/count``, also for a
search, and for a page far down. Every request is a connection of its own, as a browser's
first is. Writes ``gallery.json``.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.harness import PROJECT, median, quantile, report
from bench.synthetic_index import fill

LIMIT_MS = 100
DEEP = 50
"""Pages down, where a page far down begins."""


@contextlib.contextmanager
def page(folder: Path) -> Iterator[int]:
    """Run ``tagger web`` on the index in ``folder``; give its port."""
    config = folder / "config.yaml"
    (folder / "inbox").mkdir()
    settings = {"state_dir": str(folder / "state"), "watch": [{"path": str(folder / "inbox")}]}
    config.write_text(yaml.safe_dump(settings))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tagger", "--config", str(config)),
            *("web", "--listen", "127.0.0.1:0"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=PROJECT,
    )
    assert process.stdout is not None
    try:
        match = re.search(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
        assert match is not None
        yield int(match[1])
    finally:
        process.terminate()
        process.communicate()


def ask(port: int, url: str) -> bytes:
    """Return the body of the answer. Raise RuntimeError for another status than 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", url, headers={"Accept": "text/html,*/*"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{url}: {answer.status} {body[:200]!r}")
        return body


def deep(port: int) -> str:
    """Return the address of a page far down."""
    after = 0
    for _ in range(DEEP):
        after = json.loads(ask(port, f"/api/v1/photos?after={after}"))["next"] or after
    return f"/api/v1/photos?after={after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=int, nargs="?", default=100_000)
    parser.add_argument("--requests", type=int, default=60)
    options = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="tagger-bench-") as name:
        folder = Path(name)
        tags = fill(str(folder / "state"), options.photos)
        with page(folder) as port:
            for what, urls in {
                "the page /library": ["/library"],
                "photos + count": ["/api/v1/photos", "/api/v1/count"],
                "the page, searched: dog": ["/library?q=dog"],
                "photos + count: pug": ["/api/v1/photos?q=pug", "/api/v1/count?q=pug"],
                "photos, far down": [deep(port)],
                "the page /labels": ["/labels"],
            }.items():
                size, times = 0, []
                for number in range(options.requests + 2):
                    started = time.perf_counter()
                    size = sum(len(ask(port, url)) for url in urls)
                    if number > 1:  # the first fill caches
                        times.append((time.perf_counter() - started) * 1000)
                rows.append(
                    {
                        "what": what,
                        "bytes": size,
                        "median_ms": median(times),
                        "p99_ms": quantile(times, 0.99),
                    }
                )
    lines = [
        f"{options.photos:,} photos, {tags:,} tags; {options.requests} times each,"
        f" of which the first page's data shall take less than {LIMIT_MS} ms",
        f"{'':26}{'kB':>8}{'median':>12}{'p99':>12}",
        *(
            f"{row['what']:26}{row['bytes'] / 1000:8.0f}{row['median_ms']:9.1f} ms"
            f"{row['p99_ms']:9.1f} ms"
            for row in rows
        ),
    ]
    report(__file__, {"photos": options.photos, "tags": tags, "rows": rows}, lines)


if __name__ == "__main__":
    main()
