"""Makes the part of ``docs/api.md`` that lists the page's routes, from its OpenAPI document."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tagger.config.schema import WebConfig
from tagger.web.routes.openapi import openapi

PLACE = Path(__file__).resolve().parents[1] / "docs" / "api.md"
MARK = "<!-- What follows is made by `make generate`. -->\n"


def document() -> str:
    """Return the text of ``docs/api.md``: what stands there by hand, and the routes."""
    by_hand = PLACE.read_text(encoding="utf-8").partition(MARK)[0]
    return f"{by_hand}{MARK}\n" + "\n".join(_routes()) + "\n"


def _routes() -> Iterator[str]:
    paths: dict[str, Any] = openapi(["en"], WebConfig().top_k)["paths"]
    yield "| request | takes | answer | errors |"
    yield "|---|---|---|---|"
    for path, methods in paths.items():
        for method, route in methods.items():
            takes = [f"`{one['name']}`" for one in route.get("parameters", ())]
            if "requestBody" in route:
                takes.append("a form with `file`")
            errors = [code for code in sorted(route["responses"]) if code >= "400"]
            cells = (", ".join(takes), _answer(route["responses"]["200"]), ", ".join(errors))
            yield f"| `{method.upper()} {path}` | {' | '.join(cells)} |"


def _answer(response: dict[str, Any]) -> str:
    """Return the name of what is answered, as the schemas of the OpenAPI document have it."""
    [(kind, content)] = response["content"].items()
    schema = content.get("schema", {})
    name = schema.get("$ref") or schema.get("items", {}).get("$ref")
    if name is None:
        return str(kind)
    return ("list of " if "items" in schema else "") + str(name).rpartition("/")[2]
