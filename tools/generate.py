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
    generate_api,
    generate_commands,
    generate_configuration,
    generate_error_docs,
)


def _names(language: str) -> str:
    return ready_names(language, tuple(load_vocabulary().nodes))


PROJECT = Path(__file__).resolve().parents[1]
GENERATED: dict[str, Callable[[], str]] = {
    "config.example.yaml": example_config,
    "docs/api.md": generate_api.document,
    "docs/commands.md": generate_commands.document,
    "docs/configuration.md": generate_configuration.document,
    "docs/errors.md": generate_error_docs.document,
    "tagger/labels/imagenet.json": ready_made,
    **{f"tagger/labels/names/{one}.txt": partial(_names, one) for one in shipped_languages()},
}
"""Each generated file, and what makes its text."""


def stale() -> list[str]:
    """Return the generated files whose text is not what the code makes now."""
    return [
        name
        for name, text in GENERATED.items()
        if not (PROJECT / name).exists() or (PROJECT / name).read_text(encoding="utf-8") != text()
    ]


def main() -> int:
    """Write, or check, all of them; return the exit status."""
    for name in (found := stale()):
        if "--check" not in sys.argv:
            (PROJECT / name).write_text(GENERATED[name](), encoding="utf-8")
        print(f"{'stale' if '--check' in sys.argv else 'written'}: {name}")
    return 1 if found and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
