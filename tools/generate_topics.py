"""Makes ``tagger/cli/topics.txt``: the documents of ``docs/``, for ``tagger help TOPIC``."""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"
LEFT_OUT = {"commands.md"}
"""The commands' own help says the same."""


def document() -> str:
    """Return all documents, each after a form feed and its name."""
    pages = sorted(path for path in DOCS.glob("*.md") if path.name not in LEFT_OUT)
    return "".join(f"\f{page.stem}\n{page.read_text(encoding='utf-8')}" for page in pages)
