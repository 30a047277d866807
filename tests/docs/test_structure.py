"""The rules of the house, read from the source: sizes of files, classes and constructors."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import PROJECT

PACKAGE = PROJECT / "tagger"
MAX_LINES = 400
MAX_ATTRIBUTES = 15
MAX_PARAMETERS = 7
MAX_LOOSE_FILES = 6

EXCEPTIONS: dict[str, str] = {}
"""What breaks a rule, and why it may: "<file>" or "<file>:<class>", below ``tagger/``."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield str(path.relative_to(PACKAGE)), ast.parse(path.read_text(encoding="utf-8"))


def classes() -> Iterator[tuple[str, ast.ClassDef]]:
    for name, module in modules():
        for node in ast.walk(module):
            if isinstance(node, ast.ClassDef):
                yield f"{name}:{node.name}", node


def attributes(node: ast.ClassDef) -> set[str]:
    """Return the names that the methods of a class assign on ``self``."""
    return {
        target.attr
        for method in node.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
        for target in ast.walk(method)
        if isinstance(target, ast.Attribute)
        and isinstance(target.ctx, ast.Store)
        and isinstance(target.value, ast.Name)
        and target.value.id == "self"
    }


def parameters(node: ast.ClassDef) -> list[str]:
    """Return the parameters of a class's own constructor, ``self`` left out."""
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            arguments = method.args
            named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            return [argument.arg for argument in named][1:]
    return []


def long_files() -> dict[str, str]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > MAX_LINES:
            found[str(path.relative_to(PACKAGE))] = f"{lines} lines"
    return found


def large_classes() -> dict[str, str]:
    return {
        name: f"{count} attributes"
        for name, node in classes()
        if (count := len(attributes(node))) > MAX_ATTRIBUTES
    }


def long_constructors() -> dict[str, str]:
    return {
        name: f"{count} parameters"
        for name, node in classes()
        if (count := len(parameters(node))) > MAX_PARAMETERS
    }


def looks_into_sys_modules() -> dict[str, str]:
    return {
        name: f"sys.modules in line {node.lineno}"
        for name, module in modules()
        if not name.endswith("torchvision_compat.py")
        for node in ast.walk(module)
        if isinstance(node, ast.Attribute)
        and node.attr == "modules"
        and isinstance(node.value, ast.Name)
        and node.value.id == "sys"
    }


def facades() -> dict[str, str]:
    return {
        name: f"__all__ in line {node.lineno}"
        for name, module in modules()
        for node in ast.walk(module)
        if isinstance(node, ast.Name) and node.id == "__all__" and isinstance(node.ctx, ast.Store)
    }


def defined_twice() -> dict[str, str]:
    """Return the modules that give a name two values: the second was meant where the first is."""
    found = {}
    for name, module in modules():
        names = [
            target.id
            for node in module.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for top in (node.targets if isinstance(node, ast.Assign) else [node.target])
            for target in ast.walk(top)
            if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store)
        ]
        if twice := {one for one in names if names.count(one) > 1}:
            found[name] = f"{', '.join(sorted(twice))} twice"
    return found


def unexplained() -> dict[str, str]:
    """Return the modules whose first line does not say what they hold."""
    return {name: "no docstring" for name, module in modules() if not ast.get_docstring(module)}


RULES: list[Callable[[], dict[str, str]]] = [
    long_files,
    large_classes,
    long_constructors,
    looks_into_sys_modules,
    facades,
    defined_twice,
    unexplained,
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_rule_holds(rule: Callable[[], dict[str, str]]) -> None:
    broken = {name: how for name, how in rule().items() if name not in EXCEPTIONS}
    assert broken == {}


def test_no_exception_is_kept_that_is_needed_no_more() -> None:
    broken = {name for rule in RULES for name in rule()}
    assert set(EXCEPTIONS) - broken == set()


def test_few_files_lie_loose_in_the_package() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= MAX_LOOSE_FILES


SAMPLE = """
import sys

__all__ = ["Large"]
loaded = sys.modules
loaded = None


class Large:
    shared = 0

    def __init__(self, a, b, /, c, *, d, e, f, g, h):
        self.a, (self.b, self.c) = a, (b, c)
        self.d: int = d

    def set(self, other):
        self.e = self.f = 1
        self.e += 1
        other.g = 2
        with open("x") as self.h:
            pass
"""


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tests.docs.test_structure.PACKAGE", tmp_path)
    (tmp_path / "sample.py").write_text(SAMPLE + "\n" * MAX_LINES)
    return tmp_path


def test_what_breaks_a_rule_is_found(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (node,) = [node for _, node in classes()]
    assert attributes(node) == set("abcdefh")
    assert parameters(node) == list("abcdefgh")
    monkeypatch.setattr("tests.docs.test_structure.MAX_ATTRIBUTES", 6)
    assert all(len(rule()) == 1 for rule in RULES)
