"""ACDSee's categories, in which digiKam repeats all keywords: XML within one text of XMP.

``<Categories><Category Assigned="0">animal<Category Assigned="1">dog</Category></Category>…``:
one element for each level of a hierarchy, assigned where it is a keyword itself.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable
from html import escape

Path = tuple[str, ...]
_ASSIGNED = "Assigned"


def without(text: str, is_ours: Callable[[Path], bool]) -> str:
    """Return the categories without those that are ours; empty when no other is left.

    Raise ValueError for what is in another form.
    """
    if "<!" in text or "xmlns" in text:
        raise ValueError("categories with declarations")
    try:
        root = ET.fromstring(text)  # noqa: S314 - 4 kB at most, without declarations
    except ET.ParseError as error:
        raise ValueError("categories that are no XML") from error
    inner = "".join(_kept(child, (), is_ours) for child in root)
    return f"<{root.tag}>{inner}</{root.tag}>" if inner else ""


def _kept(node: ET.Element, above: Path, is_ours: Callable[[Path], bool]) -> str:
    path = (*above, (node.text or "").strip())
    assigned = node.get(_ASSIGNED) == "1" and not is_ours(path)
    inner = "".join(_kept(child, path, is_ours) for child in node)
    if not inner and not assigned:
        return ""
    start = f'<{node.tag} {_ASSIGNED}="{int(assigned)}">{escape(node.text or "", quote=False)}'
    return f"{start}{inner}</{node.tag}>"
