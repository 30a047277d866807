"""Writes every generated file of the repository: ``make generate``.

With ``--check``, nothing is written; the exit status is 1 when one is stale, and it is named.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tagger.config.example import example_config
from tagger.labels.translations import ready_names, shipped_languages
from tagger.labels.vocabulary import load_vocabulary, ready_made
from tools import (
    catalogues,
    generate_api,
    generate_commands,
    generate_configuration,
    generate_error_docs,
    generate_topics,
    manual,
)


def _names(language: str) -> str:
    return ready_names(language, tuple(load_vocabulary().nodes))


PROJECT = Path(__file__).resolve().parents[1]
GENERATED: dict[str, Callable[[], str | bytes]] = {
    "config.example.yaml": example_config,
    "docs/api.md": generate_api.document,
    "docs/commands.md": generate_commands.document,
    "docs/configuration.md": generate_configuration.document,
    "docs/errors.md": generate_error_docs.document,
    "tagger/labels/imagenet.json": ready_made,
    **{f"tagger/labels/names/{one}.txt": partial(_names, one) for one in shipped_languages()},
    **catalogues.generated(),
    **manual.pages(),
    "tagger/cli/topics.txt": generate_topics.document,
}
"""Each generated file, and what makes its content."""


def _bytes(content: str | bytes) -> bytes:
    return content.encode() if isinstance(content, str) else content


def stale() -> list[str]:
    """Return the generated files whose content is not what the code makes now."""
    return [name for name in GENERATED if not _is_current(name)]


def _is_current(name: str) -> bool:
    place = PROJECT / name
    return place.exists() and place.read_bytes() == _bytes(GENERATED[name]())


def main() -> int:
    """Write, or check, all of them; return the exit status."""
    check = "--check" in sys.argv
    found = False
    for (
        name,
        make,
    ) in GENERATED.items():  # one after the other: the topics of `tagger help` have other documents
        if _is_current(name):
            continue
        found = True
        print(f"{'stale' if check else 'written'}: {name}")
        if not check:
            (PROJECT / name).parent.mkdir(parents=True, exist_ok=True)
            (PROJECT / name).write_bytes(_bytes(make()))
    return 1 if found and check else 0


if __name__ == "__main__":
    sys.exit(main())
