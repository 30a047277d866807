"""Whether torch is installed, which only the conversion of weights needs."""

from __future__ import annotations

import importlib.util


def torch_installed() -> bool:
    """Return whether torch and torchvision are there. Neither is imported, so either may fail."""
    return all(importlib.util.find_spec(name) is not None for name in ("torch", "torchvision"))
