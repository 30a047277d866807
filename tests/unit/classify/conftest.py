"""Checkpoints that are made once for all tests of the engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import MakeOnce


@pytest.fixture(scope="session")
def random_resnet18(make_once: MakeOnce) -> Path:
    """Return a ResNet-18 checkpoint with random weights."""
    return random_checkpoint("resnet18", make_once)


@pytest.fixture(scope="session")
def random_squeezenet(make_once: MakeOnce) -> Path:
    """Return a small checkpoint (SqueezeNet 1.1) with random weights."""
    return random_checkpoint("squeezenet1_1", make_once)


def random_checkpoint(name: str, make_once: MakeOnce) -> Path:
    def make(folder: Path) -> None:
        import torch

        from tests.support.checkpoints import random_model

        torch.save(random_model(name).state_dict(), folder / f"{name}.pth")

    return make_once(f"random-{name}", make) / f"{name}.pth"
