"""Every error that a user can meet, read from the source: its message and what to do.

``python -m tools.generate_error_docs`` writes ``docs/errors.md`` anew.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
SOURCE = PROJECT / "tagger"
PLACE = PROJECT / "docs" / "errors.md"
BASE = "TaggerError"
NOT_SHOWN = {"StoppedError", "_WaitsError"}
"""What is for the program itself: nobody is told."""


@dataclass(frozen=True, slots=True)
class Made:
    """Where an error is made. ``<name>`` stands in the texts for what is known only then.

    ``message`` and ``remedy`` are empty when they are not there, and None when it cannot be read
    from the source what they are. A remedy has several texts when there is a choice.
    """

    kind: str
    file: str
    line: int
    message: str | None
    remedies: tuple[str, ...] | None = field(default=())


def classes() -> dict[str, str]:
    """Return the names of all classes of errors, with what is said of each."""
    defined = [
        (node, [base.id for base in node.bases if isinstance(base, ast.Name)])
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    found: dict[str, str] = {}
    while True:
        new = {
            node.name: ast.get_docstring(node) or ""
            for node, bases in defined
            if node.name not in found and (node.name == BASE or found.keys() & set(bases))
        }
        if not new:
            return found
        found |= new


def made() -> Iterator[Made]:
    """Yield each place of the source where an error of ours is made."""
    names = classes()
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        yield from _of(tree, tree, str(path.relative_to(PROJECT)), names)


def _of(scope: ast.AST, module: ast.Module, file: str, names: dict[str, str]) -> Iterator[Made]:
    for node in ast.iter_child_nodes(scope):
        inner = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Module)
        yield from (
            _of(node, module, file, names) if not inner else _within(node, module, file, names)
        )


def _within(scope: ast.AST, module: ast.Module, file: str, names: dict[str, str]) -> Iterator[Made]:
    for node in ast.walk(scope):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
            continue
        if node.func.id not in names or any(isinstance(arg, ast.Starred) for arg in node.args):
            continue
        texts = [_texts(arg, scope, module) for arg in node.args[:2]]
        message = texts[0] if texts else ("",)
        remedies = texts[1] if len(texts) > 1 else ()
        yield Made(
            node.func.id,
            file,
            node.lineno,
            None if message is None else " / ".join(message),
            remedies,
        )


def texts_of_calls(path: Path, function: str) -> Iterator[str]:
    """Yield what the arguments of the calls of a function in a file can say."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    for scope in ast.walk(module):
        if not isinstance(scope, ast.FunctionDef):
            continue
        for node in ast.walk(scope):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if called and node.func.id == function:
                for argument in node.args:
                    yield from _texts(argument, scope, module) or ()


def _texts(node: ast.expr, scope: ast.AST, module: ast.Module) -> tuple[str, ...] | None:
    """Return what an expression can say, None if that cannot be read from the source."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return (node.value,)
    if isinstance(node, ast.JoinedStr):
        return ("".join(_part(value) for value in node.values),)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _texts(node.left, scope, module), _texts(node.right, scope, module)
        return ("".join((left or ("<…>",))[:1] + (right or ("<…>",))[:1]),)
    if isinstance(node, ast.IfExp):
        parts = [_texts(one, scope, module) for one in (node.body, node.orelse)]
        return None if None in parts else tuple(text for part in parts for text in part or ())
    if isinstance(node, ast.Name):
        found = [
            _texts(one.value, scope, module)
            for where in (scope, module)
            for one in ast.walk(where)
            if isinstance(one, ast.Assign)
            and any(isinstance(to, ast.Name) and to.id == node.id for to in one.targets)
        ]
        if found and None not in found:
            return tuple(dict.fromkeys(text for part in found for text in part or ()))
    return None


def text_of(node: ast.expr) -> str | None:
    """Return a text that stands in the source, None for another expression."""
    if isinstance(node, ast.Constant | ast.JoinedStr):
        return (_texts(node, node, ast.Module([], [])) or (None,))[0]
    return None


def _part(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.FormattedValue)
    value = node.value
    if isinstance(value, ast.BoolOp):
        value = value.values[0]
    if isinstance(value, ast.Name):
        return f"<{value.id}>"
    if isinstance(value, ast.Attribute):
        return f"<{value.attr}>"
    return "<…>"


def document() -> str:
    """Return the text of ``docs/errors.md``."""
    about = classes()
    lines = [
        "# Messages and what to do",
        "",
        "Every message that tagger prints or logs of its own accord, and its remedy, which follows",
        "it after a semicolon. `<…>` is what the message names. Made from the source by",
        "`python -m tools.generate_error_docs`; a test keeps it true.",
    ]
    by_kind: dict[str, set[tuple[str, str]]] = {}
    for one in made():
        if one.message is not None and one.kind not in NOT_SHOWN:
            remedy = " – or: ".join(one.remedies or ())
            by_kind.setdefault(one.kind, set()).add((one.message, remedy))
    for kind, what in about.items():
        if rows := by_kind.get(kind):
            said = " ".join(what.split("\n\n")[0].split())
            lines += ["", f"## {kind}", "", said, "", "| message | what to do |", "|---|---|"]
            lines += [f"| {_cell(message)} | {_cell(remedy)} |" for message, remedy in sorted(rows)]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return re.sub(r"([<>|*_])", r"\\\1", " ".join(text.split()))


if __name__ == "__main__":
    PLACE.parent.mkdir(exist_ok=True)
    PLACE.write_text(document(), encoding="utf-8")
