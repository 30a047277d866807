"""What reads the YAML files of a vocabulary: keys, names and lists, with their lines.

The files are walked as YAML nodes instead of being loaded into dicts: that keeps the line
numbers, sees keys that are given twice, and is twice as fast.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import yaml

from tagger.config.yaml_text import mistakes_in
from tagger.text.spelling import nearest

_SEPARATORS = re.compile(r"[|/,;\x00-\x1f\x7f]")


def name_problem(name: str) -> str | None:
    """Return what makes ``name`` unfit as a keyword, if anything does.

    ``|`` and ``/`` separate levels in hierarchical keywords, ``,`` and ``;`` separate
    keywords in programs that keep them in one text.
    """
    if not name.strip():
        return "must not be empty"
    if name != name.strip():
        return "must not begin or end with a space"
    if found := _SEPARATORS.search(name):
        return f"must not hold {found.group()!r}"
    return None


class YamlReader:
    """Collects problems as (line, text)."""

    def __init__(self) -> None:
        self.problems: list[tuple[int, str]] = []

    def problem(self, line: int, text: str) -> None:
        self.problems.append((line, text))

    def pairs(self, node: yaml.Node | None, where: str) -> Iterator[tuple[str, yaml.Node, int]]:
        """Yield key, value and line of a mapping; a key given twice is a problem."""
        if not isinstance(node, yaml.MappingNode):
            line = node.start_mark.line + 1 if node else 1
            self.problem(line, f"{where} must hold `key: value` lines")
            return
        seen: set[str] = set()
        for key_node, value in node.value:
            line = key_node.start_mark.line + 1
            key = str(key_node.value)
            if key in seen:
                self.problem(line, f"`{key}` is given twice in {where}")
            else:
                seen.add(key)
                yield key, value, line

    def words(self, node: yaml.Node, where: str) -> tuple[str, ...]:
        """Return the texts of a scalar or of a list of scalars."""
        items = node.value if isinstance(node, yaml.SequenceNode) else [node]
        found = []
        for item in items:
            line = item.start_mark.line + 1
            if not isinstance(item, yaml.ScalarNode) or item.tag == "tag:yaml.org,2002:null":
                self.problem(line, f"`{where}` must be a name or a list of names")
            elif bad := name_problem(item.value):
                self.problem(line, f"`{where}`: the name {item.value!r} {bad}")
            else:
                found.append(item.value)
        return tuple(found)

    def claim(self, used: dict[str, str], name: str, label: str, line: int) -> None:
        """Note that ``label`` is called ``name``; two labels of one name are a problem."""
        other = used.setdefault(name.casefold(), label)
        if other != label:
            self.problem(line, f"duplicate name: {name!r} is both `{other}` and `{label}`")

    def unknown_key(
        self, line: int, key: str, known: Sequence[str], where: str, what: str = "key"
    ) -> None:
        near = nearest(key, known)
        hint = f"did you mean `{near}`?" if near else ""
        if not hint and len(known) < 10:
            hint = f"known: {', '.join(known)}"
        place = f" under `{where}`" if where else ""
        self.problem(line, f"unknown {what} `{key}`{place}" + (f"; {hint}" if hint else ""))


def raise_problems(path: str, problems: list[tuple[int, str]]) -> None:
    if problems:
        raise mistakes_in(
            path, [f"line {line}: {text}" if line else text for line, text in sorted(problems)]
        )
