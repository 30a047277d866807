"""Importing torchvision beside a build of torch that it was not compiled for.

torchvision registers "fake" kernels for its compiled operators while it is imported. When
its compiled part does not load, because torch is another build, there is no such operator
and the import ends with ``operator torchvision::nms does not exist``. tagger needs only the
models, the weights' metadata and the transforms, none of which use these operators; so
when, and only when, the plain import fails for that reason, the import is tried again with
those registrations allowed to fail. ``torch.library.register_fake`` is restored afterwards.

torchvision also asks torch's compiler, ``torch._dynamo``, whether it could compile an operator of
detectors. Importing that takes 70 MB (with sympy and others) and half of all the time; so a module
that says no stands in its place meanwhile. A torchvision that wants more of it gets the real one.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from tagger.errors import ModelError

_LOCK = threading.Lock()
_MISSING = "operator torchvision::"
_COMPILER = "torch._dynamo"
_REMEDY = (
    "reinstall both of the same release, as `pip install -c requirements.lock torch torchvision`"
)


def import_torchvision() -> ModuleType:
    """Return torchvision. Raise ModelError when it, or torch, cannot be imported at all."""
    with _LOCK:
        try:
            try:
                return _import()
            except RuntimeError as error:
                if _MISSING not in str(error):
                    raise
            return _import_without_operators()
        except (ImportError, RuntimeError) as error:
            raise ModelError(f"torchvision cannot be imported: {error}", _REMEDY) from error


def _import() -> ModuleType:
    try:
        with _without_compiler():
            return _plain_import()
    except (ImportError, AttributeError) as error:
        if _COMPILER not in str(error):
            raise
    _forget()
    return _plain_import()


def _plain_import() -> ModuleType:
    import torchvision

    assert isinstance(torchvision, ModuleType)
    return torchvision


def _forget() -> None:
    """Forget what a failed import left behind: it would be taken for whole."""
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        del sys.modules[name]


@contextlib.contextmanager
def _without_compiler() -> Iterator[None]:
    """Have nothing but a function that says no in the place of torch's compiler."""
    if _COMPILER in sys.modules:
        yield
        return
    compiler, functions = ModuleType(_COMPILER), ModuleType(f"{_COMPILER}.utils")
    compiler.__path__ = []
    vars(functions)["is_compile_supported"] = lambda device: False
    stand_ins = {module.__name__: module for module in (compiler, functions)}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


def _import_without_operators() -> ModuleType:
    import torch

    _forget()
    original = torch.library.register_fake
    torch.library.register_fake = _tolerant(original)
    try:
        return _import()
    finally:
        torch.library.register_fake = original


def _tolerant(register: Callable[..., Any]) -> Callable[..., Any]:
    """Return ``register_fake`` such that torchvision's missing operators are passed over."""

    def register_fake(operator: Any, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(operator, str) or not operator.startswith("torchvision::"):
            return register(operator, *args, **kwargs)

        def decorate(function: Any) -> Any:
            try:
                return register(operator, *args, **kwargs)(function)
            except RuntimeError as error:
                if "does not exist" not in str(error):
                    raise
                return function

        return decorate

    return register_fake
